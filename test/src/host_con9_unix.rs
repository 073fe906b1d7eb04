//! The transcripts over a Unix socket, answered as in memory.

use crate::con9_cases::{self, Ramfs};
use crate::ctx::{Ctx, Outcome};

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    let address = con9::link::Address::Unix(ctx.scratch().join("socket").display().to_string());
    let ramfs = Ramfs::start(ctx, &address)?;
    con9_cases::same_as_in_memory(&ramfs.address)
}
