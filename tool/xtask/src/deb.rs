//! Packages that a fresh machine lacks: installed where apt is at hand and we may, otherwise named.
//!
//! Only Debian's names are kept; the table at the end gives the other systems' names for what a user needs in order to
//! run the machine. Tests that need Debian's programs ask for them with [`missing`] and [`install`].

use crate::tell::{Done, output, run, shown};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::Command;

/// Whether this host has apt.
#[must_use]
pub fn have_apt() -> bool {
    Path::new("/usr/bin/apt-get").exists()
}

/// Whether we are root, and need no sudo.
#[must_use]
pub fn am_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// Those of the packages that are not installed.
#[must_use]
pub fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let installed = |name: &str| {
        let mut query = Command::new("dpkg-query");
        output(query.args(["-W", "-f", "${Status}", name])).is_ok_and(|s| s == "install ok installed")
    };
    packages.iter().copied().filter(|name| !installed(name)).collect()
}

/// Installs packages with apt, asking before sudo is used.
pub fn install(packages: &[&str]) -> Done {
    let packages = missing(packages);
    if packages.is_empty() {
        return Ok(());
    }
    if !have_apt() {
        return Err(format!(
            "these programs are missing; with Debian they come in: {}\n{}",
            packages.join(" "),
            elsewhere()
        ));
    }
    let mut get = Command::new("apt-get");
    get.args(arguments(&packages, &codename()));
    if am_root() {
        eprintln!("installing {}", packages.join(" "));
        update()?;
        return output(get.env("DEBIAN_FRONTEND", "noninteractive")).map(drop);
    }
    let words = format!("sudo {}", shown(&get));
    if !std::io::stdin().is_terminal() {
        return Err(format!("missing packages; please run: {words}"));
    }
    eprint!("these packages are missing: {}\nrun `{words}`? [y/N] ", packages.join(" "));
    std::io::stderr().flush().map_err(|e| e.to_string())?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|e| e.to_string())?;
    if !answer.trim().eq_ignore_ascii_case("y") {
        return Err("not installed; nothing was changed".into());
    }
    run(Command::new("sudo").args(["apt-get", "update"]))?;
    run(Command::new("sudo").arg("apt-get").args(arguments(&packages, &codename())))
}

/// Fetches a package's file into a folder without installing it.
pub fn download(package: &str, into: &Path) -> Done {
    let mut get = Command::new("apt-get");
    get.args(["download", package]).current_dir(into);
    if output(&mut get).is_ok() {
        return Ok(());
    }
    update()?;
    output(&mut get).map(drop)
}

/// The newest lists of packages; without root the old ones have to do.
fn update() -> Done {
    if am_root() { output(Command::new("apt-get").arg("update")).map(drop) } else { Ok(()) }
}

/// A machine may carry a newer qemu-utils from backports, which clashes with the release's qemu-system: both are
/// then asked for in one call, from the release.
fn arguments(packages: &[&str], codename: &str) -> Vec<String> {
    let mut words: Vec<String> =
        ["-y", "-q", "-o", "DPkg::Lock::Timeout=300", "--no-install-recommends"].map(String::from).into();
    let qemu = packages.iter().any(|p| p.starts_with("qemu-system"));
    if qemu && !codename.is_empty() {
        words.push("--allow-downgrades".into());
    }
    words.push("install".into());
    words.extend(packages.iter().map(|p| (*p).to_string()));
    if qemu && !codename.is_empty() && missing(&["qemu-utils"]).is_empty() {
        words.push(format!("qemu-utils/{codename}"));
    }
    words
}

fn codename() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let line = release.lines().find_map(|l| l.strip_prefix("VERSION_CODENAME="));
    line.unwrap_or_default().trim_matches('"').to_string()
}

/// Makes sure that QEMU is there.
pub fn need_qemu() -> Done {
    if output(Command::new("qemu-system-x86_64").arg("--version")).is_ok() {
        return Ok(());
    }
    if have_apt() { install(&["qemu-system-x86"]) } else { Err(elsewhere()) }
}

/// What to type on systems other than this one, for QEMU.
#[must_use]
pub fn elsewhere() -> String {
    let lines = [
        "  Debian, Ubuntu: apt-get install qemu-system-x86",
        "  Fedora:         dnf install qemu-system-x86",
        "  Arch:           pacman -S qemu-system-x86",
        "  macOS:          brew install qemu",
    ];
    format!("QEMU is installed with\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemu_is_asked_for_from_the_release() {
        let words = arguments(&["qemu-system-x86"], "bookworm");
        assert!(words.contains(&"--allow-downgrades".to_string()));
        let words = arguments(&["diod"], "bookworm");
        assert!(!words.contains(&"--allow-downgrades".to_string()) && words.contains(&"diod".to_string()));
    }

    #[test]
    fn a_package_that_does_not_exist_is_missing() {
        assert_eq!(missing(&["no-such-package-at-all"]), ["no-such-package-at-all"]);
    }
}
