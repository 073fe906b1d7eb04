//! `#trace`: every message that a group of processes causes, with its answer and time, as lines of text.
//!
//! A process opens `ctl`, which only one may have open, and writes `group`: from then on each message is recorded that
//! is sent on the time of a process of the writer's note group, by itself or by a server that works for it. A read of
//! `data` waits for lines; after `stop` has been written to `ctl` it comes to the end when all have been read. Closing
//! `ctl` ends everything. While nobody traces, a message costs the test of one flag.
//!
//! Records lie in a ring, made when tracing begins; when it is full new messages are counted as lost, and no server
//! waits for a reader. Messages to `#trace` itself are left out.

use super::{Entry, Text, Tree, command, here, put, text::decimal, wrote};
use crate::base::{List, Ref, Spin};
use crate::call::front;
use crate::machine;
use crate::msg::{Fail, Msg, Reply, Result};
use crate::proc::NoteGroup;
use crate::session::{Function, Session};
use crate::thread::{self, Doing, Thread, Waiters};
use abi::error::Error;
use abi::file::{QTDIR, QTFILE, Qid};
use abi::portal::{NOFID, op};
use core::sync::atomic::{AtomicBool, Ordering};

/// The tree.
pub(crate) struct Trace;

const CTL: u64 = 1;
const DATA: u64 = 2;
const NAMES: &[(&str, u32)] = &[("ctl", 0o222), ("data", 0o444)];

/// Records that wait to be read.
const RECORDS: usize = 256;
/// Bytes of a message's strings that are kept, and of a server's name and an error's words.
const BODY: usize = 64;
const WORDS: usize = 40;

/// Is anything traced?
static ON: AtomicBool = AtomicBool::new(false);

/// Is anything traced?
#[inline]
pub fn on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// A few bytes in place.
#[derive(Clone, Copy)]
struct Few<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

