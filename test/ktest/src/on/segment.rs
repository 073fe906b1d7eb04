//! Segments: files as memory, from a server that knows nothing of it.
#![allow(unsafe_code, reason = "touches what it should not")]

use super::call::{child, words};
use super::swap::tortured;
use super::{Test, check, fails, filer, imp};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use filer::{BIG, pattern};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{OEXEC, ORDWR, OREAD, OWRITE, SGEXEC, SGWRITE};
use portolan::abi::limit::{IO, PAGE};
use portolan::abi::portal::{ACTIVATIONS, ACTIVATIONS_END};
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec;
use portolan::segment::{Access, Segment};
use portolan::{Error, File, Result, fs, note, process, sys, time};

pub(super) const TESTS: &[Test] = &[
    ("t60_segment_shows_its_file", shows),
    ("t60_segment_takes_short_reads", short),
    ("t60_segment_bytes_go_to_system_calls", to_calls),
    ("t61_segment_is_one_for_all", shared),
    ("t61_segment_outlives_its_descriptor", outlives),
    ("t61_segment_of_version_0_is_a_copy", snapshot),
    ("t62_segment_refuses_nonsense", nonsense),
    ("t62_segment_that_only_reads_is_not_written", read_only),
    ("t62_segment_range_is_used_again_at_once", reused),
    ("t62_segment_ends_where_it_was_attached", ends),
    ("t63_segment_fault_is_interrupted", interrupted),
    ("t63_segment_fault_is_taken_over", taken_over),
    ("t63_segment_error_is_a_note", error),
    ("t63_segment_server_dies", server_dies),
    ("t65_segment_is_larger_than_memory", larger),
    ("t65_segment_is_read_into_new_memory", into_new_memory),
    ("t66_written_pages_are_the_file", written),
    ("t66_written_pages_are_seen_by_others", seen_by_others),
    ("t66_write_requests_change_pages", requests),
    ("t66_a_file_changes_elsewhere", elsewhere),
    ("t67_what_is_refused_is_told_and_kept", refused),
    ("t67_who_exits_leaves_his_pages_to_the_laundry", laundry),
    ("t67_no_write_is_lost_while_others_are_written", while_writing),
    ("t67_a_server_has_so_many_dirty_pages", limit),
    ("t67_server_dies_with_dirty_pages", dies_dirty),
    ("t64_segment_of_a_server_is_wired", of_a_server),
    ("t64_exec_pages_its_text", exec),
    ("t64_exec_twice_has_one_text", twice),
];

/// Runs a test with a filer at /mnt.
fn with(test: impl FnOnce(u32) -> Result<()>) -> Result<()> {
    let pid = filer::mounted("filer", "/mnt")?;
    let r = test(pid);
    imp::stop("filer", pid);
    r
}

fn open(name: &str, mode: u8) -> Result<File> {
    File::open(format!("/mnt/{name}"), mode)
}

fn attach(name: &str, access: Access, len: usize) -> Result<Segment> {
    let mode = if access == Access::Write { ORDWR } else { OREAD };
    Segment::of_file(&open(name, mode)?, access, 0, len)
}

fn pause() {
    let _ = time::sleep(Duration::from_millis(100));
}

/// A segment has the pattern, from a page on, to its end and zeroes after it.
fn is_pattern(s: &Segment, offset: usize) -> Result<()> {
    let mut buf = vec![0; 10_000];
    let whole = s.len().next_multiple_of(PAGE);
    let mut at = 0;
    while at < whole {
        let n = buf.len().min(whole - at);
        // The bytes behind the length that was asked for, up to the page's end, are attached too.
        // SAFETY: the range is attached whole pages wide, and nothing changes this file.
        let from = unsafe { core::slice::from_raw_parts((s.address() as usize + at) as *const u8, n) };
        buf[..n].copy_from_slice(from);
        let wrong = (0..n).find(|&i| {
            let place = offset + at + i;
            buf[i] != if place < BIG { pattern(place) } else { 0 }
        });
        check!(wrong.is_none(), "byte {} is wrong", offset + at + wrong.unwrap_or(0));
        at += n;
    }
    Ok(())
}

