//! `cost scale`: rows again while something else grows: a line `scale WHAT HOW-MANY ROW FIGURE` for each figure.
//!
//! What grows stays there until the next kind has been measured, or until the machine ends; so processes come last.

use super::meter::figure;
use super::{right, server, some};
use core::fmt::Display;
use portolan::abi::file::{OREAD, OWRITE, RFFDG};
use portolan::alloc::format;
use portolan::alloc::vec::Vec;
use portolan::portal::Portal;
use portolan::{File, Result, fs, portal, process, sys};

/// Steps of a kind.
const STEPS: [usize; 6] = [1, 10, 100, 1000, 10_000, 100_000];

fn steps(most: usize) -> impl Iterator<Item = usize> {
    STEPS.into_iter().chain([500]).filter(move |&n| n <= most && (n != 500 || most == 500))
}

fn say(what: &str, n: usize, row: &str, figure: u64) {
    portolan::println!("scale {what} {n} {row} {figure}");
}

pub(super) fn main() -> Result<()> {
    fs::write("/tmp/x", "contents")?;
    files()?;
    mounts()?;
    directory()?;
    segments()?;
    servers()?;
    processes()
}

fn open_close(path: impl Display) -> Result<u64> {
    let path = format!("{path}");
    figure(50, || {
        let fd = some(sys::open(path.as_bytes(), OREAD))?;
        some(sys::close(fd))
    })
}

fn read1(f: &File) -> Result<u64> {
    figure(200, || right(some(sys::pread(f.fd(), &mut [0], 0))? == 1, "no byte"))
}

/// Open files of one process.
fn files() -> Result<()> {
    let mut open = Vec::new();
    for n in steps(10_000) {
        while open.len() < n {
            open.push(File::open("/tmp/x", OREAD)?);
        }
        say("files", n, "open_close", open_close("/tmp/x")?);
        say("files", n, "read1", read1(&open[n / 2])?);
    }
    Ok(())
}

/// Mount points of one namespace.
fn mounts() -> Result<()> {
    fs::create_dir("/tmp/m", 0o755)?;
    fs::create_dir("/tmp/one", 0o755)?;
    fs::write("/tmp/one/f", "x")?;
    let mut made = 0;
    for n in steps(1000) {
        while made < n {
            fs::create_dir(format!("/tmp/m/{made}"), 0o755)?;
            fs::bind("/tmp/one", format!("/tmp/m/{made}"), 0)?;
            made += 1;
        }
        say("mounts", n, "open_close", open_close("/tmp/x")?);
        say("mounts", n, "open_close_through", open_close(format!("/tmp/m/{}/f", n / 2))?);
    }
    (0..made).try_for_each(|i| fs::unmount("", format!("/tmp/m/{i}")))
}

/// Entries of one directory of ramfs.
fn directory() -> Result<()> {
    fs::create_dir("/tmp/d", 0o755)?;
    let mut made = 0;
    for n in steps(100_000) {
        while made < n {
            let fd = some(sys::create(format!("/tmp/d/{made}").as_bytes(), u32::from(OWRITE), 0o600))?;
            some(sys::close(fd))?;
            made += 1;
        }
        say("entries", n, "open_close", open_close(format!("/tmp/d/{}", n / 2))?);
        let cost = figure(50, || {
            let fd = some(sys::create(b"/tmp/d/y", u32::from(OWRITE), 0o600))?;
            some(sys::close(fd))?;
            some(sys::remove(b"/tmp/d/y"))
        })?;
        say("entries", n, "create_remove", cost);
    }
    Ok(())
}

/// Attachments of one space.
fn segments() -> Result<()> {
    let mut all = Vec::new();
    for n in steps(1000) {
        while all.len() < n {
            all.push(some(sys::segattach(0, -1, 0, 0, 4096))?);
        }
        let cost = figure(50, || {
            let at = some(sys::segattach(0, -1, 0, 0, 4096))?;
            let fd = some(sys::open(b"/tmp/x", OREAD))?;
            // The kernel writes to the page, and so makes it.
            // SAFETY: the page was just attached, and nothing else refers to it.
            let page = unsafe { core::slice::from_raw_parts_mut(at as *mut u8, 4096) };
            right(some(sys::pread(fd, page, 0))? == 8, "no contents")?;
            some(sys::close(fd))?;
            // SAFETY: nothing refers to it any more.
            some(unsafe { sys::segdetach(at, 4096) })
        })?;
        say("segments", n, "attach_use_detach", cost);
    }
    for at in all {
        // SAFETY: nothing refers to it.
        some(unsafe { sys::segdetach(at, 4096) })?;
    }
    Ok(())
}

/// Servers that nobody calls.
fn servers() -> Result<()> {
    let mut pids = Vec::new();
    let mut made = 0;
    server::bare("scale", "/mnt")?;
    let null = File::open("/mnt/null", OREAD)?;
    for n in steps(500) {
        while made < n {
            pids.push(portal::in_background(|| {
                let portal: Portal = server::idle()?;
                portal.post(&format!("idle{made}"))?;
                Ok(portal)
            })?);
            made += 1;
        }
        let cost =
            figure(200, || right(some(sys::pread(null.fd(), &mut [], 0))? == 0, "bytes from nothing"))?;
        say("servers", n, "portal_null", cost);
        say("servers", n, "open_close", open_close("/tmp/x")?);
    }
    (0..made).try_for_each(|i| fs::remove(format!("/srv/idle{i}")))?;
    for pid in pids {
        File::open(format!("/proc/{pid}/ctl"), OWRITE)?.write_all(b"kill")?;
    }
    Ok(())
}

/// Processes that sleep.
fn processes() -> Result<()> {
    let f = File::open("/tmp/x", OREAD)?;
    let mut made = 0;
    for n in steps(10_000) {
        while made < n {
            if process::fork(RFFDG)? == 0 {
                let _ = sys::sleep(u64::MAX / 2);
                sys::exits(b"");
            }
            made += 1;
        }
        say("processes", n, "read1", read1(&f)?);
        say("processes", n, "open_close", open_close("/tmp/x")?);
        let cost = figure(5, || {
            let pid = process::fork(RFFDG)?;
            if pid == 0 {
                sys::exits(b"");
            }
            right(process::wait_for(pid)?.status.is_empty(), "the child failed")
        })?;
        say("processes", n, "fork_wait", cost);
    }
    Ok(())
}
