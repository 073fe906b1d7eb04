//! The command con9: transcripts against a server that listens somewhere.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use con9::link::Address;
use con9::run::Options;
use con9::suite;
use con9::word::Vars;

const USAGE: &str = "\
usage: con9 --to ADDRESS [--timeout SECONDS] [--trace] [--record FILE] [--only TEXT] [--set V=TEXT] TRANSCRIPT...

Runs transcripts of 9P2000 against the server at ADDRESS (tcp!HOST!PORT or unix!PATH) and names each answer that the
manual does not allow, with the sentence that it violates. A TRANSCRIPT is a .9p file or a folder of them.

  --timeout SECONDS  longest wait for an answer (default 20)
  --trace            print every message to standard error
  --record FILE      write what was answered, times left out, to compare two servers or transports
  --set V=TEXT       what $V stands for
  --only TEXT        run only the cases whose name holds TEXT

The server must know the users glenda, bob and carol, and let glenda create in its root.
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

fn main() -> ExitCode {
    if std::env::args().any(|a| a == "--help") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
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
