//! The shell on this host against Debian's 9base rc: each script of cmd/rc/tests/scripts under both.
//!
//! Standard output and exit status are compared, and whether anything was said on the diagnostics. Where the dialects
//! differ, cmd/rc/tests/differences.txt has the reason and what our rc answers; the list is asserted exactly, so an
//! entry that no longer differs fails too.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const THEIRS: &str = "/usr/lib/plan9/bin";

/// What a script came to.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    silent: bool,
}

/// An entry of the list of differences.
struct Difference {
    status: i32,
    out: String,
}

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["9base"])?;
    let ours = ctx.bin("rc")?;
    let ours = ours.parent().ok_or("rc has no folder")?;
    let tests = xtask::root().join("cmd/rc/tests");
    let differences = differences(&std::fs::read_to_string(tests.join("differences.txt"))?)?;
    let scripts = scripts()?;
    let mut wrong = Vec::new();
    for (name, script) in &scripts {
        let a = answer(ctx, ours, script)?;
        let b = answer(ctx, Path::new(THEIRS), script)?;
        match differences.get(name) {
            None if a == b => {}
            None => wrong.push(format!("{name}: ours {a:?}, theirs {b:?}")),
            Some(_) if a == b => wrong.push(format!("{name}: is listed and does not differ")),
            Some(d) if a.status == Some(d.status) && a.out == d.out => {}
            Some(d) => wrong.push(format!("{name}: listed are {} and {:?}, ours {a:?}", d.status, d.out)),
        }
    }
    wrong.extend(
        differences.keys().filter(|n| !scripts.contains_key(*n)).map(|n| format!("{n}: no such script")),
    );
    ensure(wrong.is_empty(), || wrong.join("\n"))?;
    Ok(format!("{} scripts, {} of them with a listed difference", scripts.len(), differences.len()))
}

/// The scripts, by name.
pub(crate) fn scripts() -> Result<BTreeMap<String, PathBuf>, Failure> {
    let scripts: BTreeMap<_, _> = std::fs::read_dir(xtask::root().join("cmd/rc/tests/scripts"))?
        .filter_map(|e| {
            let path = e.ok()?.path();
            Some((path.file_name()?.to_str()?.strip_suffix(".rc")?.to_owned(), path))
        })
        .collect();
    ensure(scripts.len() >= 200, || format!("only {} scripts", scripts.len()))?;
    Ok(scripts)
}

/// Runs a script with the rc of a folder, which is also the `rc` that the script finds.
pub(crate) fn answer(ctx: &Ctx, folder: &Path, script: &Path) -> Result<Answer, Failure> {
    let (out, err) = (ctx.scratch().join("out"), ctx.scratch().join("err"));
    let mut command = Command::new(folder.join("rc"));
    command.arg(script).args(["one", "two"]).current_dir(ctx.scratch()).env_clear();
    command.env("PATH", format!("{}:{THEIRS}:/usr/bin:/bin", folder.display())).env("HOME", "/tmp");
    command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?);
    let mut child = command.spawn()?;
    let mut status = None;
    let ended = ctx.poll(Duration::from_secs(60), &format!("{} does not end", script.display()), || {
        status = child.try_wait().ok().flatten();
        status.is_some()
    });
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    ended?;
    Ok(Answer {
        status: status.and_then(|s| s.code()),
        out: String::from_utf8_lossy(&std::fs::read(&out)?).into_owned(),
        silent: std::fs::read(&err)?.is_empty(),
    })
}

/// The list: `=== NAME | reason`, `status N`, then the standard output.
fn differences(text: &str) -> Result<BTreeMap<String, Difference>, String> {
    let mut list = BTreeMap::new();
    for block in text.split("\n=== ").skip(1) {
        let mut lines = block.lines();
        let head = lines.next().unwrap_or("");
        let (name, reason) = head.split_once(" | ").ok_or_else(|| format!("{head}: no reason"))?;
        if reason.len() < 10 {
            return Err(format!("{name}: no reason"));
        }
        let status = lines.next().and_then(|l| l.strip_prefix("status ")?.parse().ok());
        let status = status.ok_or_else(|| format!("{name}: no status"))?;
        let out: String = lines.map(|l| format!("{l}\n")).collect();
        list.insert(name.to_owned(), Difference { status, out });
    }
    Ok(list)
}
