//! What a call leaves behind when it goes wrong, and who is waited for: fids in quarantine, lent pages, flushes that a
//! server sees, lent priority, servers that wait for each other. Each with its caller on the first CPU and on the second.

use super::call::{NOTES, child, count_notes, counter, words};
use super::fault::{flushes, kill, send_note, stay_on, until};
use super::imp::{self, Flush};
use super::{check, fails};
use core::sync::atomic::Ordering;
use core::time::Duration;
use portolan::abi::error::Error as Known;
use portolan::abi::file::{ORDWR, OREAD, OWRITE};
use portolan::alloc::format;
use portolan::alloc::vec;
use portolan::{Error, File, Result, note, process, sys, time};

/// A test, what it is called, and with its caller on which CPU it runs.
type Row = (&'static str, fn(u8) -> Result<()>);

pub(super) const TESTS: &[Row] = &[
    ("t19_fault_fid_in_quarantine", quarantine),
    ("t19_fault_authentication_file_in_quarantine", auth_quarantine),
    ("t19_fault_lent_pages_are_replaced", |cpu| replaced("scribble", cpu)),
    ("t19_fault_lent_pages_are_replaced_where_they_were_lent_on", |cpu| replaced("lendon", cpu)),
    ("t19_fault_flush_is_seen_by_who_asks", flush_seen),
    ("t19_fault_priority_is_lent", priority_lent),
    ("t19_fault_servers_wait_for_each_other", mutual),
    ("t19_fault_chain_comes_back_to_a_full_server", comes_back),
    ("t19_fault_interrupts_hail_on_a_caller", hail),
];

fn with_imp(activations: u32, flush: Flush, test: impl FnOnce() -> Result<()>) -> Result<()> {
    stay_on(process::id(), 0)?;
    let pid = imp::start_with("imp", activations, flush)?;
    let r = imp::mount("imp", "/mnt").and_then(|()| test());
    imp::stop("imp", pid);
    r
}

fn open(name: &str) -> Result<File> {
    File::open(format!("/mnt/{name}"), OREAD)
}

fn say(text: &str) -> Result<()> {
    File::open("/mnt/null", ORDWR)?.write_all(text.as_bytes())
}

fn number(f: &File) -> Result<u64> {
    let mut n = [0; 8];
    f.read_at(&mut n, 0)?;
    Ok(u64::from_le_bytes(n))
}

/// Waits until something holds; it has ten seconds.
fn in_time(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..1000 {
        if holds()? {
            return Ok(());
        }
        time::sleep(Duration::from_millis(10))?;
    }
    Err(Error::new(what))
}

/// A walk whose caller is killed makes a fid after all: it is clunked then, and not before.
fn quarantine(cpu: u8) -> Result<()> {
    with_imp(4, Flush::Unseen, || {
        let clunks = open("clunks")?;
        let null = File::open("/mnt/null", ORDWR)?;
        let client = child(|| {
            stay_on(process::id(), cpu)?;
            open("walked").map(drop)
        })?;
        let state = until(client, "Call:")?;
        check!(state.contains(":walk"), "the client is {state}");
        let before = number(&clunks)?;
        kill(client)?;
        check!(words(client)? == "killed", "the client was not killed");
        time::sleep(Duration::from_millis(50))?;
        check!(number(&clunks)? == before, "a fid was clunked that may not exist");
        null.write_all(b"open")?;
        in_time("the fid was not clunked", || Ok(number(&clunks)? == before + 1))
    })
}

/// The same of an authentication file.
fn auth_quarantine(cpu: u8) -> Result<()> {
    with_imp(4, Flush::Unseen, || {
        let (clunks, null) = (open("clunks")?, File::open("/mnt/null", ORDWR)?);
        let server = File::open("/srv/imp", ORDWR)?;
        let client = child(|| {
            stay_on(process::id(), cpu)?;
            sys::fauth(server.fd(), b"gate").map(drop).ok_or_else(Error::last)
        })?;
        let state = until(client, "Call:")?;
        check!(state.contains(":auth"), "the client is {state}");
        let before = number(&clunks)?;
        kill(client)?;
        check!(words(client)? == "killed", "the client was not killed");
        null.write_all(b"open")?;
        in_time("the file was not clunked", || Ok(number(&clunks)? == before + 1))
    })
}

/// A server writes to what it was lent after its caller has left: the caller's memory is its own.
fn replaced(how: &str, cpu: u8) -> Result<()> {
    let other = imp::start("other", 4)?;
    let r = with_imp(4, Flush::Unseen, || {
        say("scribble other")?;
        let (f, null) = (open(how)?, File::open("/mnt/null", ORDWR)?);
        let other_server = {
            imp::mount("other", "/n")?;
            File::open("/n/null", ORDWR)?
        };
        let client = child(|| {
            stay_on(process::id(), cpu)?;
            note::handle(count_notes)?;
            // Once untouched and once with the pages' beginning and end inside the buffer.
            let mut buf = vec![0x55; 60_000];
            fails(f.read_at(&mut buf[123..50_123], 0), Known::Interrupted)?;
            null.write_all(b"open")?;
            other_server.write_all(b"open")?;
            in_time("the server goes on for ever", || Ok(counter("zombies")? == 0))?;
            check!(buf.iter().all(|&b| b == 0x55), "a server wrote to a caller that had left");
            // One that stays gets it.
            let n = f.read_at(&mut buf[123..50_123], 0)?;
            check!(
                n == 50_000 && buf[123..50_123].iter().all(|&b| b == 0xaa),
                "{n} bytes came, or wrong ones"
            );
            check!(buf[..123].iter().chain(&buf[50_123..]).all(|&b| b == 0x55), "bytes beside the buffer");
            Ok(())
        })?;
        until(client, "Call:")?;
        check!(counter("lent")? > 0, "nothing was lent");
        send_note(client)?;
        send_note(client)?;
        let words = words(client)?;
        check!(words.is_empty(), "{words}");
        Ok(())
    });
    imp::stop("other", other);
    r
}

/// A server that asks for Tflush gets one, and its Rflush ends the call although its handler goes on.
fn flush_seen(cpu: u8) -> Result<()> {
    with_imp(4, Flush::Seen, || {
        let f = open("gate")?;
        for round in 1..=3 {
            let client = child(|| {
                stay_on(process::id(), cpu)?;
                note::handle(count_notes)?;
                fails(f.read(&mut [0; 8]), Known::Interrupted)
            })?;
            until(client, "Call:")?;
            send_note(client)?;
            let words = words(client)?;
            check!(words.is_empty(), "{words}");
            let seen = flushes()?;
            check!(seen == round, "{seen} flushes were seen after {round} interrupts");
            check!(counter("zombies")? == 1, "the handler does not go on");
            say("open")?;
            in_time("the handler goes on for ever", || Ok(counter("zombies")? == 0))?;
            say("shut")?;
        }
        Ok(())
    })
}

/// One who waits urgently for the only activation lifts who holds it above one that would let neither run.
fn priority_lent(cpu: u8) -> Result<()> {
    with_imp(1, Flush::Unseen, || {
        let (nap, null) = (open("nap")?, open("null")?);
        let at = |priority: u8| -> Result<()> {
            stay_on(process::id(), cpu)?;
            let ctl = File::open(format!("/proc/{}/ctl", process::id()), OWRITE)?;
            ctl.write_all(format!("pri {priority}").as_bytes())
        };
        let holder = child(|| at(1).and_then(|()| nap.read(&mut [0; 8]).map(drop)))?;
        until(holder, "Call:")?;
        let waiter = child(|| at(5).and_then(|()| null.read(&mut [0; 8]).map(drop)))?;
        until(waiter, "Pool:")?;
        let hog = child(|| {
            at(4)?;
            let end = time::now() + Duration::from_secs(3);
            while time::now() < end {
                core::hint::spin_loop();
            }
            Ok(())
        })?;
        let first = process::wait()?;
        check!(first.pid == waiter, "the one in between ran first: {}", first.pid == hog);
        for _ in 0..2 {
            process::wait()?;
        }
        Ok(())
    })
}

/// Two servers, each with its last activation in a call to the other: told after a while.
fn mutual(cpu: u8) -> Result<()> {
    let other = imp::start("other", 1)?;
    let r = with_imp(1, Flush::Unseen, || {
        imp::mount("other", "/n")?;
        say("data other")?;
        File::open("/n/null", ORDWR)?.write_all(b"data imp")?;
        let files = [open("latenest")?, File::open("/n/latenest", OREAD)?];
        let mut clients = vec![];
        for (f, on) in files.iter().zip([0, cpu]) {
            clients.push(child(|| stay_on(process::id(), on).and_then(|()| f.read(&mut [0; 1]).map(drop)))?);
        }
        let mut deadlocks = 0;
        for _ in clients {
            let words = process::wait()?.status;
            check!(words.is_empty() || words == Known::Deadlock.text(), "a client was told {words:?}");
            deadlocks += u32::from(!words.is_empty());
        }
        check!(deadlocks > 0, "nobody was told of the deadlock");
        Ok(())
    });
    imp::stop("other", other);
    r
}

/// A server calls another, which calls the first, whose only activation waits for it: that is told at once.
fn comes_back(cpu: u8) -> Result<()> {
    let other = imp::start("other", 1)?;
    let r = with_imp(1, Flush::Unseen, || {
        imp::mount("other", "/n")?;
        say("nest other")?;
        File::open("/n/null", ORDWR)?.write_all(b"data imp")?;
        let f = open("nest")?;
        let begun = time::now();
        let words =
            words(child(|| stay_on(process::id(), cpu).and_then(|()| f.read(&mut [0; 1]).map(drop)))?)?;
        let took = time::now() - begun;
        check!(words == Known::Deadlock.text(), "the caller was told {words:?}");
        check!(took < Duration::from_secs(1), "it took {took:?}");
        Ok(())
    });
    imp::stop("other", other);
    r
}

/// Notes at any moment of many calls: each call is answered or interrupted, and each note is taken or, being one too
/// many, lost.
fn hail(cpu: u8) -> Result<()> {
    with_imp(2, Flush::Unseen, || {
        let f = open("data")?;
        let block = open("block")?;
        let client = child(|| {
            stay_on(process::id(), cpu)?;
            note::handle(count_notes)?;
            // The first note finds it here, so that none comes too early.
            fails(block.read(&mut [0; 1]), Known::Interrupted)?;
            let mut buf = vec![0; 20_000];
            let mut done = 0;
            while NOTES.load(Ordering::SeqCst) < 100 {
                let len = if done % 2 == 0 { 8 } else { buf.len() };
                match sys::pread(f.fd(), &mut buf[..len], 7) {
                    Some(n) => check!(n == len && buf[..len].iter().all(|&b| b == 7), "{n} bytes, or wrong"),
                    None => check!(Error::last().is(Known::Interrupted), "a call failed otherwise"),
                }
                done += 1;
            }
            Ok(())
        })?;
        until(client, "Call:")?;
        while send_note(client).is_ok() {
            time::sleep(Duration::from_micros(500))?;
        }
        let words = words(client)?;
        check!(words.is_empty(), "{words}");
        Ok(())
    })
}
