//! The harness itself: a hung scenario is killed with its children, red is red, and nothing is skipped in silence.

use crate::ctx::{Ctx, Outcome, ensure};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs this program on the hidden scenarios and judges what it says.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    let me = std::env::current_exe()?;
    let ask = |words: &[&str]| -> std::io::Result<(Option<i32>, String)> {
        let done = Command::new(&me).args(words).stdin(Stdio::null()).output()?;
        Ok((done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned()))
    };

    let (code, said) = ask(&["hidden_hang"])?;
    ensure(code == Some(1) && said.contains("FAILED hidden_hang: took longer than 2 s"), || said.clone())?;
    ensure(said.ends_with("0 passed, 1 failed\n"), || said.clone())?;
    let pid_file = xtask::target().join("scenarios/hidden_hang/pid");
    let pid = std::fs::read_to_string(pid_file)?;
    let alive = || {
        Command::new("kill")
            .args(["-0", pid.trim()])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    };
    ctx.poll(Duration::from_secs(10), "the hung scenario's child still lives", || !alive())?;

    let (code, said) = ask(&["hidden_red", "--passed=4"])?;
    ensure(code == Some(1) && said.contains("FAILED hidden_red: as it should"), || said.clone())?;
    ensure(said.ends_with("4 passed, 1 failed\n"), || said.clone())?;

    let (code, said) = ask(&["no_such_scenario"])?;
    ensure(code == Some(1) && said.contains("no scenario begins so"), || said.clone())?;
    let (code, said) = ask(&["hidden_long"])?;
    ensure(code == Some(1), || said.clone())?;
    let (code, said) = ask(&["hidden_long", "--all"])?;
    ensure(code == Some(0) && said == "ok hidden_long fine\n1 passed, 0 failed\n", || said.clone())?;
    Ok(String::new())
}

/// Starts a child, notes its number, and never ends.
pub(crate) fn hang(ctx: &mut Ctx) -> Outcome {
    let child = ctx.spawn(Command::new("sleep").arg("1000"))?;
    std::fs::write(ctx.scratch().join("pid"), child.id().to_string())?;
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Fails.
pub(crate) fn red(_: &mut Ctx) -> Outcome {
    Err("as it should".into())
}

/// Passes.
pub(crate) fn green(_: &mut Ctx) -> Outcome {
    Ok("fine".into())
}
