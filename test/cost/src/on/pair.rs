//! `cost cpus`: calls by one client, and by one on each of two CPUs, in the same time: a line
//! `cpus ROW ONE TWO CONTENDED`, calls per second of one and of both, and how often a lock was found held meanwhile.

use super::{right, server, some};
use portolan::abi::file::{OREAD, OWRITE, RFFDG};
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::{Error, File, Result, fs, process, sys};

/// Nanoseconds that clients call for, and those that they have to come to their CPUs.
const SPAN: u64 = 100_000_000;
const LEAD: u64 = 20_000_000;
/// Rounds of which the best counts: the host has other work.
const ROUNDS: usize = 9;
/// Calls between two looks at the clock.
const CALLS: u64 = 200;

pub(super) fn main() -> Result<()> {
    let pid = server::bare("cost-bare", "/mnt")?;
    row("portal_null", "/mnt/null", 0)?;
    server::stop("cost-bare", pid);
    let pid = server::sdk("cost-sdk", "/n")?;
    row("read1_server", "/n/data", 1)?;
    server::stop("cost-sdk", pid);
    Ok(())
}

fn row(name: &str, path: &str, len: usize) -> Result<()> {
    let before = contended()?;
    let (mut one, mut two) = (0, 0);
    for _ in 0..ROUNDS {
        one = one.max(clients(path, len, 1)?);
        two = two.max(clients(path, len, 2)?);
    }
    portolan::println!("cpus {name} {one} {two} {}", contended()? - before);
    Ok(())
}

fn contended() -> Result<u64> {
    let text = String::from_utf8_lossy(&fs::read("#sys/counters")?).into_owned();
    let found = text.lines().find_map(|l| l.strip_prefix("contended ")?.trim().parse().ok());
    found.ok_or(Error::new("no counter of contended locks"))
}

/// Calls per second of so many clients together.
fn clients(path: &str, len: usize, count: u64) -> Result<u64> {
    let [near, far] = some(sys::pipe())?;
    let (near, far) = (File::from_fd(near), File::from_fd(far));
    let start = sys::clock(0) + LEAD;
    for cpu in 0..count {
        if process::fork(RFFDG)? == 0 {
            let done = client(path, len, cpu, start).unwrap_or(0);
            let _ = far.write_all(&done.to_le_bytes());
            sys::exits(b"");
        }
    }
    let mut all = 0;
    for _ in 0..count {
        let mut done = [0; 8];
        near.read_full(&mut done)?;
        let done = u64::from_le_bytes(done);
        right(done != 0, "a client failed")?;
        all += done;
    }
    (0..count).try_for_each(|_| process::wait().map(drop))?;
    Ok(all * 1_000_000_000 / SPAN)
}

fn client(path: &str, len: usize, cpu: u64, start: u64) -> Result<u64> {
    File::open(format!("/proc/{}/ctl", process::id()), OWRITE)?.write_all(format!("cpu {cpu}").as_bytes())?;
    let file = File::open(path, OREAD)?;
    let mut byte = [0];
    while sys::clock(0) < start {}
    let mut done = 0;
    while sys::clock(0) < start + SPAN {
        for _ in 0..CALLS {
            let n = some(sys::pread(file.fd(), &mut byte[..len], 0))?;
            right(n == len && byte[0] == if len == 0 { 0 } else { server::byte(0) }, "a wrong byte")?;
        }
        done += CALLS;
    }
    Ok(done)
}
