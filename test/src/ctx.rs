//! What a scenario may ask for: a scratch folder, free ports, programs that die with it, packages.

use std::fmt::Display;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use xtask::{deb, tell};

/// The words after `ok NAME`.
pub type Summary = String;

/// What a scenario returns.
pub type Outcome = Result<Summary, Failure>;

/// Why a scenario did not pass. Errors of the standard library and texts turn into a cause with `?`.
#[derive(Debug)]
pub enum Failure {
    /// It failed, for this reason.
    Cause(String),
    /// Debian packages (separated by blanks) are missing: the parent installs them and tries again.
    Install(String),
    /// This host has no apt, and the scenario needs Debian's packages.
    NotHere(String),
}

impl<E: Display> From<E> for Failure {
    fn from(cause: E) -> Failure {
        Failure::Cause(cause.to_string())
    }
}

/// Fails the scenario with a text unless the condition holds.
pub fn ensure(holds: bool, cause: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::Cause(cause())) }
}

/// The surroundings of one scenario.
pub struct Ctx {
    scratch: PathBuf,
    /// Whether the long variant was asked for.
    pub all: bool,
}

impl Ctx {
    /// Makes the scratch folder anew.
    pub fn new(scratch: PathBuf, all: bool) -> Result<Ctx, Failure> {
        if scratch.exists() {
            std::fs::remove_dir_all(&scratch)?;
        }
        std::fs::create_dir_all(&scratch)?;
        Ok(Ctx { scratch, all })
    }

    /// A folder of its own, empty at the start and kept for inspection at the end.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// A folder that outlives the run, for what is slow to fetch or build.
    pub fn kept(&self, name: &str) -> Result<PathBuf, Failure> {
        let dir = xtask::target().join("kept").join(name);
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// A loopback TCP port that was free a moment ago.
    pub fn port(&self) -> Result<u16, Failure> {
        Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
    }

    /// Builds a package of the workspace and returns the path of its program of the same name.
    pub fn bin(&self, package: &str) -> Result<PathBuf, Failure> {
        self.run(xtask::cargo().args(["build", "--quiet", "-p", package]))?;
        Ok(xtask::target().join("debug").join(package))
    }

    /// The same, optimised: for servers that real work is turned on.
    pub fn fast_bin(&self, package: &str) -> Result<PathBuf, Failure> {
        self.run(xtask::cargo().args(["build", "--quiet", "--release", "-p", package]))?;
        Ok(xtask::target().join("release").join(package))
    }

    /// Starts a program that is killed when the handle is dropped; its output goes to the scenario's log unless redirected.
    pub fn spawn(&self, command: &mut Command) -> Result<Proc, Failure> {
        println!("$ {} &", tell::shown(command));
        let child =
            command.stdin(Stdio::null()).spawn().map_err(|e| format!("{}: {e}", tell::shown(command)))?;
        Ok(Proc(child))
    }

    /// Runs a program to its end and returns its stdout; anything but success is a failure with its last words.
    pub fn run(&self, command: &mut Command) -> Result<String, Failure> {
        println!("$ {}", tell::shown(command));
        let said = tell::output(command.stdin(Stdio::null()))?;
        print!("{said}");
        Ok(said)
    }

    /// Waits until something listens at a loopback port.
    pub fn await_port(&self, port: u16) -> Result<(), Failure> {
        self.poll(Duration::from_secs(30), &format!("nobody listens at port {port}"), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
    }

    /// Tries until it holds or the time is up.
    pub fn poll(&self, limit: Duration, cause: &str, mut holds: impl FnMut() -> bool) -> Result<(), Failure> {
        let begun = Instant::now();
        while !holds() {
            ensure(begun.elapsed() < limit, || format!("{cause} within {} s", limit.as_secs()))?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Asks for Debian packages; call it first, since the scenario starts again once they are installed.
    pub fn need_deb(&self, packages: &[&str]) -> Result<(), Failure> {
        if !deb::have_apt() {
            return Err(Failure::NotHere(format!("needs Debian's {}", packages.join(", "))));
        }
        let missing = deb::missing(packages);
        if missing.is_empty() { Ok(()) } else { Err(Failure::Install(missing.join(" "))) }
    }

    /// A Python with these packages from PyPI (`name==version`), in a folder of the target directory; returns the interpreter.
    pub fn python(&self, packages: &[&str]) -> Result<PathBuf, Failure> {
        let label = packages.join("+").replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let dir = self.kept("python")?.join(label);
        let (python, made) = (dir.join("bin/python3"), dir.join("made"));
        if !made.exists() {
            self.run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir))?;
            self.run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
            std::fs::write(made, "")?;
        }
        Ok(python)
    }

    /// The file of a crate from crates.io, as it was published.
    pub fn crate_file(&self, name: &str, version: &str) -> Result<PathBuf, Failure> {
        let kept = self.kept(&format!("{name}-{version}"))?.join(format!("{name}-{version}.crate"));
        if !kept.exists() {
            let wish = format!(
                "[package]\nname = \"wish\"\nedition = \"2024\"\n[dependencies]\n{name} = \"={version}\"\n[workspace]\n"
            );
            let dir = self.scratch.join("wish");
            std::fs::create_dir_all(dir.join("src"))?;
            std::fs::write(dir.join("src/lib.rs"), "")?;
            std::fs::write(dir.join("Cargo.toml"), wish)?;
            self.run(xtask::cargo().current_dir(&dir).args(["fetch", "--quiet"]))?;
            let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
            let home = home
                .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
                .ok_or("no HOME")?;
            let file = format!("{name}-{version}.crate");
            let caches = std::fs::read_dir(home.join("registry/cache"))?.flatten();
            let found = caches
                .map(|c| c.path().join(&file))
                .find(|f| f.exists())
                .ok_or("cargo kept no such crate")?;
            std::fs::copy(found, &kept)?;
        }
        Ok(kept)
    }

    /// A program from crates.io, built once with these compiler flags; returns its path.
    pub fn crate_bin(&self, name: &str, version: &str, flags: &str) -> Result<PathBuf, Failure> {
        let dir = self.kept(&format!("{name}-{version}"))?;
        let program = dir.join("bin").join(name);
        if !program.exists() {
            let mut install = xtask::cargo();
            install.args(["install", "--quiet", "--locked", "--version", version, name, "--root"]).arg(&dir);
            // With a target named, the flags don't reach the macros that run while it is built.
            install.args(["--target", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH)]);
            self.run(install.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", dir.join("build")))?;
        }
        Ok(program)
    }
}

/// A program started by a scenario: killed and collected on drop.
pub struct Proc(Child);

impl Proc {
    /// The process' id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.0.try_wait().ok().flatten()
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
