//! What the codec and the sessions cost in instructions, counted by valgrind: each stays below its bound.
//!
//! The count of one operation is the difference between two runs that repeat it a different number of times, so that
//! neither the program's start nor the machine's load is in it.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use std::path::Path;
use std::process::Command;

/// Operation and the most instructions that it may take: about a quarter above what it takes today.
const BOUNDS: &[(&str, u64)] = &[
    ("decode_tread", 140),
    ("decode_twalk_3", 570),
    ("encode_rread_1", 160),
    ("encode_ropen", 165),
    ("portal_tread", 175),
    ("sessions_tread", 4_500),
];

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["valgrind"])?;
    ctx.run(xtask::cargo().args([
        "build",
        "--quiet",
        "--release",
        "-p",
        "portolan-ninep",
        "--example",
        "cost",
    ]))?;
    let program = xtask::target().join("release/examples/cost");
    bounded(ctx, &program, BOUNDS)
}

/// Counts each operation of a program that does one as often as it is told.
pub(crate) fn bounded(ctx: &Ctx, program: &Path, bounds: &[(&str, u64)]) -> Outcome {
    let mut found = Vec::new();
    for (operation, bound) in bounds {
        let [few, many] = [1000, 3000].map(|times| count(ctx, program, operation, times));
        let each = many?.saturating_sub(few?) / 2000;
        ensure(each <= *bound, || format!("{operation} takes {each} instructions, more than {bound}"))?;
        ensure(each > 0, || format!("{operation} was not counted"))?;
        found.push(format!("{operation} {each}"));
    }
    Ok(format!("instructions: {}", found.join(", ")))
}

/// Instructions of a whole run.
fn count(ctx: &Ctx, program: &Path, operation: &str, times: u32) -> Result<u64, Failure> {
    let log = ctx.scratch().join("valgrind");
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--log-file={}", log.display()));
    valgrind.arg(format!("--callgrind-out-file={}", ctx.scratch().join("callgrind").display()));
    ctx.run(valgrind.arg(program).args([operation, &times.to_string()]))?;
    let said = std::fs::read_to_string(&log)?;
    let collected =
        said.lines().find_map(|l| l.split_once("Collected : ")).ok_or("valgrind tells no count")?;
    Ok(collected.1.trim().parse()?)
}
