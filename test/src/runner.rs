//! Runs scenarios: which ones, each in a process group of its own with a time limit, and the counts at the end.
//!
//! A child is this same program with `--one NAME`; it leaves its verdict in a file. When its time is up its whole group is killed,
//! so a hung scenario can't leave servers or emulators behind.

use crate::ctx::{Ctx, Failure, Outcome};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use xtask::{deb, tell};

/// One scenario of the list.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    name: &'static str,
    seconds: u64,
    run: fn(&mut Ctx) -> Outcome,
    long: bool,
}

/// A scenario of every run.
pub(crate) const fn short(name: &'static str, seconds: u64, run: fn(&mut Ctx) -> Outcome) -> Scenario {
    Scenario { name, seconds, run, long: false }
}

/// A scenario of `--all` runs only.
pub(crate) const fn long(name: &'static str, seconds: u64, run: fn(&mut Ctx) -> Outcome) -> Scenario {
    Scenario { name, seconds, run, long: true }
}

/// The command line: `[PREFIX] [--all] [--list] [--passed=N] [--failed=N]`, or `--one NAME` for a child.
#[derive(Default)]
struct Asked {
    prefix: String,
    all: bool,
    list: bool,
    one: bool,
    passed: u64,
    failed: u64,
}

fn asked(words: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked::default();
    for word in words {
        let count = |text: &str| text.parse().map_err(|_| format!("{word}: not a number"));
        match word.as_str() {
            "--all" => asked.all = true,
            "--list" => asked.list = true,
            "--one" => asked.one = true,
            w if w.starts_with("--passed=") => asked.passed = count(&w[9..])?,
            w if w.starts_with("--failed=") => asked.failed = count(&w[9..])?,
            w if w.starts_with('-') => return Err(format!("unknown option {w}")),
            w if asked.prefix.is_empty() => asked.prefix = w.to_string(),
            w => return Err(format!("one prefix, please: {w}")),
        }
    }
    Ok(asked)
}

/// The program.
pub(crate) fn main(list: &'static [Scenario], hidden: &'static [Scenario]) -> ExitCode {
    let asked = match asked(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(words) => {
            eprintln!("scenarios: {words}");
            return ExitCode::from(2);
        }
    };
    if asked.one {
        return match list.iter().chain(hidden).find(|s| s.name == asked.prefix) {
            Some(scenario) => child(scenario, asked.all),
            None => ExitCode::from(2),
        };
    }
    // The hidden ones can be named by the harness' own test, in full, and are in no other run.
    let hidden_one = hidden.iter().filter(|s| s.name == asked.prefix);
    let chosen: Vec<&Scenario> = list
        .iter()
        .filter(|s| s.name.starts_with(&asked.prefix) && (asked.all || !s.long))
        .chain(hidden_one.filter(|s| asked.all || !s.long))
        .collect();
    if asked.list {
        chosen.iter().for_each(|s| println!("{}", s.name));
        return ExitCode::SUCCESS;
    }
    run_all(&chosen, list, &asked)
}

