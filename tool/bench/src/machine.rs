//! Portolan's side of the table: the ordinary machine with the program `cost` in it.

use crate::rows::Figures;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use xtask::machine::{self, End, Ended, Options, Streams};
use xtask::tell::Done;
use xtask::{cpio::Archive, image, target};

/// Seconds that a machine may take.
const LIMIT: Duration = Duration::from_secs(300);

/// The archive of `cargo xtask run`, with `cost`.
pub(crate) fn archive() -> Done<Archive> {
    let mut archive = image::ordinary()?;
    let built = image::build_programs(&["cost"])?;
    archive.file("bin/cost", 0o755, image::loaded_part(&image::read(&built.join("cost"))?));
    Ok(archive)
}

/// One CPU that counts instructions, or what `run` gives, on the clock.
fn options(wall: bool) -> Options {
    let timeout = Some(LIMIT);
    if wall {
        return Options { timeout, ..Options::default() };
    }
    Options { cpus: 1, icount: true, timeout, ..Options::default() }
}

/// The figures of `cost`.
pub fn figures(kernel: &Path, wall: bool) -> Done<Figures> {
    let script = if wall { "cost wall\n" } else { "cost count\n" };
    let (ended, output) = script_in(&options(wall), kernel, script, archive()?)?;
    if ended.end != End::Code(0) {
        return Err(format!("cost failed: {:?}\n{output}\n{}", ended.end, ended.tail()));
    }
    let mut figures = Figures::read(&output);
    // So much has to be handed over in a machine of its own. Its host lends it what it touches.
    let options = Options { memory: 3 << 19, ..options(wall) };
    let (ended, output) = script_in(&options, kernel, &format!("{} give_1g\n", script.trim()), archive()?)?;
    if ended.end != End::Code(0) {
        return Err(format!("cost give_1g failed: {:?}\n{output}\n{}", ended.end, ended.tail()));
    }
    figures.0.extend(Figures::read(&output).0);
    Ok(figures)
}

/// What `cost scale` says: a machine with room for ten thousand processes, and time to make them.
pub fn scale(kernel: &Path) -> Done<String> {
    let options = Options { memory: 4 << 20, timeout: Some(6 * LIMIT), ..options(false) };
    let (ended, output) = script_in(&options, kernel, "cost scale\n", archive()?)?;
    if ended.end != End::Code(0) {
        return Err(format!("cost failed: {:?}\n{output}\n{}", ended.end, ended.tail()));
    }
    Ok(output)
}

/// What `cost cpus` says, on two CPUs and on the clock.
pub fn cpus(kernel: &Path) -> Done<String> {
    let options = Options { cpus: 2, ..options(true) };
    let (ended, output) = script_in(&options, kernel, "cost cpus\n", archive()?)?;
    if ended.end != End::Code(0) {
        return Err(format!("cost failed: {:?}\n{output}\n{}", ended.end, ended.tail()));
    }
    Ok(output)
}

/// Runs a script; what it wrote.
fn script_in(options: &Options, kernel: &Path, script: &str, mut archive: Archive) -> Done<(Ended, String)> {
    archive.file("script", 0o644, script.into());
    let mut options = options.clone();
    options.words.push("script".into());
    let said = Said::default();
    let streams = Streams {
        input: Box::new(|| Some(Vec::new())),
        output: Box::new(said.clone()),
        errors: Box::new(said.clone()),
        script: true,
        ready: Box::new(|_, _| ()),
    };
    let ended = boot(&options, kernel, &archive, streams)?;
    Ok((ended, said.text()))
}

/// Boots with an archive.
pub(crate) fn boot(options: &Options, kernel: &Path, archive: &Archive, streams: Streams) -> Done<Ended> {
    let file = target().join(format!("bench-{}.cpio", std::process::id()));
    std::fs::write(&file, archive.bytes()).map_err(|e| format!("{}: {e}", file.display()))?;
    let ended = machine::run(options, kernel, &file, streams);
    // A left-over is overwritten by the next.
    let _ = std::fs::remove_file(file);
    ended
}

/// Instructions from the machine's start to the first of a program typed at the prompt: an upper bound of those to the
/// prompt itself.
pub fn boot_instructions(kernel: &Path) -> Done<u64> {
    let archive = archive()?;
    let (ended, output, _) = at_prompt(&options(false), kernel, &archive, b"cost ticks; poweroff\n")?;
    let said = output.lines().find_map(|l| l.trim().strip_prefix("ticks ")?.parse().ok());
    said.ok_or_else(|| format!("no figure from the prompt: {:?}\n{output}\n{}", ended.end, ended.tail()))
}

/// Milliseconds from QEMU's start to the prompt, the best of five.
pub fn boot_milliseconds(kernel: &Path) -> Done<u64> {
    let archive = image::ordinary()?;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let (ended, _, time) = at_prompt(&options(true), kernel, &archive, b"poweroff\n")?;
        best = best.min(time.ok_or_else(|| format!("no prompt: {}", ended.tail()))?);
    }
    Ok(best.as_millis().try_into().unwrap_or(u64::MAX))
}

/// Boots to the prompt and types a line there; when the prompt came.
fn at_prompt(
    options: &Options,
    kernel: &Path,
    archive: &Archive,
    line: &'static [u8],
) -> Done<(Ended, String, Option<Duration>)> {
    let said = Said::default();
    let came = Arc::new(Mutex::new(None));
    let tell = came.clone();
    let mut lines = vec![line.to_vec()];
    let streams = Streams {
        // After the line nothing is typed, and the terminal stays open.
        input: Box::new(move || {
            lines.pop().or_else(|| {
                loop {
                    std::thread::park()
                }
            })
        }),
        output: Box::new(said.clone()),
        errors: Box::new(said.clone()),
        script: false,
        ready: Box::new(move |time, _| {
            if let Ok(mut came) = tell.lock() {
                *came = Some(time);
            }
        }),
    };
    let ended = boot(options, kernel, archive, streams)?;
    let time = came.lock().map_err(|e| e.to_string())?.take();
    Ok((ended, said.text(), time))
}

/// The least memory, in KiB and to 32 of them, in which the smallest machine runs `ls | wc`; none if it never does.
pub fn least_memory(kernel: &Path) -> Done<Option<u64>> {
    let archive = image::tiny()?;
    let runs = |steps: u32| {
        let (memory, timeout) = (steps * 32, Some(Duration::from_secs(60)));
        let options = Options { memory, cpus: 1, timeout, tiny: true, ..Options::default() };
        let (ended, output) = script_in(&options, kernel, "ls /bin | wc\n", archive.clone())?;
        Done::Ok(
            ended.end == End::Code(0) && output.trim().chars().next().is_some_and(|c| c.is_ascii_digit()),
        )
    };
    let (mut fails, mut works) = (32, 256);
    if !runs(works)? {
        return Ok(None);
    }
    while works - fails > 1 {
        let middle = (fails + works) / 2;
        if runs(middle)? { works = middle } else { fails = middle }
    }
    Ok(Some(u64::from(works) * 32))
}

/// Keeps what a machine says.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn text(&self) -> String {
        self.0.lock().map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }
}

impl Write for Said {
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
