//! `#trace`: every message that a group of processes causes, with its answer and time, as records ([`abi::trace`]).
//!
//! A process opens `ctl`, which only one may have open, and writes `group`: from then on each message is recorded that
//! is sent on the time of a process of the writer's note group, by itself or by a server that works for it. A read of
//! `data` waits for records; after `stop` has been written to `ctl` it comes to the end when all have been read. Closing
//! `ctl` ends everything. While nobody traces, a message costs the test of one flag.
//!
//! Records lie in a ring, made when tracing begins; when it is full new messages are counted as lost, and no server
//! waits for a reader. Messages to `#trace` itself are left out.

use super::{Fixed, Tree, command, put, wrote};
use crate::base::{List, Ref, Spin, copy};
use crate::call::front;
use crate::machine;
use crate::msg::{Fail, Msg, Reply, Result};
use crate::proc::NoteGroup;
use crate::session::{Function, Session};
use crate::thread::{self, Doing, Thread, Waiters};
use abi::error::Error;
use abi::file::Qid;
use abi::trace::{BODY, LOST, SIZE, WORDS, at};
use core::sync::atomic::{AtomicBool, Ordering};

/// The tree.
pub(crate) struct Trace;

const CTL: u64 = 1;
const DATA: u64 = 2;
/// Its files.
pub(super) const FILES: &[Fixed] = &[("ctl", 0o222), ("data", 0o444)];

/// Records that wait to be read.
const RECORDS: usize = 512;

/// Is anything traced?
static ON: AtomicBool = AtomicBool::new(false);

/// Is anything traced?
#[inline]
pub fn on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// A message and its answer.
struct Record([u8; SIZE]);

impl Record {
    /// Sets a field.
    #[inline(never)]
    fn set(&mut self, at: usize, bytes: &[u8]) {
        copy(bytes, self.0.get_mut(at..).unwrap_or(&mut []));
    }

    /// Sets a field of at most `most` bytes and the one of its length.
    fn put(&mut self, at: usize, len: usize, most: usize, bytes: &[u8]) {
        let n = bytes.len().min(most);
        self.set(len, &[n as u8]);
        self.set(at, bytes.get(..n).unwrap_or(&[]));
    }

    fn request(&mut self, m: &Msg<'_>) {
        self.set(at::OFFSET, &m.offset.to_le_bytes());
        let pid = thread::current().proc.pid;
        for (at, n) in [(at::PID, pid), (at::FID, m.fid), (at::FID2, m.fid2), (at::COUNT, m.count)] {
            self.set(at, &n.to_le_bytes());
        }
        self.set(at::OP, &[m.op, m.a]);
        self.put(at::BODY, at::BODY_LEN, BODY, m.body);
    }

    fn answer(&mut self, done: Result<()>, r: &Reply) {
        match done {
            Ok(()) => {
                self.set(at::QID_PATH, &r.qid.path.to_le_bytes());
                self.set(at::QID_VERS, &r.qid.vers.to_le_bytes());
                self.set(at::QID_KIND, &[r.qid.kind]);
                self.set(at::ANSWER_COUNT, &r.count.to_le_bytes());
                return;
            }
            Err(Fail::Known(e)) => self.error(e.text().as_bytes()),
            Err(Fail::Left) => self.error(b"left"),
            Err(Fail::Words) => self.error(thread::current().error.lock().get()),
        }
        self.set(at::FAILED, &[1]);
    }

    fn error(&mut self, words: &[u8]) {
        self.put(at::ERROR, at::ERROR_LEN, WORDS, words);
    }

    fn server(&mut self, session: &Session) {
        match session.portal() {
            Some(p) => self.put(at::SERVER, at::SERVER_LEN, WORDS, &p.proc.name.lock()),
            None => self.put(at::SERVER, at::SERVER_LEN, WORDS, session.tree_name().as_bytes()),
        }
    }
}

struct Ring {
    /// Whose messages are recorded.
    group: Option<Ref<NoteGroup>>,
    /// When tracing began.
    since: u64,
    /// Room for [`RECORDS`], used in a circle.
    records: List<Record>,
    /// The place of the oldest that has not been read, and how many there are.
    first: usize,
    count: usize,
    lost: u32,
    stopped: bool,
    readers: Waiters,
}

/// There while `ctl` is open. Taken alone, but that readers are woken under it.
static RING: Spin<Option<Ring>> = Spin::new(None);

/// Sends a request by its session's function and records it, if its group is traced.
#[cold]
#[inline(never)]
pub fn call(function: Function, session: &Ref<Session>, m: &mut Msg<'_>, reply: &mut Reply) -> Result<()> {
    let Some(since) = chosen(session) else { return function(session, m, reply) };
    let mut record = Record([0; SIZE]);
    record.server(session);
    record.request(m);
    let start = machine::now();
    let done = function(session, m, reply);
    record.set(at::TIME, &start.saturating_sub(since).to_le_bytes());
    record.set(at::TOOK, &machine::now().saturating_sub(start).to_le_bytes());
    record.answer(done, reply);
    if let Some(ring) = &mut *RING.lock() {
        ring.add(record);
    }
    done
}

/// Is the message on the time of a process that is traced? When tracing began.
fn chosen(session: &Ref<Session>) -> Option<u64> {
    if session.tree_name() == "trace" {
        return None;
    }
    let groups = front(thread::current_ref()).proc.groups().ok()?;
    let ring = RING.lock();
    let ring = ring.as_ref()?;
    ring.group.as_ref().is_some_and(|g| Ref::same(g, &groups.notes)).then_some(ring.since)
}

