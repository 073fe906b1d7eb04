//! Hostile clients cost others nothing and leave nothing behind; and a server that leaks is found out by the same check.
//!
//! While each attack runs, an honest client's answers must be right, and take no more than a multiple of what they take
//! while as many threads only burn the processor. Afterwards threads (one for each session), descriptors (one for each
//! connection) and files must be back, and memory must not grow with every round of the same.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use con9::clean::Client;
use con9::hostile::{self, ATTACKS, Attack};
use con9::link::{Address, Target};
use con9::wire::Value;

use crate::con9_cases::Ramfs;
use crate::ctx::{Ctx, Failure, Outcome, ensure};

/// How long each attack lasts.
const LASTS: Duration = Duration::from_millis(1200);
/// Attackers at a time.
const ATTACKERS: usize = 2;
/// An honest answer may take so many times what it takes beside threads that only burn the processor.
const SLOWER: u32 = 20;
/// What it takes then counts as at least this.
const FLOOR: Duration = Duration::from_micros(200);
/// How often all attacks are made.
const ROUNDS: usize = 3;
/// Memory that every round may leave behind, in KiB. Allocators keep some after one round and give it back after another; a
/// leak grows with each.
const KEPT: u64 = 8 << 10;
/// No answer at all within this is a failure by itself.
const WAIT: Duration = Duration::from_secs(60);

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    let address = |ctx: &Ctx, name: &str| Address::Unix(ctx.scratch().join(name).display().to_string());
    let ramfs = Ramfs::start(ctx, &address(ctx, "ramfs"))?;
    let summary = bear(ctx, ramfs.process.id(), &ramfs.address, &ATTACKS)?;
    drop(ramfs);

    let program = ctx.bin("leaky")?;
    let some = [("fids", Attack::Fids), ("churn", Attack::Churn)];
    for (name, bytes) in [("tight", "0"), ("leaky", "16384")] {
        let address = address(ctx, name);
        let mut command = Command::new(&program);
        let server = ctx.spawn(command.args([&address.to_string(), bytes]).stdout(Stdio::null()))?;
        ctx.poll(Duration::from_secs(30), "leaky does not listen", || address.dial().is_ok())?;
        let verdict = bear(ctx, server.id(), &address, &some);
        println!("{name}: {verdict:?}");
        match (name, verdict) {
            ("tight", verdict) => drop(verdict?),
            (_, Err(Failure::Cause(cause))) if cause.contains("KiB of memory") => {}
            (_, verdict) => return Err(format!("a server that leaks was not found out: {verdict:?}").into()),
        }
    }
    Ok(format!("{summary}; a leak is found out"))
}

/// Attacks a server some times in each way, and says what is wrong with it.
fn bear(ctx: &Ctx, pid: u32, to: &Address, attacks: &[(&str, Attack)]) -> Outcome {
    let mut honest = Honest::new(to)?;
    let alone = beside(&mut honest, Spin)?;
    let before = Counts::of(pid)?;
    let mut worst = (Duration::ZERO, "");
    let mut memory = Vec::new();
    for _ in 0..ROUNDS {
        for &(name, attack) in attacks {
            let typical =
                beside(&mut honest, Hostile(attack, to.clone())).map_err(|e| format!("{name}: {e:?}"))?;
            println!("{name}: an honest round takes {typical:?}, beside spinning threads {alone:?}");
            ensure(typical <= SLOWER * alone.max(FLOOR), || {
                format!("{name}: an honest round takes {typical:?} instead of {alone:?}")
            })?;
            worst = worst.max((typical, name));
        }
        ctx.poll(WAIT, "threads or descriptors are left behind", || {
            Counts::of(pid).is_ok_and(|now| now.threads <= before.threads && now.files <= before.files)
        })?;
        memory.push(Counts::of(pid)?.memory);
    }
    honest.nothing_left()?;
    println!("memory after each round: {memory:?} KiB");
    let grown = memory.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min().unwrap_or(0);
    ensure(grown <= KEPT, || format!("at least {grown} KiB of memory are left behind by every round"))?;
    Ok(format!(
        "{} attacks borne, a round {:?} at worst ({}), {:?} beside spinning threads, {grown} KiB a round",
        attacks.len(),
        worst.0,
        worst.1,
        alone
    ))
}

