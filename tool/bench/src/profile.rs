//! `--profile NAME`: by function, where the instructions of one operation go.
//!
//! The emulator, one instruction at a time and nothing chained, writes every program counter to its log while `cost`
//! repeats the operation; `cost` passes through a function of its own before each piece that it times, whose operations
//! it counts, and through another where a piece ends before the next. User programs all lie at the same addresses, so whose an address is follows from the way there: a portal call enters a server, and a system call
//! comes back to where it was made.

use crate::machine;
use crate::symbols::Symbols;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use xtask::machine::{Options, Streams};
use xtask::tell::Done;
use xtask::{image, target};

/// Bytes of log that are enough.
const ENOUGH: u64 = 400 << 20;
/// Seconds that the emulator may take for them.
const LOOKING: Duration = Duration::from_secs(60);
/// First address of the kernel's half.
const KERNEL: u64 = 1 << 63;
/// Length of the instruction that enters the kernel.
const SYSCALL: u64 = 2;

/// The table of one row, as text.
pub fn run(kernel: &Path, name: &str) -> Done<String> {
    let log = target().join("bench-profile.log");
    let taken = record(kernel, name, &log)?;
    let built = image::build_programs(&["cost", "ramfs"])?;
    // What is not measured against a server of `cost`'s own is a file of /tmp.
    let own = ["portal_null", "read1_server", "read4k_server"].contains(&name);
    let server = if own { "cost" } else { "ramfs" };
    let each = taken.lines().find_map(|l| l.strip_prefix(&format!("profile {name} "))?.trim().parse().ok());
    let symbols =
        [Symbols::of(kernel)?, Symbols::of(&built.join("cost"))?, Symbols::of(&built.join(server))?];
    let file = std::fs::File::open(&log).map_err(|e| format!("{}: {e}\n{taken}", log.display()))?;
    let mut counts = Counts::new(&symbols)?;
    for line in BufReader::new(file).lines().map_while(Result::ok) {
        if let Some(pc) = counter_in(&line) {
            counts.step(pc);
        }
    }
    let _ = std::fs::remove_file(&log);
    counts.table(name, each.unwrap_or(1)).ok_or_else(|| format!("{name} was not seen to run whole:\n{taken}"))
}

/// The program counter in a line like `Trace 0: 0x7f… [00000000/ffffffff80001234/0040c2b3/ff200200] `.
fn counter_in(line: &str) -> Option<u64> {
    let inside = line.strip_prefix("Trace ")?.split_once('[')?.1;
    u64::from_str_radix(inside.split('/').nth(1)?, 16).ok()
}

/// Boots, waits for the row to repeat, and has the emulator log until it is enough. What the machine said.
fn record(kernel: &Path, name: &str, log: &Path) -> Done<String> {
    let _ = std::fs::remove_file(log);
    let monitor = std::env::temp_dir().join(format!("portolan-monitor-{}", std::process::id()));
    let _ = std::fs::remove_file(&monitor);
    let mut archive = machine::archive()?;
    archive.file("script", 0o644, format!("cost profile {name}\n").into());
    let path = |p: &Path| p.to_string_lossy().into_owned();
    let options = Options {
        cpus: 1,
        icount: true,
        timeout: Some(Duration::from_secs(180)),
        words: vec!["script".into()],
        qemu: ["-d", "nochain", "-D", &path(log), "-monitor"]
            .map(String::from)
            .into_iter()
            .chain([format!("unix:{},server=on,wait=off", path(&monitor))])
            .collect(),
        ..Options::default()
    };
    let watch = Watch { seen: Vec::new(), monitor: monitor.clone(), log: log.to_path_buf(), done: false };
    let streams = Streams {
        input: Box::new(|| Some(Vec::new())),
        output: Box::new(watch),
        errors: Box::new(std::io::stderr()),
        script: true,
        ready: Box::new(|_, _| ()),
    };
    let ended = machine::boot(&options, kernel, &archive, streams)?;
    let _ = std::fs::remove_file(monitor);
    Ok(ended.tail())
}

/// Takes the machine's output and, when the operation repeats, looks at it through the emulator's monitor.
struct Watch {
    seen: Vec<u8>,
    monitor: PathBuf,
    log: PathBuf,
    done: bool,
}

impl Watch {
    fn look(&self) -> std::io::Result<()> {
        let mut monitor = UnixStream::connect(&self.monitor)?;
        monitor.write_all(b"singlestep on\nlog exec,nochain\n")?;
        let begun = Instant::now();
        let length = || std::fs::metadata(&self.log).map_or(0, |m| m.len());
        while begun.elapsed() < LOOKING && length() < ENOUGH {
            std::thread::sleep(Duration::from_millis(5));
        }
        monitor.write_all(b"log none\nquit\n")?;
        // It hangs up when it has ended.
        let _ = monitor.read_to_end(&mut Vec::new());
        Ok(())
    }
}

