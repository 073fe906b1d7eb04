//! Runs a machine in QEMU: its devices, its streams, its end.
//!
//! The first serial line is the terminal (on QEMU's own stdin and stdout); a byte port carries a script's errors and
//! the debug console the kernel's log, both over sockets that QEMU opens. doc/boot.md has the kernel's side of it.

use crate::deb;
use crate::tell::{Done, shown, tail};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What machine to run, as the command line says it.
#[derive(Clone, Debug)]
pub struct Options {
    /// CPUs, 1 to 8.
    pub cpus: u32,
    /// Memory in KiB.
    pub memory: u32,
    /// When to give up.
    pub timeout: Option<Duration>,
    /// Wait for a debugger at port 1234.
    pub gdb: bool,
    /// Show the kernel's log on stderr.
    pub kernel_log: bool,
    /// QEMU's accelerator.
    pub accel: String,
    /// Count instructions: the time-stamp counter then counts them.
    pub icount: bool,
    /// QEMU's machine: microvm, or q35 with PCI.
    pub machine: String,
    /// A folder of the host's for /n/host, and whether it may only be read.
    pub share: Option<(PathBuf, bool)>,
    /// The smallest machine instead of the ordinary one.
    pub tiny: bool,
    /// Words for the kernel's command line.
    pub words: Vec<String>,
    /// More words for QEMU's.
    pub qemu: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        let accel = "tcg".into();
        Options {
            cpus: 2,
            memory: 64 << 10,
            timeout: None,
            gdb: false,
            kernel_log: false,
            accel,
            icount: false,
            machine: "microvm".into(),
            share: None,
            tiny: false,
            words: vec![],
            qemu: vec![],
        }
    }
}

/// Gives the next bytes for the machine: none at the end; `None` is the wish to leave it.
pub type Input = Box<dyn FnMut() -> Option<Vec<u8>> + Send>;
/// Hears how long the machine took until it spoke, and the log so far.
pub type Ready = Box<dyn FnMut(Duration, &str) + Send>;

/// How typed or piped bytes reach the machine, and where its bytes go.
pub struct Streams {
    /// What the terminal sends; called again until it gives nothing. `None` asks to leave the machine.
    pub input: Input,
    /// What the first serial line says.
    pub output: Box<dyn Write + Send>,
    /// What the port for errors says.
    pub errors: Box<dyn Write + Send>,
    /// A script runs: its first line on the port for errors says that it begins, and input may end.
    pub script: bool,
    /// Called when the machine speaks first, with the log so far.
    pub ready: Ready,
}

/// How a machine ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It said so, with this code.
    Code(u8),
    /// It never came to speak.
    NotBooted,
    /// The time was up.
    Timeout,
    /// The kernel panicked, or the machine went down without a word.
    Panic,
    /// The user left.
    Left,
}

/// A machine's end with its log.
pub struct Ended {
    /// How.
    pub end: End,
    /// Everything on the debug console.
    pub log: String,
    /// The last bytes of the terminal and whatever QEMU itself said.
    pub console: String,
}

/// Bytes of the terminal that are kept for a failure's message.
const KEPT: usize = 4096;
/// Leads what is not data in a script's input; doubled it is itself.
const ESCAPE: u8 = 0x10;

/// Boots the kernel with the archive and sees the machine through to its end.
pub fn run(options: &Options, kernel: &Path, archive: &Path, streams: Streams) -> Done<Ended> {
    deb::need_qemu()?;
    let sockets = Sockets::new()?;
    let mut command = Command::new("qemu-system-x86_64");
    arguments(&mut command, options, kernel, archive, &sockets.dir);
    let begun = Instant::now();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|e| format!("{}: {e}", shown(&command)))?;
    let mut child = Killed(child);
    let (log, errors) = (sockets.accept("log", &mut child.0)?, sockets.accept("errors", &mut child.0)?);
    let shared = Shared::default();
    let (first, spoken) = channel();
    let Streams { input, output, errors: errors_to, script, ready } = streams;

    let mut pumps = Vec::new();
    if let Some(from) = child.0.stdout.take() {
        let tell = (!script).then(|| first.clone());
        pumps.push(pump(from, vec![output, Box::new(Tail(shared.console.clone()))], tell, false));
    }
    if let Some(from) = child.0.stderr.take() {
        pumps.push(pump(from, vec![Box::new(Tail(shared.console.clone()))], None, false));
    }
    if let Some(from) = errors {
        pumps.push(pump(from, vec![errors_to], script.then_some(first), script));
    }
    if let Some(from) = log {
        let mut to: Vec<Box<dyn Write + Send>> = vec![Box::new(All(shared.log.clone()))];
        if options.kernel_log {
            to.push(Box::new(std::io::stderr()));
        }
        pumps.push(pump(from, to, None, false));
    }
    let to = child.0.stdin.take();
    let started = shared.clone();
    std::thread::spawn(move || feed(&spoken, &started, to, input, script, begun, ready));

    let end = wait(&mut child.0, options.timeout, &shared, begun)?;
    pumps.into_iter().for_each(|p| drop(p.join()));
    let (log, console) = (text(&shared.log), text(&shared.console));
    let end = end.unwrap_or(End::Panic);
    let panicked = log.lines().any(|l| l.starts_with("kernel panic"));
    let spoke = shared.spoke.load(Ordering::Acquire);
    let end = match end {
        End::Code(_) | End::Panic if panicked => End::Panic,
        // QEMU's own failures look like code 0, but then the kernel has said nothing; 120 is init's word for it.
        End::Code(code) if log.is_empty() || code == 120 => End::NotBooted,
        End::Panic if !spoke => End::NotBooted,
        other => other,
    };
    Ok(Ended { end, log, console })
}