/// What goes on beside the honest client.
trait Beside: Clone + Send + 'static {
    fn go_on(&self, until: Instant, enough: &AtomicBool);
}

#[derive(Clone)]
struct Spin;

impl Beside for Spin {
    fn go_on(&self, until: Instant, enough: &AtomicBool) {
        while Instant::now() < until && !enough.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    }
}

#[derive(Clone)]
struct Hostile(Attack, Address);

impl Beside for Hostile {
    fn go_on(&self, until: Instant, _: &AtomicBool) {
        hostile::run(self.0, &self.1, until);
    }
}

/// The median time of the honest client's rounds meanwhile.
fn beside(honest: &mut Honest, what: impl Beside) -> Result<Duration, Failure> {
    let until = Instant::now() + LASTS;
    let enough = std::sync::Arc::new(AtomicBool::new(false));
    let others: Vec<_> = (0..ATTACKERS)
        .map(|_| {
            let (what, enough) = (what.clone(), enough.clone());
            std::thread::spawn(move || what.go_on(until, &enough))
        })
        .collect();
    let mut times = Vec::new();
    let mut result = Ok(());
    while result.is_ok() && (times.len() < 20 || Instant::now() < until) {
        let begun = Instant::now();
        result = honest.round();
        times.push(begun.elapsed());
    }
    enough.store(true, Ordering::Relaxed);
    for other in others {
        other.join().map_err(|_| "an attacker panicked")?;
    }
    result?;
    times.sort();
    Ok(times[times.len() / 2])
}

/// A client that wants its file.
struct Honest(Client);

impl Honest {
    fn new(to: &Address) -> Result<Honest, Failure> {
        let mut client = Client::new(to.dial()?, WAIT);
        client.ask("Tversion 8192 9P2000").ok_or("no version")?;
        client.ask("Tattach 0 NOFID glenda ''").ok_or("no attach")?;
        // Not every server lets files be made; this one may be there already.
        client.ask("Twalk 0 1").ok_or("no walk")?;
        if client.ask("Tcreate 1 f 0666 ORDWR").is_some() {
            client.ask("Twrite 1 0 hello").ok_or("no write")?;
        }
        client.ask("Tclunk 1").ok_or("no clunk")?;
        Ok(Honest(client))
    }

    fn round(&mut self) -> Result<(), Failure> {
        self.0.ask("Twalk 0 1 f").ok_or("an honest walk is refused")?;
        self.0.ask("Topen 1 OREAD").ok_or("an honest open is refused")?;
        let read = self.0.ask("Tread 1 0 100").ok_or("an honest read is refused")?;
        ensure(read.values == [Value::Data(b"hello".to_vec())], || format!("an honest read gives {read}"))?;
        self.0.ask("Tclunk 1").ok_or("an honest clunk is refused")?;
        Ok(())
    }

    /// The root holds the honest file alone.
    fn nothing_left(&mut self) -> Result<(), Failure> {
        self.0.ask("Twalk 0 1").ok_or("no walk")?;
        self.0.ask("Topen 1 OREAD").ok_or("no open")?;
        let read = self.0.ask("Tread 1 0 8000").ok_or("no read")?;
        self.0.ask("Tclunk 1").ok_or("no clunk")?;
        let Some(Value::Data(data)) = read.values.first() else { return Err("no data".into()) };
        let entries = con9::wire::entries(data)?.len();
        ensure(entries == 1, || format!("{entries} files in the root, not one"))
    }
}

/// What a process has.
struct Counts {
    threads: usize,
    files: usize,
    memory: u64,
}

impl Counts {
    fn of(pid: u32) -> Result<Counts, Failure> {
        let count = |what: &str| Ok::<_, Failure>(std::fs::read_dir(format!("/proc/{pid}/{what}"))?.count());
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let memory = line.trim().trim_end_matches(" kB").parse()?;
        Ok(Counts { threads: count("task")?, files: count("fd")?, memory })
    }
}