fn shows() -> Result<()> {
    with(|_| {
        let before = filer::seen("/mnt", "reads")?;
        let s = attach("big", Access::Read, BIG)?;
        check!(filer::seen("/mnt", "reads")? == before, "an attach reads");
        is_pattern(&s, 0)?;
        let reads = filer::seen("/mnt", "reads")? - before;
        // 64 KiB at a time; the first page tells whether the server shares.
        check!(tortured() || reads <= BIG as u64 / 65_536 + 4, "{reads} reads");
        let f = open("big", OREAD)?;
        let part = Segment::of_file(&f, Access::Read, 5 * PAGE as u64, 3 * PAGE)?;
        is_pattern(&part, 5 * PAGE)?;
        let again = filer::seen("/mnt", "reads")? - before - reads;
        check!(tortured() || again == 0, "pages that were here were read again");
        Ok(())
    })
}

fn short() -> Result<()> {
    with(|_| is_pattern(&attach("short", Access::Read, BIG)?, 0))
}

/// Pages that are not here yet, as buffers of system calls: short ones are copied, long ones lent.
fn to_calls() -> Result<()> {
    with(|_| {
        for len in [1, 100, 8000, 100_000] {
            let s = attach("big", Access::Read, BIG)?;
            let f = open("store", ORDWR)?;
            // SAFETY: the range is attached, and nothing changes this file.
            let from =
                unsafe { core::slice::from_raw_parts((s.address() as usize + 5000) as *const u8, len) };
            check!(f.write_at(from, 0)? == len, "a short write");
            let mut back = vec![0; len];
            let mut have = 0;
            while have < len {
                match f.read_at(&mut back[have..], have as u64)? {
                    0 => break,
                    n => have += n,
                }
            }
            check!((0..len).all(|i| back[i] == pattern(5000 + i)), "{len} bytes went wrong");
        }
        // A page that can't be brought fails the call, with the server's reason.
        let s = attach("fails", Access::Read, PAGE)?;
        // SAFETY: the range is attached; only the kernel touches it.
        let from = unsafe { core::slice::from_raw_parts(s.address() as *const u8, 10) };
        fails(open("store", ORDWR)?.write_at(from, 0), Known::Io)
    })
}

fn shared() -> Result<()> {
    with(|_| {
        let s = attach("big", Access::Read, BIG)?;
        is_pattern(&s, 0)?;
        let before = filer::seen("/mnt", "reads")?;
        for _ in 0..3 {
            let pid = child(|| is_pattern(&attach("big", Access::Read, BIG)?, 0))?;
            let w = words(pid)?;
            check!(w.is_empty(), "{w}");
        }
        // A fork has it too.
        let pid = child(|| is_pattern(&s, 0))?;
        let w = words(pid)?;
        check!(w.is_empty(), "{w}");
        let again = filer::seen("/mnt", "reads")? - before;
        check!(tortured() || again == 0, "what was here was read {again} times more");
        Ok(())
    })
}

fn outlives() -> Result<()> {
    with(|_| {
        let s = {
            let f = open("big", OREAD)?;
            Segment::of_file(&f, Access::Read, 0, BIG)?
        };
        is_pattern(&s, 0)
    })
}

fn snapshot() -> Result<()> {
    with(|_| {
        let s = attach("control", Access::Read, BIG)?;
        is_pattern(&s, 0)?;
        let p = attach("big", Access::Private, 2 * PAGE)?;
        p.write(1, b"mine")?;
        let mut b = [0; 6];
        p.read(0, &mut b)?;
        check!(&b[1..5] == b"mine", "a copy can't be written");
        is_pattern(&attach("big", Access::Read, 2 * PAGE)?, 0)?;
        fails(Segment::of_file(&open("control", ORDWR)?, Access::Write, 0, PAGE), Known::NotSupported)
    })
}

