//! A server that shares: ramfs, whose pages are those of whoever has its files attached.
//!
//! It is mounted twice, as two trees: what is attached by way of the one is not known to the other, but by the server.
#![allow(unsafe_code, reason = "touches attached memory")]

use super::call::counter;
use super::swap::tortured;
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
    ("t69_a_server_takes_what_is_given", gives),
    ("t69_what_others_have_too_is_copied", gives_copies),
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
        // What torture evicts is had again from the server.
        if !tortured() {
            check!(byte(&other, 9 * PAGE)? == fill(9, 1), "a page was written that somebody has");
        }
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
            if !tortured() {
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

/// New memory of so many pages, each full of its own byte.
fn filled(pages: usize, salt: u8) -> Result<Segment> {
    let s = Segment::new(pages * PAGE)?;
    (0..pages).try_for_each(|p| s.write(p * PAGE, &[fill(p, salt); PAGE]))?;
    Ok(s)
}

/// What is given to a server that takes it is moved, is gone here, and is the file.
fn gives() -> Result<()> {
    with(|| {
        let (first, s) = (counter("given")?, filled(PAGES, 3)?);
        let frames = super::counters()?["frames"];
        let at = s.address();
        s.give(&File::create("/mnt/f", ORDWR.into(), 0o666)?, PAGES * PAGE)?;
        let (now, moved) = (super::counters()?["frames"], counter("given")? - first);
        check!(moved == PAGES as u64, "{moved} of {PAGES} pages were moved");
        // Others come back from swap meanwhile, if torture has taken them.
        check!(tortured() || now < frames + 100, "{frames} frames have become {now}");
        is(&attach("/mnt/f", Access::Read)?, 3)?;
        let s = filled(20, 4)?;
        check!(s.address() == at, "memory that was given stays attached");
        // Over what is there and somebody has, and over what nobody has.
        let held = attach("/n/f", Access::Read)?;
        is(&held, 3)?;
        let f = File::open("/mnt/f", ORDWR)?;
        f.seek(7 * PAGE as u64)?;
        s.give(&f, 20 * PAGE)?;
        check!(counter("given")? - first == PAGES as u64 + 20, "what is there is not replaced");
        let mut b = vec![0; 22 * PAGE];
        let n = f.read_at(&mut b, 6 * PAGE as u64)?;
        let want = |i: usize| match i / PAGE {
            p @ 1..21 => fill(p - 1, 4),
            p => fill(p + 6, 3),
        };
        check!(n == b.len() && (0..n).all(|i| b[i] == want(i)), "the file is not what was given");
        if !tortured() {
            is(&held, 3)?;
        }
        // Where pages don't fit they are copied, and gone all the same.
        let (s, before) = (filled(10, 5)?, counter("given")?);
        f.seek(1000)?;
        let at = s.address();
        // SAFETY: nothing refers to the memory.
        let n = unsafe { sys::give(f.fd(), at, 10 * PAGE, -1) };
        check!(n == Some(10 * PAGE) && counter("given")? == before, "it was moved to where it does not fit");
        let n = f.read_at(&mut b[..10 * PAGE], 1000)?;
        check!(n == 10 * PAGE && (0..n).all(|i| b[i] == fill(i / PAGE, 5)), "bytes went wrong");
        let pid = process::fork(RFFDG)?;
        if pid == 0 {
            // SAFETY: attached, but gone.
            unsafe { _ = (at as *const u8).read_volatile() };
            sys::exits(b"it is there");
        }
        let w = process::wait_for(pid)?.status;
        check!(w.contains("fault read"), "{w}");
        Ok(())
    })
}

/// Pages that are others' too are not moved: those that a fork shares, and those that somebody has borrowed.
fn gives_copies() -> Result<()> {
    with(|| {
        let (s, before) = (filled(20, 6)?, counter("given")?);
        let f = File::create("/mnt/f", ORDWR.into(), 0o666)?;
        let go = sys::pipe().ok_or_else(Error::last)?;
        let pid = process::fork(RFFDG)?;
        if pid == 0 {
            let _ = sys::pread(go[0], &mut [0], -1);
            let mut b = [0; PAGE];
            let good = (0..20).all(|p| s.read(p * PAGE, &mut b).is_ok() && b == [fill(p, 6); PAGE]);
            sys::exits(if good { b"" } else { b"it sees another's page" });
        }
        s.give(&f, 20 * PAGE)?;
        f.write_at(&[0; 20 * PAGE], 0)?;
        let _ = sys::pwrite(go[1], b"x", -1);
        let w = process::wait_for(pid)?.status;
        check!(w.is_empty(), "{w}");
        // Torture may have brought it back from swap, and then it is the giver's alone.
        let alone = tortured();
        check!(alone || counter("given")? == before, "a page that a fork shares was moved");
        for fd in go {
            let _ = sys::close(fd);
        }
        // What programs have written to the file stays right.
        let a = attach_more("/mnt/f", 20)?;
        a.write(5, b"dirty")?;
        f.seek(0)?;
        filled(20, 7)?.give(&f, 20 * PAGE)?;
        check!(
            byte(&a, 5)? == fill(0, 7) && byte(&a, 3 * PAGE)? == fill(3, 7),
            "a mapping has something else"
        );
        a.detach()
    })
}

fn attach_more(path: &str, pages: usize) -> Result<Segment> {
    Segment::of_file(&File::open(path, ORDWR)?, Access::Write, 0, pages * PAGE)
}
