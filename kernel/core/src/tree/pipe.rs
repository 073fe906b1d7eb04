//! `#pipe`: two-way pipes (pipe(3)). The system call `pipe` makes one; its two ends are files of this tree.
//!
//! What is written to one end is read from the other, in order. A read gets what one or more writes brought; a write
//! waits while the buffer is full. When an end's last descriptor is closed, reads at the other find the end of the
//! file once the buffer is empty, and writes fail and are told by a note.

use super::{Entry, Parcel, Tree, here, put, take, wrote};
use crate::base::{List, Ref, Spin, copy};
use crate::msg::{Data, Msg, Reply, Result};
use crate::name::{Chan, File, Path};
use crate::thread::{Doing, Waiters, until, wake_all};
use abi::error::Error;
use abi::file::{ORDWR, QTFILE, Qid};

/// The tree.
pub(crate) struct Pipes;

/// Bytes that wait in one direction.
const ROOM: usize = 8192;
/// Writes of given pages that wait in one direction.
const PARCELS: usize = 4;
/// A copy in or out goes through so many bytes on the kernel's stack.
const PIECE: usize = 512;

/// As little is zeroed for one as it needs.
const SHORT: usize = 16;

/// The buffer for a transfer of a length, in one of two variables.
macro_rules! buffer {
    ($len:expr, $short:ident, $long:ident) => {
        if $len <= SHORT {
            $short = [0; SHORT];
            &mut $short[..]
        } else {
            $long = [0; PIECE];
            &mut $long[..]
        }
    };
}

/// One direction. Its lock is never held across a copy from or to a program.
struct Way {
    buffer: List<u8>,
    from: usize,
    len: usize,
    /// Pages that were given; they come before the buffer's bytes, which come only when these have been read.
    parcels: List<Parcel>,
    /// The ends that write and read are open.
    open_write: bool,
    open_read: bool,
    readers: Waiters,
    writers: Waiters,
}

/// What [`Way::look`] finds.
enum Found {
    Parcel(Parcel),
    Bytes(usize),
}

/// Instead of a number of bytes: nobody reads any more.
const HUNGUP: usize = usize::MAX;

struct Pipe {
    path: u64,
    ways: [Spin<Way>; 2],
}

struct All {
    /// Slots by the qid's path halved; a slot is used again.
    pipes: List<Option<Ref<Pipe>>>,
}

static ALL: Spin<All> = Spin::new(All { pipes: List::new() });

fn qid(path: u64) -> Qid {
    Qid { kind: QTFILE, vers: 0, path }
}

impl Way {
    fn new() -> Result<Spin<Way>> {
        let (readers, writers) = (Waiters::new(), Waiters::new());
        Ok(Spin::new(Way {
            buffer: List::zeroed(ROOM)?,
            from: 0,
            len: 0,
            parcels: List::new(),
            open_write: true,
            open_read: true,
            readers,
            writers,
        }))
    }

    /// Copies waiting bytes out and forgets them.
    fn get(&mut self, to: &mut [u8]) -> usize {
        let n = self.len.min(to.len());
        let (now, rest) = to.split_at_mut_checked(n.min(ROOM.wrapping_sub(self.from))).unwrap_or_default();
        copy(self.buffer.get(self.from..).unwrap_or(&[]), now);
        if now.len() < n {
            copy(self.buffer.get(..n.wrapping_sub(now.len())).unwrap_or(&[]), rest);
        }
        self.from = self.from.wrapping_add(n) % ROOM;
        self.len = self.len.wrapping_sub(n);
        n
    }

    /// What a reader finds, who has read so much: nothing yet, or pages, or bytes, of which there are none at the end.
    fn look(&mut self, buf: &mut [u8], done: usize) -> Option<Found> {
        // What has been read before pages is an answer of its own.
        if done == 0
            && !self.parcels.is_empty()
            && let Some(parcel) = self.parcels.remove(0)
        {
            return Some(Found::Parcel(parcel));
        }
        let n = self.get(buf);
        if n > 0 {
            wake_all(&mut self.writers);
        }
        (n > 0 || done > 0 || !self.open_write).then_some(Found::Bytes(n))
    }

    /// Adds bytes, as many as there is room for: none yet, so many, or [`HUNGUP`].
    fn add(&mut self, bytes: &[u8]) -> Option<usize> {
        if !self.open_read {
            return Some(HUNGUP);
        }
        let n = bytes.len().min(ROOM.wrapping_sub(self.len));
        if n == 0 || !self.parcels.is_empty() {
            return None;
        }
        let at = self.from.wrapping_add(self.len) % ROOM;
        let done = copy(bytes.get(..n).unwrap_or(&[]), self.buffer.get_mut(at..).unwrap_or(&mut []));
        if done < n {
            copy(bytes.get(done..n).unwrap_or(&[]), &mut self.buffer);
        }
        self.len = self.len.wrapping_add(n);
        wake_all(&mut self.readers);
        Some(n)
    }

    /// Adds given pages, all or none.
    fn add_parcel(&mut self, parcel: &mut Option<Parcel>) -> Option<Result<()>> {
        if !self.open_read {
            return Some(Err(Error::Hungup.into()));
        }
        if self.len > 0 || self.parcels.len() >= PARCELS {
            return None;
        }
        if let Err(e) = self.parcels.reserve(1) {
            return Some(Err(e));
        }
        if let Some(parcel) = parcel.take_if(|p| p.size() > 0) {
            let _ = self.parcels.push(parcel);
        }
        wake_all(&mut self.readers);
        Some(Ok(()))
    }
}

fn find(file: Qid) -> Result<Ref<Pipe>> {
    let slot = usize::try_from(file.path >> 1).unwrap_or(usize::MAX);
    ALL.lock().pipes.get(slot).cloned().flatten().ok_or(Error::NotExist.into())
}

