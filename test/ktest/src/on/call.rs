//! Portal calls: the plain ones, and every row of the table of what goes wrong.

use super::{Test, check, fails, imp};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use portolan::abi::error::Error as Known;
use portolan::abi::file::{ORDWR, OREAD, OWRITE, RFFDG};
use portolan::abi::limit;
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec;
use portolan::{Error, File, Result, fs, note, process, sys, time};

pub(super) const TESTS: &[Test] = &[
    ("t10_call_null", null),
    ("t10_call_data_of_every_size", sizes),
    ("t11_call_server_exits_inside", || dies("exit")),
    ("t11_call_server_faults_inside", || dies("fault")),
    ("t11_call_server_killed_inside", killed_inside),
    ("t11_call_server_killed_while_parked", killed_while_parked),
    ("t12_call_middle_of_a_chain_dies", middle_dies),
    ("t13_call_alarm_interrupts_a_blocked_handler", || interrupted("block")),
    ("t13_call_alarm_interrupts_a_parked_caller", || interrupted("wait")),
    ("t13_call_kill_leaves_a_spinning_server", || killed_caller("spin")),
    ("t13_call_kill_leaves_a_blocked_server", || killed_caller("block")),
    ("t14_call_wait_and_wake", wait_and_wake),
    ("t15_call_busy_pool_waits_its_turn", busy_pool),
    ("t15_call_to_itself_with_one_activation_is_deadlock", || to_itself(1, Known::Deadlock)),
    ("t15_call_to_itself_without_end_is_too_deep", || to_itself(64, Known::TooDeep)),
    ("t16_call_bad_answers", bad_answers),
    ("t16_call_errors_in_words", error_words),
    ("t17_call_thousand_without_a_thread", thousand),
    ("t17_call_large_payloads_are_lent", lent),
];

fn open(name: &str) -> Result<File> {
    File::open(format!("/mnt/{name}"), OREAD)
}

/// Runs a test with an imp at /mnt, and ends the imp.
fn with_imp(activations: u32, test: impl FnOnce(u32) -> Result<()>) -> Result<()> {
    let pid = imp::mounted("imp", "/mnt", activations)?;
    let r = test(pid);
    imp::stop("imp", pid);
    r
}

fn null() -> Result<()> {
    with_imp(4, |_| {
        let f = open("null")?;
        for _ in 0..100 {
            check!(f.read(&mut [0; 8])? == 0, "null gave bytes");
        }
        check!(sys::pread(f.fd(), &mut [], 0) == Some(0), "a read of nothing failed");
        fails(File::open("/mnt/nosuch", OREAD), Known::NotExist)
    })
}

fn sizes() -> Result<()> {
    with_imp(4, |_| {
        let f = open("data")?;
        let mut buf = vec![0u8; 300_000];
        for (i, len) in
            [1, 2, 511, 4095, 4096, 4097, 8191, 8192, 8193, 65_536, 262_145].into_iter().enumerate()
        {
            for shift in [0, 1, 4095] {
                buf.fill(0xee);
                let n = f.read_at(&mut buf[shift..shift + len], 7 + i as u64)?;
                check!(n == len, "{len} bytes at {shift}: got {n}");
                let right = buf
                    .iter()
                    .enumerate()
                    .all(|(at, &b)| b == if (shift..shift + len).contains(&at) { 7 + i as u8 } else { 0xee });
                check!(right, "{len} bytes at {shift}: wrong bytes, or bytes beyond them");
            }
        }
        Ok(())
    })
}

/// The server dies of a call: the caller is told, then and later.
fn dies(how: &str) -> Result<()> {
    with_imp(4, |_| {
        let (f, other) = (open(how)?, open("null")?);
        fails(f.read(&mut [0; 8]), Known::Died)?;
        fails(f.read(&mut [0; 8]), Known::Died)?;
        fails(other.read(&mut [0; 8]), Known::Died)?;
        fails(File::open("/mnt/null", OREAD), Known::Died)
    })
}

/// Does something in a child with descriptors of its own: its number.
pub(super) fn child(run: impl FnOnce() -> Result<()>) -> Result<u32> {
    child_with(RFFDG, run)
}

/// Does something in a child that shares the descriptors.
pub(super) fn sharing_child(run: impl FnOnce() -> Result<()>) -> Result<u32> {
    child_with(0, run)
}

fn child_with(flags: u32, run: impl FnOnce() -> Result<()>) -> Result<u32> {
    let pid = process::fork(flags)?;
    if pid == 0 {
        match run() {
            Ok(()) => sys::exits(b""),
            Err(e) => sys::exits(e.words().as_bytes()),
        }
    }
    Ok(pid)
}

/// A child's words at its end.
pub(super) fn words(pid: u32) -> Result<String> {
    process::wait_for(pid).map(|e| e.status)
}

