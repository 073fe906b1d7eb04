//! A server that shares: ramfs, whose pages are those of whoever has its files attached.
//!
//! It is mounted twice, as two trees: what is attached by way of the one is not known to the other, but by the server.
#![allow(unsafe_code, reason = "touches attached memory")]

use super::{Test, check, imp};
use portolan::abi::file::{ORDWR, OREAD, RFFDG};
use portolan::abi::limit::PAGE;
use portolan::alloc::string::String;
use portolan::alloc::vec;
use portolan::alloc::vec::Vec;
use portolan::portal::{self, Limits, Portal};
use portolan::segment::{Access, Segment};
use portolan::{Error, File, Result, fs, process, served, sys};
use ramfs::{Options, Ramfs};

pub(super) const TESTS: &[Test] = &[
    ("t68_a_page_that_is_shared_exists_once", once),
    ("t68_what_is_written_is_seen_where_it_should", written),
    ("t68_memory_of_a_shared_page_is_not_used_again", not_again),
    ("t68_a_program_runs_from_shared_pages", runs),
];

/// Pages of the files here.
const PAGES: usize = 300;

fn serve(name: &str) -> Result<Portal> {
    let options = Options {
        size: 64 << 20,
        quota: 64 << 20,
        owner: String::from("sys"),
        root_mode: 0o777,
        groups: Vec::new(),
        open: true,
        posix: false,
        now: || 0,
        key: (1, 2),
    };
    let tree = Ramfs::new(&options).map_err(|_| Error::new("no memory for a tree"))?;
    let (portal, _) = served::serve(tree, &Limits { activations: 4, flags: 0, stack: 0, reserved: 0 })?;
    portal.post(name)?;
    Ok(portal)
}

/// Runs a test with a ramfs at /mnt and, as another tree, at /n.
fn with(test: impl FnOnce() -> Result<()>) -> Result<()> {
    let pid = portal::in_background(|| serve("ram"))?;
    let server = File::open("/srv/ram", ORDWR)?;
    fs::mount(&server, "/mnt", 0, "")?;
    fs::mount(&server, "/n", 0, "/")?;
    drop(server);
    let r = test();
    imp::stop("ram", pid);
    r
}

/// The byte that a page of a file is full of.
fn fill(page: usize, salt: u8) -> u8 {
    (page as u8).wrapping_mul(7) ^ salt
}

/// Makes a file, each page full of its own byte.
fn make(path: &str, salt: u8) -> Result<()> {
    let f = File::create(path, ORDWR.into(), 0o666)?;
    (0..PAGES).try_for_each(|p| f.write_all(&[fill(p, salt); PAGE]))
}

fn attach(path: &str, access: Access) -> Result<Segment> {
    let mode = if access == Access::Write { ORDWR } else { OREAD };
    Segment::of_file(&File::open(path, mode)?, access, 0, PAGES * PAGE)
}

/// Has it a file as [`make`] makes it?
fn is(s: &Segment, salt: u8) -> Result<()> {
    let mut b = vec![0; PAGE];
    for p in 0..PAGES {
        s.read(p * PAGE, &mut b)?;
        let want = fill(p, salt);
        let wrong = b.iter().position(|&b| b != want);
        check!(wrong.is_none(), "page {p} has {} at {wrong:?} instead of {want}", b[wrong.unwrap_or(0)]);
    }
    Ok(())
}

fn byte(s: &Segment, at: usize) -> Result<u8> {
    let mut b = [0];
    s.read(at, &mut b)?;
    Ok(b[0])
}

/// Does something in a child.
fn child(run: impl FnOnce() -> Result<()>) -> Result<()> {
    let pid = process::fork(RFFDG)?;
    if pid == 0 {
        let r = run();
        sys::exits(r.err().map_or(String::new(), |e| e.words().into()).as_bytes());
    }
    let w = process::wait_for(pid)?.status;
    check!(w.is_empty(), "a child: {w}");
    Ok(())
}

fn once() -> Result<()> {
    with(|| {
        make("/mnt/f", 1)?;
        let before = super::counters()?;
        let (a, b) = (attach("/mnt/f", Access::Read)?, attach("/n/f", Access::Read)?);
        is(&a, 1)?;
        is(&b, 1)?;
        let frames = |c: &super::BTreeMap<String, u64>| c["frames"];
        let after = super::counters()?;
        let (was, now) = (frames(&before), frames(&after));
        // Tables only; every page is the server's.
        check!(now < was + 32, "{was} frames were {now} after {PAGES} pages were attached twice");
        child(|| {
            is(&attach("/mnt/f", Access::Read)?, 1)?;
            let now = frames(&super::counters()?);
            check!(now < was + 200, "{was} frames were {now} in a child");
            Ok(())
        })
    })
}