/// The direction that an end reads, and the one it writes.
fn ways(pipe: &Pipe, file: Qid) -> (&Spin<Way>, &Spin<Way>) {
    let [a, b] = &pipe.ways;
    if file.path & 1 == 0 { (b, a) } else { (a, b) }
}

/// A new pipe's two ends.
pub fn pipe() -> Result<[Ref<Chan>; 2]> {
    let root = super::attach(b"pipe", super::ALL)?;
    let [a, b] = [Way::new()?, Way::new()?];
    let path = {
        let mut all = ALL.lock();
        let slot = match all.pipes.iter().position(Option::is_none) {
            Some(s) => s,
            None => {
                all.pipes.push(None)?;
                all.pipes.len().saturating_sub(1)
            }
        };
        let path = u64::try_from(slot).unwrap_or(0) << 1;
        let pipe = Ref::new(Pipe { path, ways: [a, b] })?;
        if let Some(s) = all.pipes.get_mut(slot) {
            *s = Some(pipe);
        }
        path
    };
    let end = |path: u64, name: &[u8]| {
        let file = File::opened_tree(root.file.session.clone(), qid(path), ORDWR);
        Chan::new(file, Path::resolve(&root.path, name)?, ORDWR, 0, None)
    };
    // If the second fails, dropping the first closes its end, and dropping the second's file the other.
    Ok([end(path, b"data")?, end(path | 1, b"data1")?])
}

fn hung_up() -> Result<Reply> {
    here::note(abi::note::PIPE);
    Err(Error::Hungup.into())
}

/// Reads on in given pages, and keeps what is left.
fn read_parcel(way: &Spin<Way>, mut parcel: Parcel, m: &mut Msg<'_>) -> Result<Reply> {
    let n = parcel.read(m, 0, usize::try_from(m.count).unwrap_or(0));
    let mut rest = (!parcel.is_read()).then_some(parcel);
    let mut w = way.lock();
    match rest.take() {
        // Without memory for its place the rest is lost.
        Some(parcel) => drop(w.parcels.insert(0, parcel).is_ok()),
        None => wake_all(&mut w.writers),
    }
    wake_all(&mut w.readers);
    Ok(Reply { count: u32::try_from(n?).unwrap_or(0), ..Reply::default() })
}

/// Writes given pages, all or none.
fn give(way: &Spin<Way>, m: &mut Msg<'_>) -> Result<Reply> {
    let Data::Give(parcel) = &mut m.data else { return Err(Error::BadArg.into()) };
    match until(Doing::Tree, way, |w| &mut w.writers, |w| w.add_parcel(parcel))? {
        Ok(()) => wrote(m),
        Err(e) if e == Error::Hungup.into() => hung_up(),
        Err(e) => Err(e),
    }
}

impl Tree for Pipes {
    fn moves_pages(&self) -> bool {
        true
    }

    fn stat(&self, file: Qid, e: &mut Entry) -> Result<()> {
        if !file.is_dir() {
            let pipe = find(file)?;
            e.length = ways(&pipe, file).0.lock().len as u64;
            e.name.set(if file.path == pipe.path { b"data" } else { b"data1" });
            e.user.set(&here::user()?);
            e.mode = 0o600;
        }
        Ok(())
    }

    fn read(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let pipe = find(file)?;
        let way = ways(&pipe, file).0;
        let asked = usize::try_from(m.count).unwrap_or(0);
        if asked == 0 {
            return Ok(Reply::default());
        }
        let (mut short, mut long);
        let buf = buffer!(asked, short, long);
        let mut done = 0usize;
        while done < asked {
            let room = asked.wrapping_sub(done).min(buf.len());
            let room = buf.get_mut(..room).unwrap_or(&mut []);
            let n = match until(Doing::Tree, way, |w| &mut w.readers, |w| w.look(room, done))? {
                Found::Parcel(parcel) => return read_parcel(way, parcel, m),
                Found::Bytes(0) => break,
                Found::Bytes(n) => n,
            };
            put(&mut m.data, done, buf.get(..n).unwrap_or(&[]))?;
            done = done.wrapping_add(n);
        }
        Ok(Reply { count: done as u32, ..Reply::default() })
    }

    fn write(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let pipe = find(file)?;
        let way = ways(&pipe, file).1;
        if let Data::Give(_) = m.data {
            return give(way, m);
        }
        let mut done = 0usize;
        let (mut short, mut long);
        let buf = buffer!(m.count as usize, short, long);
        while done < m.count as usize {
            let n = take(&m.data, done, buf)?;
            if n == 0 {
                break;
            }
            let bytes = buf.get(..n).unwrap_or(&[]);
            match until(Doing::Tree, way, |w| &mut w.writers, |w| w.add(bytes))? {
                HUNGUP => return hung_up(),
                n => done = done.wrapping_add(n),
            }
        }
        Ok(Reply { count: done as u32, ..Reply::default() })
    }

    fn close(&self, file: Qid, _: u8) {
        let Ok(pipe) = find(file) else { return };
        let (reads, writes) = ways(&pipe, file);
        let mut gone = true;
        let unread;
        {
            let mut w = reads.lock();
            w.open_read = false;
            wake_all(&mut w.writers);
            gone &= !w.open_write;
            unread = w.parcels.take();
        }
        drop(unread);
        {
            let mut w = writes.lock();
            w.open_write = false;
            wake_all(&mut w.readers);
            gone &= !w.open_read;
        }
        if gone {
            let slot = usize::try_from(file.path >> 1).unwrap_or(usize::MAX);
            let old = ALL.lock().pipes.get_mut(slot).and_then(Option::take);
            drop(old);
        }
    }
}
