//! The kernel, tested from inside: `ktest` is the first program, on one CPU and on two, and its verdicts are the log's.

use crate::ctx::{Ctx, Outcome, ensure};
use std::time::Duration;
use xtask::image;
use xtask::machine::{self, End, Options, Streams};

/// The code with which ktest says that all passed.
const PASSED: u8 = 16;

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let (kernel, archive) = (image::build_kernel()?, ctx.scratch().join("archive"));
    std::fs::write(&archive, image::alone("ktest")?.bytes())?;
    let mut summary = Vec::new();
    for cpus in [1, 2] {
        let words = vec!["init=ktest".to_string()];
        let options = Options { cpus, words, timeout: Some(Duration::from_secs(250)), ..Options::default() };
        let streams = Streams {
            input: Box::new(|| Some(Vec::new())),
            output: Box::new(std::io::stdout()),
            errors: Box::new(std::io::stdout()),
            script: false,
            ready: Box::new(|_, _| ()),
        };
        let ended = machine::run(&options, &kernel, &archive, streams)?;
        println!("{cpus} CPUs:\n{}", ended.log);
        let failed: Vec<&str> = ended.log.lines().filter(|l| l.starts_with("FAILED")).collect();
        ensure(failed.is_empty() && ended.end == End::Code(PASSED), || {
            format!("{cpus} CPUs: {:?}\n{}\n{}", ended.end, failed.join("\n"), ended.tail())
        })?;
        let passed = ended.log.lines().filter(|l| l.starts_with("ok ")).count();
        ensure(passed > 0, || "no test ran".into())?;
        summary.push(format!("{passed} on {cpus}"));
    }
    Ok(format!("{} CPUs", summary.join(", ")))
}
