//! `cargo xtask run -c`: the streams and the status of a script are those of the command, byte for byte.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use xtask::machine::{self, End, Options, Streams};
use xtask::run::script_in_machine;

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
    let much: Vec<u8> = (0..30_000u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes()).collect();
    expect(script("cat", &much), 0, &much, "")?;
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
        run_with(&program, &["--memory", "4", "--timeout", "60", "-c", "echo"], b"").map(fewer),
        0,
        b"",
        "",
    )?;
    expect(run_with(&program, &["--cpus", "4", "-c", "echo four"], b""), 0, b"four\n", "")?;
    expect(run_with(&program, &["--cpus", "9", "-c", "echo"], b""), 2, b"", "1 to 8")?;
    expect(panicked(&program), 122, b"begun\n", "kernel panic: trap")?;
    expect(unbooted(), 120, b"", "no first process")?;
    expect(script("echo begun; kill 1; sleep 100", b""), 120, b"begun\n", "no first process: killed")?;
    // Somewhere between none and enough: whatever it is that memory is wanting for, the machine ends and says so.
    for memory in ["5", "6"] {
        let options = ["--memory", memory, "--timeout", "60", "-c", "echo"];
        expect(run_with(&program, &options, b"").map(fewer), 0, b"", "")?;
    }
    expect(run_with(&program, &["--memory", "16", "-c", WANTING], b""), 0, WANTED, "out of memory")?;
    let cuts = cut(ctx)?;
    let idle = idle(&program)?;
    Ok(format!("{runs} runs, {cuts} archives cut off, idle {idle:.1} % of a core"))
}

/// Bad input that ends in words: memory, room and readers that are wanting.
const WANTING: &str = "sort /dev/zero || echo no room to sort
ramfs -q 65536 -s small /n; cat /dev/zero >[2=1] >/n/f | head -1; rm /n/f; echo room again >/n/f; cat /n/f
seq 1000000 | head -1; cat /dev/zero | head -c 1 | wc -c
cat /nosuch >[2=1]; ls -? >[2=1] | head -1; true
";
const WANTED: &[u8] = b"no room to sort
cat: /dev/zero: file system is full
room again
1
1
cat: /nosuch: file does not exist
ls: no option -? here; ls -h lists those there are
";

/// An archive that is cut anywhere boots, or the machine says in words what is missing: how many it were.
fn cut(ctx: &Ctx) -> Result<usize, Failure> {
    const CUTS: usize = 12;
    let mut archive = xtask::image::ordinary()?;
    archive.file("script", 0o644, b"echo here\n".to_vec());
    let (whole, kernel) = (archive.bytes(), xtask::image::build_kernel()?);
    let file = ctx.scratch().join("cut");
    for i in 0..CUTS {
        let end = whole.len() * i / CUTS;
        std::fs::write(&file, &whole[..end])?;
        let options = Options {
            words: vec!["script".into()],
            timeout: Some(Duration::from_secs(60)),
            ..Options::default()
        };
        let streams = Streams {
            input: Box::new(|| Some(Vec::new())),
            output: Box::new(std::io::stdout()),
            errors: Box::new(std::io::stdout()),
            script: true,
            ready: Box::new(|_, _| ()),
        };
        let ended = machine::run(&options, &kernel, &file, streams)?;
        println!("cut at {end}: {:?}\n{}", ended.end, ended.log);
        let words = ["kernel: no first process: file does not exist", "init: the boot archive is cut off"];
        let said = words.iter().any(|w| ended.log.contains(w));
        // The script comes last, so that no cut archive has it.
        ensure(said && matches!(ended.end, End::NotBooted | End::Code(1)), || {
            format!("cut at {end} of {}: {:?}\n{}", whole.len(), ended.end, ended.tail())
        })?;
    }
    Ok(CUTS)
}

