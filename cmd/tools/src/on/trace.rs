//! trace: every 9P message that a command causes, by the kernel's `#trace`.
//!
//! The command runs in a note group of its own, which is what the kernel selects by; a second process reads the lines
//! meanwhile, so that a long run loses few. Lines go to the standard error, for the standard output is the command's.

use super::{Given, Text, base};
use portolan::abi::file::{OCEXEC, OREAD, OWRITE, RFENVG, RFFDG, RFNOTEG};
use portolan::alloc::collections::BTreeMap;
use portolan::alloc::format;
use portolan::alloc::string::{String, ToString};
use portolan::{Error, File, Result, eprint, eprintln, exit, process};

pub(super) fn trace(g: &mut Given) -> Result<()> {
    let Some(&command) = g.rest.first() else { return Err(g.wrong()) };
    let ctl = File::open("#trace/ctl", OWRITE | OCEXEC)?;
    let pid = process::fork(RFFDG | RFENVG | RFNOTEG)?;
    if pid == 0 {
        run(&ctl, command, &g.rest);
    }
    let reader = process::fork(RFFDG)?;
    if reader == 0 {
        let counting = g.has(b'c');
        drop(ctl);
        if let Err(e) = if counting { count() } else { print() } {
            eprintln!("trace: {e}");
        }
        exit("");
    }
    let ended = process::wait_for(pid)?;
    ctl.write_all(b"stop")?;
    process::wait_for(reader)?;
    exit(&ended.status)
}

/// The traced process: does not return.
fn run(ctl: &File, command: &[u8], args: &[&[u8]]) -> ! {
    let path = if base(command) == command { [b"/bin/", command].concat() } else { command.to_vec() };
    let e = match ctl.write_all(b"group") {
        Ok(()) => process::exec(&path, args),
        Err(e) => e,
    };
    eprintln!("trace: {}: {e}", Text(command));
    exit(e.words())
}

/// Hands each piece of whole lines on until there are no more.
fn each_piece(mut f: impl FnMut(&str)) -> Result<()> {
    let data = File::open("#trace/data", OREAD)?;
    let mut buf = super::text::buffer(8192)?;
    loop {
        let n = data.read(&mut buf)?;
        if n == 0 {
            return Ok(());
        }
        f(core::str::from_utf8(&buf[..n]).map_err(|_| Error::new("a line is not UTF-8"))?);
    }
}

fn print() -> Result<()> {
    each_piece(|lines| eprint!("{lines}"))
}

/// How often, how often in vain, and for how many microseconds.
#[derive(Default)]
struct Count {
    calls: u64,
    errors: u64,
    us: u64,
}

/// A line's server, operation, outcome and time; none of one that is no message.
fn parts(line: &str) -> Option<(&str, &str, bool, u64)> {
    let mut words = line.split(' ');
    let server = words.nth(2)?;
    let operation = words.next()?.strip_prefix('T')?;
    let us = line.rsplit(' ').next()?.strip_suffix("us")?.parse().ok()?;
    Some((server, operation, line.contains(" -> Rerror "), us))
}

fn count() -> Result<()> {
    let mut counts: BTreeMap<(String, String), Count> = BTreeMap::new();
    let mut other = String::new();
    each_piece(|lines| {
        for line in lines.lines() {
            let Some((server, operation, error, us)) = parts(line) else {
                other += &format!("{line}\n");
                continue;
            };
            let c = counts.entry((server.to_string(), operation.to_string())).or_default();
            c.calls += 1;
            c.errors += u64::from(error);
            c.us += us;
        }
    })?;
    eprintln!("{:>7} {:>7} {:>9}  server operation", "calls", "errors", "us");
    for ((server, operation), c) in &counts {
        eprintln!("{:>7} {:>7} {:>9}  {server} {operation}", c.calls, c.errors, c.us);
    }
    eprint!("{other}");
    Ok(())
}
