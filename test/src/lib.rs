//! The scenarios: whole-system tests, each a function in a file of its own.
//!
//! `cargo xtask test [PREFIX]` runs them in the list's order and prints a line as each ends, so that the first red one is
//! the cause. To add one: write `test/src/NAME.rs` with `pub(crate) fn run(ctx: &mut Ctx) -> Outcome`, and add its line
//! to [`SCENARIOS`] (sorted by name) and its `mod` below. `ctx.rs` says what a scenario may ask for, `runner.rs` how each runs in a
//! process of its own.

mod client9;
mod codec_messages;
mod con9_cases;
mod con9_memory;
mod con9_portal;
pub mod ctx;
mod host_client_diod;
mod host_client_u;
mod host_codec_cost;
mod host_codec_pyroute2;
mod host_codec_tshark;
mod host_con9_auth;
mod host_con9_foreign;
mod host_con9_gate;
mod host_con9_memory;
mod host_con9_portal;
mod host_con9_tcp;
mod host_con9_unix;
mod host_harness;
mod host_hostile;
mod host_linux;
mod host_loom;
mod host_miri;
mod host_pipeline;
mod host_pjdfstest;
mod host_ramfs_cost;
mod host_rc;
mod host_tap9;
mod linux;
mod runner;
mod s00_boot;
mod s05_run;
mod s10_kernel;
mod s20_bench;
mod s31_terminal;
mod s40_rc;
mod s45_many;
mod s45_segments;
mod s46_portal;
mod s47_swap;
mod s48_wire;
mod s50_readme;
mod s55_programs;
mod s60_host;
mod s70_supervise;
mod s71_sandbox;
mod s72_new;
mod s73_tiny;
mod s74_crash;
mod s75_interrupt;

use runner::{Scenario, long, short};
use std::process::ExitCode;

/// All of them, sorted: name, seconds allowed, function. `long` ones run with `--all` only.
const SCENARIOS: &[Scenario] = &[
    short("host_client_diod", 120, host_client_diod::run),
    short("host_client_u", 300, host_client_u::run),
    short("host_codec_cost", 300, host_codec_cost::run),
    short("host_codec_pyroute2", 300, host_codec_pyroute2::run),
    short("host_codec_tshark", 120, host_codec_tshark::run),
    short("host_con9_auth", 120, host_con9_auth::run),
    short("host_con9_foreign", 600, host_con9_foreign::run),
    short("host_con9_gate", 120, host_con9_gate::run),
    short("host_con9_memory", 120, host_con9_memory::run),
    short("host_con9_portal", 120, host_con9_portal::run),
    short("host_con9_tcp", 300, host_con9_tcp::run),
    short("host_con9_unix", 300, host_con9_unix::run),
    short("host_harness", 60, host_harness::run),
    short("host_hostile", 600, host_hostile::run),
    short("host_linux", 600, host_linux::run),
    long("host_loom", 600, host_loom::run),
    long("host_miri", 1800, host_miri::run),
    short("host_pipeline", 120, host_pipeline::run),
    short("host_pjdfstest", 600, host_pjdfstest::run),
    short("host_ramfs_cost", 400, host_ramfs_cost::run),
    short("host_rc", 300, host_rc::run),
    short("host_tap9", 600, host_tap9::run),
    short("s00_boot", 600, s00_boot::run),
    short("s05_run", 300, s05_run::run),
    short("s10_kernel", 600, s10_kernel::run),
    short("s20_bench", 600, s20_bench::run),
    short("s31_terminal", 900, s31_terminal::run),
    short("s40_rc", 900, s40_rc::run),
    short("s45_many", 200, s45_many::run),
    short("s45_segments", 900, s45_segments::run),
    short("s46_portal", 120, s46_portal::run),
    short("s47_swap", 700, s47_swap::run),
    short("s48_wire", 640, s48_wire::run),
    short("s50_readme", 300, s50_readme::run),
    short("s55_programs", 600, s55_programs::run),
    short("s60_host", 600, s60_host::run),
    long("s61_whole", 2400, s60_host::whole),
    short("s70_supervise", 300, s70_supervise::run),
    short("s71_sandbox", 300, s71_sandbox::run),
    short("s72_new", 600, s72_new::run),
    short("s73_tiny", 300, s73_tiny::run),
    short("s74_crash", 300, s74_crash::run),
    short("s75_interrupt", 200, s75_interrupt::run),
];

/// What the harness is tested with; never part of a run.
const HIDDEN: &[Scenario] = &[
    short("hidden_hang", 2, host_harness::hang),
    short("hidden_red", 20, host_harness::red),
    long("hidden_long", 20, host_harness::green),
];

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    runner::main(SCENARIOS, HIDDEN)
}
