//! The runner: which tests there are, how one is run, what must hold after it.

mod answer;
mod bad;
mod call;
mod fault;
mod file;
mod filer;
mod give;
mod imp;
mod left;
mod limits;
mod mail;
mod proc;
mod reuse;
mod segment;
mod share;
mod swap;
mod sync;
mod tree;

use portolan::abi::error::Error as Known;
use portolan::abi::file::{MCREATE, MREPL, OREAD, OWRITE, RFENVG, RFFDG, RFNAMEG, RFNOTEG, RFREND};
use portolan::alloc::collections::BTreeMap;
use portolan::alloc::format;
use portolan::alloc::string::{String, ToString};
use portolan::{Error, File, Result, fs, process, sys, time};

/// A test, and what it is called.
type Test = (&'static str, fn() -> Result<()>);

/// What a test fails with that has no sense in this machine.
const LEFT_OUT: &str = "left out";

/// How long a test may take. The machine may be emulated on a busy host.
const LIMIT: u64 = 60_000_000_000;

/// Fails a test with a reason unless a condition holds.
macro_rules! check {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err(portolan::Error::new(&portolan::alloc::format!($($why)+)));
        }
    };
}
use check;

/// A call must fail with this error of the list.
fn fails<T>(r: Result<T>, with: Known) -> Result<()> {
    match r {
        Err(e) if e.is(with) => Ok(()),
        Err(e) => Err(Error::new(&format!("failed with {e:?} instead of {with:?}"))),
        Ok(_) => Err(Error::new(&format!("succeeded instead of failing with {with:?}"))),
    }
}

fn log(text: &str) {
    if let Ok(f) = File::open("#log/log", OWRITE) {
        // There is nobody else to tell.
        let _ = f.write_all(text.as_bytes());
    }
}

/// The kernel's counters that a test must leave as it found them.
fn counters() -> Result<BTreeMap<String, u64>> {
    let text = String::from_utf8_lossy(&fs::read("#sys/counters")?).into_owned();
    // Under torture the server of swap makes an activation when it is asked for two things at once for the first time.
    let grows = |name| swap::tortured() && ["activations", "threads"].contains(&name);
    Ok(text
        .lines()
        .filter_map(|l| l.split_once(' '))
        // What comes from there on never falls.
        .take_while(|&(name, _)| name != "switches")
        .filter(|&(name, _)| !grows(name))
        .filter_map(|(name, n)| Some((name.to_string(), n.parse().ok()?)))
        .collect())
}

