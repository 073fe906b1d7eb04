//! The figures of `cargo xtask bench` against bench/baseline.json: no path has become longer unnoticed.

use crate::ctx::{Ctx, Outcome, ensure};
use bench::{machine, rows::Figures};
use xtask::image;

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let file = xtask::root().join("bench/baseline.json");
    let baseline =
        Figures::from_json(&std::fs::read_to_string(&file)?).ok_or("bench/baseline.json: not figures")?;
    ensure(!baseline.0.is_empty(), || "bench/baseline.json is empty".into())?;
    let figures = machine::figures(&image::build_kernel()?, false)?;
    println!("{}", figures.json());
    let grown = figures.grown(&baseline);
    ensure(grown.is_empty(), || {
        format!(
            "{}\nif it has to be: change bench/baseline.json in the same commit, which says why",
            grown.join("\n")
        )
    })?;
    Ok(format!("{} rows", baseline.0.len()))
}
