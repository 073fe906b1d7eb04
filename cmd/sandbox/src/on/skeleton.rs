//! The tree that a sandboxed program has for its root: the way to what it may name. Every other walk ends here, and is
//! noted with the time, the process, its program and the path.

use core::fmt::Write;
use portolan::abi::error::Error as Known;
use portolan::abi::file::{DMDIR, OREAD, QTDIR, QTFILE, Qid};
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::fs::Stat;
use portolan::portal::{Limits, Portal};
use portolan::served::{self, Ctx, Listing, Mode, Opened, Server};
use portolan::{File, fs, process, time};
use sandbox::{Node, Tree};

struct Skeleton {
    tree: Tree,
    log: File,
    /// The name of this process, by which callers are found.
    me: String,
}

fn qid_of(node: usize, n: &Node) -> Qid {
    Qid { kind: if n.dir { QTDIR } else { QTFILE }, vers: 0, path: node as u64 }
}

fn stat_of(node: usize, n: &Node) -> Stat<'_> {
    let (mode, name) = (if n.dir { DMDIR | 0o555 } else { 0 }, if node == 0 { "/" } else { &n.name });
    Stat {
        qid: qid_of(node, n),
        mode,
        name,
        uid: "sys",
        gid: "sys",
        muid: "sys",
        length: 0,
        ..Stat::NOCHANGE
    }
}

impl Skeleton {
    fn node(&self, node: usize) -> served::Result<&Node> {
        self.tree.get(node).ok_or_else(|| Known::NotExist.into())
    }

    /// Who is in a call of this server at this moment: numbers and names. The one that was denied is among them, and
    /// seldom with others.
    fn callers(&self) -> String {
        let mut who = String::new();
        let state = format!("Call:{}:", self.me);
        let Ok(dir) = File::open("#proc", OREAD) else { return who };
        // Processes that end meanwhile are none.
        let _ = fs::each_entry(&dir, |s| {
            let status = fs::read(format!("#proc/{}/status", s.name)).unwrap_or_default();
            let status = String::from_utf8_lossy(&status);
            let mut words = status.split(' ');
            if let (Some(pid), Some(name)) = (words.next(), words.next())
                && words.nth(1).is_some_and(|w| w.starts_with(&state))
            {
                let _ = write!(who, "{pid} {name} ");
            }
            Ok(())
        });
        who
    }
}

impl Server for Skeleton {
    type Node = usize;

    fn attach(&self, _: &Ctx<'_>, _: Option<&usize>, _: &str) -> served::Result<usize> {
        Ok(0)
    }

    fn qid(&self, node: &usize) -> Qid {
        self.tree.get(*node).map_or(Qid::default(), |n| qid_of(*node, n))
    }

    fn walk(&self, _: &Ctx<'_>, from: &usize, name: &str) -> served::Result<usize> {
        if name == ".." {
            return self.node(*from).map(|n| n.parent);
        }
        self.tree.find(*from, name).ok_or_else(|| Known::NotExist.into())
    }

    fn missed(&self, _: &Ctx<'_>, from: &usize, names: &mut dyn Iterator<Item = &str>) {
        if self.tree.get(*from).is_some_and(|n| n.entry) {
            // The kernel goes on from what is bound there.
            return;
        }
        let now = time::since_1970();
        let mut line = format!("{}.{:03} {}", now.as_secs(), now.subsec_millis(), self.callers());
        let mut path = self.tree.path(*from);
        for name in names {
            path += name;
            path += "/";
        }
        let path = path.trim_end_matches('/');
        // So the kernel tells of what may not be changed, and where nothing may be mounted.
        let tried = ["write", "mount"]
            .into_iter()
            .find_map(|what| Some((what, path.strip_prefix("/#")?.strip_prefix(what)?)));
        match tried {
            Some((what, "")) => drop(write!(line, "{what} /")),
            Some((what, path)) => drop(write!(line, "{what} {path}")),
            None => line += path,
        }
        line += "\n";
        // A log that can't be written hinders nobody.
        let _ = self.log.write_all(line.as_bytes());
    }

    fn open(&self, _: &Ctx<'_>, node: &usize, mode: Mode) -> served::Result<Opened<usize>> {
        let n = self.node(*node)?;
        if mode.writes() || mode.truncates() || mode.removes() || !n.dir {
            return Err(Known::ReadOnly.into());
        }
        Ok(Opened { node: *node, qid: qid_of(*node, n), iounit: 0 })
    }

    fn list(&self, _: &Ctx<'_>, dir: &usize, from: u64, out: &mut Listing<'_, '_>) -> served::Result<()> {
        for (i, n) in self.tree.list(*dir, from as usize) {
            if !out.entry(&stat_of(i, n), i as u64 + 1)? {
                break;
            }
        }
        Ok(())
    }

    fn stat(
        &self,
        _: &Ctx<'_>,
        node: &usize,
        out: &mut dyn FnMut(&Stat<'_>) -> served::Result<()>,
    ) -> served::Result<()> {
        out(&stat_of(*node, self.node(*node)?))
    }
}

/// Serves the tree from this process; the portal has no name.
pub(super) fn serve(tree: Tree, log: File) -> portolan::Result<Portal> {
    let me = format!("sandbox{}", process::id());
    fs::write(format!("#proc/{}/args", process::id()), &me)?;
    let limits = Limits { activations: 8, flags: 0, stack: 32 << 10, reserved: 0 };
    served::serve(Skeleton { tree, log, me }, &limits).map(|(portal, _)| portal)
}
