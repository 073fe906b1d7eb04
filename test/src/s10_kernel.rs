//! The kernel, tested from inside: `ktest` is the first program, on one CPU and on more, on microvm and on q35, and its
//! verdicts are the log's.

use crate::ctx::{Ctx, Outcome, ensure};
use std::time::Duration;
use xtask::image;
use xtask::machine::{self, End, Options, Streams};

/// The code with which ktest says that all passed.
const PASSED: u8 = 16;

/// CPUs, machine, beginning of the tests' names (calls and what goes wrong with them are `t1`), with `--all` only.
const MACHINES: &[(u32, &str, &str, bool)] = &[
    (1, "microvm", "", false),
    (2, "microvm", "", false),
    (4, "microvm", "t1", false),
    (2, "q35", "t1", false),
    (8, "microvm", "", true),
    (4, "q35", "", true),
];

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let (kernel, archive) = (image::build_kernel()?, ctx.scratch().join("archive"));
    std::fs::write(&archive, image::alone("ktest")?.bytes())?;
    let mut summary = Vec::new();
    for &(cpus, machine, tests, long) in MACHINES.iter().filter(|m| ctx.all || !m.3) {
        let words = vec!["init=ktest".to_string(), format!("ktest={tests}")];
        let timeout = Some(Duration::from_secs(if long { 500 } else { 250 }));
        let options = Options { cpus, words, timeout, machine: machine.into(), ..Options::default() };
        let streams = Streams {
            input: Box::new(|| Some(Vec::new())),
            output: Box::new(std::io::stdout()),
            errors: Box::new(std::io::stdout()),
            script: false,
            ready: Box::new(|_, _| ()),
        };
        let ended = machine::run(&options, &kernel, &archive, streams)?;
        println!("{machine}, {cpus} CPUs:\n{}", ended.log);
        let failed: Vec<&str> = ended.log.lines().filter(|l| l.starts_with("FAILED")).collect();
        ensure(failed.is_empty() && ended.end == End::Code(PASSED), || {
            format!("{machine}, {cpus} CPUs: {:?}\n{}\n{}", ended.end, failed.join("\n"), ended.tail())
        })?;
        let passed = ended.log.lines().filter(|l| l.starts_with("ok ")).count();
        ensure(passed > 0, || "no test ran".into())?;
        summary.push(format!("{passed} on {cpus} of {machine}"));
    }
    Ok(summary.join(", "))
}