fn pause() {
    let _ = time::sleep(Duration::from_millis(100));
}

fn killed_inside() -> Result<()> {
    for how in ["block", "spin", "sleep"] {
        with_imp(4, |imp| {
            let f = open(how)?;
            let reader = child(|| {
                loop {
                    f.read(&mut [0; 8])?;
                }
            })?;
            pause();
            File::open(format!("/proc/{imp}/ctl"), OWRITE)?.write_all(b"kill")?;
            let words = words(reader)?;
            check!(words == Known::Died.text(), "{how}: the caller was told {words:?}");
            Ok(())
        })?;
    }
    Ok(())
}

fn killed_while_parked() -> Result<()> {
    with_imp(4, |imp| {
        let f = open("wait")?;
        let reader = child(|| f.read(&mut [0; 8]).map(drop))?;
        pause();
        File::open(format!("/proc/{imp}/ctl"), OWRITE)?.write_all(b"kill")?;
        let words = words(reader)?;
        check!(words == Known::Died.text(), "the caller was told {words:?}");
        Ok(())
    })
}

/// A calls B calls C, and B dies: A returns at once; C goes on.
fn middle_dies() -> Result<()> {
    let c = imp::start("other", 4)?;
    let r = with_imp(4, |b| {
        open_and_write("null", b"data other")?;
        let f = open("nest")?;
        check!(f.read(&mut [0; 1])? == 1, "the chain does not work");
        File::open(format!("/proc/{b}/ctl"), OWRITE)?.write_all(b"kill")?;
        fails(f.read(&mut [0; 1]), Known::Died)?;
        let server = File::open("/srv/other", ORDWR)?;
        fs::mount(&server, "/n", 0, "")?;
        check!(File::open("/n/data", OREAD)?.read(&mut [0; 1])? == 1, "C went with B");
        Ok(())
    });
    imp::stop("other", c);
    r
}

fn open_and_write(name: &str, command: &[u8]) -> Result<()> {
    File::open(format!("/mnt/{name}"), ORDWR)?.write_all(command)
}

pub(super) static NOTES: AtomicU32 = AtomicU32::new(0);

pub(super) fn count_notes(_: &str) -> note::Then {
    NOTES.fetch_add(1, Ordering::SeqCst);
    note::Then::Continue
}

/// An alarm ends a call that waits, and the server is none the worse.
fn interrupted(how: &str) -> Result<()> {
    with_imp(4, |_| {
        note::handle(count_notes)?;
        let f = open(how)?;
        for round in 1..=3 {
            let _ = sys::alarm(50_000_000);
            fails(f.read(&mut [0; 8]), Known::Interrupted)?;
            let notes = NOTES.load(Ordering::SeqCst);
            check!(notes == round, "{notes} notes after {round} alarms");
        }
        check!(open("data")?.read(&mut [0; 8])? == 8, "the server is the worse for it");
        Ok(())
    })
}

/// A caller that is killed leaves at once, though the server never answers.
fn killed_caller(how: &str) -> Result<()> {
    with_imp(4, |_| {
        let f = open(how)?;
        let mut buf = vec![0; 20_000];
        let reader = child(|| f.read(&mut buf).map(drop))?;
        pause();
        File::open(format!("/proc/{reader}/ctl"), OWRITE)?.write_all(b"kill")?;
        let status = words(reader)?;
        check!(!status.is_empty(), "the killed caller ended well");
        check!(open("data")?.read(&mut [0; 8])? == 8, "the server is the worse for it");
        Ok(())
    })
}

fn wait_and_wake() -> Result<()> {
    with_imp(4, |_| {
        let mut readers = vec![];
        let f = open("wait")?;
        // More readers than activations: a parked caller holds none.
        for _ in 0..12 {
            readers.push(child(|| f.read(&mut [0; 8]).map(drop))?);
        }
        pause();
        open_and_write("null", b"open")?;
        for _ in readers {
            let w = process::wait()?.status;
            check!(w.is_empty(), "a parked reader ended with {w:?}");
        }
        open_and_write("null", b"shut")
    })
}

fn busy_pool() -> Result<()> {
    with_imp(1, |_| {
        let f = open("sleep")?;
        let mut readers = vec![];
        for _ in 0..8 {
            readers.push(child(|| f.read(&mut [0; 8]).map(drop))?);
        }
        for _ in readers {
            let w = process::wait()?.status;
            check!(w.is_empty(), "a reader that waited its turn ended with {w:?}");
        }
        Ok(())
    })
}

/// A server whose `self` file leads to itself.
fn to_itself(activations: u32, with: Known) -> Result<()> {
    with_imp(activations, |_| {
        // Its own name is enough: it mounts itself, and its file `data` answers from there.
        let f = File::open("/mnt/null", ORDWR)?;
        if activations == 1 {
            // The only activation is in use while the server mounts itself.
            return fails(f.write(b"data imp"), with);
        }
        let _ = f;
        chain_too_deep()
    })
}