fn nonsense() -> Result<()> {
    with(|_| {
        let f = open("big", OREAD)?;
        let raw = |flags, offset, addr, len| match sys::segattach(flags, f.fd(), offset, addr, len) {
            Some(at) => Ok(at),
            None => Err(Error::last()),
        };
        fails(raw(0, 0, 0, 0), Known::BadArg)?;
        fails(raw(0, 1, 0, PAGE), Known::BadArg)?;
        fails(raw(0, 0, 1, PAGE), Known::BadArg)?;
        fails(raw(0, 0, 0, BIG + PAGE), Known::BadArg)?;
        fails(raw(0, (BIG as u64).next_multiple_of(PAGE as u64), 0, PAGE), Known::BadArg)?;
        fails(raw(0, u64::MAX << 12, 0, PAGE), Known::BadArg)?;
        fails(raw(SGWRITE | SGEXEC, 0, 0, PAGE), Known::BadArg)?;
        fails(raw(64, 0, 0, PAGE), Known::BadArg)?;
        fails(raw(SGWRITE, 0, 0, PAGE), Known::BadMode)?;
        fails(raw(SGEXEC, 0, 0, PAGE), Known::BadMode)?;
        let at = raw(0, 0, 0, 2 * PAGE)?;
        fails(raw(0, 0, at + PAGE as u64, PAGE), Known::Overlap)?;
        // Where a call's pages would appear, of however many activations.
        for place in [ACTIVATIONS - PAGE as u64, ACTIVATIONS + (3 << 20), ACTIVATIONS_END - PAGE as u64] {
            fails(raw(0, 0, place, 2 * PAGE), Known::Overlap)?;
            check!(sys::segattach(0, -1, 0, place, 2 * PAGE).is_none(), "memory at {place:#x}");
        }
        let x = open("big", OEXEC)?;
        check!(sys::segattach(SGEXEC, x.fd(), 0, 0, PAGE).is_some(), "an executable can't be attached");
        fails(Segment::of_file(&open("big", OWRITE)?, Access::Read, 0, PAGE), Known::BadMode)?;
        fails(Segment::of_file(&File::open("/mnt", OREAD)?, Access::Read, 0, PAGE), Known::IsDir)?;
        fails(Segment::of_file(&File::open("#sys/time", OREAD)?, Access::Write, 0, PAGE), Known::NotSupported)
    })
}

/// A child that touches a byte in a way it may not: the note that ends it.
fn touched(run: impl FnOnce()) -> Result<String> {
    let pid = child(|| {
        run();
        Err(Error::new("nothing happened"))
    })?;
    words(pid)
}

fn read_only() -> Result<()> {
    with(|_| {
        let s = attach("big", Access::Read, BIG)?;
        // SAFETY: a write that must not come through.
        let w = touched(|| unsafe { (s.address() as *mut u8).write_volatile(1) })?;
        check!(w.contains("fault write"), "{w}");
        let end = s.address() + BIG.next_multiple_of(PAGE) as u64;
        // SAFETY: the page behind the file's last, where nothing is attached.
        let w = touched(|| unsafe { _ = (end as *const u8).read_volatile() })?;
        check!(w.contains("fault read"), "{w}");
        fails(
            File::open("/mnt/control", OREAD)?.read_at(
                // SAFETY: only the kernel writes there, and must not.
                unsafe { core::slice::from_raw_parts_mut(s.address() as *mut u8, 100) },
                0,
            ),
            Known::BadAddress,
        )
    })
}

