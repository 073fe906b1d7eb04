//! The bare kernel comes up on every kind of machine, and its tests of the machine itself pass there.
//!
//! `doc/boot.md` has the command line and the exit codes that this relies on.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// QEMU's status when the self-tests passed, and when the kernel panicked.
const PASSED: i32 = 33;
const PANIC: i32 = 85;
/// Machine, CPU model, CPUs, MiB of memory.
const MACHINES: &[(&str, &str, usize, usize)] = &[
    ("microvm", "qemu64", 1, 4),
    ("q35", "qemu64", 1, 4),
    ("microvm", "max", 1, 16),
    ("microvm", "qemu64", 2, 64),
    ("q35", "max", 4, 64),
    ("microvm", "max", 8, 64),
    ("q35", "qemu64", 8, 128),
    ("q35", "max", 2, 65536),
];

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let kernel = build(ctx)?;
    let mut tests = 0;
    for &(machine, cpu, cpus, memory) in MACHINES {
        let name = format!("{machine} {cpu}, {cpus} CPUs, {memory} MiB");
        let (status, log) = boot(ctx, &kernel, (machine, cpu, cpus, memory), "selftest")?;
        ensure(status == Some(PASSED), || format!("{name}: status {status:?}\n{log}"))?;
        ensure(log.contains(&format!("kernel: {cpus} cpus")), || format!("{name}: wrong count\n{log}"))?;
        tests += log.lines().filter(|l| l.starts_with("ok selftest")).count();
    }
    let one = ("microvm", "qemu64", 1, 16);
    let (status, log) = boot(ctx, &kernel, one, "cpus=1 selftest=overflow")?;
    ensure(status == Some(PANIC), || format!("a kernel stack that overflows: status {status:?}\n{log}"))?;
    ensure(log.contains("kernel panic: trap 8") && log.contains(" rax "), || format!("no registers\n{log}"))?;
    Ok(format!("{} machines, {tests} self-tests", MACHINES.len()))
}

/// Builds the kernel with its self-tests: its path.
pub(crate) fn build(ctx: &Ctx) -> Result<PathBuf, Failure> {
    xtask::check::bare_metal_target()?;
    let target = "x86_64-unknown-none";
    ctx.run(xtask::cargo().args([
        "build",
        "--quiet",
        "-p",
        "kernel",
        "--bin",
        "selftest",
        "--profile",
        "kernel",
        "--target",
        target,
    ]))?;
    Ok(xtask::target().join(target).join("kernel/selftest"))
}

/// Runs a machine to its end: QEMU's status and the kernel's log.
fn boot(
    ctx: &Ctx,
    kernel: &Path,
    (machine, cpu, cpus, memory): (&str, &str, usize, usize),
    words: &str,
) -> Result<(Option<i32>, String), Failure> {
    let log = ctx.scratch().join("log");
    let mut qemu = Command::new("timeout");
    qemu.args(["120", "qemu-system-x86_64", "-M", &format!("{machine},memory-backend=m"), "-cpu", cpu]);
    // Memory that the host need not have before it is used.
    qemu.args(["-object", &format!("memory-backend-ram,id=m,size={memory}M,reserve=off")]);
    qemu.args(["-m", &format!("{memory}M"), "-smp", &cpus.to_string(), "-display", "none", "-no-reboot"]);
    qemu.args(["-serial", "none", "-debugcon", &format!("file:{}", log.display())]);
    qemu.args(["-device", "isa-debug-exit,iobase=0xf4", "-append", words]).arg("-kernel").arg(kernel);
    println!("$ {}", xtask::tell::shown(&qemu));
    let status = qemu.stdin(Stdio::null()).status()?;
    Ok((status.code(), std::fs::read_to_string(&log)?))
}