impl<const N: usize> Few<N> {
    fn new(from: &[u8]) -> Few<N> {
        let mut bytes = [0; N];
        let len = here::copy(from, &mut bytes).len();
        Few { len: u8::try_from(len).unwrap_or(0), bytes }
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// A message and its answer.
#[derive(Clone, Copy)]
struct Record {
    /// When it was sent and how long it took, in nanoseconds.
    at: u64,
    took: u64,
    /// Who sent it.
    pid: u32,
    server: Few<WORDS>,
    op: u8,
    a: u8,
    fid: u32,
    fid2: u32,
    count: u32,
    offset: u64,
    body: Few<BODY>,
    reply: core::result::Result<Reply, Few<WORDS>>,
}

struct Ring {
    /// Whose messages are recorded.
    group: Option<Ref<NoteGroup>>,
    /// When tracing began.
    since: u64,
    /// Not yet read; room for [`RECORDS`].
    records: List<Record>,
    lost: u64,
    stopped: bool,
    readers: Waiters,
}

/// There while `ctl` is open. Taken alone, but that readers are woken under it.
static RING: Spin<Option<Ring>> = Spin::new(None);

/// Sends a request by its session's function and records it, if its group is traced.
#[cold]
#[inline(never)]
pub fn call(function: Function, session: &Ref<Session>, m: &mut Msg<'_>, reply: &mut Reply) -> Result<()> {
    if !chosen(session) {
        return function(session, m, reply);
    }
    let mut record = Record {
        at: machine::now(),
        took: 0,
        pid: thread::current().proc.pid,
        server: server(session),
        op: m.op,
        a: m.a,
        fid: m.fid,
        fid2: m.fid2,
        count: m.count,
        offset: m.offset,
        body: Few::new(m.body),
        reply: Ok(Reply::default()),
    };
    let done = function(session, m, reply);
    record.took = machine::now().saturating_sub(record.at);
    record.reply = done.map(|()| *reply).map_err(|e| match e {
        Fail::Known(e) => Few::new(e.text().as_bytes()),
        Fail::Left => Few::new(b"left"),
        Fail::Words => Few::new(thread::current().error.lock().get()),
    });
    if let Some(ring) = &mut *RING.lock() {
        ring.add(record);
    }
    done
}

/// Is the message on the time of a process that is traced?
fn chosen(session: &Ref<Session>) -> bool {
    if super::name_of(session) == "trace" {
        return false;
    }
    let Ok(groups) = front(thread::current_ref()).proc.groups() else { return false };
    let ring = RING.lock();
    let group = ring.as_ref().and_then(|r| r.group.as_ref());
    group.is_some_and(|g| Ref::same(g, &groups.notes))
}

fn server(session: &Session) -> Few<WORDS> {
    match session.portal() {
        Some(p) => Few::new(&p.proc.name.lock()),
        None => Few::new(super::name_of(session).as_bytes()),
    }
}

impl Ring {
    fn new() -> Result<Ring> {
        let mut records = List::new();
        records.reserve(RECORDS)?;
        Ok(Ring { group: None, since: 0, records, lost: 0, stopped: false, readers: Waiters::new() })
    }

    fn add(&mut self, record: Record) {
        if self.records.len() >= RECORDS || self.records.push(record).is_err() {
            self.lost = self.lost.saturating_add(1);
        }
        self.wake();
    }

    fn wake(&mut self) {
        while let Some(t) = self.readers.pop() {
            Thread::unpark(&t);
        }
    }

    /// Takes records out as lines, as many as fit; none if the first does not. `None` when there are none to come.
    fn take(&mut self, room: usize) -> Result<Option<Text>> {
        let mut t = Text::new();
        let mut taken = 0usize;
        if self.lost > 0 && self.records.is_empty() {
            t.number(core::mem::take(&mut self.lost))?.put(b" messages lost\n")?;
        }
        for r in self.records.iter() {
            let mut line = Text::new();
            r.line(self.since, &mut line)?;
            if t.get().len().saturating_add(line.get().len()) > room {
                break;
            }
            t.put(line.get())?;
            taken = taken.saturating_add(1);
        }
        for _ in 0..taken {
            self.records.remove(0);
        }
        if t.get().is_empty() && !self.records.is_empty() {
            return Err(Error::ShortBuffer.into());
        }
        Ok(if t.get().is_empty() && self.stopped { None } else { Some(t) })
    }
}

/// The name of a message type.
pub(crate) fn name(op: u8) -> &'static str {
    match op {
        op::TAUTH => "auth",
        op::TATTACH => "attach",
        op::TFLUSH => "flush",
        op::TWALK => "walk",
        op::TOPEN => "open",
        op::TCREATE => "create",
        op::TREAD => "read",
        op::TWRITE => "write",
        op::TCLUNK => "clunk",
        op::TREMOVE => "remove",
        op::TSTAT => "stat",
        op::TWSTAT => "wstat",
        _ => "version",
    }
}

fn field(t: &mut Text, name: &str, n: u64) -> Result<()> {
    t.put(b" ")?.put(name.as_bytes())?.put(b" ")?.number(n)?;
    Ok(())
}

/// Seconds with six places.
fn seconds(t: &mut Text, ns: u64) -> Result<()> {
    let us = ns / 1000;
    t.number(us / 1_000_000)?.put(b".")?;
    // A leading one keeps the zeroes in front; it is cut off.
    let mut digits = [0; 20];
    let places = decimal((us % 1_000_000).saturating_add(1_000_000), &mut digits);
    t.put(places.get(1..).unwrap_or(&[]))?;
    Ok(())
}

fn qid(t: &mut Text, q: Qid) -> Result<()> {
    t.put(b" qid (")?
        .hex(q.path)?
        .put(b" ")?
        .number(u64::from(q.vers))?
        .put(b" ")?
        .hex(u64::from(q.kind))?
        .put(b")")?;
    Ok(())
}

impl Record {
    /// `TIME PID SERVER Tmessage fields -> Rmessage fields LATENCY`.
    fn line(&self, since: u64, t: &mut Text) -> Result<()> {
        seconds(t, self.at.saturating_sub(since))?;
        t.put(b" ")?.number(u64::from(self.pid))?.put(b" ")?.put(self.server.get())?;
        t.put(b" T")?.put(name(self.op).as_bytes())?;
        self.fields(t)?;
        match &self.reply {
            Ok(r) => {
                t.put(b" -> R")?.put(name(self.op).as_bytes())?;
                self.answer(r, t)?;
            }
            Err(words) => {
                t.put(b" -> Rerror ")?.quoted(words.get())?;
            }
        }
        t.put(b" ")?.number(self.took / 1000)?.put(b"us\n")?;
        Ok(())
    }