/// Detached and attached anew in a hurry, in halves: what is there is always of the file that is attached last.
fn reused() -> Result<()> {
    with(|_| {
        let (big, store) = (open("big", OREAD)?, open("store", OREAD)?);
        let mut at = 0;
        for i in 0..60 {
            let f = if i % 2 == 0 { &big } else { &store };
            at = match sys::segattach(0, f.fd(), 0, at, 4 * PAGE) {
                Some(at) => at,
                None => return Err(Error::last()),
            };
            let middle = at + PAGE as u64;
            // SAFETY: nothing refers to the pages.
            check!(unsafe { sys::segdetach(middle, PAGE) }.is_some(), "a page in the middle stays");
            for p in [0, 2, 3] {
                let byte = PAGE * p + i;
                // SAFETY: attached above.
                let b = unsafe { ((at as usize + byte) as *const u8).read_volatile() };
                let want = if i % 2 == 0 { pattern(byte) } else { b'.' };
                check!(b == want, "round {i}: page {p} has {b}");
            }
            for p in [0u64, 2] {
                let len = if p == 2 { 2 * PAGE } else { PAGE };
                // SAFETY: as above.
                check!(unsafe { sys::segdetach(at + p * PAGE as u64, len) }.is_some(), "a rest stays");
            }
        }
        Ok(())
    })
}

/// What is behind an attachment in the same table of pages is not the file's, whatever else becomes of it there.
fn ends() -> Result<()> {
    const TABLE: usize = 512 * PAGE;
    with(|_| {
        let file = open("store", ORDWR)?;
        let len = fs::stat("/mnt/store")?.stat().length as usize;
        let behind = len.next_multiple_of(PAGE) + 2 * PAGE;
        let mut b = [0; 4];
        let s = Segment::of_file(&file, Access::Read, 0, len)?;
        check!(
            (s.address() as usize).is_multiple_of(TABLE),
            "a file is attached where its table can't be used"
        );
        s.read(0, &mut b)?;
        let far = s.address() + behind as u64;
        // Memory of its own, in another process that has the file there as well.
        let pid = child(|| {
            s.read(0, &mut b)?;
            check!(sys::segattach(0, -1, 0, far, PAGE) == Some(far), "no memory behind a file");
            // SAFETY: it has just been attached.
            let word = unsafe { &*(far as *const AtomicU32) };
            check!(word.swap(7, Ordering::Relaxed) == 0 && word.load(Ordering::Relaxed) == 7, "other memory");
            s.read(len - 4, &mut b)?;
            check!(&b == b"....", "the file ends with {b:?}");
            Ok(())
        })?;
        let w = words(pid)?;
        check!(w.is_empty(), "{w}");
        let w = touched(|| {
            // This process uses the table by now; then the file grows, and another attachment brings what is there.
            let _ = s.read(0, &mut b);
            let _ = file.write_at(b"more", behind as u64);
            let more = Segment::of_file(&file, Access::Read, 0, behind + 4);
            let seen = more.and_then(|m| m.read(behind, &mut b));
            if seen.is_ok() && &b == b"more" {
                // SAFETY: nothing is attached there.
                let _ = unsafe { (far as *const u8).read_volatile() };
            }
        })?;
        check!(w.contains("fault read"), "{w}");
        s.detach()
    })
}

static NOTES: AtomicU32 = AtomicU32::new(0);

fn count_notes(_: &str) -> note::Then {
    if NOTES.fetch_add(1, Ordering::SeqCst) == 2 {
        // The third lets the page come.
        let _ = filer::tell("/mnt", "open");
    } else {
        let _ = sys::alarm(50_000_000);
    }
    note::Then::Continue
}

/// A touch of a page that does not come: notes are taken in the midst of it, and it goes on.
fn interrupted() -> Result<()> {
    with(|_| {
        let s = attach("gate", Access::Read, 3 * PAGE)?;
        note::handle(count_notes)?;
        let _ = sys::alarm(50_000_000);
        is_pattern(&s, 0)?;
        let notes = NOTES.load(Ordering::SeqCst);
        check!(notes == 3, "{notes} notes");
        note::default()?;
        filer::tell("/mnt", "shut")?;
        drop(s);
        // Without a handler the note is the end, and so is a kill.
        for how in ["kill", "hangup"] {
            let pid = child(|| {
                // Pages that have come are still here: these are others.
                let s = Segment::of_file(&open("gate", OREAD)?, Access::Read, 64 * PAGE as u64, PAGE)?;
                s.read(0, &mut [0])
            })?;
            pause();
            note::send(pid, how)?;
            let w = words(pid)?;
            check!(w.contains(how), "{how}: {w:?}");
        }
        Ok(())
    })
}

