//! The ways to go wrong, and the server with a file for each.

use portolan::abi::error::Error as Known;
use portolan::abi::file::{DMDIR, QTDIR, QTFILE, Qid};
use portolan::fs::Stat;
use portolan::portal::{self, Limits};
use portolan::served::{self, Ctx, Listing, Mode, Opened, Server, Sink};
use portolan::{Error, Mutex, Result, args};

/// The files after `ok`, and what reading them does.
const WAYS: [(&str, fn()); 4] = [("crash", crash), ("panic", panics), ("end", end), ("hang", hang)];

/// Reads where nothing is.
#[inline(never)]
fn crash() {
    deeper(core::hint::black_box(8));
}

#[inline(never)]
fn deeper(address: usize) {
    // SAFETY: not sound at all: the kernel ends the program here, which is what is tested.
    unsafe { (address as *const u32).read_volatile() };
}

#[inline(never)]
fn panics() {
    let none: Option<u32> = core::hint::black_box(None);
    none.expect("a value that is not there");
}

fn end() {
    portolan::exit("ended on purpose");
}

/// Keeps everybody else waiting.
static HELD: Mutex<()> = Mutex::new(());

fn hang() {
    core::mem::forget(HELD.lock());
    loop {
        let _ = portolan::sys::sleep(u64::MAX);
    }
}

struct Misfit;

/// 0 is the root, 1 the file `ok`, from 2 on the ways.
fn name(node: usize) -> Option<&'static str> {
    match node {
        0 => Some("/"),
        1 => Some("ok"),
        n => WAYS.get(n - 2).map(|w| w.0),
    }
}

fn qid_of(node: usize) -> Qid {
    Qid { kind: if node == 0 { QTDIR } else { QTFILE }, vers: 0, path: node as u64 }
}

fn stat_of(node: usize) -> Stat<'static> {
    let mode = if node == 0 { DMDIR | 0o555 } else { 0o444 };
    let name = name(node).unwrap_or("?");
    Stat { qid: qid_of(node), mode, name, uid: "sys", gid: "sys", muid: "sys", length: 0, ..Stat::NOCHANGE }
}

impl Server for Misfit {
    type Node = usize;

    fn attach(&self, _: &Ctx<'_>, _: Option<&usize>, _: &str) -> served::Result<usize> {
        drop(HELD.lock());
        Ok(0)
    }

    fn qid(&self, node: &usize) -> Qid {
        qid_of(*node)
    }

    fn walk(&self, _: &Ctx<'_>, _: &usize, wanted: &str) -> served::Result<usize> {
        drop(HELD.lock());
        let found = (1..).map_while(|n| name(n).map(|text| (n, text))).find(|f| f.1 == wanted);
        match wanted {
            ".." => Ok(0),
            _ => found.map(|f| f.0).ok_or_else(|| Known::NotExist.into()),
        }
    }

    fn open(&self, _: &Ctx<'_>, node: &usize, mode: Mode) -> served::Result<Opened<usize>> {
        if mode.writes() {
            return Err(Known::Perm.into());
        }
        Ok(Opened { node: *node, qid: qid_of(*node), iounit: 0 })
    }

    fn read(&self, _: &Ctx<'_>, node: &usize, offset: u64, sink: &mut Sink<'_>) -> served::Result<()> {
        if let Some((_, wrong)) = node.checked_sub(2).and_then(|i| WAYS.get(i)) {
            wrong();
        }
        sink.part(b"fine\n", offset)
    }

    fn list(&self, _: &Ctx<'_>, _: &usize, from: u64, out: &mut Listing<'_, '_>) -> served::Result<()> {
        for node in (from as usize + 1..).take_while(|n| name(*n).is_some()) {
            if !out.entry(&stat_of(node), node as u64)? {
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
        out(&stat_of(*node))
    }
}

pub(crate) fn main() -> Result<()> {
    if let Some(how) = args().nth(1) {
        let way = WAYS.iter().find(|w| w.0.as_bytes() == how).ok_or(Error::new("no such way to go wrong"))?;
        way.1();
    }
    portal::in_background(|| {
        let limits = Limits { activations: 4, flags: 0, stack: 0, reserved: 0 };
        let (portal, _) = served::serve(Misfit, &limits)?;
        portal.post("misfit")?;
        Ok(portal)
    })
    .map(drop)
}
