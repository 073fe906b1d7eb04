//! Reading directories that need the kernel's hand: unions, and those in which something is mounted.
//!
//! Entries are read into a buffer; an entry of a file that something is mounted on is replaced by the stat of what a
//! program sees there, under the entry's name. Elements of a union follow one another; duplicates stay, as in Plan 9.

use super::file::File;
use super::{Head, Scope};
use crate::base::{Bytes, List, Ref, copy};
use crate::machine;
use crate::msg::{Data, Result, UserBuf};
use abi::error::Error;
use abi::file::{OREAD, Qid};
use abi::limit;
use abi::portal::op;

/// Where the name stands in a stat record (stat(5)): after size, type, dev, qid, mode, atime, mtime and length.
const NAME_AT: usize = 41;

/// Where a listing stands.
pub struct Listing {
    union: Option<Ref<Head>>,
    /// The element being listed.
    element: usize,
    /// It, open; none before the first read, or if the directory's own fid is read.
    open: Option<File>,
    /// Where it is read next.
    offset: u64,
    /// What was read of it and not yet given out.
    held: List<u8>,
    from: usize,
    to: usize,
    /// Somebody else is reading it now.
    busy: bool,
}

fn le<const N: usize>(b: &[u8], at: usize) -> Option<[u8; N]> {
    b.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The qid and the name of a stat record.
pub(crate) fn parts(record: &[u8]) -> Option<(Qid, &[u8])> {
    let qid = Qid {
        kind: *record.get(8)?,
        vers: u32::from_le_bytes(le(record, 9)?),
        path: u64::from_le_bytes(le(record, 13)?),
    };
    let len = usize::from(u16::from_le_bytes(le(record, NAME_AT)?));
    let start = NAME_AT.checked_add(2)?;
    Some((qid, record.get(start..start.checked_add(len)?)?))
}

/// A copy of a stat record with another name.
pub(crate) fn renamed(record: &[u8], name: &[u8]) -> Result<Bytes> {
    let (_, old) = parts(record).ok_or(Error::BadReply)?;
    let rest = NAME_AT.saturating_add(2).saturating_add(old.len());
    let len = u16::try_from(name.len()).map_err(|_| Error::NameTooLong)?;
    let mut new = Bytes::joined(&[
        record.get(..NAME_AT).ok_or(Error::BadReply)?,
        &len.to_le_bytes(),
        name,
        record.get(rest..).ok_or(Error::BadReply)?,
    ])?;
    let size = u16::try_from(new.len().saturating_sub(2)).map_err(|_| Error::NameTooLong)?;
    if let Some(to) = new.get_mut(..2) {
        copy(&size.to_le_bytes(), to);
    }
    Ok(new)
}

impl Listing {
    /// A listing at its start.
    pub fn new(union: Option<Ref<Head>>) -> Listing {
        Listing { union, element: 0, open: None, offset: 0, held: List::new(), from: 0, to: 0, busy: false }
    }

    /// What stands in the place of a listing that is being read.
    pub fn taken() -> Listing {
        Listing { busy: true, ..Listing::new(None) }
    }

    /// Is it one directory whose server may answer by itself?
    pub fn is_simple(&self) -> bool {
        self.union.is_none() && !self.busy
    }

    /// The union, to create in.
    pub fn union(&self) -> Option<&Ref<Head>> {
        self.union.as_ref()
    }

    /// Back to the start.
    pub fn rewind(&mut self) {
        self.element = 0;
        self.open = None;
        self.offset = 0;
        self.from = 0;
        self.to = 0;
    }

    /// Gives out whole entries, at least one if there is one.
    pub fn read(&mut self, scope: &Scope, own: &File, to: UserBuf) -> Result<usize> {
        if self.busy {
            return Err(Error::Exclusive.into());
        }
        let mut done = 0usize;
        loop {
            if self.from >= self.to && !self.fill(own)? {
                return Ok(done);
            }
            let held = self.held.get(self.from..self.to).unwrap_or(&[]);
            let size = le::<2>(held, 0).map_or(0, |b| usize::from(u16::from_le_bytes(b))).saturating_add(2);
            let record = held.get(..size).ok_or(Error::BadReply)?;
            let fixed = self.seen(scope, own, record)?;
            let record = fixed.as_deref().unwrap_or(record);
            let end = done.saturating_add(record.len());
            if end > to.len {
                return if done == 0 { Err(Error::ShortBuffer.into()) } else { Ok(done) };
            }
            let at =
                UserBuf { addr: to.addr.wrapping_add(u64::try_from(done).unwrap_or(0)), len: record.len() };
            if !machine::copy_out(at, record) {
                return Err(Error::BadAddress.into());
            }
            done = end;
            self.from = self.from.saturating_add(size);
        }
    }

    /// The record as a program sees it, if that differs: something may be mounted on the file.
    fn seen(&self, scope: &Scope, own: &File, record: &[u8]) -> Result<Option<Bytes>> {
        let dir = self.open.as_ref().unwrap_or(own);
        let Some((qid, name)) = parts(record) else { return Err(Error::BadReply.into()) };
        let Some(head) = scope.ns.find(&dir.session, qid) else { return Ok(None) };
        let Some(first) = head.union.first() else { return Ok(None) };
        let mut buf = List::zeroed(limit::STAT)?;
        // A server that is gone leaves the entry as it was.
        match first.place.file.stat(Data::ToKernel(&mut buf)) {
            Ok(n) => {
                let n = usize::try_from(n).unwrap_or(0);
                renamed(buf.get(..n).unwrap_or(&[]), name).map(Some)
            }
            Err(_) => Ok(None),
        }
    }

    /// Reads more entries, from this element or the next: false when there are no more.
    fn fill(&mut self, own: &File) -> Result<bool> {
        loop {
            if let Some(head) = &self.union
                && self.open.is_none()
            {
                let Some(m) = head.union.get(self.element) else { return Ok(false) };
                let mut file = m.place.file.copy()?;
                match file.open(OREAD) {
                    Ok(_) => self.open = Some(file),
                    // An element that can't be read hides none of the others.
                    Err(_) => {
                        self.element = self.element.saturating_add(1);
                        continue;
                    }
                }
                self.offset = 0;
            }
            let file = self.open.as_ref().unwrap_or(own);
            if self.held.is_empty() {
                self.held = List::zeroed(limit::PAGE)?;
            }
            let mut m = file.message(op::TREAD);
            m.offset = self.offset;
            m.count = u32::try_from(self.held.len()).unwrap_or(0);
            m.data = Data::ToKernel(&mut self.held);
            let n = crate::session::call(&file.session, &mut m)?.count;
            self.from = 0;
            self.to = usize::try_from(n).unwrap_or(0);
            self.offset = self.offset.saturating_add(u64::from(n));
            if n > 0 {
                return Ok(true);
            }
            if self.union.is_none() {
                return Ok(false);
            }
            self.open = None;
            self.element = self.element.saturating_add(1);
        }
    }
}
