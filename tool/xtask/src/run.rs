//! `cargo xtask run`: the ordinary machine on your terminal, or a script in it.

use crate::image;
use crate::machine::{self, End, Ended, Options, Streams};
use crate::target;
use crate::tell::Done;
use crate::term::{Keys, Raw};
use cpio::Archive;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The part of the help that is about this command.
pub const HELP: &str = "\
  run      boots a machine and gives its shell (Ctrl-] q leaves)
           -c SCRIPT      run a script of rc instead; its stdin, stdout, stderr and status are ours
                          (120: boot failed, 121: time is up, 122: kernel panic)
           --cpus N       1 to 8 (2)
           --memory MIB   (64)
           --profile tiny the smallest machine: one program, no manual, one activation a server
           --timeout S    give up after so many seconds (with -c: 120)
           --gdb          wait for a debugger at port 1234, and write its script
           --kernel-log   show the kernel's log on stderr
           --accel NAME   QEMU's accelerator: tcg, kvm, hvf (tcg)
           --machine NAME QEMU's machine: microvm, or q35 with PCI (microvm)
           --share DIR    a folder of yours at /n/host; --share-ro DIR may only be read there";

/// What to do.
struct Asked {
    script: Option<String>,
    options: Options,
}

/// Seconds that a script may take if nothing else is said.
const SCRIPT_SECONDS: u64 = 120;

fn asked(words: &[String]) -> Done<Asked> {
    let mut asked = Asked { script: None, options: Options::default() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().ok_or(format!("{word} wants a value"));
        let number = |text: String, range: std::ops::RangeInclusive<u32>| {
            let n = text.parse().ok().filter(|n| range.contains(n));
            n.ok_or(format!("{word} {text}: a number from {} to {}", range.start(), range.end()))
        };
        match word.as_str() {
            "-c" => asked.script = Some(value()?),
            "--cpus" => asked.options.cpus = number(value()?, 1..=8)?,
            "--memory" => asked.options.memory = number(value()?, 4..=65536)? << 10,
            "--timeout" => {
                asked.options.timeout = Some(Duration::from_secs(number(value()?, 1..=1_000_000)?.into()));
            }
            "--gdb" => asked.options.gdb = true,
            "--kernel-log" => asked.options.kernel_log = true,
            "--profile" => match value()?.as_str() {
                "tiny" => asked.options.tiny = true,
                other => return Err(format!("--profile {other}: there is only tiny")),
            },
            "--accel" => asked.options.accel = value()?,
            "--machine" => asked.options.machine = value()?,
            "--share" | "--share-ro" => {
                asked.options.share = Some((folder(&value()?)?, word == "--share-ro"))
            }
            other => return Err(format!("unknown option {other}\n{HELP}")),
        }
    }
    if asked.options.tiny && asked.options.share.is_some() {
        return Err("--profile tiny has no server for --share".into());
    }
    if asked.script.is_some() && asked.options.timeout.is_none() {
        asked.options.timeout = Some(Duration::from_secs(SCRIPT_SECONDS));
    }
    Ok(asked)
}

/// A folder that is to be shared, by its full path.
fn folder(name: &str) -> Done<PathBuf> {
    match std::fs::canonicalize(name) {
        Ok(dir) if dir.is_dir() => Ok(dir),
        Ok(_) => Err(format!("{name}: not a folder; share the one that it is in")),
        Err(e) => Err(format!("{name}: can't be shared: {e}")),
    }
}

/// The archive of the machine, which says in its table of services what the options want.
fn archive(options: &Options) -> Done<Archive> {
    let mut archive = if options.tiny { image::tiny()? } else { image::ordinary()? };
    if options.share.is_some() {
        archive.append("lib/services", b"host /n/host create restart=5/60 /bin/hostfs\n");
    }
    Ok(archive)
}

/// The command; returns the status to exit with.
pub fn run(words: &[String]) -> Done<u8> {
    let asked = asked(words)?;
    crate::deb::need_qemu()?;
    let kernel = image::build_kernel()?;
    if asked.options.gdb {
        eprintln!("xtask: waiting for a debugger: gdb -x {}", image::gdb_script()?.display());
    }
    match asked.script {
        Some(script) => {
            let input = |bytes: &mut [u8]| std::io::stdin().read(bytes);
            let (output, errors) = (Box::new(std::io::stdout()), Box::new(std::io::stderr()));
            let ended = script_in_machine(&asked.options, &kernel, &script, input, output, errors)?;
            let status = status_of(ended.end);
            if status >= 120 {
                eprintln!("xtask: {}\n{}", words_of(ended.end), ended.tail());
            }
            Ok(status)
        }
        None => interactive(&asked.options, &kernel),
    }
}