/// What differs between two readings. Frames may be kept by caches of the kernel, within a bound.
fn leaks(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> String {
    let mut all = String::new();
    for (name, was) in before {
        let is = after.get(name).copied().unwrap_or(0);
        let slack = match &name[..] {
            "frames" if swap::tortured() => 256,
            "frames" => 64,
            _ => 0,
        };
        if is > was + slack || slack == 0 && is != *was {
            all += &format!(" {name} {was} -> {is}");
        }
    }
    all
}

fn run_one(test: &dyn Fn() -> Result<()>) -> core::result::Result<(), String> {
    let before = counters().map_err(|e| e.to_string())?;
    let pid = process::fork(RFFDG | RFENVG | RFNAMEG | RFNOTEG | RFREND).map_err(|e| e.to_string())?;
    if pid == 0 {
        let _ = sys::alarm(LIMIT);
        match test() {
            Ok(()) => sys::exits(b""),
            Err(e) => sys::exits(e.words().as_bytes()),
        }
    }
    let ended = process::wait_for(pid).map_err(|e| e.to_string())?;
    // Whatever the test left running goes with its note group.
    let _ = fs::write(format!("#proc/{pid}/notepg"), "kill");
    if !ended.status.is_empty() && ended.status != LEFT_OUT {
        return Err(ended.status);
    }
    // Ends are told before the last of a process is taken apart; under torture much comes between.
    let mut left = String::new();
    for _ in 0..if swap::tortured() { 500 } else { 100 } {
        left = leaks(&before, &counters().map_err(|e| e.to_string())?);
        if left.is_empty() {
            return if ended.status.is_empty() { Ok(()) } else { Err(ended.status) };
        }
        let _ = time::sleep(core::time::Duration::from_millis(20));
    }
    Err(format!("left behind:{left}"))
}

fn prefix() -> String {
    let line = fs::read("#root/cmdline").unwrap_or_default();
    let line = String::from_utf8_lossy(&line).into_owned();
    line.split_whitespace().find_map(|w| w.strip_prefix("ktest=")).unwrap_or("").to_string()
}

fn names() -> Result<()> {
    // A kernel's tree has its session from the first use on: that is no test's leak.
    for tree in ["root", "srv", "proc", "pipe", "env", "dup", "sys", "log", "hw", "cap", "trace", "mbox"] {
        File::open(format!("#{tree}"), OREAD)?;
    }
    fs::bind("#srv", "/srv", MREPL | MCREATE)?;
    fs::bind("#proc", "/proc", MREPL)?;
    fs::bind("#env", "/env", MREPL | MCREATE)?;
    fs::bind("#sys", "/dev", MREPL)
}

/// Waits until the last CPU has come up, whose idle thread counts as one.
fn settle() -> Result<()> {
    let mut last = counters()?;
    for _ in 0..100 {
        time::sleep(core::time::Duration::from_millis(100))?;
        let now = counters()?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(())
}

fn all() -> Result<bool> {
    names()?;
    let two = fault::two_cpus()?;
    settle()?;
    // The kernel's thread for swap stays from its first use on. Under torture everything goes there all the time.
    let pid = filer::mounted("swap", "/mnt")?;
    swap::set("/mnt", 16 << 20)?;
    fs::unmount("", "/mnt")?;
    if !swap::tortured() {
        swap::off()?;
        imp::stop("swap", pid);
    }
    settle()?;
    let prefix = prefix();
    let before = counters()?;
    let (mut passed, mut failed) = (0, 0);
    let mut run = |name: &str, test: &dyn Fn() -> Result<()>| {
        if !name.starts_with(&prefix[..]) {
            return;
        }
        match run_one(test) {
            Ok(()) => {
                passed += 1;
                log(&format!("ok {name}\n"));
            }
            Err(why) if why == LEFT_OUT => log(&format!("{LEFT_OUT}: {name}\n")),
            Err(why) => {
                failed += 1;
                log(&format!("FAILED {name}: {why}\n"));
            }
        }
    };
    let lists = [
        file::TESTS,
        bad::TESTS,
        tree::TESTS,
        proc::TESTS,
        call::TESTS,
        answer::TESTS,
        limits::TESTS,
        mail::TESTS,
        give::TESTS,
        segment::TESTS,
        reuse::TESTS,
        swap::TESTS,
        share::TESTS,
        sync::TESTS,
    ];
    lists.into_iter().flatten().for_each(|(name, test)| run(name, test));
    for (name, test) in left::TESTS {
        for (place, cpu) in [("one_cpu", 0), ("two_cpus", 1)] {
            if two || cpu == 0 {
                run(&format!("{name}_{place}"), &|| test(cpu));
            }
        }
    }
    for (name, event, step, cpu) in fault::rows() {
        if two || cpu == 0 {
            run(&name, &|| fault::row(event, step, cpu));
        }
    }
    if swap::tortured() {
        swap::log_evicted();
    }
    // What each may have kept within its bound must not add up.
    let left = leaks(&before, &counters()?);
    if !left.is_empty() {
        failed += 1;
        log(&format!("FAILED all of them together: left behind:{left}\n"));
    }
    log(&format!("{passed} passed, {failed} failed\n"));
    Ok(failed == 0 && passed > 0)
}

pub(crate) fn main() -> Result<()> {
    // Run by one of its own tests: its words are the verdict.
    if let Some(words) = portolan::args().nth(1) {
        if words == b"hold" {
            // Until the test lets go; what it has touched by then is here.
            let _ = sys::pread(0, &mut [0], -1);
        }
        for _ in 0..if words == b"again" { 20 } else { 0 } {
            // Under torture its text has gone when it wakes.
            let _ = time::sleep(core::time::Duration::from_millis(20));
        }
        sys::exits(words);
    }
    let code = match all() {
        Ok(true) => 16,
        Ok(false) => 17,
        Err(e) => {
            log(&format!("ktest: {e}\n"));
            17
        }
    };
    File::open("#sys/power", OWRITE)?.write_all(format!("exit {code}").as_bytes())?;
    // Nothing comes after that.
    let _ = File::open("#sys/time", OREAD);
    Ok(())
}
