//! Between two sockets: a client connects here, and what it says goes on to the server, with trouble.
//!
//! Each direction has a thread that reads whole messages and one that writes them when they are due, so a delay costs
//! time and not throughput; of a message that never becomes whole nothing is passed on before the end. A connection ends for both sides when it ends for one.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use con9::link::{Address, take_message};

use crate::trace::{Numbers, Trace};
use crate::trouble::{Fate, Line, Requests, Trouble, Way};

/// How long replies are collected to be put in another order.
const COLLECT: Duration = Duration::from_millis(1);
/// Most messages on their way in one direction; a sender that is faster waits.
const WAITING: usize = 1024;
/// Most connections at a time.
const CONNECTIONS: u64 = 256;

/// A socket of either kind.
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// Unix.
    Unix(UnixStream),
}

impl Socket {
    /// Connects.
    pub fn dial(address: &Address) -> io::Result<Socket> {
        Ok(match address {
            Address::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))?;
                stream.set_nodelay(true)?;
                Socket::Tcp(stream)
            }
            Address::Unix(path) => Socket::Unix(UnixStream::connect(path)?),
        })
    }

    fn try_clone(&self) -> io::Result<Socket> {
        Ok(match self {
            Socket::Tcp(s) => Socket::Tcp(s.try_clone()?),
            Socket::Unix(s) => Socket::Unix(s.try_clone()?),
        })
    }

    fn shut(&self) {
        // An error says that it is shut already.
        let _ = match self {
            Socket::Tcp(s) => s.shutdown(Shutdown::Both),
            Socket::Unix(s) => s.shutdown(Shutdown::Both),
        };
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(s) => s.read(buffer),
            Socket::Unix(s) => s.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(s) => s.write(bytes),
            Socket::Unix(s) => s.write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where clients come from.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix.
    Unix(UnixListener),
}

impl Listener {
    /// Listens; only this machine's own addresses are taken, since what passes is neither checked nor hidden.
    pub fn listen(address: &Address) -> io::Result<Listener> {
        Ok(match address {
            Address::Tcp(host, port) => {
                let listener = TcpListener::bind((host.as_str(), *port))?;
                if !listener.local_addr()?.ip().is_loopback() {
                    let words = format!("{host} is not this machine alone; listen at 127.0.0.1");
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, words));
                }
                Listener::Tcp(listener)
            }
            Address::Unix(path) => Listener::Unix(UnixListener::bind(path)?),
        })
    }

    fn accept(&self) -> io::Result<Socket> {
        Ok(match self {
            Listener::Tcp(l) => {
                let (stream, _) = l.accept()?;
                stream.set_nodelay(true)?;
                Socket::Tcp(stream)
            }
            Listener::Unix(l) => Socket::Unix(l.accept()?.0),
        })
    }
}

/// Serves clients until accepting fails.
pub fn run(listener: &Listener, to: &Address, trouble: &Trouble, trace: &Arc<Trace>) -> io::Result<()> {
    let open = Arc::new(AtomicU64::new(0));
    for number in 1.. {
        let client = listener.accept()?;
        if open.load(Ordering::Relaxed) >= CONNECTIONS {
            client.shut();
            continue;
        }
        match Socket::dial(to) {
            Err(e) => {
                eprintln!("tap9: the server: {e}");
                client.shut();
            }
            Ok(server) => {
                let (trouble, trace, open) = (trouble.clone(), trace.clone(), open.clone());
                open.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || {
                    if let Err(e) = connect(client, server, &trouble, trace, number) {
                        eprintln!("tap9: connection {number}: {e}");
                    }
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        }
    }
    Ok(())
}

/// Both directions of one connection, until it ends.
fn connect(
    client: Socket,
    server: Socket,
    trouble: &Trouble,
    trace: Arc<Trace>,
    number: u64,
) -> io::Result<()> {
    let numbers = Arc::new(Numbers::new(number));
    let requests = Arc::new(Mutex::new(Requests::default()));
    let mut threads = Vec::new();
    for way in [Way::Request, Way::Reply] {
        let (from, to) = if way == Way::Request { (&client, &server) } else { (&server, &client) };
        let (from, to, end) = (from.try_clone()?, to.try_clone()?, from.try_clone()?);
        let line = Line::new(trouble, way, number);
        let (delay, (sender, receiver)) = (line.delay(), mpsc::sync_channel(WAITING));
        let noted = requests.clone();
        threads.push(thread::spawn(move || read_side(from, &sender, way, delay, &noted)));
        let (numbers, trace, requests) = (numbers.clone(), trace.clone(), requests.clone());
        threads.push(thread::spawn(move || {
            let mut side = WriteSide { to, line, way, numbers, trace, requests };
            // Whatever ended it, both sides learn it.
            let _ = side.run(&receiver);
            side.to.shut();
            end.shut();
        }));
    }
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

/// A message, and when it is due. What is no message (a size that can't be) goes on as it came.
type Due = (Instant, Vec<u8>);

fn read_side(mut from: Socket, to: &SyncSender<Due>, way: Way, delay: Duration, requests: &Mutex<Requests>) {
    let mut come = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        come.extend(&buffer[..count]);
        loop {
            let message = match take_message(&mut come) {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(_) => std::mem::take(&mut come),
            };
            if way == Way::Request {
                requests.lock().unwrap_or_else(PoisonError::into_inner).note(&message);
            }
            if to.send((Instant::now() + delay, message)).is_err() {
                return;
            }
        }
    }
    if !come.is_empty() {
        // Half a message before the end.
        let _ = to.send((Instant::now() + delay, come));
    }
}

struct WriteSide {
    to: Socket,
    line: Line,
    way: Way,
    numbers: Arc<Numbers>,
    trace: Arc<Trace>,
    requests: Arc<Mutex<Requests>>,
}

impl WriteSide {
    fn run(&mut self, from: &Receiver<Due>) -> io::Result<()> {
        while let Ok((due, message)) = from.recv() {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let mut messages = vec![message];
            if self.way == Way::Reply && self.line.reorders() {
                messages.extend(collect(from));
                let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
                messages = self.line.shuffle(messages, &mut requests);
            }
            for message in messages {
                if !self.pass(message)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Sends on what is left of a message; false if it was the last.
    fn pass(&mut self, message: Vec<u8>) -> io::Result<bool> {
        let (bytes, more) = match self.line.decide(message) {
            Fate::Lost => return Ok(true),
            Fate::Pass(bytes) => (bytes, true),
            Fate::Last(bytes) => (bytes, false),
        };
        self.trace.show(&self.numbers, self.way, &bytes)?;
        self.to.write_all(&bytes)?;
        Ok(more)
    }
}

/// What else comes within a moment.
fn collect(from: &Receiver<Due>) -> Vec<Vec<u8>> {
    let end = Instant::now() + COLLECT;
    let mut messages = Vec::new();
    loop {
        match from.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok((_, message)) => messages.push(message),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return messages,
        }
    }
}
