//! xtask: the command line of `cargo xtask`.

use std::process::ExitCode;
use xtask::tell::{Done, run};
use xtask::{cargo, check, target};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test     checks, unit tests, then the scenarios whose names begin with PREFIX
           --all   the long ones too
           --list  name them and run nothing
  size     the kernel's loaded bytes, against their gate
  new      begins a program or a server; `new --help` tells how
  bench    what the short paths cost; `bench --help` tells its options";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first() {
        // They have a help of their own.
        Some((command, rest)) if command == "bench" || command == "new" => tool(command, rest),
        Some(_) if wants_help(&words) => {
            println!("{USAGE}\n{}", xtask::run::HELP);
            return ExitCode::SUCCESS;
        }
        Some((command, rest)) if command == "test" => test(rest),
        Some((command, rest)) if command == "run" => xtask::run::run(rest).map(ExitCode::from),
        Some((command, _)) if command == "size" => xtask::size::run().map(|line| {
            println!("{line}");
            ExitCode::SUCCESS
        }),
        _ => Err(format!("{USAGE}\n{}", xtask::run::HELP)),
    };
    match done {
        Ok(code) => code,
        Err(words) => {
            eprintln!("xtask: {words}");
            ExitCode::from(2)
        }
    }
}

fn wants_help(words: &[String]) -> bool {
    // A script may be the machine's own `help`.
    words.iter().take_while(|w| *w != "-c").any(|w| ["help", "-h", "--help"].contains(&w.as_str()))
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
    let counts = [format!("--passed={passed}"), format!("--failed={failed}")];
    tool("scenarios", &[words, &counts].concat()).or_else(|cause| {
        println!("FAILED scenarios: {cause}\n{passed} passed, {} failed", failed + 1);
        Ok(ExitCode::FAILURE)
    })
}

/// Builds a host program of the workspace and becomes it.
fn tool(package: &str, words: &[String]) -> Done<ExitCode> {
    run(cargo().args(["build", "--quiet", "-p", package]))?;
    let mut program = std::process::Command::new(target().join("debug").join(package));
    let status = program.args(words).status().map_err(|e| format!("{package}: {e}"))?;
    Ok(status.code().and_then(|c| u8::try_from(c).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
