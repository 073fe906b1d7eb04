//! `cargo xtask run -c`: the streams and the status of a script are those of the command, byte for byte.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run gave.
struct Ran {
    status: i32,
    out: Vec<u8>,
    err: String,
}

fn run_with(program: &Path, arguments: &[&str], input: &[u8]) -> Result<Ran, Failure> {
    let mut command = Command::new(program);
    command.arg("run").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A script need not read what it is given.
        let _ = stdin.write_all(input);
    }
    let done = child.wait_with_output()?;
    let (status, err) =
        (done.status.code().unwrap_or(-1), String::from_utf8_lossy(&done.stderr).into_owned());
    println!("{arguments:?}: {status}\n{}{err}", String::from_utf8_lossy(&done.stdout));
    Ok(Ran { status, out: done.stdout, err })
}

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let program = ctx.bin("xtask")?;
    let script = |text: &str, input: &[u8]| run_with(&program, &["-c", text], input);
    let mut runs = 0;
    let mut expect = |ran: Result<Ran, Failure>, status: i32, out: &[u8], err: &str| {
        let ran = ran?;
        runs += 1;
        ensure(ran.status == status && ran.out == out && ran.err.contains(err), || {
            format!(
                "status {} for {status}, {:?}, {}",
                ran.status,
                String::from_utf8_lossy(&ran.out),
                ran.err
            )
        })
    };

    expect(script("echo out; echo err >[1=2]", b""), 0, b"out\n", "err\n")?;
    let every: Vec<u8> = (0..=255).collect();
    expect(script("cat", &every), 0, &every, "")?;
    expect(script("exit 7", b"not read"), 7, b"", "")?;
    expect(script("exit 119", b""), 119, b"", "")?;
    expect(script("exit 120", b""), 1, b"", "")?;
    expect(script("exit words", b""), 1, b"", "")?;
    expect(script("cat <[0=9]", b""), 1, b"", "you can't get there from here")?;
    expect(
        run_with(&program, &["--timeout", "5", "-c", "echo begun; sleep 100"], b""),
        121,
        b"begun\n",
        "the time is up",
    )?;
    // Less memory than the programs need: it must end, and say that it did not come so far.
    expect(
        run_with(&program, &["--memory", "4", "--timeout", "20", "-c", "echo"], b"").map(fewer),
        0,
        b"",
        "",
    )?;
    expect(run_with(&program, &["--cpus", "4", "-c", "echo four"], b""), 0, b"four\n", "")?;
    expect(run_with(&program, &["--cpus", "9", "-c", "echo"], b""), 2, b"", "1 to 8")?;
    Ok(format!("{runs} runs"))
}

/// With 4 MiB either outcome is right, a verdict of its own or the script's; a hang is not.
fn fewer(ran: Ran) -> Ran {
    let fine = [0, 1, 120, 122].contains(&ran.status);
    Ran { status: if fine { 0 } else { ran.status }, out: Vec::new(), err: ran.err }
}