fn taken_over() -> Result<()> {
    with(|_| {
        let reader = || child(|| is_pattern(&attach("gate", Access::Read, 3 * PAGE)?, 0));
        let first = reader()?;
        pause();
        let others = [reader()?, reader()?, reader()?];
        pause();
        note::send(first, "kill")?;
        let ended = process::wait()?;
        check!(ended.pid == first && !ended.status.is_empty(), "instead of the first {ended:?} ended");
        pause();
        filer::tell("/mnt", "open")?;
        for _ in others {
            let w = process::wait()?.status;
            check!(w.is_empty(), "who took over: {w}");
        }
        Ok(())
    })
}

fn error() -> Result<()> {
    with(|_| {
        let s = attach("fails", Access::Read, PAGE)?;
        // SAFETY: attached; its server has no bytes for it.
        let w = touched(|| unsafe { _ = (s.address() as *const u8).read_volatile() })?;
        check!(w.contains(Known::Io.text()), "{w}");
        Ok(())
    })
}

fn server_dies() -> Result<()> {
    with(|pid| {
        let s = attach("big", Access::Read, BIG)?;
        let mut b = [0; 100];
        s.read(0, &mut b)?;
        imp::stop("filer", pid);
        pause();
        // What is here stays good; torture may have taken it before the server ended.
        if !tortured() {
            s.read(100, &mut b)?;
            check!(b[0] == pattern(100), "what was here is gone");
        }
        // SAFETY: attached; its server is gone.
        let w = touched(|| unsafe { _ = ((s.address() as usize + BIG - 1) as *const u8).read_volatile() })?;
        check!(w.contains(Known::Died.text()), "{w}");
        Ok(())
    })
}

/// A server that attaches a file has all of it at once, and the kernel can answer from there.
fn of_a_server() -> Result<()> {
    with(|_| {
        let before = filer::seen("/mnt", "reads")?;
        let pid = imp::mounted("imp", "/n", 2)?;
        let r = (|| {
            File::open("/n/null", ORDWR)?.write_all(b"map /mnt/big")?;
            let reads = filer::seen("/mnt", "reads")? - before;
            check!(reads >= BIG as u64 / 65_536, "a server was given {reads} reads' worth of a file");
            let mut b = vec![0; 50_000];
            let n = File::open("/n/mapped", OREAD)?.read_at(&mut b, 12_345)?;
            check!(n == b.len() && (0..n).all(|i| b[i] == pattern(12_345 + i)), "it answers wrongly");
            check!(filer::seen("/mnt", "reads")? - before == reads, "a server faulted on a server");
            Ok(())
        })();
        imp::stop("imp", pid);
        r
    })
}

/// The program of this test, run from the filer: it ends at once if it is given an argument.
fn exec() -> Result<()> {
    with(|_| {
        let run = |word| {
            let pid = child(|| Err(process::exec("/mnt/prog", &["ktest", word])))?;
            let w = words(pid)?;
            check!(w == word, "it ended with {w:?}");
            Ok(())
        };
        let before = filer::seen("/mnt", "reads")?;
        run("hello")?;
        let first = filer::seen("/mnt", "reads")? - before;
        run("hello")?;
        let second = filer::seen("/mnt", "reads")? - before - first;
        run("again")?;
        check!(tortured() || second < first, "{first} reads, and {second} when it ran again");
        Ok(())
    })
}

