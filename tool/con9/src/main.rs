//! The command con9: transcripts against a server that listens somewhere.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use con9::hostile::{self, ATTACKS};
use con9::link::Address;
use con9::run::Options;
use con9::suite;
use con9::word::Vars;

const USAGE: &str = "\
usage: con9 --to ADDRESS [--timeout SECONDS] [--trace] [--record FILE] [--only TEXT] [--set V=TEXT] TRANSCRIPT...
       con9 hostile --to ADDRESS [--seconds N] [ATTACK...]

Runs transcripts of 9P2000 against the server at ADDRESS (tcp!HOST!PORT or unix!PATH) and names each answer that the
manual does not allow, with the sentence that it violates. A TRANSCRIPT is a .9p file or a folder of them.

  --timeout SECONDS  longest wait for an answer (default 20)
  --trace            print every message to standard error
  --record FILE      write what was answered, times left out, to compare two servers or transports
  --set V=TEXT       what $V stands for
  --only TEXT        run only the cases whose name holds TEXT

The server must know the users glenda, bob and carol, let them create in its root, and have a group staff that glenda leads
and bob is in: ramfs --owner glenda -g staff:glenda:glenda,bob
con9 hostile is a client that means harm: what a server has to bear. An ATTACK is one of tags, fids, half, nothing,
everything, deaf, churn, noise, crowd; all of them, if none is named.

Exit status: 0 no fault, 1 faults, 2 bad usage or transcript.
";

struct Arguments {
    to: Address,
    options: Options,
    record: Option<PathBuf>,
    only: String,
    paths: Vec<PathBuf>,
}

fn arguments() -> Result<Arguments, String> {
    let mut to = None;
    let mut options = Options { timeout: Duration::from_secs(20), trace: false, vars: Vars::new() };
    let (mut record, mut only, mut paths) = (None, String::new(), Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--to" => to = Some(value()?.parse()?),
            "--timeout" => {
                let seconds = value()?;
                options.timeout =
                    Duration::from_secs(seconds.parse().map_err(|_| format!("bad number {seconds:?}"))?);
            }
            "--trace" => options.trace = true,
            "--record" => record = Some(value()?.into()),
            "--set" => {
                let set = value()?;
                let (name, text) = set.split_once('=').ok_or("--set V=TEXT")?;
                options.vars.insert(name.into(), text.into());
            }
            "--only" => only = value()?,
            _ if arg.starts_with('-') => return Err(format!("unknown option {arg}")),
            _ => paths.push(arg.into()),
        }
    }
    let to = to.ok_or("--to ADDRESS is missing")?;
    if paths.is_empty() {
        return Err("no transcript is given".into());
    }
    Ok(Arguments { to, options, record, only, paths })
}

/// The client that means harm.
fn attack() -> Result<(), String> {
    let (mut to, mut seconds, mut attacks) = (None, 10, Vec::new());
    let mut args = std::env::args().skip(2);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--to" => to = Some(value()?.parse::<Address>()?),
            "--seconds" => seconds = value()?.parse().map_err(|_| "--seconds takes a number".to_string())?,
            name => attacks.push(
                *ATTACKS.iter().find(|(n, _)| *n == name).ok_or_else(|| format!("{name:?} is no attack"))?,
            ),
        }
    }
    let to = to.ok_or("--to ADDRESS is missing")?;
    if attacks.is_empty() {
        attacks = ATTACKS.to_vec();
    }
    for (name, attack) in attacks {
        let until = Instant::now() + Duration::from_secs(seconds);
        println!("{name}: {} times in {seconds} s", hostile::run(attack, &to, until));
    }
    Ok(())
}

fn main() -> ExitCode {
    if std::env::args().any(|a| a == "--help") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if std::env::args().nth(1).is_some_and(|a| a == "hostile") {
        return match attack() {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("con9: {e}\n{USAGE}");
                ExitCode::from(2)
            }
        };
    }
    let read = arguments().map_err(|e| format!("{e}\n{USAGE}")).and_then(|a| Ok((suite::read(&a.paths)?, a)));
    let (mut files, arguments) = match read {
        Ok(read) => read,
        Err(e) => {
            eprintln!("con9: {e}");
            return ExitCode::from(2);
        }
    };
    for file in &mut files {
        let name = file.name.clone();
        file.cases.retain(|case| format!("{name}: {}", case.title).contains(&arguments.only));
    }
    let outcomes = suite::run(&files, &arguments.to, &arguments.options, |outcome| println!("{outcome}"));
    let failed = outcomes.iter().filter(|o| o.result.is_err()).count();
    println!("{} cases, {failed} faults", outcomes.len());
    if let Some(path) = &arguments.record
        && let Err(e) = std::fs::write(path, suite::record(&outcomes))
    {
        eprintln!("con9: {}: {e}", path.display());
        return ExitCode::from(2);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