/// Boots the ordinary machine with a script. `input` is read until it gives nothing.
pub fn script_in_machine(
    options: &Options,
    kernel: &Path,
    script: &str,
    mut input: impl FnMut(&mut [u8]) -> std::io::Result<usize> + Send + 'static,
    output: Box<dyn Write + Send>,
    errors: Box<dyn Write + Send>,
) -> Done<Ended> {
    let mut archive = archive(options)?;
    archive.file("script", 0o644, script.as_bytes().to_vec());
    let file = target().join(format!("boot-{}.cpio", std::process::id()));
    std::fs::write(&file, archive.bytes()).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut options = options.clone();
    options.words.push("script".into());
    let input = Box::new(move || {
        let mut bytes = vec![0; 4096];
        let n = input(&mut bytes).unwrap_or(0);
        bytes.truncate(n);
        Some(bytes)
    });
    let streams = Streams { input, output, errors, script: true, ready: Box::new(|_, _| ()) };
    let ended = machine::run(&options, kernel, &file, streams);
    let _ = std::fs::remove_file(file);
    ended
}

fn interactive(options: &Options, kernel: &Path) -> Done<u8> {
    let file = target().join("boot.cpio");
    std::fs::write(&file, archive(options)?.bytes()).map_err(|e| format!("{}: {e}", file.display()))?;
    let size = crate::size::loaded(kernel)?;
    let raw = Raw::enter()?;
    let mut keys = Keys::default();
    let input = Box::new(move || {
        let mut bytes = vec![0; 1024];
        let n = std::io::stdin().read(&mut bytes).unwrap_or(0);
        let mut out = Vec::new();
        // The end of stdin is no reason to leave: what was typed before may still be at work. It is Ctrl-D to the machine.
        if n == 0 {
            return Some(vec![]);
        }
        (!keys.typed(&bytes[..n], &mut out)).then_some(out)
    });
    let ready = Box::new(move |time: Duration, log: &str| banner(time, size, log));
    let (output, errors) = (Box::new(std::io::stdout()), Box::new(std::io::stderr()));
    let ended = machine::run(options, kernel, &file, Streams { input, output, errors, script: false, ready });
    drop(raw);
    let ended = ended?;
    println!();
    match ended.end {
        End::Left | End::Code(_) => Ok(0),
        end => {
            eprintln!("xtask: {}\n{}", words_of(end), ended.tail());
            Ok(status_of(end))
        }
    }
}

/// Said on stderr when the machine first speaks: its prompt.
fn banner(time: Duration, kernel: u64, log: &str) {
    let free = log.lines().find_map(free_memory).map_or(String::new(), |free| format!(", {free} free"));
    eprint!(
        "\r\nPortolan: {} ms from QEMU's start to the prompt; kernel {} KiB{free}.\r\n\
         /tmp goes with the machine. To leave: poweroff, or Ctrl-] q.\r\n",
        time.as_millis(),
        kernel.div_ceil(1024)
    );
}

/// The free memory in the kernel's first line: `kernel: 2 cpus, 63988 KiB free, …`.
fn free_memory(line: &str) -> Option<String> {
    let words: Vec<&str> = line.strip_prefix("kernel: ")?.split([' ', ',']).collect();
    let at = words.iter().position(|w| *w == "free")?;
    Some(format!("{} {}", words.get(at.checked_sub(2)?)?, words.get(at - 1)?))
}

fn status_of(end: End) -> u8 {
    match end {
        End::Code(code) if code < 120 => code,
        End::Code(_) => 1,
        End::Left => 0,
        End::NotBooted => 120,
        End::Timeout => 121,
        End::Panic => 122,
    }
}

fn words_of(end: End) -> &'static str {
    match end {
        End::NotBooted => "the machine did not boot",
        End::Timeout => "the time is up",
        End::Panic => "the kernel panicked",
        End::Code(_) | End::Left => "the machine ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(String::from).collect()
    }

    #[test]
    fn options_are_read_and_checked() {
        let a = asked(&words("--cpus 4 --memory 16 -c date")).unwrap();
        assert_eq!((a.options.cpus, a.options.memory, a.script.as_deref()), (4, 16 << 10, Some("date")));
        assert_eq!(a.options.timeout, Some(Duration::from_secs(120)));
        assert!(asked(&words("--gdb")).unwrap().options.timeout.is_none());
        for wrong in ["--cpus 9", "--cpus", "--memory x", "--what", "--timeout 0"] {
            assert!(asked(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ends_have_the_promised_statuses() {
        let ends = [End::Code(0), End::Code(119), End::Code(120), End::NotBooted, End::Timeout, End::Panic];
        assert_eq!(ends.map(status_of), [0, 119, 1, 120, 121, 122]);
    }

    #[test]
    fn free_memory_is_found_in_the_log() {
        assert_eq!(free_memory("kernel: 2 cpus, 59 KiB free, x"), Some("59 KiB".into()));
        assert_eq!(free_memory("kernel: free"), None);
    }
}