/// The program of this test twice at once, from a server that copies: the second has no text of its own.
fn twice() -> Result<()> {
    with(|_| {
        let [near, far] = sys::pipe().ok_or_else(Error::last)?;
        let frames = || super::counters().map(|c| c["frames"]);
        let run = || {
            let before = frames()?;
            let pid = child(|| {
                let _ = sys::dup(far, 0);
                Err(process::exec("/mnt/prog", &["ktest", "hold"]))
            })?;
            let runs =
                || fs::read(format!("/proc/{pid}/status")).map(|s| s.windows(6).any(|w| w == b" Read:"));
            for _ in 0..100 {
                pause();
                if runs().unwrap_or(false) {
                    break;
                }
            }
            Ok::<_, Error>((pid, frames()? - before))
        };
        let text = open("prog", OREAD)?;
        let size = fs::fstat(&text)?.stat().length / PAGE as u64;
        let (first, second) = (run()?, run()?);
        // Its variables, stack and tables are its own.
        check!(second.1 < size / 4, "a program of {size} pages took {}, and {} again", first.1, second.1);
        let _ = sys::pwrite(near, b"xx", -1);
        for _ in [first, second] {
            let ended = process::wait()?;
            check!(ended.status == "hold", "{ended:?}");
        }
        for fd in [near, far] {
            let _ = sys::close(fd);
        }
        Ok(())
    })
}

/// A file of more than there is memory, twice from end to end: pages go, and come back right.
fn larger() -> Result<()> {
    with(|_| {
        let before = super::counters()?;
        let s = attach("vast", Access::Read, filer::LEN)?;
        let (rounds, len) = if tortured() { (1, filer::LEN / 16) } else { (2, filer::LEN) };
        for round in 0..rounds {
            for at in (0..len).step_by(PAGE) {
                let mut b = [0; 2];
                s.read(at + 7, &mut b)?;
                check!(b == [pattern(at + 7), pattern(at + 8)], "round {round}: byte {} is wrong", at + 7);
            }
        }
        let pages = (filer::LEN / PAGE) as u64;
        let after = super::counters()?;
        let (was, is) = (before["frames"], after["frames"]);
        check!(is - was < pages, "all of it is here: {was} frames, then {is}");
        Ok(())
    })
}

/// A long read of what is here in part, into memory that is not: as much as one read moves, and right, whatever has to make
/// room for what.
fn into_new_memory() -> Result<()> {
    with(|_| {
        let f = open("vast", OREAD)?;
        let s = Segment::of_file(&f, Access::Read, 0, filer::LEN)?;
        let from = 7 * PAGE + 100;
        for at in (from..from + 2 * IO).step_by(3 * PAGE) {
            s.read(at, &mut [0])?;
        }
        for at in [from, from + 1] {
            let room = Segment::new(2 * IO)?;
            // SAFETY: the room is attached until it is detached below, and nobody else knows it.
            let to = unsafe { core::slice::from_raw_parts_mut(room.address() as *mut u8, 2 * IO) };
            let n = f.read_at(&mut to[50..], at as u64)?;
            check!(n == IO, "{n} bytes from {at} on");
            let wrong = (0..n).find(|&i| to[50 + i] != pattern(at + i));
            check!(wrong.is_none(), "byte {wrong:?} from {at} on is wrong");
            room.detach()?;
        }
        Ok(())
    })
}

/// What the server has of `store`.
fn raw(at: usize, len: usize) -> Result<vec::Vec<u8>> {
    let mut b = vec![0; len];
    let f = open("raw", OREAD)?;
    let mut have = 0;
    while have < len {
        match f.read_at(&mut b[have..], (at + have) as u64)? {
            0 => break,
            n => have += n,
        }
    }
    b.truncate(have);
    Ok(b)
}

