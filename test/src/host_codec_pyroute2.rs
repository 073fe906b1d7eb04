//! PyPI's pyroute2 reads our messages field by field as we say they are, and writes the same bytes.

use crate::codec_messages::sample;
use crate::ctx::{Ctx, Outcome, ensure};
use std::process::Command;

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    let python = ctx.python(&["pyroute2==0.9.7"])?;
    let messages = sample(40);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let lines: String = messages.iter().map(|m| format!("{} {}\n", hex(&m.bytes), m.line)).collect();
    let file = ctx.scratch().join("messages");
    std::fs::write(&file, lines)?;
    let said =
        ctx.run(Command::new(python).args(["-c", include_str!("host_codec_pyroute2.py")]).arg(&file))?;
    let summary = said.lines().last().unwrap_or_default().to_string();
    ensure(summary.starts_with(&format!("{} messages", messages.len())), || format!("it says {summary:?}"))?;
    Ok(summary)
}