    fn fields(&self, t: &mut Text) -> Result<()> {
        field(t, "fid", u64::from(self.fid))?;
        match self.op {
            op::TATTACH if self.fid2 == NOFID => t.put(b" afid none").map(drop)?,
            op::TATTACH | op::TAUTH => field(t, "afid", u64::from(self.fid2))?,
            op::TWALK => field(t, "newfid", u64::from(self.fid2))?,
            op::TOPEN => field(t, "mode", u64::from(self.a))?,
            op::TCREATE => {
                field(t, "mode", u64::from(self.a))?;
                t.put(b" perm ")?.hex(u64::from(self.count))?;
            }
            op::TREAD | op::TWRITE => {
                field(t, "offset", self.offset)?;
                field(t, "count", u64::from(self.count))?;
            }
            op::TWSTAT => field(t, "count", u64::from(self.count))?,
            _ => {}
        }
        if self.op != op::TWSTAT {
            for s in super::strings(self.body.get()) {
                t.put(b" ")?.quoted(s)?;
            }
        }
        Ok(())
    }

    fn answer(&self, r: &Reply, t: &mut Text) -> Result<()> {
        match self.op {
            op::TREAD | op::TWRITE | op::TSTAT => field(t, "count", u64::from(r.count)),
            op::TWALK => field(t, "nwqid", u64::from(r.count)),
            op::TOPEN | op::TCREATE | op::TATTACH | op::TAUTH => qid(t, r.qid),
            _ => Ok(()),
        }
    }
}

fn file(path: u64) -> Qid {
    Qid { kind: if path == 0 { QTDIR } else { QTFILE }, vers: 0, path }
}

fn known(path: u64) -> Option<(&'static str, u32)> {
    NAMES.get(usize::try_from(path.checked_sub(1)?).ok()?).copied()
}

/// What `ctl` understands.
fn control(text: &str) -> Result<()> {
    let group = thread::current().proc.groups()?.notes;
    let mut held = RING.lock();
    let ring = held.as_mut().ok_or(Error::NotOpen)?;
    match text {
        "group" => {
            let old = ring.group.replace(group);
            ring.since = machine::now();
            ring.stopped = false;
            ON.store(true, Ordering::Relaxed);
            drop(held);
            drop(old);
        }
        "stop" => {
            ON.store(false, Ordering::Relaxed);
            ring.stopped = true;
            ring.wake();
        }
        _ => return Err(Error::BadCtl.into()),
    }
    Ok(())
}

impl Tree for Trace {
    fn walk(&self, _: Qid, name: &[u8]) -> Result<Qid> {
        if name == b".." {
            return Ok(file(0));
        }
        let i = NAMES.iter().position(|f| f.0.as_bytes() == name).ok_or(Error::NotExist)?;
        Ok(file(u64::try_from(i).unwrap_or(0).saturating_add(1)))
    }

