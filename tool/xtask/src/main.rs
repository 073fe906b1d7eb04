//! xtask: the command line of `cargo xtask`.

use std::process::ExitCode;
use xtask::tell::{Done, run};
use xtask::{cargo, check, target};

const USAGE: &str = "\
usage: cargo xtask test [PREFIX] [--all] [--list]

  test     checks, unit tests, then the scenarios whose names begin with PREFIX
           --all   the long ones too
           --list  name them and run nothing";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first() {
        Some((command, rest)) if command == "test" => test(rest),
        Some((command, _)) if ["help", "-h", "--help"].contains(&command.as_str()) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(code) => code,
        Err(words) => {
            eprintln!("xtask: {words}");
            ExitCode::from(2)
        }
    }
}

/// The checks, then the scenarios, which print their own lines and the count of everything.
fn test(words: &[String]) -> Done<ExitCode> {
    let list = words.iter().any(|w| w == "--list");
    let (mut passed, mut failed) = (0, 0);
    for (name, check) in check::CHECKS.iter().filter(|_| !list) {
        match check() {
            Ok(summary) => {
                println!("{}", format!("ok {name} {summary}").trim_end());
                passed += 1;
            }
            Err(cause) => {
                println!("FAILED {name}: {cause}");
                failed += 1;
            }
        }
    }
    let built = run(cargo().args(["build", "--quiet", "-p", "scenarios"]));
    if let Err(cause) = built {
        println!("FAILED scenarios: {cause}\n{passed} passed, {} failed", failed + 1);
        return Ok(ExitCode::FAILURE);
    }
    let mut scenarios = std::process::Command::new(target().join("debug/scenarios"));
    let counts = [format!("--passed={passed}"), format!("--failed={failed}")];
    let status = scenarios.args(words).args(counts).status().map_err(|e| format!("scenarios: {e}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
