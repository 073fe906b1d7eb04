//! leaky: serves one file, and leaks memory with every walk: `leaky ADDRESS BYTES`.
//!
//! The scenario host_hostile turns the same check on it as on ramfs: it must be found out when it leaks, and pass when it
//! leaks nothing.

use std::process::ExitCode;

use abi::error::Error;
use abi::file::{QTDIR, Qid};
use net9::{Address, Limits, Listener, Service};
use ninep::Stat;
use serve::{Ctx, Fail, Listing, Mode, Opened, Result, Server, Sink};

/// A root and its file `f`.
struct Leaky {
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Node {
    Root,
    File,
}

impl Leaky {
    fn record(&self, node: Node) -> Stat<'static> {
        let (name, mode, length) = if node == Node::Root { ("/", 0x8000_01ff, 0) } else { ("f", 0o666, 5) };
        Stat {
            kind: 0,
            dev: 0,
            qid: self.qid(&node),
            mode,
            atime: 0,
            mtime: 0,
            length,
            name,
            uid: "none",
            gid: "none",
            muid: "none",
        }
    }
}

impl Server for Leaky {
    type Node = Node;

    fn attach(&self, _: &Ctx<'_>, _: Option<&Node>, _: &str) -> Result<Node> {
        Ok(Node::Root)
    }

    fn qid(&self, node: &Node) -> Qid {
        if *node == Node::Root {
            Qid { kind: QTDIR, vers: 0, path: 0 }
        } else {
            Qid { kind: 0, vers: 0, path: 1 }
        }
    }

    fn walk(&self, _: &Ctx<'_>, _: &Node, name: &str) -> Result<Node> {
        // What the server is for: nobody will ever free this.
        Box::leak(vec![1u8; self.bytes].into_boxed_slice());
        match name {
            "f" => Ok(Node::File),
            ".." => Ok(Node::Root),
            _ => Err(Fail::Error(Error::NotExist)),
        }
    }

    fn open(&self, _: &Ctx<'_>, node: &Node, _: Mode) -> Result<Opened<Node>> {
        Ok(Opened { node: *node, qid: self.qid(node), iounit: 0 })
    }

    fn read(&self, _: &Ctx<'_>, _: &Node, offset: u64, out: &mut Sink<'_>) -> Result<()> {
        out.part(b"hello", offset)
    }

    fn list(&self, _: &Ctx<'_>, _: &Node, from: u64, out: &mut Listing<'_, '_>) -> Result<()> {
        if from == 0 {
            out.entry(&self.record(Node::File), 1)?;
        }
        Ok(())
    }

    fn stat(&self, _: &Ctx<'_>, node: &Node, out: &mut dyn FnMut(&Stat<'_>) -> Result<()>) -> Result<()> {
        out(&self.record(*node))
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (address, bytes) = (args.next().map(|a| a.parse::<Address>()), args.next().map(|b| b.parse()));
    let (Some(Ok(address)), Some(Ok(bytes))) = (address, bytes) else {
        eprintln!("usage: leaky ADDRESS BYTES");
        return ExitCode::from(2);
    };
    let listener = match Listener::bind(&address) {
        Ok(listener) => listener,
        Err(e) => {
            eprintln!("leaky: {address}: {e}");
            return ExitCode::FAILURE;
        }
    };
    match Service::new(Leaky { bytes }, Limits::default()).listen(&listener) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("leaky: {e}");
            ExitCode::FAILURE
        }
    }
}
