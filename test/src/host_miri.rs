//! The portable crates under Miri, which finds undefined behaviour: the codec, the message layout, the server's engine, and
//! what of the kernel needs no machine.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use std::process::Command;

/// Packages, their tests' binaries, and the tests by the beginning of their names. What is left out takes hours there, or
/// is about a codec not ours.
const LANES: &[(&str, &[&str], &[&str])] = &[
    ("portolan-abi", &["--lib"], &[]),
    ("portolan-ninep", &["--lib", "--test=forms", "--test=client", "--test=server"], &[]),
    ("portolan-serve", &["--lib"], &[]),
    ("kernel-core", &["--lib"], &["base::counted", "base::lock", "base::queue::tests::a_pile"]),
];

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    let has = Command::new("cargo").args(["+nightly", "miri", "--version"]).output();
    if !has.is_ok_and(|o| o.status.success()) {
        let add = ["component", "add", "miri", "rust-src", "--toolchain", "nightly"];
        ctx.run(Command::new("rustup").args(add)).map_err(|e| match e {
            Failure::Cause(why) => Failure::NotHere(format!("needs Miri, of a nightly compiler: {why}")),
            other => other,
        })?;
    }
    let mut passed = 0;
    for (package, binaries, tests) in LANES {
        let mut miri = Command::new("cargo");
        miri.args(["+nightly", "miri", "test", "--quiet", "-p", package])
            .args(*binaries)
            .arg("--")
            .args(*tests);
        // Some tests ask for the time; none needs the host otherwise.
        miri.env("MIRIFLAGS", "-Zmiri-disable-isolation").current_dir(xtask::root());
        miri.env("CARGO_TARGET_DIR", xtask::target().join("miri"));
        let said = ctx.run(&mut miri)?;
        let counts = said.lines().filter_map(|l| l.strip_prefix("test result: ok. ")?.split(' ').next());
        let count: u32 = counts.filter_map(|n| n.parse::<u32>().ok()).sum();
        ensure(count > 0, || format!("{package}: no test ran:\n{said}"))?;
        passed += count;
    }
    Ok(format!("{passed} tests"))
}
