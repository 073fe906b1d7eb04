//! The kernel's lock-free protocols in every order of events: `kernel/loom` holds the kernel's own files to loom's models.

use crate::ctx::{Ctx, Outcome, ensure};

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    let mut cargo = xtask::cargo();
    cargo.args(["test", "--quiet", "--release", "-p", "kernel-loom", "--test", "models"]);
    // Flags are part of what cargo compares: a folder of its own keeps everything else built.
    cargo.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", xtask::target().join("loom"));
    let said = ctx.run(&mut cargo)?;
    let passed =
        said.lines().find_map(|l| l.strip_prefix("test result: ok. ")?.split(' ').next()?.parse().ok());
    let passed: u32 = passed.unwrap_or(0);
    ensure(passed > 0, || format!("no model ran:\n{said}"))?;
    Ok(format!("{passed} models"))
}