impl Ring {
    fn new() -> Result<Ring> {
        let mut records = List::new();
        records.reserve(RECORDS)?;
        Ok(Ring {
            group: None,
            since: 0,
            records,
            first: 0,
            count: 0,
            lost: 0,
            stopped: false,
            readers: Waiters::new(),
        })
    }

    fn add(&mut self, record: Record) {
        let at = self.first.wrapping_add(self.count) & (RECORDS - 1);
        let room = match self.records.get_mut(at) {
            _ if self.count >= RECORDS => false,
            Some(old) => {
                *old = record;
                true
            }
            None => self.records.push(record).is_ok(),
        };
        match room {
            true => self.count = self.count.wrapping_add(1),
            false => self.lost = self.lost.saturating_add(1),
        }
        self.wake();
    }

    fn wake(&mut self) {
        while let Some(t) = self.readers.pop() {
            Thread::unpark(&t);
        }
    }

    /// The next record, if there is any.
    fn take(&mut self) -> Option<Record> {
        if self.count == 0 && self.lost > 0 {
            let mut r = Record([0; SIZE]);
            r.set(at::OP, &[LOST]);
            r.set(at::COUNT, &core::mem::take(&mut self.lost).to_le_bytes());
            return Some(r);
        }
        self.count = self.count.checked_sub(1)?;
        let at = self.first;
        self.first = at.wrapping_add(1) & (RECORDS - 1);
        Some(Record(self.records.get(at)?.0))
    }
}

/// What `ctl` understands.
fn control(text: &[u8]) -> Result<()> {
    let group = thread::current().proc.groups()?.notes;
    let mut held = RING.lock();
    let ring = held.as_mut().ok_or(Error::NotOpen)?;
    match text {
        b"group" => {
            let old = ring.group.replace(group);
            ring.since = machine::now();
            ring.stopped = false;
            ON.store(true, Ordering::Relaxed);
            drop(held);
            drop(old);
        }
        b"stop" => {
            ON.store(false, Ordering::Relaxed);
            ring.stopped = true;
            ring.wake();
        }
        _ => return Err(Error::BadCtl.into()),
    }
    Ok(())
}

impl Tree for Trace {
    fn open(&self, file: Qid, _: u8) -> Result<()> {
        if file.path != CTL {
            return Ok(());
        }
        let new = Ring::new()?;
        let mut ring = RING.lock();
        if ring.is_some() {
            drop(ring);
            return Err(Error::Exclusive.into());
        }
        *ring = Some(new);
        Ok(())
    }

    fn close(&self, file: Qid, _: u8) {
        if file.path != CTL {
            return;
        }
        ON.store(false, Ordering::Relaxed);
        let mut gone = RING.lock().take();
        if let Some(ring) = &mut gone {
            ring.wake();
        }
    }

    fn read(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let room = m.count as usize;
        if file.path != DATA || room < SIZE {
            return Err(if file.path == DATA { Error::ShortBuffer } else { Error::Perm }.into());
        }
        let me = thread::current_ref();
        let mut done = 0usize;
        while room.saturating_sub(done) >= SIZE {
            let record = {
                let mut held = RING.lock();
                let Some(ring) = held.as_mut() else { break };
                let record = ring.take();
                if record.is_none() {
                    if ring.stopped || done > 0 {
                        break;
                    }
                    ring.readers.push(me.clone());
                }
                record
            };
            if let Some(record) = record {
                put(&mut m.data, done, &record.0)?;
                done = done.saturating_add(SIZE);
                continue;
            }
            let waited = thread::wait(Doing::Tree, u64::MAX);
            if let Some(ring) = RING.lock().as_mut() {
                ring.readers.remove(&me);
            }
            waited?;
        }
        Ok(Reply { count: done as u32, ..Reply::default() })
    }

    fn write(&self, _: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        control(command(m, &mut [0; 16])?)?;
        wrote(m)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_counts_what_it_loses_and_nothing_waits() {
        let mut ring = Ring::new().unwrap();
        for i in 0..RECORDS + 3 {
            let mut r = Record([0; SIZE]);
            r.set(at::FID, &(i as u32).to_le_bytes());
            ring.add(r);
        }
        assert_eq!(ring.lost, 3);
        for i in 0..RECORDS {
            let r = ring.take().unwrap();
            assert_eq!(r.0[at::FID..at::FID + 4], (i as u32).to_le_bytes());
        }
        for i in 0..3 * RECORDS as u32 - 6 {
            let mut r = Record([0; SIZE]);
            r.set(at::FID, &i.to_le_bytes());
            ring.add(r);
            if i % 3 != 0 {
                assert!(ring.take().is_some());
            }
        }
        let left = ring.take().unwrap();
        assert_eq!(left.0[at::FID..at::FID + 4], (2 * RECORDS as u32 - 4).to_le_bytes(), "not in order");
        while ring.count > 0 {
            assert!(ring.take().is_some());
        }
        let last = ring.take().unwrap();
        assert_eq!((last.0[at::OP], last.0[at::COUNT]), (LOST, 3));
        assert!(ring.take().is_none());
    }

    #[test]
    fn what_is_too_long_for_its_field_is_cut() {
        let mut r = Record([0; SIZE]);
        r.error(&[b'x'; WORDS + 7]);
        assert_eq!(usize::from(r.0[at::ERROR_LEN]), WORDS);
        assert_eq!(r.0[at::ERROR + WORDS], 0, "it runs into the next field");
    }
}
