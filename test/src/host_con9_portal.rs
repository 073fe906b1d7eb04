//! The transcripts through the portal's front, answered as by the wire's; and no fid is left behind.

use crate::con9_cases;
use crate::con9_portal::Machine;
use crate::ctx::{Ctx, Outcome, ensure};

pub(crate) fn run(_: &mut Ctx) -> Outcome {
    let machine = Machine::new()?;
    let summary = con9_cases::same_as_in_memory(&machine)?;
    ensure(machine.fids() == 0, || format!("{} fids are left", machine.fids()))?;
    Ok(summary)
}
