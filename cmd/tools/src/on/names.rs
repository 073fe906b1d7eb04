//! bind, mount, unmount and ns: the namespace.

use super::{Given, Text};
use portolan::abi::file::{MAFTER, MBEFORE, MCREATE, MRDONLY, MREPL, ORDWR};
use portolan::alloc::format;
use portolan::{Error, File, Result, STDOUT, fs, process};

fn flags(g: &Given) -> u32 {
    let order = if g.has(b'b') {
        MBEFORE
    } else if g.has(b'a') {
        MAFTER
    } else {
        MREPL
    };
    let create = if g.has(b'c') { MCREATE } else { 0 };
    order | create | if g.has(b'r') { MRDONLY } else { 0 }
}

pub(super) fn bind(g: &mut Given) -> Result<()> {
    let &[new, old] = &g.rest[..] else { return Err(g.wrong()) };
    fs::bind(new, old, flags(g)).map_err(|e| Error::of(format!("{} on {}", Text(new), Text(old)), e))
}

pub(super) fn mount(g: &mut Given) -> Result<()> {
    let (server, old, tree) = match g.rest[..] {
        [server, old] => (server, old, &b""[..]),
        [server, old, tree] => (server, old, tree),
        _ => return Err(g.wrong()),
    };
    let f = File::open(server, ORDWR).map_err(|e| Error::of(Text(server), e))?;
    let tree = core::str::from_utf8(tree).map_err(|_| Error::new("the tree's name is not UTF-8"))?;
    fs::mount(&f, old, flags(g), tree).map_err(|e| Error::of(Text(old), e))
}

pub(super) fn unmount(g: &mut Given) -> Result<()> {
    let (new, old) = match g.rest[..] {
        [old] => (&b""[..], old),
        [new, old] => (new, old),
        _ => return Err(g.wrong()),
    };
    fs::unmount(new, old).map_err(|e| Error::of(Text(old), e))
}

pub(super) fn ns(g: &mut Given) -> Result<()> {
    let pid = match g.rest[..] {
        [] => process::id(),
        [pid] => super::number(pid)?,
        _ => return Err(g.wrong()),
    };
    let path = format!("/proc/{pid}/ns");
    let all = fs::read(&path).map_err(|e| Error::of(&path, e))?;
    File::from_fd(STDOUT).write_all(&all)
}