fn written() -> Result<()> {
    with(|_| {
        let f = open("store", ORDWR)?;
        let s = Segment::of_file(&f, Access::Write, 0, 300_000)?;
        for at in [0, 4095, 100_000, 299_990] {
            s.write(at, b"0123456789")?;
            let mut b = [0; 10];
            s.read(at, &mut b)?;
            check!(&b == b"0123456789", "at {at} memory has {b:?}");
            // A read of the file by whoever opens it is of the same pages.
            check!(open("store", OREAD)?.read_at(&mut b, at as u64)? == 10, "a short read");
            check!(&b == b"0123456789", "at {at} the file has {b:?}");
        }
        f.sync()?;
        check!(raw(4090, 20)? == *b".....0123456789.....", "after sync the server has {:?}", raw(4090, 20)?);
        s.write(200_000, b"later")?;
        s.detach()?;
        check!(raw(200_000, 5)? == *b"later", "detaching did not write");
        check!(raw(299_990, 20)? == *b"0123456789", "the file is longer than it was");
        check!(raw(0, 300_000)?.iter().filter(|&&b| b != b'.').count() == 45, "other bytes changed");
        Ok(())
    })
}

fn seen_by_others() -> Result<()> {
    with(|_| {
        let s = attach("store", Access::Write, 50_000)?;
        s.write(20_000, b"before")?;
        let pid = child(|| {
            let mine = attach("store", Access::Write, 50_000)?;
            let mut b = [0; 6];
            mine.read(20_000, &mut b)?;
            check!(&b == b"before", "a child sees {b:?}");
            mine.write(20_000, b"after!")
        })?;
        let w = words(pid)?;
        check!(w.is_empty(), "{w}");
        let mut b = [0; 6];
        s.read(20_000, &mut b)?;
        check!(&b == b"after!", "its parent sees {b:?}");
        s.detach()?;
        check!(raw(20_000, 6)? == *b"after!", "the server does not");
        Ok(())
    })
}

fn requests() -> Result<()> {
    with(|_| {
        let f = open("store", ORDWR)?;
        let s = Segment::of_file(&f, Access::Write, 0, 50_000)?;
        let mut b = [0; 4];
        s.read(10_000, &mut b)?;
        // Of a clean page, and of one that has been written.
        f.write_at(b"one!", 10_000)?;
        s.read(10_000, &mut b)?;
        check!(&b == b"one!", "a clean page has {b:?}");
        s.write(20_000, b"mine")?;
        f.write_at(b"two!", 20_004)?;
        let mut b = [0; 8];
        s.read(20_000, &mut b)?;
        check!(&b == b"minetwo!", "a dirty page has {b:?}");
        // The file grows.
        f.write_at(b"end", 400_000)?;
        let n = f.read_at(&mut b, 400_000)?;
        check!(n == 3 && &b[..3] == b"end", "behind the old end are {n} bytes: {b:?}");
        s.detach()?;
        check!(raw(20_000, 8)? == *b"minetwo!", "the server has something else");
        Ok(())
    })
}

/// Close-to-open: who opens a file that has changed sees what it has now, and so do those who have it attached.
fn elsewhere() -> Result<()> {
    with(|_| {
        let s = attach("store", Access::Read, 50_000)?;
        let mut b = [0; 3];
        s.read(30_000, &mut b)?;
        check!(&b == b"...", "at first {b:?}");
        filer::tell("/mnt", "change")?;
        let f = open("store", OREAD)?;
        check!(f.read_at(&mut b, 30_000)? == 3 && &b == b"***", "read after a change: {b:?}");
        s.read(30_000, &mut b)?;
        check!(&b == b"***", "attached after a change: {b:?}");
        // Shorter: what is gone is no memory any more.
        filer::tell("/mnt", "shorter")?;
        let _ = open("store", OREAD)?;
        // SAFETY: attached; the file has no such page now.
        let w = touched(|| unsafe { _ = ((s.address() as usize + 40_000) as *const u8).read_volatile() })?;
        check!(w.contains("fault read"), "{w}");
        Ok(())
    })
}

