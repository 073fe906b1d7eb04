//! trace: every 9P message that a command causes, by the kernel's `#trace`.
//!
//! The command runs in a note group of its own, which is what the kernel selects by; a second process reads the
//! records meanwhile, so that a long run loses few. An interrupt is passed on to the command's group, and what it has caused
//! until then is told. Lines go to the standard error, for the standard output is the command's.

use super::{Given, Text, base};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{OCEXEC, OREAD, OWRITE, RFENVG, RFFDG, RFNOTEG};
use portolan::abi::note::INTERRUPT;
use portolan::abi::portal::op;
use portolan::abi::trace::{LOST, Record, SIZE};
use portolan::alloc::collections::BTreeMap;
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::process::Ended;
use portolan::{File, Result, eprint, eprintln, exit, fs, note, process};

pub(super) fn trace(g: &mut Given) -> Result<()> {
    let Some(&command) = g.rest.first() else { return Err(g.wrong()) };
    let ctl = File::open("#trace/ctl", OWRITE | OCEXEC)?;
    let pid = process::fork(RFFDG | RFENVG | RFNOTEG)?;
    if pid == 0 {
        run(&ctl, command, &g.rest);
    }
    let reader = process::fork(RFFDG)?;
    note::handle(|_| note::Then::Continue)?;
    if reader == 0 {
        let counting = g.has(b'c');
        drop(ctl);
        if let Err(e) = if counting { count() } else { print() } {
            eprintln!("trace: {e}");
        }
        exit("");
    }
    let group = format!("#proc/{pid}/notepg");
    let ended = wait(pid, || drop(fs::write(&group, INTERRUPT)))?;
    ctl.write_all(b"stop")?;
    wait(reader, || ())?;
    exit(&ended.status)
}

/// Waits for a child's end, whatever interrupts.
fn wait(pid: u32, interrupted: impl Fn()) -> Result<Ended> {
    loop {
        match process::wait_for(pid) {
            Err(e) if e.is(Known::Interrupted) => interrupted(),
            r => return r,
        }
    }
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

/// Records that are read at once.
const BATCH: usize = 32;

/// Hands each batch of records on until there are no more.
fn each_batch(mut f: impl FnMut(&mut dyn Iterator<Item = Record<'_>>)) -> Result<()> {
    let data = File::open("#trace/data", OREAD)?;
    let mut buf = [0; BATCH * SIZE];
    loop {
        let n = match data.read(&mut buf) {
            Err(e) if e.is(Known::Interrupted) => continue,
            r => r?,
        };
        if n == 0 {
            return Ok(());
        }
        let (records, _) = buf[..n].as_chunks();
        f(&mut records.iter().map(Record));
    }
}

fn print() -> Result<()> {
    each_batch(|records| {
        let mut lines = String::new();
        records.for_each(|r| lines += &format!("{r}\n"));
        eprint!("{lines}");
    })
}

/// How often, how often in vain, and for how many microseconds.
#[derive(Default)]
struct Count {
    calls: u64,
    errors: u64,
    us: u64,
}

fn count() -> Result<()> {
    let mut counts: BTreeMap<(String, u8), Count> = BTreeMap::new();
    let mut other = String::new();
    each_batch(|records| {
        for r in records {
            if r.op() == LOST {
                other += &format!("{r}\n");
                continue;
            }
            let server = String::from_utf8_lossy(r.server()).into_owned();
            let c = counts.entry((server, r.op())).or_default();
            c.calls += 1;
            c.errors += u64::from(r.failed());
            c.us += r.took() / 1000;
        }
    })?;
    eprintln!("{:>7} {:>7} {:>9}  server operation", "calls", "errors", "us");
    for ((server, operation), c) in &counts {
        eprintln!("{:>7} {:>7} {:>9}  {server} {}", c.calls, c.errors, c.us, op::name(*operation));
    }
    eprint!("{other}");
    Ok(())
}
