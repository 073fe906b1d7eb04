//! con9 turned on servers that are not ours, so that it is known to find faults: which ones is recorded beside the transcripts.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use con9::link::Address;
use con9::run::Options;
use con9::word::Vars;

use crate::con9_cases;
use crate::ctx::{Ctx, Failure, Outcome, ensure};

/// Some of these servers answer some requests never; those that answer do so at once.
const TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["diod"])?;
    let mut found = Vec::new();

    // diod speaks 9P2000.L alone.
    let export = ctx.scratch().join("export");
    std::fs::create_dir_all(export.join("d"))?;
    std::fs::write(export.join("d/g"), "")?;
    std::fs::write(export.join("f"), "hello")?;
    let port = ctx.port()?;
    let mut diod = Command::new("/usr/sbin/diod");
    diod.args(["-f", "-n", "-L", "stderr", "-l", &format!("127.0.0.1:{port}"), "-e"]).arg(&export);
    let server = ctx.spawn(&mut diod)?;
    ctx.await_port(port)?;
    let vars = Vars::from([("export".into(), export.display().to_string())]);
    found.push(judge("diod", "foreign/dotl.9p", &Address::Tcp("127.0.0.1".into(), port), vars)?);
    drop(server);

    // pyroute2's server refuses to create, so it is asked about a tree that is there.
    let python = ctx.python(&["pyroute2==0.9.7"])?;
    let port = ctx.port()?;
    let script = include_str!("host_con9_foreign.py");
    let server = ctx.spawn(Command::new(python).args(["-c", script, &port.to_string()]))?;
    ctx.await_port(port)?;
    found.push(judge(
        "pyroute2",
        "foreign/readonly.9p",
        &Address::Tcp("127.0.0.1".into(), port),
        Vars::new(),
    )?);
    drop(server);

    // The crate ninep's file system in memory takes the transcripts that our own server passes.
    let socket = ctx.scratch().join("socket");
    let mut foreign = Command::new(ctx.bin("foreign")?);
    let server = ctx.spawn(foreign.arg(&socket).stdout(Stdio::null()))?;
    ctx.poll(Duration::from_secs(30), "the server does not listen", || socket.exists())?;
    found.push(judge("ninep", "", &Address::Unix(socket.display().to_string()), Vars::new())?);
    drop(server);
    Ok(found.join(", "))
}

/// Runs transcripts, and compares the cases that fail with those on record.
fn judge(name: &str, transcripts: &str, to: &Address, vars: Vars) -> Result<String, Failure> {
    let folder = con9_cases::folder();
    let mut files = con9::suite::read(&[folder.join(transcripts)])?;
    for file in &mut files {
        // The crate fills the gap with a gigabyte of real zeros, and answers nobody meanwhile.
        file.cases.retain(|case| name != "ninep" || case.title != "a write far away keeps the file's bytes");
    }
    let options = Options { timeout: TIMEOUT, trace: false, vars };
    let outcomes = con9::suite::run(&files, to, &options, |outcome| println!("{name}: {outcome}"));
    let faults: BTreeSet<&str> =
        outcomes.iter().filter(|o| o.result.is_err()).map(|o| o.name.as_str()).collect();
    let path = folder.join("foreign").join(name).with_extension("faults");
    let recorded = recorded(&path)?;
    let recorded: BTreeSet<&str> = recorded.iter().map(String::as_str).collect();
    let changes: Vec<String> = (faults.difference(&recorded).map(|n| format!("not on record: {n}")))
        .chain(recorded.difference(&faults).map(|n| format!("no longer found: {n}")))
        .collect();
    ensure(changes.is_empty(), || format!("{name}: {}", changes.join("; ")))?;
    ensure(!faults.is_empty(), || format!("{name} has no fault, which nobody believes"))?;
    Ok(format!("{name} {} of {}", faults.len(), outcomes.len()))
}

/// A record: a case's name on each line, `#` before comments.
fn recorded(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(Into::into).collect())
}