/// Servers in a row, each of which calls the next, more than the kernel allows.
fn chain_too_deep() -> Result<()> {
    let deepest = limit::CALLS;
    let mut all = vec![];
    let r = (|| {
        all.push((String::from("c0"), imp::start("c0", 2)?));
        for i in 1..=deepest + 1 {
            let name = format!("c{i}");
            all.push((name.clone(), imp::start(&name, 2)?));
            let server = File::open(format!("/srv/{name}"), ORDWR)?;
            fs::mount(&server, "/n", 0, "")?;
            File::open("/n/null", ORDWR)?
                .write_all(format!("{} c{}", if i == 1 { "data" } else { "nest" }, i - 1).as_bytes())?;
            let read = File::open("/n/nest", OREAD)?.read(&mut [0; 1]);
            // Server i's `nest` is a chain of i + 1 calls.
            if i < deepest {
                check!(read? == 1, "a chain of {} calls gave nothing", i + 1);
            } else {
                fails(read, Known::TooDeep)?;
            }
        }
        Ok(())
    })();
    for (name, pid) in all {
        imp::stop(&name, pid);
    }
    r
}

fn bad_answers() -> Result<()> {
    with_imp(4, |_| {
        for how in ["count", "type", "kernel", "unmapped", "wrap", "zero", "longerror"] {
            let r = open(how)?.read(&mut [0; 64]);
            check!(r.is_err(), "{how} was believed");
        }
        check!(open("data")?.read(&mut [0; 8])? == 8, "the server is the worse for it");
        Ok(())
    })
}

fn error_words() -> Result<()> {
    with_imp(4, |_| match open("error")?.read(&mut [0; 8]) {
        Err(e) if e.words() == "imp says no" => Ok(()),
        other => Err(Error::new(&format!("got {other:?}"))),
    })
}

pub(super) fn counter(name: &str) -> Result<u64> {
    let all = String::from_utf8_lossy(&fs::read("#sys/counters")?).into_owned();
    let line = all.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    line.ok_or_else(|| Error::new("no such counter"))
}

/// The counters of one reading, and the server's own time in milliseconds.
fn snapshot(imp: u32) -> Result<([u64; 3], u64)> {
    let all = String::from_utf8_lossy(&fs::read("#sys/counters")?).into_owned();
    let named = |name| all.lines().find_map(|l: &str| l.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0);
    let status = String::from_utf8_lossy(&fs::read(format!("/proc/{imp}/status"))?).into_owned();
    let time = status.split(' ').nth(4).and_then(|n| n.parse().ok());
    Ok((
        ["readied ", "switches ", "frames "].map(named),
        time.ok_or_else(|| Error::new("no time in status"))?,
    ))
}

/// Calls to a server without a runnable thread leave the scheduler and the allocator alone, and are the caller's time.
fn thousand() -> Result<()> {
    with_imp(1, |imp| {
        let f = open("null")?;
        let mut seen = String::new();
        // Others may wake and allocate meanwhile, but not each time; and what this process writes for the first time
        // since its fork takes a frame.
        for _ in 0..4 {
            let ((before, server), used) = (snapshot(imp)?, time::used());
            for _ in 0..1000 {
                f.read(&mut [0; 8])?;
            }
            let ((after, server_then), used) = (snapshot(imp)?, time::used() - used);
            let [readied, switches, frames] = [0, 1, 2].map(|i| after[i].wrapping_sub(before[i]));
            seen = format!("{readied} readied, {switches} switches, {frames} frames");
            check!(used > Duration::from_micros(500), "the caller was charged {used:?} for 1000 calls");
            check!(server_then <= server + 1, "the server was charged {} ms", server_then - server);
            if readied < 20 && switches < 20 && frames == 0 {
                return Ok(());
            }
        }
        Err(Error::new(&format!("1000 calls: {seen}")))
    })
}

fn lent() -> Result<()> {
    with_imp(2, |_| {
        let f = open("data")?;
        let mut big = vec![0u8; 1 << 20];
        let n = f.read_at(&mut big, 3)?;
        check!(n == big.len() && big.iter().all(|&b| b == 3), "a megabyte came as {n} bytes, or wrong");
        check!(counter("lent")? == 0, "pages are still lent");
        // A killed reader's pages are its own again, whatever the server still writes.
        let spin = open("spin")?;
        let reader = child(|| spin.read(&mut big).map(drop))?;
        pause();
        File::open(format!("/proc/{reader}/ctl"), OWRITE)?.write_all(b"kill")?;
        words(reader)?;
        Ok(())
    })?;
    // A server that was killed ends a little later.
    for _ in 0..100 {
        if counter("lent")? == 0 {
            return Ok(());
        }
        pause();
    }
    Err(Error::new("pages are lent to a dead server"))
}
