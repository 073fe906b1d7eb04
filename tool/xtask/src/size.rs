//! `cargo xtask size`: how large the kernel is in memory and in lines, and the gates that it must pass.

use crate::tell::Done;
use crate::{image, root};
use elf::{Piece, pieces};
use std::path::{Path, PathBuf};

/// Most bytes that the kernel may load (text, read-only data, data). Lower it whenever it can be; never raise it.
const GATE: u64 = 128 * 1024;
/// What it is to become.
const GOAL: u64 = 64 * 1024;

/// Most lines of the kernel's source, and of one processor's folder in it, without tests and comments.
const LINES: usize = 12_000;
const ARCH_LINES: usize = 3_000;

/// Lines of a source file without comments, empty lines, and the tests at its end.
fn lines(source: &str) -> usize {
    let code = |l: &&str| !l.is_empty() && !l.starts_with("//");
    source.split("#[cfg(test)]\nmod tests {").next().unwrap_or("").lines().map(str::trim).filter(code).count()
}

/// Lines of all source files below a folder but those that are tests and the machine that stands in on a host.
fn lines_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let count = |path: PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if ["tests", "model", "fake", "selftest"].iter().any(|end| name.ends_with(end)) {
            0
        } else if path.is_dir() {
            lines_below(&path)
        } else if path.extension().is_some_and(|e| e == "rs") {
            lines(&std::fs::read_to_string(&path).unwrap_or_default())
        } else {
            0
        }
    };
    entries.map(|e| count(e.path())).sum()
}

/// Bytes that are loaded from the kernel's file.
pub fn loaded(kernel: &Path) -> Done<u64> {
    let pieces = pieces(&image::read(kernel)?).ok_or(format!("{}: not an ELF file", kernel.display()))?;
    Ok(pieces.iter().map(|p| p.in_file).sum())
}

/// The command: builds, prints a line, fails above the gate.
pub fn run() -> Done<String> {
    let kernel = image::build_kernel()?;
    let pieces = pieces(&image::read(&kernel)?).ok_or("the kernel is no ELF file")?;
    let sum =
        |which: &dyn Fn(&Piece) -> bool| pieces.iter().filter(|p| which(p)).map(|p| p.in_file).sum::<u64>();
    let (text, data) = (sum(&|p| p.executable), sum(&|p| p.writable));
    let all = sum(&|_| true);
    let zeroed: u64 = pieces.iter().map(|p| p.in_memory - p.in_file).sum();
    let line = format!(
        "{all} bytes loaded: {text} text, {} read-only, {data} data; {zeroed} zeroed (gate {GATE}, goal {GOAL})",
        all - text - data
    );
    let source = root().join("kernel");
    let arch = lines_below(&source.join("machine/src/arch"));
    let lines = lines_below(&source.join("core/src")) + lines_below(&source.join("machine/src"));
    let line = format!("{line}\n{lines} lines (gate {LINES}), of them {arch} for x86_64 (gate {ARCH_LINES})");
    let fits = all <= GATE && lines <= LINES && arch <= ARCH_LINES;
    if fits { Ok(line) } else { Err(format!("{line}: above a gate")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_comments_and_empty_lines_do_not_count() {
        assert_eq!(
            lines("//! what\n\nfn a() {\n    // why\n    b() // here\n}\n#[cfg(test)]\nmod tests {\nx\n}\n"),
            3
        );
        let all = lines_below(&root().join("kernel/core/src"));
        assert!(all > lines_below(&root().join("kernel/core/src/call")) && all > 5_000, "{all}");
    }
}
