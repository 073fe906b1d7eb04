//! attach(5) with a server that asks who one is: the transcripts of con9/auth on a server made for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use abi::error::Error;
use abi::file::{DMDIR, QTAUTH, QTDIR, Qid};
use serve::{Ctx as From, Result, Server, Sink, Source};

use crate::con9_cases;
use crate::ctx::{Ctx, Outcome};

/// What an afid stands for.
struct Claim {
    user: String,
    tree: String,
    shown: AtomicBool,
}

#[derive(Clone)]
enum Node {
    Claim(Arc<Claim>),
    Root(Arc<Claim>),
}

/// A root directory for those who can say their name backwards.
struct Door;

impl Server for Door {
    type Node = Node;

    fn auth(&self, from: &From<'_>, tree: &str) -> Result<Node> {
        let shown = AtomicBool::new(false);
        Ok(Node::Claim(Arc::new(Claim { user: from.user.into(), tree: tree.into(), shown })))
    }

    fn attach(&self, _: &From<'_>, claim: Option<&Node>, tree: &str) -> Result<Node> {
        match claim {
            Some(Node::Claim(c)) if c.shown.load(Ordering::Relaxed) && c.tree == tree => {
                Ok(Node::Root(c.clone()))
            }
            _ => Err(Error::AuthFailed.into()),
        }
    }

    fn qid(&self, node: &Node) -> Qid {
        match node {
            Node::Claim(_) => Qid { kind: QTAUTH, vers: 0, path: 1 },
            Node::Root(_) => Qid { kind: QTDIR, vers: 0, path: 0 },
        }
    }

    fn read(&self, _: &From<'_>, node: &Node, _: u64, out: &mut Sink<'_>) -> Result<()> {
        match node {
            Node::Claim(c) => out.bytes(format!("who is {} backwards?", c.user).as_bytes()),
            Node::Root(_) => Err(Error::IsDir.into()),
        }
    }

    fn write(&self, _: &From<'_>, node: &Node, _: u64, data: &mut Source<'_>) -> Result<u32> {
        let mut answer = vec![0; data.left()];
        data.take(&mut answer)?;
        match node {
            Node::Claim(c) if answer.iter().rev().eq(c.user.as_bytes()) => {
                c.shown.store(true, Ordering::Relaxed);
                Ok(answer.len() as u32)
            }
            _ => Err(Error::AuthFailed.into()),
        }
    }

    fn stat(
        &self,
        _: &From<'_>,
        node: &Node,
        out: &mut dyn FnMut(&ninep::Stat<'_>) -> Result<()>,
    ) -> Result<()> {
        let (Node::Claim(c) | Node::Root(c)) = node;
        let (uid, gid, muid) = (&*c.user, "", "");
        out(&ninep::Stat {
            qid: self.qid(node),
            mode: DMDIR | 0o555,
            name: "/",
            uid,
            gid,
            muid,
            ..ninep::NOCHANGE
        })
    }
}

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    con9_cases::on_server(ctx, Door, "auth")
}
