//! What the first program does, in order: names, the archive's server, services, the shell.

mod control;
mod initfs;
mod supervise;

use init::services::{self, Service};
use portolan::abi::file::{MAFTER, MBEFORE, MCREATE, MREPL, ORDWR, OREAD, OWRITE, RFFDG, RFNOTEG, RFREND};
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::{Error, File, Result, fs, portal, process, sys};
use supervise::Supervised;

/// Says something on the machine's log.
fn log(text: &str) {
    if let Ok(f) = File::open("#log/log", OWRITE) {
        // There is nobody else to tell.
        let _ = f.write_all(text.as_bytes());
    }
}

/// The namespace's frame: the kernel's trees, then the archive below them.
fn names() -> Result<()> {
    fs::bind("#srv", "/srv", MREPL | MCREATE)?;
    fs::bind("#proc", "/proc", MREPL)?;
    fs::bind("#env", "/env", MREPL | MCREATE)?;
    fs::bind("#dup", "/fd", MREPL)?;
    fs::bind("#sys", "/dev", MREPL)?;
    portal::in_background(initfs::serve)?;
    let boot = File::open("/srv/boot", ORDWR)?;
    fs::mount(&boot, "/boot", MREPL, "")?;
    fs::bind("/boot/bin", "/bin", MBEFORE)?;
    fs::bind("/boot/lib", "/lib", MBEFORE)
}

/// Starts the table's services in its order, each when the one before it stands, and the file by which they are steered.
fn start_services() -> Result<()> {
    let table = fs::read("/lib/services").map_err(|e| Error::of("/lib/services", e))?;
    let table = String::from_utf8_lossy(&table).into_owned();
    let services = services::parse(&table)
        .map_err(|bad| Error::new(&format!("/lib/services: line {} is no service", bad.0)))?;
    let (once, services): (Vec<Service>, Vec<Service>) = services.into_iter().partition(|s| s.once);
    let all: Vec<Supervised> = services.into_iter().map(Supervised::new).collect();
    let all: &'static [Supervised] = all.leak();
    for s in all {
        s.begin()?;
        supervise::report(s);
    }
    for s in &once {
        if let Err(e) = supervise::command(s).spawn() {
            log(&format!("init: {}: {e}\n", s.name));
        }
    }
    supervise::watch(all)?;
    let portal = control::serve(all)?;
    fs::mount(portal.file(), "/dev", MAFTER, "")
}

/// Does the kernel's command line have this word?
fn has_word(name: &str) -> bool {
    let line = fs::read("#root/cmdline").unwrap_or_default();
    String::from_utf8_lossy(&line).split_whitespace().any(|w| w == name)
}

/// Gives this process a terminal as its three descriptors: input, output, and where errors are told.
fn terminal(errors: &str) -> Result<()> {
    let opened =
        [File::open("/dev/cons", OREAD)?, File::open("/dev/cons", OWRITE)?, File::open(errors, OWRITE)?];
    for (want, f) in opened.into_iter().enumerate() {
        if f.fd() == want as i32 {
            f.into_fd();
        } else if sys::dup(f.fd(), want as i32).is_none() {
            return Err(Error::last());
        }
    }
    Ok(())
}

/// Runs a program in a note group of its own that Control-C at the terminal interrupts, and waits for it.
fn run(command: &[&str]) -> Result<String> {
    let pid = process::fork(RFFDG | RFNOTEG | RFREND)?;
    if pid == 0 {
        if let Ok(ctl) = File::open("/dev/consctl", OWRITE) {
            // Without it Control-C does nothing, and the program runs all the same.
            let _ = ctl.write_all(format!("notepg {}", process::id()).as_bytes());
        }
        let program = command.first().copied().unwrap_or("");
        let e = process::exec(program, command);
        sys::exits(format!("{NOT_RUN}{program}: {e}").as_bytes());
    }
    let status = process::wait_for(pid)?.status;
    if status.starts_with(NOT_RUN) { Err(Error::new(&status)) } else { Ok(status) }
}

/// Begins the status of a program that could not be started.
const NOT_RUN: &str = "can't run ";

/// The exit status that the host sees: 0 for an empty status, a number from 1 to 119 as it is, 1 for any other.
fn code(status: &str) -> u8 {
    match status.parse() {
        Ok(n @ 1..=119) => n,
        _ if status.is_empty() => 0,
        _ => 1,
    }
}

fn power(command: &str) -> Result<()> {
    File::open("#sys/power", OWRITE)?.write_all(command.as_bytes())
}

/// The whole of it. An error here stops the machine: without init there is nothing.
fn all() -> Result<()> {
    names()?;
    start_services()?;
    if has_word("script") {
        File::open("/dev/consctl", OWRITE)?.write_all(b"transparent")?;
        terminal("/dev/conserr")?;
        // The host waits for this line before it sends the script's input.
        portolan::eprintln!("the script starts");
        let status = run(&["/bin/rc", "/boot/script"])?;
        return power(&format!("exit {}", code(&status)));
    }
    terminal("/dev/cons")?;
    loop {
        let status = run(&["/bin/rc", "-i"])?;
        if status.is_empty() {
            return power("off");
        }
        portolan::eprintln!("init: the shell ended: {status}; here is another");
    }
}

pub(crate) fn main() -> Result<()> {
    if let Err(e) = all() {
        log(&format!("init: {e}\n"));
        return power("exit 120");
    }
    Ok(())
}
