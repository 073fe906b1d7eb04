//! A whole server on a host, as doc/write-a-server.md tells it: `cargo run -p net9 --example clock -- 'unix!/tmp/clock'`.
//!
//! `time` is made when it is opened; `alarm` keeps its reader waiting until somebody writes to it.

use abi::error::Error;
use abi::file::{DMDIR, QTDIR, QTFILE, Qid};
use net9::{Address, Limits, Listener, Service};
use serve::{Ctx, Listing, Mode, Opened, Queue, Result, Server, Sink, Source};
use std::time::{SystemTime, UNIX_EPOCH};
use sync::Lock;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Root,
    Time,
    Alarm,
}

const FILES: [(Node, &str, u32); 2] = [(Node::Time, "time", 0o444), (Node::Alarm, "alarm", 0o666)];

struct Clock {
    rung: Lock<u32>,
    waiters: Queue,
}

impl Clock {
    fn record(node: Node) -> ninep::Stat<'static> {
        let (name, mode) =
            FILES.iter().find(|f| f.0 == node).map_or(("/", DMDIR | 0o555), |&(_, name, mode)| (name, mode));
        let kind = if node == Node::Root { QTDIR } else { QTFILE };
        let qid = Qid { kind, vers: 0, path: node as u64 };
        let (uid, gid, muid) = ("clock", "clock", "clock");
        ninep::Stat { kind: 0, dev: 0, qid, mode, atime: 0, mtime: 0, length: 0, name, uid, gid, muid }
    }
}

impl Server for Clock {
    type Node = Node;

    fn attach(&self, _: &Ctx<'_>, _: Option<&Node>, _: &str) -> Result<Node> {
        Ok(Node::Root)
    }

    fn qid(&self, node: &Node) -> Qid {
        Self::record(*node).qid
    }

    fn walk(&self, _: &Ctx<'_>, _: &Node, name: &str) -> Result<Node> {
        match FILES.iter().find(|f| f.1 == name) {
            Some(&(node, ..)) => Ok(node),
            None if name == ".." => Ok(Node::Root),
            None => Err(Error::NotExist.into()),
        }
    }

    fn open(&self, _: &Ctx<'_>, node: &Node, mode: Mode) -> Result<Opened<Node>> {
        if mode.writes() && *node != Node::Alarm {
            return Err(Error::Perm.into());
        }
        Ok(Opened { node: *node, qid: self.qid(node), iounit: 0 })
    }

    fn read(&self, _: &Ctx<'_>, node: &Node, offset: u64, sink: &mut Sink<'_>) -> Result<()> {
        if *node == Node::Time {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
            return sink.part(format!("{now:11}\n").as_bytes(), offset);
        }
        // First the count of wakes, then the look: a wake in between is not lost.
        let seq = self.waiters.seq();
        let mut rung = self.rung.lock();
        if *rung == 0 {
            return Err(self.waiters.wait(seq));
        }
        *rung -= 1;
        sink.bytes(b"ring\n")
    }

    fn write(&self, cx: &Ctx<'_>, _: &Node, _: u64, source: &mut Source<'_>) -> Result<u32> {
        *self.rung.lock() += 1;
        self.waiters.wake(cx.wake, 1);
        Ok(source.left() as u32)
    }

    fn list(&self, _: &Ctx<'_>, _: &Node, from: u64, out: &mut Listing<'_, '_>) -> Result<()> {
        for (place, (node, ..)) in (1..).zip(FILES).skip(from as usize) {
            if !out.entry(&Self::record(node), place)? {
                break;
            }
        }
        Ok(())
    }

    fn stat(
        &self,
        _: &Ctx<'_>,
        node: &Node,
        out: &mut dyn FnMut(&ninep::Stat<'_>) -> Result<()>,
    ) -> Result<()> {
        out(&Self::record(*node))
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let address: Address = std::env::args().nth(1).ok_or("usage: clock ADDRESS")?.parse()?;
    let clock = Clock { rung: Lock::new(0), waiters: Queue::new(1) };
    let service = Service::new(clock, Limits::default());
    let waker = service.clone();
    std::thread::spawn(move || waker.wake_waiters());
    service.listen(&Listener::bind(&address)?)?;
    Ok(())
}
