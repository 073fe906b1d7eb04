//! The smallest machine: one program of many names, in so little memory that nothing is left over twice.

use crate::ctx::{Ctx, Outcome, ensure};
use std::process::{Command, Stdio};
use xtask::image;

/// Bytes that the archive may have.
const ARCHIVE: usize = 3 << 19;
/// MiB that it runs in.
const MEMORY: &str = "4";

const SCRIPT: &str = "ls / | wc -l; echo a server is a portal >/tmp/f; cat /tmp/f; grep -c portal /tmp/f
for(i in `{seq 20}) echo $i >/tmp/n$i; cat /tmp/n* | sort -n | tail -1; sum </tmp/f; rm /tmp/n*; ls /tmp
kill tmp; sleep 0.5; ls /tmp; echo again >/tmp/g; cat /tmp/g
free | grep Mem
";
const WANT: &str = "13\na server is a portal\n1\n20\n19503     1\nf\nagain\n";

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let program = ctx.bin("xtask")?;
    let archive = image::tiny()?.bytes().len();
    ensure(archive <= ARCHIVE, || format!("the archive has {archive} bytes"))?;
    let mut free = Vec::new();
    for (machine, cpus) in [("microvm", "1"), ("microvm", "2"), ("q35", "1")] {
        let mut command = Command::new(&program);
        command.args(["run", "--profile", "tiny", "--memory", MEMORY, "--cpus", cpus, "--machine", machine]);
        let ran = command.args(["--timeout", "60", "-c", SCRIPT]).stdin(Stdio::null()).output()?;
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        println!("{machine}, {cpus}: {:?}\n{out}{err}", ran.status);
        let rest = out.strip_prefix(WANT).ok_or(format!("{machine}, {cpus} CPUs: {out}\n{err}"))?;
        free.push(rest.split_whitespace().nth(3).unwrap_or("?").to_string());
    }
    Ok(format!("{} KiB of archive, {MEMORY} MiB of memory; {} KiB free", archive / 1024, free.join(", ")))
}
