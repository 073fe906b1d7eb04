//! Serves a tree on a host: listens on TCP and Unix sockets, with one thread per connection, and no more than
//! [`Limits::connections`] of them.
//!
//! [`Address`] reads `tcp!host!port` and `unix!path`; [`Service`] serves connections with an engine. A client can use up
//! its own share only: what `serve::wire` bounds, one thread, [`GREETING`] to say its first words and
//! [`PATIENCE`] to take an answer. It is read no further while its answers wait to be taken. When all places
//! are taken, the oldest of the connections that hold no fid makes room for a newcomer.
#![forbid(unsafe_code)]

mod address;
mod queues;
mod stream;

pub use address::{Address, BadAddress};
pub use queues::Queues;
pub use stream::{Listener, Stream};

use serve::wire::Connection;
use serve::{Engine, Server};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a client has to agree on a version.
pub const GREETING: Duration = Duration::from_secs(10);
/// How long a client may leave an answer in the way of the next.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes taken from a connection at once.
const CHUNK: usize = 64 << 10;

/// What the service grants.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most connections at once, of all listeners together.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { connections: 256 }
    }
}

/// A connection as the service sees it. The lock is held while a request is worked on and its answer sent.
type Peer<S> = Arc<Mutex<(Connection<S>, Stream)>>;

/// An engine and its connections.
pub struct Service<S: Server> {
    engine: Engine<S>,
    queues: Queues,
    limits: Limits,
    peers: Mutex<HashMap<u64, Peer<S>>>,
    next: AtomicU64,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Server + 'static> Service<S> {
    /// A service without connections.
    pub fn new(server: S, limits: Limits) -> Arc<Self> {
        Arc::new(Service {
            engine: Engine::new(server),
            queues: Queues::default(),
            limits,
            peers: Mutex::default(),
            next: AtomicU64::new(1),
        })
    }

    /// The server.
    pub fn server(&self) -> &S {
        self.engine.server()
    }

    /// The queues of the server's waiting requests.
    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        lock(&self.peers).len()
    }

    /// Takes connections until the listener fails for good. One above the limit takes the place of one that holds no
    /// fid, or is closed at once.
    pub fn listen(self: &Arc<Self>, listener: &Listener) -> io::Result<()> {
        loop {
            match listener.accept() {
                Ok(stream) => {
                    if let Err(e) = self.begin(stream) {
                        eprintln!("connection refused: {e}");
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => return Err(e),
                // A client that left already, or no descriptor for the moment.
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Serves a connection on a thread of its own.
    pub fn begin(self: &Arc<Self>, stream: Stream) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let input = stream.try_clone()?;
        let connection = Connection::new(number).map_err(|e| io::Error::other(e.text()))?;
        let peer: Peer<S> = Arc::new(Mutex::new((connection, stream)));
        {
            let mut peers = lock(&self.peers);
            if peers.len() >= self.limits.connections {
                let idle = close_idle(&peers).ok_or_else(|| io::Error::other("too many connections"))?;
                peers.remove(&idle);
            }
            peers.insert(number, peer.clone());
        }
        let service = self.clone();
        let spawned = std::thread::Builder::new().name(format!("9p {number}")).spawn(move || {
            let end = End { service: &service, number, peer: &peer };
            // Whatever ends the connection, the client sees its end and needs no other word.
            let _ = service.talk(&peer, input);
            drop(end);
        });
        spawned.map(drop).inspect_err(|_| {
            lock(&self.peers).remove(&number);
        })
    }

    fn talk(&self, peer: &Peer<S>, mut input: Stream) -> io::Result<()> {
        input.prepare(PATIENCE)?;
        input.wait_at_most(Some(GREETING))?;
        let begun = Instant::now();
        let mut greeted = false;
        let mut chunk = vec![0; CHUNK];
        loop {
            let n = match input.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let mut held = lock(peer);
            let (connection, output) = &mut *held;
            let bytes = chunk.get(..n).unwrap_or_default();
            connection.receive(bytes).map_err(|e| io::Error::other(e.text()))?;
            loop {
                let more = connection.run(&self.engine, &self.queues);
                send(connection, output)?;
                match more {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(_) => return Ok(()),
                }
            }
            if !greeted && connection.has_version() {
                greeted = true;
                input.wait_at_most(None)?;
            }
            if !greeted && begun.elapsed() > GREETING {
                return Ok(());
            }
        }
    }

    /// Lets waiting requests try again as their queues are woken. Run it on a thread of its own if the server has
    /// queues; it does not return.
    pub fn wake_waiters(&self) {
        loop {
            let (queue, n) = self.queues.next();
            let peers: Vec<Peer<S>> = lock(&self.peers).values().cloned().collect();
            let mut left = n as usize;
            for peer in peers {
                let mut held = lock(&peer);
                let (connection, output) = &mut *held;
                if left > 0 && connection.waits_on(queue) {
                    left -= connection.retry(&self.engine, &self.queues, queue, left).min(left);
                    // If the client is gone its own thread finds out.
                    let _ = send(connection, output);
                    if connection.is_hopeless() {
                        output.close();
                    }
                }
            }
        }
    }
}

/// Closes the oldest connection that has no fid and on which nothing goes on: which. Its thread reads the end.
fn close_idle<S: Server>(peers: &HashMap<u64, Peer<S>>) -> Option<u64> {
    let mut oldest: Vec<_> = peers.iter().collect();
    oldest.sort_by_key(|(number, _)| **number);
    for (number, peer) in oldest {
        // A peer whose lock is taken is not waited for: it is not idle, and may be slow to take its answers.
        if let Ok(held) = peer.try_lock()
            && held.0.fids() == 0
        {
            held.1.close();
            return Some(*number);
        }
    }
    None
}

/// Sends all answers in one write.
fn send<S: Server>(connection: &mut Connection<S>, output: &mut Stream) -> io::Result<()> {
    let answers = connection.output();
    if answers.is_empty() {
        return Ok(());
    }
    output.write_all(answers)?;
    answers.clear();
    if answers.capacity() > 4 * CHUNK {
        *answers = Vec::new();
    }
    Ok(())
}

/// Frees what a connection has when its thread ends, even by a panic.
struct End<'a, S: Server> {
    service: &'a Service<S>,
    number: u64,
    peer: &'a Peer<S>,
}

impl<S: Server> Drop for End<'_, S> {
    fn drop(&mut self) {
        let mut held = lock(self.peer);
        held.0.end(&self.service.engine, &self.service.queues);
        held.1.close();
        lock(&self.service.peers).remove(&self.number);
    }
}
