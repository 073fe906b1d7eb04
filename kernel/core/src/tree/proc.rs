//! `#proc`: processes as files (proc(3)): a directory for each, named by its number.
//!
//! | file | what it is |
//! | --- | --- |
//! | `args` | the arguments; a write changes the name by which `ps` knows the process |
//! | `ctl` | takes `kill`, `stop`, `start`, `pri N`, `cpu N` (stay on that CPU), `nodev NAME …` (give up trees of the kernel, for good), `mbox …` |
//! | `fd` | the working directory, then a line for each descriptor |
//! | `mbox` | the mailbox, see `#mbox` |
//! | `note` | a write sends a note to the process |
//! | `noteid` | the number of its note group |
//! | `notepg` | a write sends a note to every process of its note group |
//! | `ns` | the commands of rc that rebuild its namespace |
//! | `segment` | a line for each range of its memory |
//! | `status` | one line: number, name, user, state, whom it waits for and since when, CPU time, memory |
//!
//! The owner of a process may do with it what the permissions say; others may look at what everybody may read.

use super::{Entry, Fixed, Tree, asked, command, fixed, give, here, position, wrote};
use crate::base::{Ref, Text, decimal, number, parse, split};
use crate::msg::{Msg, Reply, Result};
use crate::name::{Chan, Head, Mount, ns_option};
use crate::proc::{self, Proc};
use abi::error::Error;
use abi::file::{DMDIR, MAFTER, MBEFORE, ORCLOSE, QTDIR, QTFILE, Qid};
use abi::limit;

/// The tree.
pub(crate) struct Procs;

/// The files of a process, by the low byte of qid.path from 1, and their permissions.
const FILES: &[Fixed] = &[
    ("args", 0o644),
    ("ctl", 0o200),
    ("fd", 0o444),
    ("mbox", 0o666),
    ("note", 0o200),
    ("noteid", 0o444),
    ("notepg", 0o200),
    ("ns", 0o444),
    ("segment", 0o444),
    ("status", 0o444),
];
const ARGS: u64 = 1;
const CTL: u64 = 2;
const FD: u64 = 3;
const MBOX: u64 = 4;
const NOTE: u64 = 5;
const NOTEID: u64 = 6;
const NOTEPG: u64 = 7;
const NS: u64 = 8;
const SEGMENT: u64 = 9;
const STATUS: u64 = 10;

fn qid(pid: u32, file: u64) -> Qid {
    let kind = if file == 0 { QTDIR } else { QTFILE };
    Qid { kind, vers: 0, path: u64::from(pid) << 8 | file }
}

fn pid_of(q: Qid) -> u32 {
    u32::try_from(q.path >> 8).unwrap_or(0)
}

fn file_of(q: Qid) -> u64 {
    q.path & 0xff
}

fn process(q: Qid) -> Result<Ref<Proc>> {
    proc::find(pid_of(q)).ok_or(Error::NoProc.into())
}

/// Does the current user own the process, or the machine?
fn mine(p: &Proc) -> bool {
    p.user(here::is_user) || here::is_owner()
}

/// The line of `status`.
fn status(p: &Ref<Proc>, t: &mut Text) {
    t.number(u64::from(p.pid)).put(b" ");
    p.name(|n| _ = t.put(n));
    t.put(b" ").put(&p.user_name()).put(b" ");
    p.describe(t);
    t.put(b"\n");
}

/// A mount as a command of rc. The first that is left of a union without the covered directory replaces that.
fn mount(head: &Head, m: &Mount, t: &mut Text) {
    let on = head.on.path.text();
    let alone = head.union.iter().all(|other| other.number >= m.number);
    let order: &[u8] = match m.flags & (MBEFORE | MAFTER) {
        MBEFORE if !alone => b"b",
        MAFTER if !alone => b"a",
        _ => b"",
    };
    // The root of a server's tree is known by the place that it was mounted on first.
    let root = m.with.file.session.portal().is_some() && m.with.path.text() == on;
    t.put(if root { b"mount " } else { b"bind " });
    ns_option(order, m.flags, t);
    if root {
        super::srv::name_of(&m.with.file.session, t);
    } else {
        t.quoted(m.with.path.text());
    }
    t.put(b" ").quoted(on);
    if root {
        let attached = m.with.file.session.attached.lock();
        if let Some(tree) = super::strings(&attached).nth(1).filter(|t| !t.is_empty()) {
            t.put(b" ").quoted(tree);
        }
    }
    t.put(b"\n");
}

