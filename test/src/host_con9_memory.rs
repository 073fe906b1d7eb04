//! The transcripts on a server in this process, with neither socket nor thread: the wire's front of the engine alone.

use crate::con9_cases;
use crate::con9_memory::Memory;
use crate::ctx::{Ctx, Outcome};

pub(crate) fn run(_: &mut Ctx) -> Outcome {
    let outcomes = con9_cases::all(&Memory::new()?)?;
    Ok(format!("{} passed", outcomes.len()))
}
