//! NAME: a file server with one file, `note`, that keeps what was written to it last.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

extern crate alloc;

use abi::error::Error;
use abi::file::{DMDIR, QTDIR, QTFILE, Qid};
use alloc::vec::Vec;
use serve::{Ctx, Listing, Mode, Opened, Result, Server, Sink, Source};
use sync::Lock;

struct Notes {
    text: Lock<Vec<u8>>,
}

/// What a fid leads to: the root, or its file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Root,
    Note,
}

impl Notes {
    fn new() -> Notes {
        Notes { text: Lock::new(b"nothing yet\n".to_vec()) }
    }

    fn record(&self, node: Node) -> ninep::Stat<'static> {
        let (name, mode) = if node == Node::Root { ("/", DMDIR | 0o555) } else { ("note", 0o666) };
        let length = if node == Node::Root { 0 } else { self.text.lock().len() as u64 };
        let (qid, uid) = (self.qid(&node), "NAME");
        ninep::Stat { qid, mode, length, name, uid, gid: uid, muid: uid, kind: 0, dev: 0, atime: 0, mtime: 0 }
    }
}

impl Server for Notes {
    type Node = Node;

    fn attach(&self, _: &Ctx<'_>, _: Option<&Node>, _: &str) -> Result<Node> {
        Ok(Node::Root)
    }

    fn qid(&self, node: &Node) -> Qid {
        // vers 0: nobody may keep a copy.
        Qid { kind: if *node == Node::Root { QTDIR } else { QTFILE }, vers: 0, path: *node as u64 }
    }

    fn walk(&self, _: &Ctx<'_>, _: &Node, name: &str) -> Result<Node> {
        match name {
            "note" => Ok(Node::Note),
            ".." => Ok(Node::Root),
            _ => Err(Error::NotExist.into()),
        }
    }

    fn open(&self, _: &Ctx<'_>, node: &Node, mode: Mode) -> Result<Opened<Node>> {
        if mode.truncates() {
            self.text.lock().clear();
        }
        Ok(Opened { node: *node, qid: self.qid(node), iounit: 0 })
    }

    fn read(&self, _: &Ctx<'_>, _: &Node, offset: u64, sink: &mut Sink<'_>) -> Result<()> {
        sink.part(&self.text.lock(), offset)
    }

    fn write(&self, _: &Ctx<'_>, _: &Node, _: u64, source: &mut Source<'_>) -> Result<u32> {
        let mut new = Vec::new();
        new.try_reserve_exact(source.left())?;
        new.resize(source.left(), 0);
        source.take(&mut new)?;
        let len = new.len() as u32;
        *self.text.lock() = new;
        Ok(len)
    }

    fn list(&self, _: &Ctx<'_>, _: &Node, from: u64, out: &mut Listing<'_, '_>) -> Result<()> {
        if from == 0 {
            out.entry(&self.record(Node::Note), 1)?;
        }
        Ok(())
    }

    fn stat(&self, _: &Ctx<'_>, node: &Node, out: &mut dyn FnMut(&ninep::Stat<'_>) -> Result<()>) -> Result<()> {
        out(&self.record(*node))
    }
}

/// In the machine: behind a portal, posted as /srv/NAME.
#[cfg(portolan)]
fn program() -> portolan::Result<()> {
    portolan::portal::in_background(|| {
        let limits = portolan::portal::Limits { activations: 16, flags: 0, stack: 0, reserved: 0 };
        let (portal, _) = portolan::served::serve(Notes::new(), &limits)?;
        portal.post("NAME")?;
        Ok(portal)
    })
    .map(drop)
}

#[cfg(portolan)]
portolan::program!(program);

/// On a host: behind a socket, such as `tcp!127.0.0.1!5640`.
#[cfg(not(portolan))]
fn main() -> core::result::Result<(), Box<dyn core::error::Error>> {
    let address: net9::Address = std::env::args().nth(1).ok_or("usage: NAME ADDRESS")?.parse()?;
    let service = net9::Service::new(Notes::new(), net9::Limits::default());
    service.listen(&net9::Listener::bind(&address)?)?;
    Ok(())
}
