//! The machine's shell on a terminal: prompt, echo, editing, interrupts, and the terminal given back.
//!
//! `script` of util-linux makes the terminal. A shell in it tells the terminal's modes before and after `cargo xtask run`.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What is waited for comes within this time, or never. The machine may be emulated on a busy host.
const LIMIT: Duration = Duration::from_secs(120);
/// In the shell: the modes, the machine, then its status and the modes again until they have been seen to be the same.
const SESSION: &str = "a=`stty -g`; sh -c 'echo the pid is $$.; exec \"$0\" run' \"$XTASK\"; s=$?; \
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do test \"$a\" = \"`stty -g`\" && break; sleep 1; done; \
    test \"$a\" = \"`stty -g`\" && echo \"ended with $s, the modes are as before.\" || echo the modes have changed.";

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let xtask = ctx.bin("xtask")?;
    ensure(!Command::new("script").arg("--version").output()?.stdout.is_empty(), || {
        "no program `script`".into()
    })?;
    // Built before anything is waited for.
    xtask::image::build_kernel()?;
    xtask::image::ordinary()?;
    let start = || Terminal::start(&xtask);
    typing(start()?)?;
    leaving(start()?, "\x1dq")?;
    leaving(start()?, "poweroff\r")?;
    killed(start()?)?;
    Ok("typed at, interrupted, left in four ways".into())
}

/// Echo, editing and interrupts; Ctrl-D is the end, however the last command went.
fn typing(mut t: Terminal) -> Result<(), Failure> {
    // The prompt and the banner come from two threads, so either may be first.
    let banner = t.until("Ctrl-] q.\r\n")?;
    if !banner.contains("% ") {
        t.prompt()?;
    }
    for words in ["Portolan: ", " ms from QEMU's start to the prompt; kernel "] {
        ensure(banner.contains(words), || format!("no {words:?} in the banner: {banner:?}"))?;
    }
    t.send("echo a1bx\x7f2\r")?;
    let echo = t.until("a1b2\r\n")?;
    ensure(echo.starts_with("echo a1bx\x08 \x08"), || format!("the echo is {echo:?}"))?;
    t.prompt()?;
    // Ctrl-U takes the line back.
    t.send("echo wrong\x15echo right\r")?;
    t.until("\r\nright\r\n")?;
    t.prompt()?;
    // The shell's own editing: the line before, a program and a file completed, the terminal's width as it tells it.
    t.send("\x1b[A\r")?;
    t.until("\r\nright\r\n")?;
    t.prompt()?;
    t.send("ech\tt^ab\r")?;
    t.until("\r\ntab\r\n")?;
    t.prompt()?;
    t.send("head -1 /lib/serv\t\r")?;
    t.until("\r\n# What init starts")?;
    t.prompt()?;
    t.send("\x1b[24;40R")?;
    t.send("echo cols $COLUMNS\r")?;
    t.until("\r\ncols 40\r\n")?;
    t.prompt()?;
    full_screen(&mut t)?;
    t.send("{echo be^gun; sleep 1000}\r")?;
    t.until("\r\nbegun\r\n")?;
    t.interrupt()?;
    t.send("cat /dev/zero\r")?;
    t.until(&"\0".repeat(5000))?;
    t.interrupt()?;
    for command in READERS {
        t.send(&format!("{command}\r"))?;
        t.until("\r\n")?;
        // What is typed ahead of an interrupt is forgotten with the line that it ends, so each is let come to its end.
        std::thread::sleep(Duration::from_millis(300));
        t.interrupt()?;
        std::thread::sleep(Duration::from_millis(300));
        t.at = t.shown.lock().map_or(t.at, |shown| shown.len());
    }
    // A terminal of one column, for the shell's own editing.
    t.send("\x1b[24;1R")?;
    t.send("echo narrow\x1b[D\x1b[D\x1b[Hx\x7f\r")?;
    t.until("\r\nnarrow\r\n")?;
    t.prompt()?;
    t.send("seq 3 | more\r")?;
    t.until("\r\n3\r\n")?;
    t.prompt()?;
    t.send("\x1b[24;80R")?;
    t.send("echo )\r")?;
    let fault = t.prompt()?;
    ensure(fault.contains("syntax error"), || format!("the error's words are {fault:?}"))?;
    t.send("echo st^ill here; false\r")?;
    t.until("\r\nstill here\r\n")?;
    t.prompt()?;
    leave(t, "\x04")
}

/// Commands that read the terminal or take for ever, to be interrupted.
const READERS: &[&str] = &[
    "cat",
    "wc",
    "sort",
    "uniq",
    "grep x",
    "head",
    "tail",
    "tee /tmp/t",
    "cmp - /dev/zero",
    "sum",
    "xd",
    "time cat",
    "trace cat",
    "sandbox cat",
    "sum /dev/zero",
    "{while() sleep 0.1}",
    "seq 1000000000 >/dev/null",
];