    fn stat(&self, of: Qid, give: &mut dyn FnMut(&Entry<'_>) -> Result<()>) -> Result<()> {
        let (name, mode) = known(of.path).unwrap_or(("#trace", super::DIR));
        give(&Entry { qid: of, mode, length: 0, name: name.as_bytes(), user: b"sys" })
    }

    fn list(&self, _: Qid, at: u64) -> Result<Option<(Qid, u64)>> {
        let path = at.saturating_add(1);
        Ok(known(path).map(|_| (file(path), path)))
    }

    fn open(&self, of: Qid, mode: u8) -> Result<Qid> {
        if of.path != CTL {
            return super::only_read(mode).map(|()| of);
        }
        if mode & 3 != abi::file::OWRITE {
            return Err(Error::Perm.into());
        }
        let new = Ring::new()?;
        let mut ring = RING.lock();
        if ring.is_some() {
            drop(ring);
            return Err(Error::Exclusive.into());
        }
        *ring = Some(new);
        Ok(of)
    }

    fn close(&self, of: Qid, _: u8) {
        if of.path != CTL {
            return;
        }
        ON.store(false, Ordering::Relaxed);
        let mut gone = RING.lock().take();
        if let Some(ring) = &mut gone {
            ring.wake();
        }
    }

    fn read(&self, of: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        if of.path != DATA {
            return Err(Error::Perm.into());
        }
        let me = thread::current_ref();
        let room = usize::try_from(m.count).unwrap_or(0);
        loop {
            let text = {
                let mut held = RING.lock();
                let Some(ring) = held.as_mut() else { return Ok(Reply::default()) };
                let text = ring.take(room)?;
                if text.as_ref().is_some_and(|t| t.get().is_empty()) {
                    ring.readers.push(me.clone());
                }
                text
            };
            match text {
                None => return Ok(Reply::default()),
                Some(t) if !t.get().is_empty() => {
                    let count = put(&mut m.data, 0, t.get())?;
                    return Ok(Reply { count, ..Reply::default() });
                }
                Some(_) => {}
            }
            let waited = thread::wait(Doing::Tree, u64::MAX);
            if let Some(ring) = RING.lock().as_mut() {
                ring.readers.remove(&me);
            }
            waited?;
        }
    }

    fn write(&self, of: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        if of.path != CTL {
            return Err(Error::Perm.into());
        }
        let mut buf = [0; 16];
        control(command(m, &mut buf)?)?;
        wrote(m)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(op: u8, body: &[u8]) -> Record {
        Record {
            at: 1_500_000_000,
            took: 12_345,
            pid: 7,
            server: Few::new(b"ramfs"),
            op,
            a: 1,
            fid: 3,
            fid2: 4,
            count: 512,
            offset: 9,
            body: Few::new(body),
            reply: Ok(Reply { count: 5, qid: Qid { kind: 0x80, vers: 2, path: 0xab }, iounit: 0 }),
        }
    }

    fn line(r: &Record) -> String {
        let mut t = Text::new();
        r.line(0, &mut t).unwrap();
        String::from_utf8(t.get().to_vec()).unwrap()
    }

    #[test]
    fn messages_become_lines() {
        let walk = record(op::TWALK, b"\x03\0tmp\x03\0a b");
        assert_eq!(line(&walk), "1.500000 7 ramfs Twalk fid 3 newfid 4 tmp 'a b' -> Rwalk nwqid 5 12us\n");
        let read = record(op::TREAD, b"");
        assert_eq!(line(&read), "1.500000 7 ramfs Tread fid 3 offset 9 count 512 -> Rread count 5 12us\n");
        let mut open = record(op::TOPEN, b"");
        assert_eq!(line(&open), "1.500000 7 ramfs Topen fid 3 mode 1 -> Ropen qid (ab 2 80) 12us\n");
        open.reply = Err(Few::new(b"permission denied"));
        open.at = 1_000;
        assert_eq!(line(&open), "0.000001 7 ramfs Topen fid 3 mode 1 -> Rerror 'permission denied' 12us\n");
    }

    #[test]
    fn a_full_ring_counts_what_it_loses_and_nothing_waits() {
        let mut ring = Ring::new().unwrap();
        for _ in 0..RECORDS + 3 {
            ring.add(record(op::TREAD, b""));
        }
        assert_eq!(ring.lost, 3);
        assert!(ring.take(10).is_err(), "a line does not fit");
        let mut lines = 0;
        while let Some(t) = ring.take(4096).unwrap() {
            if ring.lost == 0 && t.get().ends_with(b"3 messages lost\n") {
                break;
            }
            assert!(t.get().len() <= 4096);
            lines += t.get().iter().filter(|&&b| b == b'\n').count();
        }
        assert_eq!(lines, RECORDS);
        ring.stopped = true;
        assert!(ring.take(4096).unwrap().is_none());
    }
}