fn run_all(chosen: &[&Scenario], list: &[Scenario], asked: &Asked) -> ExitCode {
    let (mut passed, mut failed) = (asked.passed, asked.failed);
    if chosen.is_empty() {
        let long = list.iter().any(|s| s.name.starts_with(&asked.prefix));
        let hint = if long { "only long scenarios begin so: add --all" } else { "no scenario begins so" };
        println!("FAILED {}: {hint}", asked.prefix);
        failed += 1;
    }
    for scenario in chosen {
        match one(scenario, asked.all) {
            Verdict::Passed(summary) => {
                println!("{}", format!("ok {} {summary}", scenario.name).trim_end());
                passed += 1;
            }
            Verdict::NotHere(why) => println!("not run {}: {why}", scenario.name),
            Verdict::Failed(cause) => {
                println!("FAILED {}: {cause}\n  log: {}", scenario.name, log_of(scenario).display());
                failed += 1;
            }
            Verdict::Install(packages) => {
                println!("FAILED {}: not installed: {packages}", scenario.name);
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a child left behind.
enum Verdict {
    Passed(String),
    Failed(String),
    /// It needs packages that only the parent, who has the terminal, can ask for.
    Install(String),
    /// This host can't run it: no apt.
    NotHere(String),
}

fn folder(scenario: &Scenario) -> PathBuf {
    xtask::target().join("scenarios").join(scenario.name)
}

fn log_of(scenario: &Scenario) -> PathBuf {
    folder(scenario).with_extension("log")
}

fn verdict_file(scenario: &Scenario) -> PathBuf {
    folder(scenario).with_extension("verdict")
}

/// Runs a scenario, once more after what it lacks has been installed.
fn one(scenario: &Scenario, all: bool) -> Verdict {
    let verdict = attempt(scenario, all);
    let Verdict::Install(packages) = &verdict else { return verdict };
    let packages: Vec<&str> = packages.split_whitespace().collect();
    match deb::install(&packages) {
        Ok(()) => attempt(scenario, all),
        Err(words) => Verdict::Failed(words),
    }
}

fn attempt(scenario: &Scenario, all: bool) -> Verdict {
    match start(scenario, all).and_then(|child| wait(child, Duration::from_secs(scenario.seconds))) {
        Err(e) => Verdict::Failed(e.to_string()),
        Ok(false) => Verdict::Failed(format!(
            "took longer than {} s and was killed{}",
            scenario.seconds,
            said(scenario)
        )),
        Ok(true) => read_verdict(scenario),
    }
}

fn start(scenario: &Scenario, all: bool) -> std::io::Result<Child> {
    std::fs::create_dir_all(xtask::target().join("scenarios"))?;
    let _ = std::fs::remove_file(verdict_file(scenario));
    let log = std::fs::File::create(log_of(scenario))?;
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["--one", scenario.name]).args(all.then_some("--all"));
    child.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).spawn()
}

/// Waits for the child within its time; whatever remains of its group is killed either way.
fn wait(mut child: Child, limit: Duration) -> std::io::Result<bool> {
    let begun = Instant::now();
    let in_time = loop {
        if child.try_wait()?.is_some() {
            break true;
        }
        if begun.elapsed() > limit {
            break false;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    child.wait()?;
    Ok(in_time)
}

fn read_verdict(scenario: &Scenario) -> Verdict {
    let Ok(text) = std::fs::read_to_string(verdict_file(scenario)) else {
        return Verdict::Failed(format!("ended without a verdict (a panic?){}", said(scenario)));
    };
    let (kind, rest) = text.split_once('\n').unwrap_or((&text, ""));
    match kind {
        "ok" => Verdict::Passed(rest.to_string()),
        "install" => Verdict::Install(rest.to_string()),
        "nothere" => Verdict::NotHere(rest.to_string()),
        _ => Verdict::Failed(rest.to_string()),
    }
}

fn said(scenario: &Scenario) -> String {
    let log = std::fs::read(log_of(scenario)).unwrap_or_default();
    let tail = tell::tail(&String::from_utf8_lossy(&log), 12);
    if tail.is_empty() { String::new() } else { format!("\n{tail}") }
}

/// The child's side: run it, leave the verdict.
fn child(scenario: &Scenario, all: bool) -> ExitCode {
    let outcome = Ctx::new(folder(scenario), all).and_then(|mut ctx| (scenario.run)(&mut ctx));
    let (kind, text) = match outcome {
        Ok(summary) => ("ok", summary),
        Err(Failure::Cause(cause)) => ("failed", cause),
        Err(Failure::Install(packages)) => ("install", packages),
        Err(Failure::NotHere(why)) => ("nothere", why),
    };
    println!("{kind}: {text}");
    match std::fs::write(verdict_file(scenario), format!("{kind}\n{text}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_names_are_unique() {
        assert!(crate::SCENARIOS.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn command_lines() {
        let read = |line: &str| asked(line.split_whitespace().map(String::from));
        let a = read("host_ --all --passed=3").unwrap_or_default();
        assert_eq!((a.prefix.as_str(), a.all, a.passed), ("host_", true, 3));
        assert!(read("--passed=x").is_err() && read("--what").is_err() && read("a b").is_err());
    }
}
