//! Two servers of files that nobody may cache: one on the bare portal, one through the library that servers use.
#![allow(unsafe_code, reason = "is entered by the kernel and answers in its page")]

use portolan::abi::error::Error as Known;
use portolan::abi::file::{ORDWR, OWRITE, QTDIR, QTFILE, Qid};
use portolan::abi::portal::{Answer, Limits, Request, op};
use portolan::alloc::format;
use portolan::portal::{self, Portal};
use portolan::served::{self, Ctx, Mode, Opened, Server, Sink};
use portolan::{File, Result, fs, sys};

const LIMITS: Limits = Limits { activations: 4, flags: 0, stack: 0, reserved: 0 };

/// The file's byte at an offset.
pub(super) const fn byte(at: usize) -> u8 {
    (at % 251) as u8 ^ 0x5a
}

/// A page, where pages begin.
#[repr(C, align(4096))]
pub(super) struct Page(pub(super) [u8; 4096]);

impl Page {
    pub(super) const fn zeroed() -> Page {
        Page([0; 4096])
    }

    /// Is every byte the file's?
    pub(super) fn is_right(&self) -> bool {
        self.0.iter().enumerate().all(|(at, &b)| b == byte(at))
    }
}

pub(super) static DATA: Page = {
    let mut page = Page::zeroed();
    let mut at = 0;
    while at < page.0.len() {
        page.0[at] = byte(at);
        at += 1;
    }
    page
};

/// Starts a server, mounts it and returns its process.
fn mounted(name: &str, dir: &str, serve: impl FnOnce() -> Result<Portal>) -> Result<u32> {
    let pid = portal::in_background(|| {
        let portal = serve()?;
        portal.post(name)?;
        Ok(portal)
    })?;
    fs::mount(&File::open(format!("/srv/{name}"), ORDWR)?, dir, 0, "")?;
    Ok(pid)
}

/// Takes a server's name off the board and ends it.
pub(super) fn stop(name: &str, pid: u32) {
    // The figures are there already.
    let _ = fs::remove(format!("/srv/{name}"));
    if let Ok(ctl) = File::open(format!("/proc/{pid}/ctl"), OWRITE) {
        let _ = ctl.write_all(b"kill");
    }
}

/// The server on the bare portal: every name is an empty file.
pub(super) fn bare(name: &str, dir: &str) -> Result<u32> {
    mounted(name, dir, idle)
}

/// The same, not mounted anywhere.
pub(super) fn idle() -> Result<Portal> {
    Portal::new(enter, &LIMITS)
}

extern "C" fn enter(head: u64, fids: u64, offset: u64, session: u64, payload: u64, page: u64) -> ! {
    let r = Request { head, fids, offset, session, payload, page };
    // What is measured first.
    if r.op() == op::TREAD {
        let _ = sys::reply(&Answer { head: Answer::make_head(op::TREAD + 1, 0, 0), ..Answer::default() });
    }
    let answer = |kind: u8| Answer { head: Answer::make_head(r.op() + 1, kind, 0), ..Answer::default() };
    let a = match r.op() {
        op::TATTACH => answer(QTDIR),
        op::TWALK => {
            if r.a() != 0 {
                // SAFETY: the message page is this activation's own for the call.
                unsafe {
                    (page as *mut [u8; 16]).write([QTFILE, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
                };
            }
            answer(r.a())
        }
        op::TOPEN => Answer { w1: 1, ..answer(QTFILE) },
        op::TCLUNK => answer(0),
        _ => Answer {
            head: Answer::make_head(op::RERROR, Known::NotSupported as u8 + 1, 0),
            ..Answer::default()
        },
    };
    loop {
        let _ = sys::reply(&a);
    }
}

/// The server through the library.
pub(super) fn sdk(name: &str, dir: &str) -> Result<u32> {
    mounted(name, dir, || served::serve(Tree, &LIMITS).map(|(portal, _)| portal))
}

/// A root with one file.
struct Tree;

impl Server for Tree {
    /// Is it the file?
    type Node = bool;

    fn attach(&self, _: &Ctx<'_>, _: Option<&bool>, _: &str) -> served::Result<bool> {
        Ok(false)
    }

    fn qid(&self, file: &bool) -> Qid {
        Qid { kind: if *file { QTFILE } else { QTDIR }, vers: 0, path: u64::from(*file) }
    }

    fn walk(&self, _: &Ctx<'_>, file: &bool, name: &str) -> served::Result<bool> {
        if *file || name != "data" { Err(Known::NotExist.into()) } else { Ok(true) }
    }

    fn open(&self, _: &Ctx<'_>, file: &bool, _: Mode) -> served::Result<Opened<bool>> {
        Ok(Opened { node: *file, qid: self.qid(file), iounit: 0 })
    }

    fn read(&self, _: &Ctx<'_>, _: &bool, offset: u64, sink: &mut Sink<'_>) -> served::Result<()> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX).min(DATA.0.len());
        sink.fixed(&DATA.0[at..])
    }
}
