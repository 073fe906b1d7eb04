//! `cargo xtask size`: how large the kernel is in memory, and the gate that it must pass.

use crate::image;
use crate::tell::Done;
use elf::{Piece, pieces};
use std::path::Path;

/// Most bytes that the kernel may load (text, read-only data, data). Lower it whenever it can be; never raise it.
const GATE: u64 = 128 * 1024;
/// What it is to become.
const GOAL: u64 = 64 * 1024;

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
    if all <= GATE { Ok(line) } else { Err(format!("{line}: above the gate")) }
}
