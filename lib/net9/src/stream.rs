//! [`Listener`] and [`Stream`]: TCP and Unix sockets under one name.

use crate::Address;
use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

/// Takes connections.
#[derive(Debug)]
pub enum Listener {
    /// On TCP.
    Tcp(TcpListener),
    /// On a Unix socket, whose path goes when the listener does.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Listens. A socket that an earlier run left at a Unix path is replaced, unless somebody still listens there.
    pub fn bind(address: &Address) -> io::Result<Listener> {
        match address {
            Address::Tcp(host, port) if host == "*" => {
                TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)).map(Listener::Tcp)
            }
            Address::Tcp(host, port) => TcpListener::bind((host.as_str(), *port)).map(Listener::Tcp),
            Address::Unix(path) => {
                let stale = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket())
                    && UnixStream::connect(path).is_err();
                if stale {
                    std::fs::remove_file(path)?;
                }
                UnixListener::bind(path).map(|l| Listener::Unix(l, path.clone()))
            }
        }
    }

    /// Where it listens: the port is known even if 0 was asked for.
    pub fn address(&self) -> io::Result<Address> {
        Ok(match self {
            Listener::Tcp(l) => {
                let at = l.local_addr()?;
                Address::Tcp(at.ip().to_string(), at.port())
            }
            Listener::Unix(_, path) => Address::Unix(path.clone()),
        })
    }

    /// The next connection.
    pub fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Listener::Tcp(l) => Stream::Tcp(l.accept()?.0),
            Listener::Unix(l, _) => Stream::Unix(l.accept()?.0),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// By TCP.
    Tcp(TcpStream),
    /// By a Unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Connects.
    pub fn connect(address: &Address) -> io::Result<Stream> {
        Ok(match address {
            Address::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Address::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        })
    }

    /// Another handle of the same connection.
    pub fn try_clone(&self) -> io::Result<Stream> {
        Ok(match self {
            Stream::Tcp(s) => Stream::Tcp(s.try_clone()?),
            Stream::Unix(s) => Stream::Unix(s.try_clone()?),
        })
    }

    /// Answers are sent at once, and a write that takes longer than `patience` fails.
    pub(crate) fn prepare(&self, patience: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => {
                s.set_nodelay(true)?;
                s.set_write_timeout(Some(patience))
            }
            Stream::Unix(s) => s.set_write_timeout(Some(patience)),
        }
    }

    /// A read that waits longer fails.
    pub fn wait_at_most(&self, time: Option<Duration>) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => s.set_read_timeout(time),
            Stream::Unix(s) => s.set_read_timeout(time),
        }
    }

    /// Ends the connection for every handle.
    pub fn close(&self) {
        let _ = match self {
            Stream::Tcp(s) => s.shutdown(Shutdown::Both),
            Stream::Unix(s) => s.shutdown(Shutdown::Both),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => s.read(buf),
            Stream::Unix(s) => s.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => s.write(buf),
            Stream::Unix(s) => s.write(buf),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