/// The editor and the pager, on a terminal that does not tell its size: 24 rows of 80.
fn full_screen(t: &mut Terminal) -> Result<(), Failure> {
    t.send("edit /tmp/f\r")?;
    let other = t.until("a new file")?;
    ensure(other.contains("\x1b[?1049h"), || format!("it draws over what is there: {other:?}"))?;
    t.send("hello\rwurld\x1b[D\x1b[D\x1b[D\x7fo\x13")?;
    t.until("saved: 12 bytes")?;
    // A terminal of one column and one row is one too.
    t.send("\x1b[1;1Rab\x1b[A\x1b[B\x1b[24;80R\x7f\x7f")?;
    t.send("x\x11")?;
    t.until("not saved")?;
    t.send("\x1a\x11\x11")?;
    let back = t.prompt()?;
    ensure(back.contains("\x1b[?1049l"), || format!("what was there stays hidden: {back:?}"))?;
    // Where there is no room for what is new, what was stays.
    t.send("ramfs -q 32768 -s small /n; seq 4000 >/n/g; edit /n/g\r")?;
    t.until(" of 400")?;
    t.send("new \x13")?;
    t.until("NOT saved")?;
    t.send("\x11\x11")?;
    t.prompt()?;
    t.send("ls /n; sum /n/g; seq 4000 | sum\r")?;
    let sums = t.until("\r\n% ")?;
    let sums: Vec<&str> =
        sums.lines().filter_map(|l| l.split(' ').next()?.parse::<u32>().ok().and(Some(l))).collect();
    ensure(sums.len() == 2 && sums[0].split(' ').next() == sums[1].split(' ').next(), || {
        format!("{sums:?}")
    })?;
    t.send("echo ol^d >/tmp/g; chmod 640 /tmp/g; edit /tmp/g\r")?;
    t.until("1:1 of")?;
    t.send("new \x13")?;
    t.until("saved: 8 bytes")?;
    t.send("\x11")?;
    t.prompt()?;
    t.send("ls -l /tmp | grep g; ls /tmp/g*; cat /tmp/g\r")?;
    let listed = t.until("\r\n/tmp/g\r\nnew old\r\n")?;
    ensure(listed.contains("\n-rw-r----- "), || format!("the mode has changed: {listed:?}"))?;
    t.prompt()?;
    t.send("cat /tmp/f; seq 100 | more\r")?;
    t.until("\r\nhello\r\nworld\r\n")?;
    t.until("--more-- 23%")?;
    t.send(" ")?;
    t.until("--more-- 46%")?;
    t.send("/7^9\x7f\x7f9\r")?;
    t.until("79")?;
    t.send("q")?;
    t.prompt().map(drop)
}

fn leaving(mut t: Terminal, by: &str) -> Result<(), Failure> {
    t.prompt()?;
    leave(t, by)
}

fn leave(mut t: Terminal, by: &str) -> Result<(), Failure> {
    t.send(by)?;
    t.until("ended with 0, the modes are as before.\r\n").map(drop)
}

/// Not even SIGKILL leaves the terminal raw.
fn killed(mut t: Terminal) -> Result<(), Failure> {
    let told = t.prompt()?;
    let pid = told.split("the pid is ").nth(1).and_then(|r| r.split('.').next()).ok_or("no pid was told")?;
    let done = Command::new("kill").args(["-KILL", pid]).status()?;
    ensure(done.success(), || format!("kill {pid}: {done}"))?;
    t.until("ended with 137, the modes are as before.").map(drop)
}

/// A terminal with the machine on it.
struct Terminal {
    script: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<Vec<u8>>>,
    /// What was waited for so far ends here.
    at: usize,
}

impl Terminal {
    fn start(xtask: &std::path::Path) -> Result<Terminal, Failure> {
        let mut command = Command::new("script");
        command.args(["-q", "-f", "-c", SESSION, "/dev/null"]).env("XTASK", xtask).env("SHELL", "/bin/sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = command.spawn()?;
        let keys = script.stdin.take().ok_or("no stdin")?;
        let mut from = script.stdout.take().ok_or("no stdout")?;
        let shown = Arc::new(Mutex::new(Vec::new()));
        let kept = shown.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut bytes) {
                if let Ok(mut shown) = kept.lock() {
                    shown.extend_from_slice(&bytes[..n]);
                }
            }
        });
        Ok(Terminal { script, keys, shown, at: 0 })
    }

    fn send(&mut self, keys: &str) -> Result<(), Failure> {
        println!("typed {keys:?}");
        self.keys.write_all(keys.as_bytes())?;
        Ok(self.keys.flush()?)
    }

    /// Waits for a text on the screen: everything since the last such wait, up to its end.
    fn until(&mut self, text: &str) -> Result<String, Failure> {
        let begun = Instant::now();
        loop {
            let new = self.shown.lock().map(|s| s.get(self.at..).unwrap_or(&[]).to_vec()).unwrap_or_default();
            if let Some(at) = new.windows(text.len()).position(|w| w == text.as_bytes()) {
                let end = at + text.len();
                self.at += end;
                return Ok(String::from_utf8_lossy(&new[..end]).into_owned());
            }
            let tail = String::from_utf8_lossy(&new[new.len().saturating_sub(600)..]).into_owned();
            ensure(begun.elapsed() < LIMIT, || {
                format!("no {:?} on the terminal but {tail:?}", shortened(text))
            })?;
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the shell's prompt.
    fn prompt(&mut self) -> Result<String, Failure> {
        self.until("% ")
    }

    /// Ctrl-C, and the prompt again.
    fn interrupt(&mut self) -> Result<(), Failure> {
        self.send("\x03")?;
        self.prompt().map(drop)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The session that `script` made hangs up with it.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

fn shortened(text: &str) -> &str {
    text.get(..60).unwrap_or(text)
}