/// A machine that is killed when its owner goes.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the threads of a run share: all of it grows only.
#[derive(Clone, Default)]
struct Shared {
    log: Arc<Mutex<Vec<u8>>>,
    console: Arc<Mutex<Vec<u8>>>,
    spoke: Arc<AtomicBool>,
    leave: Arc<AtomicBool>,
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    bytes.lock().map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}

/// The writer that keeps everything.
struct All(Arc<Mutex<Vec<u8>>>);

impl Write for All {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Ok(mut all) = self.0.lock() {
            all.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The writer that keeps the end.
struct Tail(Arc<Mutex<Vec<u8>>>);

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Ok(mut kept) = self.0.lock() {
            kept.extend_from_slice(bytes);
            let surplus = kept.len().saturating_sub(KEPT);
            kept.drain(..surplus);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Copies a stream to all writers until it ends. `tell` hears of the first byte, or of the first line, which with
/// `swallow` goes nowhere.
fn pump(
    mut from: impl Read + Send + 'static,
    mut to: Vec<Box<dyn Write + Send>>,
    mut tell: Option<Sender<Sender<()>>>,
    swallow: bool,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let (mut buffer, mut swallowing) = ([0; 8192], swallow);
        while let Ok(n) = from.read(&mut buffer) {
            let mut bytes = &buffer[..n];
            if n == 0 {
                break;
            }
            if swallowing {
                let Some(end) = bytes.iter().position(|b| *b == b'\n') else { continue };
                bytes = &bytes[end + 1..];
                swallowing = false;
            }
            if let Some(tell) = tell.take() {
                // Whoever is told may have something to say before the machine does: it answers when it has.
                let (said, heard) = channel();
                if tell.send(said).is_ok() {
                    let _ = heard.recv();
                }
            }
            for writer in &mut to {
                // Whoever reads us may have gone away; the machine runs on to its end.
                let _ = writer.write_all(bytes).and_then(|()| writer.flush());
            }
        }
    })
}

/// Waits until the machine speaks, then sends it the input. Not joined: a read of a terminal may never return.
fn feed(
    spoken: &Receiver<Sender<()>>,
    shared: &Shared,
    to: Option<impl Write>,
    mut input: Input,
    script: bool,
    begun: Instant,
    mut ready: Ready,
) {
    let (Ok(told), Some(mut to)) = (spoken.recv(), to) else { return };
    shared.spoke.store(true, Ordering::Release);
    ready(begun.elapsed(), &text(&shared.log));
    let _ = told.send(());
    loop {
        let Some(bytes) = input() else {
            shared.leave.store(true, Ordering::Release);
            return;
        };
        let framed = if script { framed(&bytes) } else { bytes.clone() };
        if to.write_all(&framed).and_then(|()| to.flush()).is_err() || bytes.is_empty() {
            // QEMU's serial line must not see the end of the pipe before the machine has ended.
            std::mem::forget(to);
            return;
        }
    }
}

/// A script's input on the line: the escape doubled, and an escape sequence for the end.
fn framed(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return vec![ESCAPE, b'e'];
    }
    bytes.iter().flat_map(|&b| std::iter::repeat_n(b, if b == ESCAPE { 2 } else { 1 })).collect()
}

/// Waits for the machine's end, the user's wish to leave, or the limit; `None` if it went down without a word.
fn wait(child: &mut Child, limit: Option<Duration>, shared: &Shared, begun: Instant) -> Done<Option<End>> {
    loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            // isa-debug-exit makes twice the code and one; 0 is a reset or a triple fault, an even number no verdict.
            let code = status.code().and_then(|c| u8::try_from(c).ok()).filter(|c| c % 2 == 1);
            return Ok(code.map(|c| End::Code(c / 2)));
        }
        let end = match limit {
            Some(limit) if begun.elapsed() > limit => End::Timeout,
            _ if shared.leave.load(Ordering::Acquire) => End::Left,
            _ => {
                std::thread::sleep(Duration::from_millis(3));
                continue;
            }
        };
        child.kill().and_then(|()| child.wait()).map_err(|e| e.to_string())?;
        return Ok(Some(end));
    }
}