fn written() -> Result<()> {
    with(|| {
        make("/mnt/f", 1)?;
        let other = attach("/n/f", Access::Read)?;
        is(&other, 1)?;
        let f = File::open("/mnt/f", ORDWR)?;
        let a = Segment::of_file(&f, Access::Write, 0, PAGES * PAGE)?;
        is(&a, 1)?;
        // By mapping: the server and who has its page don't see it until it is written back.
        a.write(5 * PAGE + 1, b"m")?;
        check!(byte(&a, 5 * PAGE + 1)? == b'm', "the writer does not see it");
        check!(byte(&other, 5 * PAGE + 1)? == fill(5, 1), "it is in a page of the server's already");
        child(|| {
            let s = attach("/mnt/f", Access::Read)?;
            check!(byte(&s, 5 * PAGE + 1)? == b'm', "who attaches the same file does not see it");
            Ok(())
        })?;
        f.sync()?;
        let mut b = [0];
        let again = File::open("/n/f", OREAD)?;
        check!(
            again.read_at(&mut b, 5 * PAGE as u64 + 1)? == 1 && b == *b"m",
            "after sync the server has {b:?}"
        );
        check!(byte(&other, 5 * PAGE + 1)? == b'm', "after an open the other tree has the old page");
        // By request: who has the file attached sees it, the other tree when it opens the file.
        f.write_at(b"r", 9 * PAGE as u64)?;
        check!(byte(&a, 9 * PAGE)? == b'r', "a request is not seen in memory");
        check!(byte(&other, 9 * PAGE)? == fill(9, 1), "a page was written that somebody has");
        drop(File::open("/n/f", OREAD)?);
        check!(byte(&other, 9 * PAGE)? == b'r', "after an open the other tree has the old page");
        // A hole, and what is written there later.
        f.write_at(b"e", (PAGES * PAGE + 5 * PAGE) as u64)?;
        let hole = Segment::of_file(&f, Access::Write, (PAGES * PAGE) as u64, 5 * PAGE)?;
        check!(byte(&hole, 2 * PAGE)? == 0, "a hole is not zero");
        hole.write(2 * PAGE, b"h")?;
        hole.detach()?;
        check!(f.read_at(&mut b, (PAGES + 2) as u64 * PAGE as u64)? == 1 && b == *b"h", "a hole has {b:?}");
        a.detach()
    })
}

/// Other files come and go: none is where somebody still has an old page.
fn not_again() -> Result<()> {
    with(|| {
        make("/mnt/f", 1)?;
        let held = attach("/n/f", Access::Read)?;
        is(&held, 1)?;
        let used = super::counters()?["frames"];
        for salt in 2..6 {
            make("/mnt/f", salt)?;
            fs::remove("/mnt/f")?;
            make("/mnt/g", salt ^ 0x80)?;
            is(&attach("/mnt/g", Access::Read)?, salt ^ 0x80)?;
            fs::remove("/mnt/g")?;
            make("/mnt/f", salt)?;
            is(&attach("/mnt/f", Access::Read)?, salt)?;
            // What torture evicts can't be had again from a file that is gone.
            if !super::segment::tortured() {
                is(&held, 1)?;
            }
        }
        let now = super::counters()?["frames"];
        check!(now < used + 3 * PAGES as u64, "{used} frames have become {now}");
        Ok(())
    })
}

/// Text pages are shared too, and the file can be removed meanwhile.
fn runs() -> Result<()> {
    with(|| {
        let f = File::create("/mnt/prog", ORDWR.into(), 0o777)?;
        f.write_all(&super::filer::program()?)?;
        drop(f);
        for _ in 0..2 {
            let pid = process::fork(RFFDG)?;
            if pid == 0 {
                let e = process::exec("/mnt/prog", &["ktest", "hello"]);
                sys::exits(e.words().as_bytes());
            }
            let w = process::wait_for(pid)?.status;
            check!(w == "hello", "it ended with {w:?}");
        }
        fs::remove("/mnt/prog")
    })
}
