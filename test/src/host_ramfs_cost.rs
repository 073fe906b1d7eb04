//! What the engine and ramfs cost in instructions behind a portal's front: each operation stays below its bound.
//!
//! Built as the machine's programs are, but with the host's locks and `memcpy`, which cost some forty instructions more.

use crate::ctx::{Ctx, Outcome};
use crate::host_codec_cost::bounded;

/// Operation and the most instructions that it may take: about a fifth above what it takes today.
const BOUNDS: &[(&str, u64)] =
    &[("read_1", 350), ("read_page", 360), ("write_1", 460), ("write_page", 940), ("stat", 940)];

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["valgrind"])?;
    ctx.run(xtask::cargo().args([
        "build",
        "--quiet",
        "--profile",
        "user",
        "-p",
        "ramfs",
        "--example",
        "ramfs_cost",
    ]))?;
    bounded(ctx, &xtask::target().join("user/examples/ramfs_cost"), BOUNDS)
}
