//! Portals: how a program becomes a server.
//!
//! [`Portal::new`] makes one from an entry function; [`Portal::post`] gives it a name in /srv. The trait of
//! `portolan-serve` with its engine makes entry functions for servers that are written as a set of file operations.

use super::error::{Error, Result, check};
use super::file::File;
use crate::alloc::boxed::Box;
use crate::sys;
use abi::file::{OCEXEC, OWRITE};
pub use abi::portal::{Limits, WANT_FLUSH};
use core::sync::atomic::{AtomicI32, Ordering};
pub use rt::sys::PortalEntry;

/// A portal, and so the right to make others and to wake its parked callers. It lives as long as its process.
#[derive(Debug)]
pub struct Portal(File);

impl Portal {
    /// Makes a portal whose calls enter at `entry`.
    pub fn new(entry: PortalEntry, limits: &Limits) -> Result<Portal> {
        check(sys::portal(entry, limits)).map(|fd| Portal(File::from_fd(fd)))
    }

    /// The descriptor, to be mounted.
    pub fn file(&self) -> &File {
        &self.0
    }

    /// Gives it a name in /srv.
    pub fn post(&self, name: &str) -> Result<()> {
        let path = crate::alloc::format!("/srv/{name}");
        let f = File::create(path, u32::from(OWRITE | OCEXEC), 0o600)?;
        f.write_all(crate::alloc::format!("{}", self.0.fd()).as_bytes())
    }

    /// As [`Portal::post`], and calls the process so in `/proc`.
    pub fn post_as(&self, name: &str) -> Result<()> {
        self.post(name)?;
        // A name is a help to people; without one the server serves as well.
        let _ = super::fs::write(crate::alloc::format!("#proc/{}/args", super::process::id()), name);
        Ok(())
    }

    /// Lets up to `n` callers that are parked on a queue try again.
    pub fn wake(&self, queue: u64, n: u32) -> Result<()> {
        check(sys::wake(self.0.fd(), queue, n)).map(drop)
    }
}

/// The variable by which a supervisor says that it waits for this very process.
pub const SUPERVISED: &str = "supervised";

/// The portal of a supervised server, behind which its process stays when main has returned; -1 for none.
static STAYS: AtomicI32 = AtomicI32::new(-1);

/// Is this a name for a file in `/srv`?
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.contains('/') {
        return Err(Error::of(name, "not a name for a file in /srv"));
    }
    Ok(())
}

/// Mounts what is posted as `/srv/NAME` on a directory, in whose place it is.
pub fn mount(name: &str, dir: &str) -> Result<()> {
    let server = File::open(crate::alloc::format!("/srv/{name}"), abi::file::ORDWR)?;
    let flags = abi::file::MREPL | abi::file::MCREATE;
    super::fs::mount(&server, dir, flags, "").map_err(|e| Error::of(dir, e))
}

/// Runs `serve` in a process of its own that stays when this one ends, and returns when `serve` has said that it is
/// ready by returning its portal. What it returns as an error is returned here.
///
/// The new process has copies of memory and descriptors; after `serve` has returned it only waits, while calls enter
/// through the portal. If a supervisor started this process ([`SUPERVISED`]) no other is made: `serve` runs here, and
/// this process stays when its main returns.
pub fn in_background(serve: impl FnOnce() -> Result<Portal>) -> Result<u32> {
    let mark = crate::alloc::format!("#env/{SUPERVISED}");
    if super::fs::remove(&mark).is_ok() {
        STAYS.store(serve()?.0.into_fd(), Ordering::Relaxed);
        return Ok(super::process::id());
    }
    let [read, write] = check(sys::pipe())?;
    let (read, write) = (File::from_fd(read), File::from_fd(write));
    let pid = super::process::fork(abi::file::RFFDG | abi::file::RFNOWAIT)?;
    if pid == 0 {
        drop(read);
        // What `serve` may start has no end of it: this process alone says that it is ready.
        let mut write = write;
        match write.not_inherited().map(|again| write = again).and_then(|()| serve()) {
            Ok(portal) => {
                drop(write);
                stay(portal)
            }
            Err(e) => {
                let _ = write.write_all(e.words().as_bytes());
                sys::exits(e.words().as_bytes())
            }
        }
    }
    drop(write);
    let words = read.read_all()?;
    if words.is_empty() { Ok(pid) } else { Err(Error::new(core::str::from_utf8(&words).unwrap_or("?"))) }
}

/// What a program does when its main has returned: a supervised server stays.
#[doc(hidden)]
pub fn after_main() {
    match STAYS.load(Ordering::Relaxed) {
        -1 => {}
        fd => stay(Portal(File::from_fd(fd))),
    }
}

/// What the process that stays does meanwhile.
static MEANWHILE: crate::Mutex<Option<Box<dyn FnOnce() + Send>>> = crate::Mutex::new(None);

/// Gives the process that stays behind its portal work of its own, such as waiting for interrupts. A thread could do it,
/// but would outlive a process that is killed.
pub fn meanwhile(work: impl FnOnce() + Send + 'static) {
    *MEANWHILE.lock() = Some(Box::new(work));
}

/// Waits for ever, so that a process without work of its own goes on owning its portal.
pub fn stay(portal: Portal) -> ! {
    let work = MEANWHILE.lock().take();
    if let Some(work) = work {
        work();
    }
    loop {
        // A note without a handler ends the process here; with one, it waits on.
        let _ = sys::sleep(u64::MAX);
        let _ = &portal;
    }
}