fn refused() -> Result<()> {
    with(|_| {
        let f = open("store", ORDWR)?;
        let s = Segment::of_file(&f, Access::Write, 0, 50_000)?;
        s.write(9000, b"precious")?;
        filer::tell("/mnt", "refuse")?;
        fails(f.sync(), Known::NoSpace)?;
        // SAFETY: what it refers to is kept, since the call fails.
        check!(unsafe { sys::segdetach(s.address(), 50_000) }.is_none(), "detaching said nothing");
        check!(sys::close(f.into_fd()).is_none(), "closing said nothing");
        let mut b = [0; 8];
        s.read(9000, &mut b)?;
        check!(&b == b"precious", "it is gone: {b:?}");
        filer::tell("/mnt", "accept")?;
        s.detach()?;
        check!(raw(9000, 8)? == *b"precious", "it did not come through in the end");
        Ok(())
    })
}

fn laundry() -> Result<()> {
    with(|_| {
        let pid = child(|| {
            let s = attach("store", Access::Write, 50_000)?;
            s.write(12_000, b"left")?;
            sys::exits(b"")
        })?;
        let w = words(pid)?;
        check!(w.is_empty(), "{w}");
        for _ in 0..100 {
            if raw(12_000, 4)? == *b"left" {
                return Ok(());
            }
            pause();
        }
        Err(Error::new("nobody wrote it"))
    })
}

/// One counts in a page, another has it written all the time.
fn while_writing() -> Result<()> {
    with(|_| {
        let f = open("store", ORDWR)?;
        let pid = child(|| {
            let s = attach("store", Access::Write, 2 * PAGE)?;
            let begun = sys::clock(0);
            let mut i = 0u32;
            while sys::clock(0) - begun < 700_000_000 {
                i += 1;
                s.write(PAGE - 2, &i.to_le_bytes())?;
                let mut b = [0; 4];
                s.read(PAGE - 2, &mut b)?;
                check!(u32::from_le_bytes(b) == i, "{b:?} instead of {i}");
            }
            s.detach()?;
            Err(Error::new(&format!("{i}")))
        })?;
        let mut syncs = 0;
        while fs::exists(format!("/proc/{pid}")) {
            f.sync()?;
            syncs += 1;
        }
        let w = words(pid)?;
        let last = u32::from_le_bytes(raw(PAGE - 2, 4)?.try_into().unwrap_or_default());
        check!(w == format!("{last}"), "the last written was {w}, the server has {last}");
        check!(syncs > 2, "written {syncs} times meanwhile");
        Ok(())
    })
}

fn limit() -> Result<()> {
    with(|_| {
        let memory = String::from_utf8_lossy(&fs::read("#sys/memory")?).into_owned();
        let all = memory.lines().find_map(|l| l.strip_suffix(" bytes")?.parse::<usize>().ok()).unwrap_or(0);
        let most = all / PAGE / 8;
        let len = (most + 500) * PAGE;
        open("store", ORDWR)?.write_at(b"end", len as u64 - 3)?;
        let s = attach("store", Access::Write, len)?;
        for at in (0..len).step_by(PAGE) {
            s.write(at + 8, &(at as u32).to_le_bytes())?;
            if at % (64 * PAGE) == 0 {
                let dirty = super::counters()?["dirty"] as usize;
                check!(dirty <= most + 16, "{dirty} dirty pages of {most}");
            }
        }
        s.detach()?;
        for at in (0..len).step_by(7 * PAGE) {
            check!(raw(at + 8, 4)? == (at as u32).to_le_bytes(), "page {} is wrong", at / PAGE);
        }
        Ok(())
    })
}

fn dies_dirty() -> Result<()> {
    with(|pid| {
        let s = attach("store", Access::Write, 50_000)?;
        s.write(0, b"lost")?;
        imp::stop("filer", pid);
        pause();
        // SAFETY: what it refers to is kept, since the call fails.
        let r = unsafe { sys::segdetach(s.address(), 50_000) };
        check!(r.is_none() && Error::last().is(Known::Died), "detaching said nothing");
        Ok(())
    })
}