/// What a machine that waits takes of a core of the host's, in per cent: its processors halt.
fn idle(program: &Path) -> Result<f64, Failure> {
    let mut child = Command::new(program)
        .args(["run", "-c", "echo waits; sleep 100"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = [0; 6];
    let spoke = child.stdout.as_mut().map(|out| out.read_exact(&mut line));
    std::thread::sleep(Duration::from_secs(1));
    let emulator = emulator_of(child.id());
    let measured = emulator.and_then(|pid| {
        let (before, begun) = (jiffies(pid)?, Instant::now());
        std::thread::sleep(Duration::from_secs(5));
        // A hundredth of a second each.
        Some((jiffies(pid)? - before) as f64 / begun.elapsed().as_secs_f64())
    });
    // xtask ends with it.
    let _ = Command::new("kill").args(emulator.map(|pid| pid.to_string())).status();
    let _ = child.wait();
    ensure(matches!(spoke, Some(Ok(()))), || "the script did not begin".into())?;
    let percent = measured.ok_or("no emulator to measure")?;
    ensure(percent < 1.0, || format!("an idle machine takes {percent:.1} % of a core"))?;
    Ok(percent)
}

/// The fields of a process's line in /proc that follow its name.
fn stat_of(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split(' ').map(String::from).collect())
}

fn emulator_of(parent: u32) -> Option<u32> {
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    let mut all = all.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    all.find(|pid| stat_of(*pid).is_some_and(|s| s.get(1) == Some(&parent.to_string())))
}

/// User and system time that a process has had, in hundredths of a second.
fn jiffies(pid: u32) -> Option<u64> {
    let fields = stat_of(pid)?;
    let number = |i: usize| fields.get(i)?.parse::<u64>().ok();
    Some(number(11)? + number(12)?)
}

/// A kernel whose processor is led astray by a debugger while a script sleeps.
fn panicked(program: &Path) -> Result<Ran, Failure> {
    let words = ["run", "--gdb", "--cpus", "1", "-c", "echo begun; sleep 100"];
    let mut child =
        Command::new(program).args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let begun = Instant::now();
    let mut gdb = loop {
        match TcpStream::connect(("127.0.0.1", 1234)) {
            Ok(stream) => break Gdb(stream),
            Err(e) if begun.elapsed() > Duration::from_secs(60) => {
                let _ = child.kill();
                return Err(format!("no debugger's port: {e}").into());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    gdb.send("c")?;
    let mut first = [0; 6];
    let spoke = child.stdout.as_mut().map(|out| out.read_exact(&mut first));
    ensure(matches!(spoke, Some(Ok(()))), || "the script did not begin".into())?;
    // It sleeps soon, and its processor halts in the kernel.
    std::thread::sleep(Duration::from_millis(500));
    gdb.0.write_all(&[3])?;
    gdb.answer()?;
    // QEMU sets registers one by one for those who know their description.
    gdb.send("qXfer:features:read:target.xml:0,ffb")?;
    gdb.answer()?;
    gdb.send("P10=00000000deadbeef")?;
    ensure(gdb.answer()? == "OK", || "the debugger can't set rip".into())?;
    gdb.send("c")?;
    let done = child.wait_with_output()?;
    let err = String::from_utf8_lossy(&done.stderr).into_owned();
    Ok(Ran { status: done.status.code().unwrap_or(-1), out: [&first[..], &done.stdout].concat(), err })
}

/// GDB's remote protocol, as much as is needed.
struct Gdb(TcpStream);

impl Gdb {
    fn send(&mut self, text: &str) -> Result<(), Failure> {
        let sum = text.bytes().fold(0u8, u8::wrapping_add);
        Ok(write!(self.0, "+${text}#{sum:02x}")?)
    }

    /// The next packet.
    fn answer(&mut self) -> Result<String, Failure> {
        let (mut packet, mut byte) = (String::new(), [0]);
        loop {
            self.0.read_exact(&mut byte)?;
            match byte[0] {
                b'$' => packet.clear(),
                b'#' => {
                    self.0.read_exact(&mut [0; 2])?;
                    return Ok(packet);
                }
                b => packet.push(char::from(b)),
            }
        }
    }
}

/// A machine whose boot archive lacks what is to run first.
fn unbooted() -> Result<Ran, Failure> {
    let options = Options {
        words: vec!["init=nobody".into()],
        timeout: Some(Duration::from_secs(60)),
        ..Options::default()
    };
    let none = |_: &mut [u8]| Ok(0);
    let (output, errors) = (Box::new(std::io::sink()), Box::new(std::io::sink()));
    let kernel = xtask::image::build_kernel()?;
    let ended = script_in_machine(&options, &kernel, "echo", none, output, errors)?;
    let status = if matches!(ended.end, End::NotBooted) { 120 } else { -1 };
    Ok(Ran { status, out: Vec::new(), err: ended.tail() })
}

/// With 4 MiB the script runs, or the machine did not boot and says so; nothing else is right.
fn fewer(ran: Ran) -> Ran {
    let fine = [0, 120].contains(&ran.status);
    Ran { status: if fine { 0 } else { ran.status }, out: Vec::new(), err: ran.err }
}
