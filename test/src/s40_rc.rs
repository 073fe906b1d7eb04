//! The scripts of cmd/rc/tests inside the machine: each answers what it answers on the host.
//!
//! All run in one machine, each in an rc of its own, under a script that writes them to /tmp and prints a line, the
//! status and the standard output of each. Together with host_rc this compares the machine's shell with 9base's.

use crate::ctx::{Ctx, Outcome, ensure};
use crate::host_rc::{answer, scripts};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::{Command, Stdio};

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let (program, rc) = (ctx.bin("xtask")?, ctx.bin("rc")?);
    let host = rc.parent().ok_or("rc has no folder")?;
    let scripts = scripts()?;
    let mut all = String::new();
    for (name, path) in &scripts {
        let text = std::fs::read_to_string(path)?;
        write!(all, "cat >/tmp/s <<'end of script'\n{text}")?;
        all += "end of script\nrc /tmp/s one two >/tmp/o >[2]/tmp/e\ns=$status\n";
        writeln!(all, "echo '@@@' {name} $s\ncat /tmp/o")?;
    }
    let mut command = Command::new(program);
    command.args(["run", "--timeout", "800", "-c", &all]).stdin(Stdio::null());
    let ran = command.output()?;
    print!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    ensure(ran.status.success(), || format!("the machine: {}", ran.status))?;
    let out = String::from_utf8(ran.stdout)?;
    let mut answers = BTreeMap::new();
    for block in out.split("@@@ ").skip(1) {
        let (head, out) = block.split_once('\n').unwrap_or((block, ""));
        let (name, status) = head.split_once(' ').unwrap_or((head, ""));
        // As on a host: nothing is 0, a number stays, words are 1.
        let status = if status.is_empty() { 0 } else { status.parse().unwrap_or(1) };
        answers.insert(name, (Some(status), out));
    }
    let mut wrong = String::new();
    for (name, path) in &scripts {
        let want = answer(ctx, host, path)?;
        let want = (want.status, want.out.as_str());
        match answers.get(name.as_str()) {
            Some(have) if *have == want => {}
            have => writeln!(wrong, "{name}: {have:?}, on the host {want:?}")?,
        }
    }
    ensure(wrong.is_empty(), || wrong)?;
    Ok(format!("{} scripts answer as on the host", scripts.len()))
}
