//! Connections to a server: what the runner needs of one, and the two kinds of socket.
//!
//! A [`Target`] is a server that can be dialled again and again; a [`Link`] is one connection, which takes bytes and
//! gives whole messages. Servers that run in this process implement both for themselves.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Messages longer than this are not read: no transcript asks for as much.
const LONGEST: usize = 16 << 20;

/// A server.
pub trait Target {
    /// A new connection.
    fn dial(&self) -> io::Result<Box<dyn Link>>;
}

/// A connection.
pub trait Link {
    /// Sends bytes, in one write.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Waits for a message.
    fn receive(&mut self, wait: Duration) -> io::Result<Received>;
}

/// What came.
#[derive(PartialEq, Eq, Debug)]
pub enum Received {
    /// A message, its size included; its size is its length, at least 4.
    Message(Vec<u8>),
    /// The server has hung up.
    Closed,
    /// Nothing in that time.
    Nothing,
}

/// An address in Plan 9's manner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// `tcp!HOST!PORT`
    Tcp(String, u16),
    /// `unix!PATH`
    Unix(String),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(host, port) => write!(f, "tcp!{host}!{port}"),
            Address::Unix(path) => write!(f, "unix!{path}"),
        }
    }
}

impl std::str::FromStr for Address {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not an address: tcp!HOST!PORT or unix!PATH");
        if let Some(path) = text.strip_prefix("unix!") {
            return Ok(Address::Unix(path.into()));
        }
        let (host, port) = text.strip_prefix("tcp!").and_then(|rest| rest.split_once('!')).ok_or_else(bad)?;
        Ok(Address::Tcp(host.into(), port.parse().map_err(|_| bad())?))
    }
}

/// How long a write may take before the server counts as stuck.
const WRITE: Duration = Duration::from_secs(20);

impl Target for Address {
    fn dial(&self) -> io::Result<Box<dyn Link>> {
        self.dial_patiently(WRITE)
    }
}

impl Address {
    /// Dials; no write will wait longer than this.
    pub fn dial_patiently(&self, write: Duration) -> io::Result<Box<dyn Link>> {
        match self {
            Address::Tcp(host, port) => {
                let mut addresses = (host.as_str(), *port).to_socket_addrs()?;
                let address = addresses.next().ok_or(io::ErrorKind::NotFound)?;
                let stream = TcpStream::connect_timeout(&address, WRITE)?;
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(write))?;
                Ok(Box::new(Framed::new(stream)))
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(write))?;
                Ok(Box::new(Framed::new(stream)))
            }
        }
    }
}

/// A byte stream whose reads can be bounded in time.
pub trait Stream: Read + Write {
    /// The longest that one read waits.
    fn set_wait(&self, wait: Duration) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn set_wait(&self, wait: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(wait))
    }
}

impl Stream for UnixStream {
    fn set_wait(&self, wait: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(wait))
    }
}

/// A stream, with what has come of the next message.
pub struct Framed<S> {
    stream: S,
    come: Vec<u8>,
}

impl<S: Stream> Framed<S> {
    /// Nothing has come yet.
    pub fn new(stream: S) -> Framed<S> {
        Framed { stream, come: Vec::new() }
    }
}

/// Takes the first whole message off the front of what has come.
pub fn take_message(come: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let Some(head) = come.first_chunk::<4>() else { return Ok(None) };
    let size = u32::from_le_bytes(*head) as usize;
    if !(7..=LONGEST).contains(&size) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message says its size is {size}")));
    }
    if come.len() < size {
        return Ok(None);
    }
    let rest = come.split_off(size);
    Ok(Some(std::mem::replace(come, rest)))
}

impl<S: Stream> Link for Framed<S> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn receive(&mut self, wait: Duration) -> io::Result<Received> {
        let end = Instant::now() + wait;
        loop {
            if let Some(message) = take_message(&mut self.come)? {
                return Ok(Received::Message(message));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Received::Nothing);
            }
            self.stream.set_wait(left)?;
            let mut buffer = [0; 8192];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Received::Closed),
                Ok(n) => self.come.extend(&buffer[..n]),
                Err(e) => match e.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                        return Ok(Received::Closed);
                    }
                    _ => return Err(e),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let mut far = Framed::new(far);
        let wait = Duration::from_millis(20);
        near.write_all(b"\x07\0\0\0\x6d\x01").unwrap();
        assert_eq!(far.receive(wait).unwrap(), Received::Nothing);
        near.write_all(b"\0\x07\0\0\0\x6d\x02\0").unwrap();
        assert_eq!(far.receive(wait).unwrap(), Received::Message(b"\x07\0\0\0\x6d\x01\0".into()));
        assert_eq!(far.receive(wait).unwrap(), Received::Message(b"\x07\0\0\0\x6d\x02\0".into()));
        drop(near);
        assert_eq!(far.receive(wait).unwrap(), Received::Closed);
    }

    #[test]
    fn a_size_that_cannot_be_is_an_error() {
        assert!(take_message(&mut b"\x06\0\0\0abc".to_vec()).is_err());
        assert!(take_message(&mut b"\xff\xff\xff\xff".to_vec()).is_err());
        assert_eq!(take_message(&mut b"\x07\0\0".to_vec()).unwrap(), None);
    }

    #[test]
    fn addresses_are_plan_9s() {
        assert_eq!("tcp!localhost!564".parse(), Ok(Address::Tcp("localhost".into(), 564)));
        assert_eq!("unix!/tmp/x".parse(), Ok(Address::Unix("/tmp/x".into())));
        for bad in ["", "localhost:564", "tcp!localhost", "tcp!localhost!http"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
