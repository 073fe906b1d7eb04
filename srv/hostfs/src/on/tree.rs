//! [`Host`]: the server. A node is a file that the host knows by a fid, and when it is open one more fid.
//!
//! A node keeps its directory, which is what `..` and renaming need. Permissions are the host's to check, for the user
//! that QEMU runs as; the machine's owner is the only one who may attach, so that nobody borrows that user's rights.

use super::link::{Fid, Job, Link};
use hostfs::attributes::{ASKED, Attributes, DMSYMLINK, Kind, Number, walked};
use hostfs::entries::{self, Entry, entries};
use ninep::Name;
use ninep::dialect::l::{Rmsg, Tmsg};
use portolan::abi::file::{DMDIR, NOCHANGE32, NOCHANGE64};
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::fs::Stat;
use serve::{Ctx, Error, Fail, Listing, Mode, Opened, Qid, Result, Server, Sink, Source, perm};
use sync::{Lock, Shared};

/// Linux's flags of open(2).
const O_CREAT: u32 = 0o100;
const O_EXCL: u32 = 0o200;
const O_TRUNC: u32 = 0o1000;
const O_DIRECTORY: u32 = 0o20_0000;
const O_NOFOLLOW: u32 = 0o40_0000;
/// Tunlinkat's flag for a directory.
const AT_REMOVEDIR: u32 = 0x200;
/// What a Tsetattr changes.
const SET_MODE: u32 = 1;
const SET_SIZE: u32 = 8;
const SET_MTIME: u32 = 0x20 | 0x100;
/// Entries whose attributes are asked for at once.
const BATCH: usize = 8;
/// Bytes of entries that one answer has: it fits a page.
const ENTRIES: u32 = 4000;
/// Reads that one call has in flight at once.
const READS: usize = 3;

/// A file of the host's.
pub(super) struct File {
    fid: Fid,
    kind: Kind,
    /// As it was when it was walked to.
    qid: Qid,
    parent: Option<Shared<File>>,
    name: Lock<String>,
}

/// What an open file reads and writes.
enum Io {
    Fid(Fid),
    /// Where a symbolic link leads.
    Text(Shared<Vec<u8>>),
}

/// What a fid of a client names.
#[derive(Clone)]
pub(super) struct Node {
    file: Shared<File>,
    qid: Qid,
    io: Option<Shared<Io>>,
}

/// The server.
pub(super) struct Host {
    link: &'static Link,
    root: Node,
    owner: String,
}

/// Read, write or both, which Linux numbers as 9P does; to execute is to read.
fn access(mode: Mode) -> u32 {
    u32::from(mode.byte() & 3) % 3
}

fn copied(text: &str) -> Result<String> {
    let mut s = String::new();
    s.try_reserve_exact(text.len())?;
    s.push_str(text);
    Ok(s)
}

fn name_of(text: &str) -> Result<Name<'_>> {
    Name::new(text).map_err(|_| Error::BadName.into())
}

/// A file's attributes.
fn attributes(fid: &Fid) -> Result<Attributes> {
    fid.link().ask(&asks(fid), Attributes::new)
}

fn asks(fid: &Fid) -> Tmsg<'static> {
    Tmsg::Tgetattr { fid: fid.number(), request_mask: ASKED }
}

fn node(fid: Fid, (kind, qid): (Kind, Qid), parent: Option<Shared<File>>, name: &str) -> Result<Node> {
    let file = File { fid, kind, qid, parent, name: Lock::new(copied(name)?) };
    Ok(Node { file: Shared::try_new(file)?, qid, io: None })
}

fn known(a: &Attributes) -> (Kind, Qid) {
    (a.kind(), a.qid())
}