fn read_file(p: &Ref<Proc>, file: u64, t: &mut Text) -> Result<()> {
    match file {
        ARGS => p.args(|a| _ = t.put(a)),
        NOTEID => _ = t.number(u64::from(p.note_group())),
        STATUS => status(p, t),
        SEGMENT => p.segments(t),
        FD => {
            t.put(p.scope().dot.path.text()).put(b"\n");
            let ports = p.ports();
            let mut from = 0;
            while let Some((fd, chan)) = ports.next(from) {
                from = fd.saturating_add(1);
                t.number(fd as u64).put(b" ");
                let rights: [(bool, &[u8]); 2] = [(chan.may_read(), b"r"), (chan.may_write(), b"w")];
                for (may, word) in rights {
                    t.put(if may { word } else { b"" });
                }
                let offset = chan.offset.load(core::sync::atomic::Ordering::Relaxed);
                t.put(b" ").number(offset).put(b" ").put(chan.path.text()).put(b"\n");
            }
        }
        NS => {
            let scope = p.scope();
            for (head, m) in scope.ns.mounts()?.iter() {
                mount(head, m, t);
            }
            t.put(b"cd ").quoted(scope.dot.path.text()).put(b"\n");
        }
        _ => return Err(Error::Perm.into()),
    }
    Ok(())
}

/// The open file that a mailbox stands for.
pub(super) fn instead(file: Qid, mode: u8) -> Result<Option<Ref<Chan>>> {
    if file_of(file) != MBOX {
        return Ok(None);
    }
    super::mbox::open(&process(file)?, mode).map(Some)
}

/// The control messages.
fn control(p: &Ref<Proc>, text: &[u8]) -> Result<()> {
    match split(text) {
        (b"kill", b"") => Proc::kill(p),
        (b"stop", b"") => Proc::stop(p, true),
        (b"start", b"") => Proc::stop(p, false),
        (b"cpu", n) => return p.wire(parse(n)?),
        (b"pri", n) => return p.set_priority(parse(n)?),
        (b"nodev", mut names) => {
            let mut bits = 0;
            while !names.is_empty() {
                let (name, rest) = split(names);
                bits |= super::bit(name).ok_or(Error::BadCtl)?;
                names = rest;
            }
            p.give_up_trees(bits);
        }
        (b"mbox", words) => return super::mbox::control(p, words),
        _ => return Err(Error::BadCtl.into()),
    }
    Ok(())
}

impl Tree for Procs {
    fn walk(&self, dir: Qid, name: &[u8]) -> Result<Qid> {
        if dir.path == 0 {
            let pid = number(name).and_then(|n| u32::try_from(n).ok()).ok_or(Error::NotExist)?;
            return proc::find(pid).map(|p| qid(p.pid, 0)).ok_or(Error::NotExist.into());
        }
        let file = position(FILES, name).ok_or(Error::NotExist)?;
        process(dir)?;
        Ok(qid(pid_of(dir), file))
    }

    fn stat(&self, file: Qid, e: &mut Entry) -> Result<()> {
        if file.path == 0 {
            return Ok(());
        }
        let p = process(file)?;
        match fixed(FILES, file_of(file)) {
            Some((name, mode)) => {
                e.name.set(name.as_bytes());
                e.mode = mode;
            }
            None => {
                e.name.set(decimal(u64::from(p.pid), &mut [0; 20]));
                e.mode = DMDIR | 0o555;
            }
        }
        if file_of(file) == MBOX {
            (e.mode, e.length) = super::mbox::look(&p);
        }
        e.user.set(&p.user_name());
        Ok(())
    }

    fn list(&self, dir: Qid, at: u64) -> Result<Option<(Qid, u64)>> {
        if dir.path == 0 {
            let from = u32::try_from(at).unwrap_or(u32::MAX);
            return Ok(proc::next(from).map(|p| (qid(p.pid, 0), u64::from(p.pid).saturating_add(1))));
        }
        let file = at.saturating_add(1);
        Ok(fixed(FILES, file).map(|_| (qid(pid_of(dir), file), file)))
    }

    fn open(&self, file: Qid, mode: u8) -> Result<()> {
        let Some((_, perm)) = fixed(FILES, file_of(file)) else { return Ok(()) };
        let perm = if mine(&*process(file)?) { perm >> 6 } else { perm };
        let asked = asked(mode);
        if perm & asked != asked || mode & ORCLOSE != 0 { Err(Error::Perm.into()) } else { Ok(()) }
    }

    fn read(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let mut t = Text::new();
        read_file(&process(file)?, file_of(file), &mut t)?;
        give(m, t.get()?)
    }

    fn write(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let p = process(file)?;
        let mut buf = [0; limit::NOTE];
        match file_of(file) {
            CTL => control(&p, command(m, &mut buf)?)?,
            NOTE => p.note(command(m, &mut buf)?),
            NOTEPG => {
                let note = command(m, &mut buf)?;
                let group = p.note_group();
                let mut from = 0;
                while let Some(q) = proc::next(from) {
                    from = q.pid.saturating_add(1);
                    if q.note_group() == group {
                        q.note(note);
                    }
                }
            }
            ARGS => p.set_name(command(m, &mut buf)?)?,
            _ => return Err(Error::Perm.into()),
        }
        wrote(m)
    }
}