impl Write for Watch {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.seen.extend_from_slice(bytes);
        if !self.done && String::from_utf8_lossy(&self.seen).contains("profile ") {
            self.done = true;
            if let Err(e) = self.look() {
                // The pump drops what a writer says; without a log the run ends, and says why.
                eprintln!("bench: {}: {e}", self.monitor.display());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whose code runs: an index of the symbols, and the order of the table.
const IN_KERNEL: usize = 0;
const IN_CLIENT: usize = 1;
const IN_SERVER: usize = 2;
const WHOSE: [&str; 3] = ["kernel", "client", "server"];

struct Counts<'a> {
    symbols: &'a [Symbols; 3],
    /// Before each operation `cost` is here, and here when what follows is of none.
    operation: u64,
    rest: u64,
    counting: bool,
    /// Where user programs made the system calls that are under way, the outermost first: whose, and the address.
    calls: Vec<(usize, u64)>,
    whose: usize,
    /// The last address of the kernel.
    in_kernel: u64,
    last: u64,
    operations: u64,
    /// Executions by address since the first whole operation began, and up to the last one's end.
    counts: HashMap<(usize, u64), u64>,
    now: HashMap<(usize, u64), u64>,
}

impl Counts<'_> {
    fn new(symbols: &[Symbols; 3]) -> Done<Counts<'_>> {
        let at =
            |name: &str| symbols[IN_CLIENT].address(name).ok_or(format!("cost has no function `{name}`"));
        Ok(Counts {
            symbols,
            operation: at("operation")?,
            rest: at("rest")?,
            counting: false,
            calls: Vec::new(),
            whose: IN_CLIENT,
            in_kernel: 0,
            last: 0,
            operations: 0,
            counts: HashMap::new(),
            now: HashMap::new(),
        })
    }

    fn step(&mut self, pc: u64) {
        let (was_kernel, is_kernel) = (self.last >= KERNEL, pc >= KERNEL);
        if is_kernel && !was_kernel {
            self.calls.push((self.whose, self.last));
        }
        if !is_kernel && was_kernel {
            self.whose = self.back(pc);
        }
        self.last = pc;
        if is_kernel {
            self.in_kernel = pc;
        } else if self.whose == IN_CLIENT && (pc == self.operation || pc == self.rest) {
            self.end_of_operation();
            self.counting = pc == self.operation;
        }
        let whose = if is_kernel { IN_KERNEL } else { self.whose };
        *self.now.entry((whose, pc)).or_default() += 1;
    }

    /// Whom the kernel goes to at this address.
    fn back(&mut self, pc: u64) -> usize {
        if self.symbols[IN_KERNEL].name(self.in_kernel) == "call_portal" {
            return IN_SERVER;
        }
        // Back behind a system call; what was called meanwhile is over. After an interrupt it is the same instruction.
        let found = self.calls.iter().rposition(|c| c.1 + SYSCALL == pc || c.1 == pc);
        let whose = found.and_then(|at| self.calls.get(at)).map_or(IN_CLIENT, |c| c.0);
        self.calls.truncate(found.unwrap_or(0));
        whose
    }

    fn end_of_operation(&mut self) {
        let now = std::mem::take(&mut self.now);
        self.calls.clear();
        if self.counting {
            for (at, n) in now {
                *self.counts.entry(at).or_default() += n;
            }
            self.operations += 1;
        }
    }

    /// Is a move to the register of page tables there, `mov cr3, r`?
    fn loads_space(&self, pc: u64) -> bool {
        let bytes = self.symbols[IN_KERNEL].bytes(pc);
        let bytes = bytes.strip_prefix(&[0x41]).unwrap_or(bytes);
        matches!(bytes, [0x0f, 0x22, register, ..] if register & 0x38 == 0x18)
    }

    fn table(&self, name: &str, each: u64) -> Option<String> {
        let whole = Some(self.operations * each).filter(|n| *n > 0)?;
        // Instructions, and how often the function was entered.
        let mut functions: HashMap<(usize, String), (u64, u64)> = HashMap::new();
        let mut sums = [0; 3];
        for ((whose, pc), n) in &self.counts {
            let of = functions.entry((*whose, self.symbols[*whose].name(*pc))).or_default();
            of.0 += n;
            of.1 += if self.symbols[*whose].begins(*pc) { n } else { &0 };
            sums[*whose] += n;
        }
        let mut rows: Vec<_> = functions.into_iter().collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let per = |n: u64| n as f64 / whole as f64;
        let mut text =
            format!("{name}: {:.1} instructions, mean of {whole} operations", per(sums.iter().sum()));
        for (whose, sum) in WHOSE.iter().zip(sums) {
            text += &format!("; {whose} {:.1}", per(sum));
        }
        let loads =
            self.counts.iter().filter(|((whose, pc), _)| *whose == IN_KERNEL && self.loads_space(*pc));
        text += &format!("; {:.1} spaces loaded", per(loads.map(|(_, n)| n).sum()));
        // What is run once in two operations is not an interrupt's.
        let often = self.counts.iter().filter(|(_, n)| per(**n) >= 0.5);
        let pages: HashSet<_> = often.map(|((whose, pc), _)| (whose, pc >> 12)).collect();
        text += &format!(", {} pages of code", pages.len());
        text += "\n";
        text += "instructions   calls\n";
        for ((whose, function), (n, calls)) in rows.iter().filter(|r| per(r.1.0) >= 0.5) {
            text += &format!("{:12.1} {:7.1}  {}  {function}\n", per(*n), per(*calls), WHOSE[*whose]);
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read() {
        let line = "Trace 0: 0x7f2b1c000100 [0000000000000000/ffffffff80101234/0040c2b3/ff200200] ";
        assert_eq!(counter_in(line), Some(0xffff_ffff_8010_1234));
        assert_eq!(counter_in("Stopped execution of TB chain"), None);
    }
}