fn arguments(command: &mut Command, options: &Options, kernel: &Path, archive: &Path, sockets: &Path) {
    let words = options
        .words
        .iter()
        .cloned()
        .chain(options.tiny.then(|| "pool=1".into()))
        .chain([format!("seed={}", seed())])
        .collect::<Vec<_>>()
        .join(" ");
    let accel = if options.icount { "tcg,thread=single" } else { options.accel.as_str() };
    // One model for every count of instructions; otherwise all that the accelerator has.
    let cpu = if options.icount { "qemu64" } else { "max" };
    let (cpus, memory) = (options.cpus, options.memory);
    // Without ACPI a microvm tells its devices on the kernel's command line.
    let (machine, bus) = match options.machine.as_str() {
        "microvm" => ("microvm,x-option-roms=off,acpi=off", "device"),
        other => (other, "pci"),
    };
    // Memory is the host's only when it is touched, so a large machine runs on a small host.
    let fixed = format!(
        "-M {machine},memory-backend=ram -object memory-backend-ram,id=ram,size={memory}K,reserve=off -m {memory}K \
         -nodefaults -no-user-config -no-reboot -display none -accel {accel} -cpu {cpu} -smp {cpus} \
         -global virtio-mmio.force-legacy=false -device virtio-rng-{bus} \
         -chardev stdio,id=terminal,signal=off -serial chardev:terminal \
         -device isa-debugcon,chardev=errors,iobase=0xe8 -device isa-debugcon,chardev=log,iobase=0xe9 \
         -device isa-debug-exit,iobase=0xf4"
    );
    command.args(fixed.split(' ')).args(["-append", &words]);
    for name in ["errors", "log"] {
        command.args(["-chardev", &format!("socket,id={name},path={}", sockets.join(name).display())]);
    }
    if let Some((dir, read_only)) = &options.share {
        let path = dir.to_string_lossy().replace(',', ",,");
        let readonly = if *read_only { "on" } else { "off" };
        let fs =
            format!("local,id=share,security_model=none,multidevs=remap,readonly={readonly},path={path}");
        let device = format!("virtio-9p-{bus},fsdev=share,mount_tag=host");
        command.args(["-fsdev", &fs, "-device", &device]);
    }
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(archive);
    if options.icount {
        command.args(["-icount", "shift=0,sleep=off"]);
    }
    if options.gdb {
        command.args(["-s", "-S"]);
    }
    command.args(&options.qemu);
}

/// Randomness for the kernel: many emulated CPUs have none.
fn seed() -> String {
    let mut bytes = [0; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes));
    if read.is_err() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        bytes = (now.as_nanos() ^ u128::from(std::process::id())).to_le_bytes();
    }
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A folder of sockets that goes away with it.
struct Sockets {
    dir: PathBuf,
    listening: Vec<(&'static str, UnixListener)>,
}

impl Sockets {
    fn new() -> Done<Sockets> {
        // Below /tmp, since a socket's path may have 107 bytes only.
        let dir = std::env::temp_dir().join(format!("portolan-{}-{}", std::process::id(), &seed()[..8]));
        std::fs::create_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let mut sockets = Sockets { dir, listening: Vec::new() };
        for name in ["log", "errors"] {
            let listener = UnixListener::bind(sockets.dir.join(name)).map_err(|e| e.to_string())?;
            listener.set_nonblocking(true).map_err(|e| e.to_string())?;
            sockets.listening.push((name, listener));
        }
        Ok(sockets)
    }

    /// QEMU's connection; `None` if it ended before it made one.
    fn accept(&self, name: &str, child: &mut Child) -> Done<Option<UnixStream>> {
        let Some((_, listener)) = self.listening.iter().find(|l| l.0 == name) else { return Ok(None) };
        loop {
            if let Ok((stream, _)) = listener.accept() {
                return stream.set_nonblocking(false).map(|()| Some(stream)).map_err(|e| e.to_string());
            }
            if child.try_wait().map_err(|e| e.to_string())?.is_some() {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Ended {
    /// The ends of the log and of the terminal, for a message.
    #[must_use]
    pub fn tail(&self) -> String {
        format!("kernel's log:\n{}\nconsole:\n{}", tail(&self.log, 20), tail(&printable(&self.console), 10))
    }
}

/// A terminal's words without what would upset another terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control() && *c != char::REPLACEMENT_CHARACTER).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_framed() {
        assert_eq!(framed(b"a\x10b"), b"a\x10\x10b");
        assert_eq!(framed(b""), b"\x10e");
    }

    #[test]
    fn the_end_is_kept() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        Tail(kept.clone()).write_all(&vec![b'x'; KEPT]).unwrap();
        Tail(kept.clone()).write_all(b"yz").unwrap();
        assert_eq!(kept.lock().unwrap().len(), KEPT);
        assert!(text(&kept).ends_with("xyz"));
    }
}
