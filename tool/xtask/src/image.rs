//! Builds what a machine boots: the kernel, the user programs, and the archive that holds them.

use crate::tell::{Done, run};
use crate::{cargo, check, root, target};
use cpio::Archive;
pub use elf::loaded_part;
pub use elf::symbols;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The kernel's target.
const BARE: &str = "x86_64-unknown-none";
/// The target of user programs.
const USER: &str = "x86_64-unknown-linux-gnu";
/// The program that is many commands, told apart by its name.
const MANY: &str = "tools";
/// The small machine's, which is these servers and the shell too.
const TINY: &str = "tiny";
const IN_TINY: [&str; 3] = ["cons", "ramfs", "rc"];
/// Its table of services.
const TINY_SERVICES: &str =
    "cons /dev restart=5/60 /bin/cons\ntmp /tmp create restart=5/60 /bin/ramfs -s tmp\n";

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
    run(build().args(["-p", "kernel", "--bin", "kernel", "--profile", "kernel", "--target", BARE]))?;
    Ok(kernel())
}

/// Builds these packages as user programs; returns the folder with the programs.
pub fn build_programs(packages: &[&str]) -> Done<PathBuf> {
    build_as("user", packages)
}

fn build_as(profile: &str, packages: &[&str]) -> Done<PathBuf> {
    let mut build = build();
    build.args(["--config", "lib/user.toml", "--profile", profile]);
    build.args(packages.iter().flat_map(|package| ["-p", package]));
    run(&mut build)?;
    Ok(root().join("target/portolan").join(USER).join(profile))
}

/// The archive of the ordinary machine: a program for each folder of `srv` and `cmd`, and the files of `srv/init/root`.
pub fn ordinary() -> Done<Archive> {
    let programs = programs()?;
    let names: Vec<&str> = programs.iter().map(String::as_str).collect();
    let built = build_programs(&names)?;
    let mut archive = Archive::default();
    for name in names {
        let whole = read(&built.join(name))?;
        archive.file(&format!("lib/sym/{name}"), 0o444, symbols::table(&whole));
        let program = loaded_part(&whole);
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

/// The archive of the smallest machine: the first program, one that is all others, and the table of services.
pub fn tiny() -> Done<Archive> {
    let built = build_as(TINY, &["init", TINY])?;
    let mut archive = Archive::default();
    archive.file("init", 0o755, loaded_part(&read(&built.join("init"))?));
    let names = commands()?.into_iter().chain(IN_TINY.map(String::from));
    let paths: Vec<String> = names.map(|name| format!("bin/{name}")).collect();
    archive.same(&paths, 0o755, loaded_part(&read(&built.join(TINY))?));
    archive.file("lib/services", 0o644, TINY_SERVICES.into());
    Ok(archive)
}

/// The archive of a machine whose only program is this package, as its first.
pub fn alone(package: &str) -> Done<Archive> {
    let built = build_programs(&[package])?;
    let mut archive = Archive::default();
    archive.file(package, 0o755, loaded_part(&read(&built.join(package))?));
    Ok(archive)
}

/// Writes the debugger's script; returns its path.
pub fn gdb_script() -> Done<PathBuf> {
    let (file, programs) = (target().join("gdb"), root().join("target/portolan").join(USER).join("user"));
    std::fs::write(&file, symbols::gdb_script(&kernel(), &programs))
        .map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(file)
}

/// The packages of user programs: each is a folder of its own name.
pub(crate) fn programs() -> Done<Vec<String>> {
    let mut names = Vec::new();
    for above in ["srv", "cmd"] {
        let entries = std::fs::read_dir(root().join(above)).map_err(|e| format!("{above}: {e}"))?;
        let folders =
            entries.flatten().filter(|e| e.path().join("Cargo.toml").exists() && e.file_name() != TINY);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_commands_are_read_from_the_table() {
        let names = commands().unwrap();
        assert!(["cat", "echo", "poweroff"].iter().all(|name| names.iter().any(|n| n == name)), "{names:?}");
    }
}
