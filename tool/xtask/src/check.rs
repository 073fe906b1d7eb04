//! What every change must pass before a scenario is worth running: unit tests, clippy, format, and the state of the tree.

use crate::tell::{Done, output, tail};
use crate::{cargo, root, target};
use std::path::Path;
use std::process::Command;

/// No tracked file may be larger: what is built or fetched belongs in `target`.
const LARGEST: u64 = 300_000;

/// One check: its name in the report, and what it does.
pub type Check = (&'static str, fn() -> Done<String>);

/// The checks in the order in which they run.
pub const CHECKS: [Check; 6] = [
    ("tree", tree),
    ("fmt", format),
    ("unit", unit_tests),
    ("clippy", clippy),
    ("clippy_kernel", clippy_kernel),
    ("clippy_user", clippy_user),
];

fn logged(name: &str, command: &mut Command) -> Done<String> {
    let path = target().join("scenarios").join(format!("{name}.log"));
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
    let done = command.output().map_err(|e| e.to_string())?;
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    std::fs::write(&path, format!("{err}\n{out}")).map_err(|e| format!("{}: {e}", path.display()))?;
    if done.status.success() {
        return Ok(out.into_owned());
    }
    Err(format!("{}\n{}\nlog: {}", tail(&err, 25), tail(&out, 25), path.display()))
}

fn unit_tests() -> Done<String> {
    let said = logged("unit", cargo().args(["test", "--workspace", "--no-fail-fast"]))?;
    let passed: u64 = said.lines().filter_map(passed_in).sum();
    if passed == 0 { Err("no unit test ran".into()) } else { Ok(format!("{passed} tests")) }
}

/// The count in a line like `test result: ok. 12 passed; 0 failed; …`.
fn passed_in(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("test result: ok. ")?;
    rest.split(' ').next()?.parse().ok()
}

fn clippy() -> Done<String> {
    logged(
        "clippy",
        cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]),
    )
    .map(|_| String::new())
}

fn clippy_kernel() -> Done<String> {
    let kernel =
        ["clippy", "-p", "kernel", "--target", "x86_64-unknown-none", "--quiet", "--", "-D", "warnings"];
    bare_metal_target()?;
    logged("clippy_kernel", cargo().args(kernel)).map(|_| String::new())
}

/// What only programs of the machine compile: with `--cfg portolan` the rest of their sources is another.
fn clippy_user() -> Done<String> {
    let mut command = cargo();
    command.args(["clippy", "--config", "lib/user.toml", "--profile", "user", "--quiet"]);
    command.args(crate::image::programs()?.iter().flat_map(|name| ["-p", name]));
    logged("clippy_user", command.args(["--", "-D", "warnings"])).map(|_| String::new())
}

fn format() -> Done<String> {
    output(cargo().args(["fmt", "--all", "--check"])).map(|_| String::new())
}

/// Makes sure that the compiler has the kernel's target.
pub fn bare_metal_target() -> Done {
    let name = "x86_64-unknown-none";
    let has = output(Command::new("rustc").args(["--print", "target-libdir", "--target", name]))
        .is_ok_and(|dir| Path::new(dir.trim()).exists());
    if has { Ok(()) } else { output(Command::new("rustup").args(["target", "add", name])).map(drop) }
}

/// No tracked file is large, and every Rust file opens by saying what it is.
fn tree() -> Done<String> {
    let listed = output(Command::new("git").arg("-C").arg(root()).args(["ls-files", "-z"]))?;
    let files: Vec<&str> = listed.split('\0').filter(|f| !f.is_empty()).collect();
    let faults: Vec<String> = files.iter().filter_map(|f| fault_of(&root().join(f), f)).collect();
    if faults.is_empty() { Ok(format!("{} files", files.len())) } else { Err(faults.join("\n")) }
}

fn fault_of(path: &Path, name: &str) -> Option<String> {
    let size = std::fs::symlink_metadata(path).ok()?.len();
    if size > LARGEST {
        return Some(format!("{name}: {size} bytes; nothing above {LARGEST} belongs in the tree"));
    }
    if !name.ends_with(".rs") {
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    (!text.starts_with("//!")).then(|| format!("{name}: does not open with //!"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        assert_eq!(passed_in("test result: ok. 12 passed; 0 failed; 0 ignored"), Some(12));
        assert_eq!(passed_in("running 12 tests"), None);
    }

    #[test]
    fn files_without_a_subtitle_or_too_large_are_faults() {
        let dir = std::env::temp_dir().join(format!("xtask-tree-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("a.rs");
        std::fs::write(&file, "fn main() {}").unwrap();
        assert!(fault_of(&file, "a.rs").is_some());
        std::fs::write(&file, "//! Said.\n").unwrap();
        assert!(fault_of(&file, "a.rs").is_none());
        std::fs::write(&file, vec![b'/'; 400_000]).unwrap();
        assert!(fault_of(&file, "a.rs").unwrap().contains("400000"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