/// A file's stat record.
fn record(a: &Attributes, name: &str, out: &mut dyn FnMut(&Stat<'_>) -> Result<()>) -> Result<()> {
    let (uid, gid) = (Number::new(a.uid), Number::new(a.gid));
    out(&Stat {
        qid: a.qid(),
        mode: a.mode(),
        atime: a.atime as u32,
        mtime: a.mtime[0] as u32,
        length: a.length(),
        name,
        uid: uid.text(),
        gid: gid.text(),
        muid: "",
        kind: 0,
        dev: 0,
    })
}

impl Host {
    /// The tree that the device shares.
    pub(super) fn new(link: &'static Link, owner: String) -> Result<Host> {
        let fid = link.attach()?;
        let what = known(&attributes(&fid)?);
        let root = node(fid, what, None, "/")?;
        Ok(Host { link, root, owner })
    }

    /// Sends two requests at once if there are places for both: a fid for a file of `dir` or for itself, and attributes.
    fn walk_and_look(&self, dir: &Fid, name: Option<&str>, of: &Fid) -> Result<(Fid, Attributes)> {
        let mut walk = self.link.job()?;
        let number = walk.send_walk(dir, name)?;
        let Some(mut look) = self.link.job_at_once() else {
            return Ok((walk.made(number)?, attributes(of)?));
        };
        look.send(&asks(of))?;
        let fid = walk.made(number)?;
        let a = Attributes::new(&look.wait()?).ok_or(Error::BadReply)?;
        Ok((fid, a))
    }

    /// Opens a second fid for a file that has one. What it is goes before the open, so that what is read is no older than
    /// the version says; but for a file that the open truncates.
    fn opened(&self, node: &Node, mode: Mode, flags: u32) -> Result<Opened<Node>> {
        let file = &node.file;
        let (io, mut qid) = if file.kind == Kind::Dir {
            (self.link.walk(&file.fid, None)?, node.qid)
        } else {
            let (io, a) = self.walk_and_look(&file.fid, None, &file.fid)?;
            if mode.executes() && a.mode & 0o111 == 0 {
                return Err(Error::Perm.into());
            }
            (io, a.qid())
        };
        let t = Tmsg::Tlopen { fid: io.number(), flags };
        self.link.ask(&t, |r| matches!(r, Rmsg::Rlopen { .. }).then_some(()))?;
        if mode.truncates() {
            qid = attributes(&io)?.qid();
        }
        let io = Some(Shared::try_new(Io::Fid(io))?);
        Ok(Opened { node: Node { file: file.clone(), qid, io }, qid, iounit: 0 })
    }

    /// Attributes of some entries of a directory, all asked for at once; none for those that have gone meanwhile.
    fn look(&self, dir: &Fid, names: &[Entry<'_>]) -> Result<Vec<Option<Attributes>>> {
        let mut found: Vec<Option<Fid>> = Vec::new();
        found.try_reserve_exact(names.len())?;
        let mut walks: Vec<(Job, u32)> = Vec::new();
        walks.try_reserve_exact(names.len())?;
        for e in names {
            let mut job = self.place(&mut walks, &mut |(job, number)| found.push(job.made(number).ok()))?;
            let number = job.send_walk(dir, Some(e.name))?;
            walks.push((job, number));
        }
        found.extend(walks.drain(..).map(|(job, number)| job.made(number).ok()));
        let mut all = Vec::new();
        all.try_reserve_exact(names.len())?;
        let mut asked: Vec<Option<Job>> = Vec::new();
        asked.try_reserve_exact(names.len())?;
        let answer = |job: Option<Job>| job.and_then(|mut j| Attributes::new(&j.wait().ok()?));
        for fid in &found {
            let Some(fid) = fid else {
                asked.push(None);
                continue;
            };
            let mut job = self.place(&mut asked, &mut |job| all.push(answer(job)))?;
            job.send(&asks(fid))?;
            asked.push(Some(job));
        }
        all.extend(asked.drain(..).map(answer));
        Ok(all)
    }

    /// A free place. Where none is, what is in flight is waited for first: two that wait for each other's places would
    /// wait for ever.
    fn place<T>(&self, mine: &mut Vec<T>, ends: &mut dyn FnMut(T)) -> Result<Job> {
        if let Some(job) = self.link.job_at_once() {
            return Ok(job);
        }
        mine.drain(..).for_each(ends);
        self.link.job()
    }
}

impl Server for Host {
    type Node = Node;

    fn attach(&self, cx: &Ctx<'_>, _: Option<&Node>, aname: &str) -> Result<Node> {
        if cx.user != self.owner {
            return Err(Error::Perm.into());
        }
        if !matches!(aname, "" | "/") {
            return Err(Error::NotExist.into());
        }
        Ok(self.root.clone())
    }

    fn qid(&self, node: &Node) -> Qid {
        node.qid
    }

    fn walk(&self, _: &Ctx<'_>, from: &Node, name: &str) -> Result<Node> {
        if name == ".." {
            let Some(file) = from.file.parent.clone() else { return Ok(self.root.clone()) };
            return Ok(Node { qid: file.qid, file, io: None });
        }
        let (fid, qid) = self.link.step(&from.file.fid, name)?;
        let what = match walked(qid) {
            Some(what) => what,
            None => known(&attributes(&fid)?),
        };
        node(fid, what, Some(from.file.clone()), name)
    }

    fn open(&self, _: &Ctx<'_>, node: &Node, mode: Mode) -> Result<Opened<Node>> {
        let file = &node.file;
        let access = access(mode) | if mode.truncates() { O_TRUNC } else { 0 };
        match file.kind {
            Kind::Dir => self.opened(node, mode, O_DIRECTORY),
            Kind::Plain => self.opened(node, mode, access | O_NOFOLLOW),
            Kind::Link if mode.only_reads() => {
                let t = Tmsg::Treadlink { fid: file.fid.number() };
                let target = self.link.ask(&t, |r| match r {
                    Rmsg::Rreadlink { target } => Some(copied(target)),
                    _ => None,
                })??;
                let io = Some(Shared::try_new(Io::Text(Shared::try_new(target.into_bytes())?))?);
                Ok(Opened { node: Node { io, ..node.clone() }, qid: node.qid, iounit: 0 })
            }
            Kind::Link => Err(Fail::Words("a symbolic link can only be read")),
            Kind::Special => Err(Fail::Words("a device or pipe of the host can't be opened")),
        }
    }

    fn create(&self, cx: &Ctx<'_>, dir: &Node, name: &str, perm: u32, mode: Mode) -> Result<Opened<Node>> {
        if perm & !(DMDIR | 0o777) != 0 {
            return Err(Error::NotSupported.into());
        }
        let parent = &dir.file;
        let bits = perm::created(perm, attributes(&parent.fid)?.mode) & 0o777;
        let short = name_of(name)?;
        if perm & DMDIR != 0 {
            let t = Tmsg::Tmkdir { dfid: parent.fid.number(), name: short, mode: bits, gid: u32::MAX };
            self.link.ask(&t, |r| matches!(r, Rmsg::Rmkdir { .. }).then_some(()))?;
            let new = self.walk(cx, dir, name)?;
            return self.opened(&new, mode, O_DIRECTORY);
        }
        let io = self.link.walk(&parent.fid, None)?;
        let flags = access(mode) | O_CREAT | O_EXCL;
        let t = Tmsg::Tlcreate { fid: io.number(), name: short, flags, mode: bits, gid: u32::MAX };
        self.link.ask(&t, |r| matches!(r, Rmsg::Rlcreate { .. }).then_some(()))?;
        let (fid, a) = self.walk_and_look(&parent.fid, Some(name), &io)?;
        let new = node(fid, known(&a), Some(parent.clone()), name)?;
        let io = Some(Shared::try_new(Io::Fid(io))?);
        Ok(Opened { qid: new.qid, node: Node { io, ..new }, iounit: 0 })
    }

    fn read(&self, _: &Ctx<'_>, node: &Node, offset: u64, sink: &mut Sink<'_>) -> Result<()> {
        let fid = match node.io.as_deref() {
            Some(Io::Fid(fid)) => fid,
            Some(Io::Text(text)) => return sink.text(text, offset),
            None => return Err(Error::NotOpen.into()),
        };
        // As many pieces as there are buffers for go at once; their answers are taken in order.
        let mut jobs = [const { None }; READS];
        let (mut asked, room) = (0, sink.left());
        for (i, slot) in jobs.iter_mut().enumerate() {
            if asked < room
                && let Some(mut job) = self.link.large_job(i == 0)?
            {
                job.send_read(fid, offset.saturating_add(asked as u64), room - asked)?;
                asked += self.link.data;
                *slot = Some(job);
            }
        }
        for mut job in jobs.into_iter().flatten() {
            let Rmsg::Rread { data } = job.wait()? else { return Err(Error::BadReply.into()) };
            let whole = data.len() == sink.left().min(self.link.data);
            sink.bytes(data)?;
            if !whole {
                break;
            }
        }
        Ok(())
    }

    fn list(&self, _: &Ctx<'_>, dir: &Node, from: u64, out: &mut Listing<'_, '_>) -> Result<()> {
        let Some(Io::Fid(fid)) = dir.io.as_deref() else { return Err(Error::NotOpen.into()) };
        let mut place = from;
        loop {
            let t = Tmsg::Treaddir { fid: fid.number(), offset: place, count: ENTRIES };
            let data = self.link.ask(&t, |r| match r {
                Rmsg::Rreaddir { data } => {
                    let mut copy = Vec::new();
                    Some(copy.try_reserve_exact(data.len()).map(|()| {
                        copy.extend_from_slice(data);
                        copy
                    }))
                }
                _ => None,
            })??;
            let Some(next) = entries::last(&data) else { return Ok(()) };
            let names: Vec<Entry<'_>> = entries(&data).collect();
            for batch in names.chunks(BATCH) {
                for (e, a) in batch.iter().zip(self.look(&dir.file.fid, batch)?) {
                    let Some(a) = a else { continue };
                    let mut taken = false;
                    record(&a, e.name, &mut |stat| {
                        taken = out.entry(stat, e.next)?;
                        Ok(())
                    })?;
                    if !taken {
                        return Ok(());
                    }
                }
            }
            place = next;
        }
    }

    fn write(&self, _: &Ctx<'_>, node: &Node, offset: u64, source: &mut Source<'_>) -> Result<u32> {
        let Some(Io::Fid(fid)) = node.io.as_deref() else { return Err(Error::NotOpen.into()) };
        let mut done = 0u32;
        while source.left() > 0 {
            let Some(mut job) = self.link.large_job(true)? else { return Err(Error::NoMemory.into()) };
            let data = job.outgoing(source.left());
            let len = data.len();
            source.take(data)?;
            job.send_write(fid, offset.saturating_add(u64::from(done)), len);
            match job.wait() {
                Ok(Rmsg::Rwrite { count }) => {
                    done += count;
                    if count as usize != len {
                        break;
                    }
                }
                Ok(_) => return Err(Error::BadReply.into()),
                // What was written before counts; the next write meets the error.
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn remove(&self, _: &Ctx<'_>, node: &Node) -> Result<()> {
        // Not Tremove: on a read-only share QEMU refuses that without letting go of the fid.
        let Some(dir) = &node.file.parent else { return Err(Error::Perm.into()) };
        let name = copied(&node.file.name.lock())?;
        let flags = if node.file.kind == Kind::Dir { AT_REMOVEDIR } else { 0 };
        let t = Tmsg::Tunlinkat { dirfid: dir.fid.number(), name: name_of(&name)?, flags };
        self.link.ask(&t, |r| matches!(r, Rmsg::Runlinkat {}).then_some(()))
    }

    fn stat(&self, _: &Ctx<'_>, node: &Node, out: &mut dyn FnMut(&Stat<'_>) -> Result<()>) -> Result<()> {
        let a = attributes(&node.file.fid)?;
        let name = copied(&node.file.name.lock())?;
        record(&a, &name, out)
    }

    fn wstat(&self, _: &Ctx<'_>, node: &Node, new: &Stat<'_>) -> Result<()> {
        let file = &node.file;
        if !new.uid.is_empty() || !new.gid.is_empty() {
            let old = attributes(&file.fid)?;
            let differs = |new: &str, old: u32| !new.is_empty() && new != Number::new(old).text();
            if differs(new.uid, old.uid) || differs(new.gid, old.gid) {
                return Err(Error::Perm.into());
            }
        }
        // That a directory stays one is checked already.
        if new.mode != NOCHANGE32 && new.mode & !(DMDIR | DMSYMLINK | 0o777) != 0 {
            return Err(Error::Perm.into());
        }
        if !new.name.is_empty() && new.name != *file.name.lock() {
            self.rename(file, new.name)?;
        }
        let mut valid = 0;
        valid |= if new.mode == NOCHANGE32 { 0 } else { SET_MODE };
        valid |= if new.length == NOCHANGE64 || file.kind == Kind::Dir { 0 } else { SET_SIZE };
        valid |= if new.mtime == NOCHANGE32 { 0 } else { SET_MTIME };
        if valid == 0 {
            return Ok(());
        }
        let t = Tmsg::Tsetattr {
            fid: file.fid.number(),
            valid,
            mode: new.mode & 0o777,
            uid: 0,
            gid: 0,
            size: new.length,
            atime_sec: 0,
            atime_nsec: 0,
            mtime_sec: u64::from(new.mtime),
            mtime_nsec: 0,
        };
        self.link.ask(&t, |r| matches!(r, Rmsg::Rsetattr {}).then_some(()))
    }
}

impl Host {
    /// Gives a file another name in its directory; one that another file has is refused, as the manual asks.
    fn rename(&self, file: &Shared<File>, name: &str) -> Result<()> {
        let Some(dir) = &file.parent else { return Err(Error::Perm.into()) };
        if self.link.walk(&dir.fid, Some(name)).is_ok() {
            return Err(Error::Exists.into());
        }
        let new = copied(name)?;
        let t = Tmsg::Trename { fid: file.fid.number(), dfid: dir.fid.number(), name: name_of(name)? };
        self.link.ask(&t, |r| matches!(r, Rmsg::Rrename {}).then_some(()))?;
        *file.name.lock() = new;
        Ok(())
    }
}
