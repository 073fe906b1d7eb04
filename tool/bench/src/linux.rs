//! Linux's side of the table: Debian's kernel with `cost` as its first program, under the same flags.

use crate::rows::Figures;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use xtask::cpio::Archive;
use xtask::tell::{Done, output, run, tail};
use xtask::{cargo, deb, image, target};

/// Seconds that the machine may take.
const LIMIT: Duration = Duration::from_secs(300);
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The figures of `cost` on Linux.
pub fn figures() -> Done<Figures> {
    let kernel = find(&unpacked_kernel()?.join("boot"), &|name| name.starts_with("vmlinuz"));
    let kernel = kernel.ok_or("no vmlinuz in the package")?;
    let mut root = Archive::default();
    root.file("init", 0o755, image::read(&program()?)?);
    ["dev", "proc", "tmp"].iter().for_each(|dir| root.folder(dir));
    let initrd = target().join("bench-linux.cpio");
    std::fs::write(&initrd, root.bytes()).map_err(|e| format!("{}: {e}", initrd.display()))?;
    let said = boot(&kernel, &initrd)?;
    let figures = Figures::read(&said);
    if !said.lines().any(|l| l.trim() == "cost done") {
        return Err(format!("Linux' run did not come to its end:\n{}", tail(&said, 20)));
    }
    Ok(figures)
}

/// `cost` as a static program for Linux.
fn program() -> Done<PathBuf> {
    let dir = target().join("linux");
    let mut build = cargo();
    build.args(["build", "--quiet", "--release", "-p", "cost", "--target", TARGET, "--target-dir"]).arg(&dir);
    run(build.env("RUSTFLAGS", "-Ctarget-feature=+crt-static"))?;
    Ok(dir.join(TARGET).join("release/cost"))
}

/// What the machine says on its serial line until it is off.
fn boot(kernel: &Path, initrd: &Path) -> Done<String> {
    deb::need_qemu()?;
    let console = target().join("bench-linux.console");
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-M", "q35", "-cpu", "qemu64", "-m", "512", "-smp", "1", "-accel", "tcg,thread=single"])
        .args(["-icount", "shift=0,sleep=off", "-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-no-reboot", "-serial", &format!("file:{}", console.display())])
        .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off nokaslr"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd);
    let mut child = qemu.stdin(Stdio::null()).spawn().map_err(|e| format!("qemu: {e}"))?;
    let begun = Instant::now();
    while child.try_wait().map_err(|e| e.to_string())?.is_none() {
        if begun.elapsed() > LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    image::read(&console).map(|b| String::from_utf8_lossy(&b).into_owned())
}

/// The folder with Debian's kernel package, fetched and unpacked once.
pub fn unpacked_kernel() -> Done<PathBuf> {
    let dir = target().join("kept/linux");
    let unpacked = dir.join("unpacked");
    if unpacked.exists() {
        return Ok(unpacked);
    }
    if !deb::have_apt() {
        return Err("Debian's kernel is needed, and this host has no apt".into());
    }
    std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let depends = output(Command::new("apt-cache").args(["depends", "linux-image-amd64"]))?;
    let package = depends.lines().find_map(|l| l.trim().strip_prefix("Depends: "));
    let package = package.ok_or("apt knows no linux-image-amd64")?;
    deb::download(package, &dir)?;
    let file = find(&dir, &|name| name.starts_with(package) && name.ends_with(".deb"));
    let half = dir.join("half");
    output(Command::new("dpkg-deb").arg("-x").arg(file.ok_or("no package was fetched")?).arg(&half))?;
    std::fs::rename(half, &unpacked).map_err(|e| e.to_string())?;
    Ok(unpacked)
}

/// The first file below a folder whose name pleases.
pub fn find(folder: &Path, pleases: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            folders.push(path);
        } else if pleases(&entry.file_name().to_string_lossy()) {
            return Some(path);
        }
    }
    folders.iter().find_map(|folder| find(folder, pleases))
}
