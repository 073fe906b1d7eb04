//! The figures of `cargo xtask bench` against bench/baseline.json: no path has become longer unnoticed.

use crate::ctx::{Ctx, Outcome, ensure};
use bench::{machine, profile, rows::Figures};
use xtask::image;

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let file = xtask::root().join("bench/baseline.json");
    let baseline =
        Figures::from_json(&std::fs::read_to_string(&file)?).ok_or("bench/baseline.json: not figures")?;
    ensure(!baseline.0.is_empty(), || "bench/baseline.json is empty".into())?;
    let kernel = image::build_kernel()?;
    let figures = machine::figures(&kernel, false)?;
    println!("{}", figures.json());
    let grown = figures.grown(&baseline);
    ensure(grown.is_empty(), || {
        format!(
            "{}\nif it has to be: change bench/baseline.json in the same commit, which says why",
            grown.join("\n")
        )
    })?;
    // The profile counts in quite another way, and comes to the same but for the mark between two operations.
    let profile = profile::run(&kernel, "null_syscall")?;
    let counted: f64 = profile.split(' ').nth(1).ok_or("no figure")?.parse()?;
    let measured = figures.get("null_syscall").ok_or("no figure")? as f64;
    ensure((counted - measured).abs() < 8.0, || {
        format!("null_syscall: measured {measured}, but\n{profile}")
    })?;
    Ok(format!("{} rows", baseline.0.len()))
}
