//! Builds what a machine boots: the kernel, the user programs, and the archive that holds them.

use crate::tell::{Done, run};
use crate::{cargo, check, root, target};
use cpio::Archive;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The kernel's target.
const BARE: &str = "x86_64-unknown-none";
/// The target of user programs.
const USER: &str = "x86_64-unknown-linux-gnu";
/// The program that is many commands, told apart by its name.
const MANY: &str = "tools";

/// Where the built kernel is.
#[must_use]
pub fn kernel() -> PathBuf {
    target().join(BARE).join("kernel/kernel")
}

/// A build with its progress, if somebody watches.
fn build() -> Command {
    let mut build = cargo();
    build.arg("build").args((!std::io::stderr().is_terminal()).then_some("--quiet"));
    build
}

/// Builds the kernel; returns its path.
pub fn build_kernel() -> Done<PathBuf> {
    check::bare_metal_target()?;
    run(build().args(["-p", "kernel", "--profile", "kernel", "--target", BARE]))?;
    Ok(kernel())
}

/// Builds these packages as user programs; returns the folder with the programs.
pub fn build_programs(packages: &[&str]) -> Done<PathBuf> {
    let mut build = build();
    build.args(["--config", "lib/user.toml", "--profile", "user"]);
    build.args(packages.iter().flat_map(|package| ["-p", package]));
    run(&mut build)?;
    Ok(root().join("target/portolan").join(USER).join("user"))
}

/// The archive of the ordinary machine: a program for each folder of `srv` and `cmd`, and the files of `srv/init/root`.
pub fn ordinary() -> Done<Archive> {
    let programs = programs()?;
    let names: Vec<&str> = programs.iter().map(String::as_str).collect();
    let built = build_programs(&names)?;
    let mut archive = Archive::default();
    for name in names {
        let program = loaded_part(&read(&built.join(name))?);
        match name {
            "init" => archive.file("init", 0o755, program),
            MANY => {
                let paths: Vec<String> = commands()?.iter().map(|name| format!("bin/{name}")).collect();
                archive.same(&paths, 0o755, program);
            }
            _ => archive.file(&format!("bin/{name}"), 0o755, program),
        }
    }
    add_tree(&mut archive, "", &root().join("srv/init/root"))?;
    add_tree(&mut archive, "lib/man/", &root().join("doc/man"))?;
    Ok(archive)
}

/// The archive of a machine whose only program is this package, as its first.
pub fn alone(package: &str) -> Done<Archive> {
    let built = build_programs(&[package])?;
    let mut archive = Archive::default();
    archive.file(package, 0o755, loaded_part(&read(&built.join(package))?));
    Ok(archive)
}

/// The packages of user programs: each is a folder of its own name.
fn programs() -> Done<Vec<String>> {
    let mut names = Vec::new();
    for above in ["srv", "cmd"] {
        let entries = std::fs::read_dir(root().join(above)).map_err(|e| format!("{above}: {e}"))?;
        let folders = entries.flatten().filter(|e| e.path().join("Cargo.toml").exists());
        names.extend(folders.map(|e| e.file_name().to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Reads a file, naming it in the error.
pub fn read(path: &Path) -> Done<Vec<u8>> {
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// The commands' names: the first strings of the table in the program's source, the one place where they stand.
pub fn commands() -> Done<Vec<String>> {
    let source = String::from_utf8_lossy(&read(&root().join("cmd/tools/src/on/table.rs"))?).into_owned();
    let table = source.split_once("commands![\n").map_or("", |(_, table)| table);
    let first = |line: &str| Some(line.strip_prefix('"')?.split_once("\", ")?.0.to_string());
    let names: Vec<String> = table.lines().filter_map(first).collect();
    if names.is_empty() { Err("cmd/tools/src/on/table.rs: no table of commands".into()) } else { Ok(names) }
}

/// Adds what is in a folder, under names that begin so.
fn add_tree(archive: &mut Archive, before: &str, folder: &Path) -> Done {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), format!("{before}{}", entry.file_name().to_string_lossy()));
        if path.is_dir() {
            add_tree(archive, &format!("{name}/"), &path)?;
        } else {
            archive.file(&name, 0o644, read(&path)?);
        }
    }
    Ok(())
}

/// A loadable piece of an ELF file.
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) in_file: u64,
    pub(crate) in_memory: u64,
    pub(crate) writable: bool,
    pub(crate) executable: bool,
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(width)?)?;
    Some(field.iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b)))
}

/// The PT_LOAD headers of a 64-bit little-endian ELF file.
pub(crate) fn pieces(elf: &[u8]) -> Option<Vec<Piece>> {
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, size, count) = (number(elf, 32, 8)?, number(elf, 54, 2)?, number(elf, 56, 2)?);
    let mut all = Vec::new();
    for i in 0..count {
        let at = usize::try_from(table.checked_add(size * i)?).ok()?;
        if number(elf, at, 4)? == 1 {
            let (flags, field) = (number(elf, at + 4, 4)?, |n: usize| number(elf, at + n, 8));
            let (writable, executable) = (flags & 2 != 0, flags & 1 != 0);
            all.push(Piece {
                offset: field(8)?,
                in_file: field(32)?,
                in_memory: field(40)?,
                writable,
                executable,
            });
        }
    }
    Some(all)
}

/// An ELF file without what only tools read: symbols, debugging, the table of sections.
#[must_use]
pub fn loaded_part(elf: &[u8]) -> Vec<u8> {
    let mut out = elf.to_vec();
    let end = pieces(elf).and_then(|p| p.iter().map(|p| p.offset + p.in_file).max());
    if let Some(end) = end.and_then(|e| usize::try_from(e).ok()).filter(|e| (64..=elf.len()).contains(e)) {
        out.truncate(end);
        out[40..48].fill(0);
        out[58..64].fill(0);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_its_symbols_still_has_its_pieces() {
        let me = read(&std::env::current_exe().unwrap()).unwrap();
        let small = loaded_part(&me);
        assert!(small.len() < me.len());
        let sum = |elf: &[u8]| pieces(elf).unwrap().iter().map(|p| p.in_file).sum::<u64>();
        assert_eq!(sum(&small), sum(&me));
        assert_eq!(loaded_part(b"#!/bin/rc\n"), b"#!/bin/rc\n");
        assert!(pieces(&me[..40]).is_none());
    }

    #[test]
    fn names_of_commands_are_read_from_the_table() {
        let names = commands().unwrap();
        assert!(["cat", "echo", "poweroff"].iter().all(|name| names.iter().any(|n| n == name)), "{names:?}");
    }
}
