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

use super::text::decimal;
use super::{Entry, Text, Tree, command, give, here, wrote};
use crate::base::{Bytes, Ref};
use crate::msg::{Msg, Reply, Result};
use crate::name::{Chan, Head, Mount, ns_option};
use crate::proc::{self, Proc};
use abi::error::Error;
use abi::file::{MAFTER, MBEFORE, MCREATE, OEXEC, OREAD, OWRITE, QTDIR, QTFILE, Qid};
use abi::limit;

/// The tree.
pub(crate) struct Procs;

/// The files of a process, by the low byte of qid.path from 1, and their permissions.
const FILES: &[(&str, u32)] = &[
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

const ROOT: Qid = Qid { kind: QTDIR, vers: 0, path: 0 };

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

fn listed(file: u64) -> Option<(&'static str, u32)> {
    FILES.get(usize::try_from(file.checked_sub(1)?).ok()?).copied()
}

/// Does the current user own the process, or the machine?
fn mine(p: &Proc) -> bool {
    p.user(here::is_user) || here::is_owner()
}

/// The line of `status`.
fn status(p: &Ref<Proc>, t: &mut Text) -> Result<()> {
    t.number(u64::from(p.pid))?.put(b" ")?;
    p.name(|n| t.put(n).map(drop))?;
    t.put(b" ")?;
    p.user(|u| t.put(u).map(drop))?;
    t.put(b" ")?;
    p.describe(t)?;
    t.put(b"\n")?;
    Ok(())
}

/// A mount as a command of rc. The first that is left of a union without the covered directory replaces that.
fn mount(head: &Head, m: &Mount, t: &mut Text) -> Result<()> {
    let on = head.on.path.text();
    let alone = head.union.iter().all(|other| other.number >= m.number);
    let order: &[u8] = match m.flags & (MBEFORE | MAFTER) {
        MBEFORE if !alone => b"-b",
        MAFTER if !alone => b"-a",
        _ => b"",
    };
    // The root of a server's tree is known by the place that it was mounted on first.
    let root = m.with.file.session.portal().is_some() && m.with.path.text() == on;
    t.put(if root { b"mount " } else { b"bind " })?;
    ns_option(order, m.flags & MCREATE != 0, t)?;
    if root {
        super::srv::name_of(&m.with.file.session, t)?
    } else {
        t.quoted(m.with.path.text()).map(drop)?
    }
    t.put(b" ")?.quoted(on)?;
    if root {
        let attached = Bytes::new(&m.with.file.session.attached.lock())?;
        if let Some(tree) = super::strings(&attached).nth(1).filter(|t| !t.is_empty()) {
            t.put(b" ")?.quoted(tree)?;
        }
    }
    t.put(b"\n").map(drop)
}

fn read_file(p: &Ref<Proc>, file: u64, t: &mut Text) -> Result<()> {
    match file {
        ARGS => p.args(|a| t.put(a).map(drop)),
        NOTEID => t.number(u64::from(p.note_group())).map(drop),
        STATUS => status(p, t),
        SEGMENT => p.segments(t),
        FD => {
            t.put(p.scope().dot.path.text())?.put(b"\n")?;
            let ports = p.ports();
            let mut from = 0;
            while let Some((fd, chan)) = ports.next(from) {
                from = fd.saturating_add(1);
                let (r, w) = (chan.may_read(), chan.may_write());
                let mode: &[u8] = if r && w {
                    b" rw "
                } else if w {
                    b" w "
                } else {
                    b" r "
                };
                t.number(u64::try_from(fd).unwrap_or(0))?.put(mode)?;
                t.number(*chan.offset.lock())?.put(b" ")?.put(chan.path.text())?.put(b"\n")?;
            }
            Ok(())
        }
        NS => {
            let scope = p.scope();
            for (head, m) in scope.ns.mounts()?.iter() {
                mount(head, m, t)?;
            }
            t.put(b"cd ")?.quoted(scope.dot.path.text())?.put(b"\n").map(drop)
        }
        _ => Err(Error::Perm.into()),
    }
}

/// The open file that a mailbox stands for.
pub(super) fn instead(file: Qid, mode: u8) -> Result<Option<Ref<Chan>>> {
    if file_of(file) != MBOX {
        return Ok(None);
    }
    super::mbox::open(&process(file)?, mode).map(Some)
}

/// The control messages.
fn control(p: &Ref<Proc>, text: &str) -> Result<()> {
    match text.split_once(' ') {
        None if text == "kill" => Proc::kill(p),
        None if text == "stop" => Proc::stop(p, true),
        None if text == "start" => Proc::stop(p, false),
        Some(("cpu", n)) => return p.wire(n.parse().map_err(|_| Error::BadCtl)?),
        Some(("pri", n)) => return p.set_priority(n.parse().map_err(|_| Error::BadCtl)?),
        Some(("nodev", names)) => {
            let mut bits = 0;
            for name in names.split_ascii_whitespace() {
                bits |= super::bit(name.as_bytes()).ok_or(Error::BadCtl)?;
            }
            p.give_up_trees(bits);
        }
        Some(("mbox", words)) => return super::mbox::control(p, words),
        _ => return Err(Error::BadCtl.into()),
    }
    Ok(())
}

impl Tree for Procs {
    fn walk(&self, dir: Qid, name: &[u8]) -> Result<Qid> {
        if name == b".." {
            return Ok(ROOT);
        }
        if dir.path == 0 {
            let pid = core::str::from_utf8(name).ok().and_then(|n| n.parse().ok()).ok_or(Error::NotExist)?;
            return proc::find(pid).map(|p| qid(p.pid, 0)).ok_or(Error::NotExist.into());
        }
        let i = FILES.iter().position(|f| f.0.as_bytes() == name).ok_or(Error::NotExist)?;
        process(dir)?;
        Ok(qid(pid_of(dir), u64::try_from(i).unwrap_or(0).saturating_add(1)))
    }

    fn stat(&self, file: Qid, give: &mut dyn FnMut(&Entry<'_>) -> Result<()>) -> Result<()> {
        if file.path == 0 {
            return give(&Entry { qid: ROOT, mode: super::DIR, length: 0, name: b"#proc", user: b"sys" });
        }
        let p = process(file)?;
        let mut digits = [0; 20];
        let (name, mode) = match listed(file_of(file)) {
            Some((name, mode)) => (name.as_bytes(), mode),
            None => (decimal(u64::from(p.pid), &mut digits), super::DIR),
        };
        let (mode, length) = if file_of(file) == MBOX { super::mbox::look(&p) } else { (mode, 0) };
        let mut user = [0; limit::USER];
        let user = p.user(|u| here::copy(u, &mut user).len()).min(limit::USER);
        let mut owner = [0; limit::USER];
        p.user(|u| {
            here::copy(u, &mut owner);
        });
        give(&Entry { qid: file, mode, length, name, user: owner.get(..user).unwrap_or(&[]) })
    }

    fn list(&self, dir: Qid, at: u64) -> Result<Option<(Qid, u64)>> {
        if dir.path == 0 {
            let from = u32::try_from(at).unwrap_or(u32::MAX);
            return Ok(proc::next(from).map(|p| (qid(p.pid, 0), u64::from(p.pid).saturating_add(1))));
        }
        let file = at.saturating_add(1);
        Ok(listed(file).map(|_| (qid(pid_of(dir), file), file)))
    }

    fn open(&self, file: Qid, mode: u8) -> Result<Qid> {
        let Some((_, perm)) = listed(file_of(file)) else { return super::only_read(mode).map(|()| file) };
        let p = process(file)?;
        let wanted = match mode & 3 {
            OREAD => 4,
            OWRITE => 2,
            OEXEC => 1,
            _ => 6,
        };
        let perm = if mine(&p) { perm >> 6 } else { perm };
        if perm & wanted != wanted || mode & abi::file::ORCLOSE != 0 {
            return Err(Error::Perm.into());
        }
        Ok(file)
    }

    fn read(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let mut t = Text::new();
        read_file(&process(file)?, file_of(file), &mut t)?;
        give(m, t.get())
    }

    fn write(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let p = process(file)?;
        let mut buf = [0; limit::NOTE];
        match file_of(file) {
            CTL => control(&p, command(m, &mut buf)?)?,
            NOTE => p.note(command(m, &mut buf)?.as_bytes()),
            NOTEPG => {
                let note = command(m, &mut buf)?;
                let group = p.note_group();
                let mut from = 0;
                while let Some(q) = proc::next(from) {
                    from = q.pid.saturating_add(1);
                    if q.note_group() == group {
                        q.note(note.as_bytes());
                    }
                }
            }
            ARGS => p.set_name(command(m, &mut buf)?.as_bytes())?,
            _ => return Err(Error::Perm.into()),
        }
        wrote(m)
    }
}
