//! Writing and reading on other terms than copying: pages that leave the writer, and pages that a reader takes.
//!
//! Mailboxes and pipes pass the pages on, and a server may take them. To any other file a given write is a plain one, after
//! which the pages are gone all the same. Taking from a file that can be cached shares its pages, to be read; from any other it is reading. A
//! program need not know what it writes to.

use super::Chan;
use crate::mem::Space;
use crate::msg::{Data, Result, UserBuf};
use crate::thread;
use crate::tree::Parcel;
use abi::error::Error;
use abi::limit::PAGE;
use abi::portal::{Term, op};
use core::sync::atomic::Ordering;

/// Most bytes that go at once: what a count can say, in whole pages.
const MOST: usize = (u32::MAX as usize) & !(PAGE - 1);

impl Chan {
    /// Writes and gives.
    #[cold]
    pub fn give(&self, from: UserBuf, at: Option<u64>) -> Result<usize> {
        let space = thread::current().space()?;
        if from.len > MOST {
            return Err(Error::TooLong.into());
        }
        from.addr.checked_add(from.len as u64).ok_or(Error::BadAddress)?;
        if !self.may_write() {
            return Err(Error::BadMode.into());
        }
        if !self.file.session.moves_pages() {
            return self.write_and_drop(&space, from, at);
        }
        let mut parcel = Some(Parcel::give(&space, from)?);
        let mut m = self.file.message(op::TWRITE);
        m.count = from.len as u32;
        m.data = Data::Give(&mut parcel);
        let done = self.call(&mut m);
        if let Some(mut back) = parcel {
            back.restore(&space, from);
        }
        done.map(|r| r.count as usize)
    }

    fn write_and_drop(&self, space: &Space, from: UserBuf, at: Option<u64>) -> Result<usize> {
        let head = from.addr.wrapping_neg() as usize & (PAGE - 1);
        let first = from.addr.wrapping_add(head as u64);
        let pages = |len: usize| (len.saturating_sub(head) / PAGE) as u64;
        space.may_move(first, pages(from.len), false)?;
        let n = match self.segment() {
            // What programs have written to the file's pages is changed by what is written, which has to be here then.
            Some(_) => self.write(from, at.unwrap_or(u64::MAX))?,
            None => self.write_giving(from, at)?,
        };
        space.discard(first, pages(n))?;
        Ok(n)
    }

    /// As a write, but the server may take the pages.
    fn write_giving(&self, from: UserBuf, at: Option<u64>) -> Result<usize> {
        let offset = at.unwrap_or_else(|| self.offset.load(Ordering::Relaxed));
        let mut done = 0usize;
        while done < from.len {
            let part = UserBuf {
                addr: from.addr.wrapping_add(done as u64),
                len: from.len.saturating_sub(done).min(self.iounit),
            };
            let mut m = self.file.message(op::TWRITE);
            (m.a, m.count) = (Term::Give as u8, part.len as u32);
            m.offset = offset.checked_add(done as u64).ok_or(Error::BadOffset)?;
            m.data = Data::FromUser(part);
            match self.call(&mut m) {
                Ok(r) if r.count > 0 => done = done.saturating_add(r.count as usize),
                Err(e) if done == 0 => return Err(e),
                _ => break,
            }
        }
        if at.is_none() {
            self.offset.store(offset.saturating_add(done as u64), Ordering::Relaxed);
        }
        Ok(done)
    }

    fn take_file(&self, to: UserBuf, at: Option<u64>) -> Result<usize> {
        let offset = at.unwrap_or_else(|| self.offset.load(Ordering::Relaxed));
        match crate::mem::file::take(&*thread::current().space()?, self, to, offset)? {
            Some(n) => {
                if at.is_none() {
                    self.offset.store(offset.saturating_add(n as u64), Ordering::Relaxed);
                }
                Ok(n)
            }
            None => self.read(&|| thread::current().proc.scope(), to, at),
        }
    }

    /// Reads and takes.
    #[cold]
    pub fn take(&self, to: UserBuf, at: Option<u64>) -> Result<usize> {
        if self.file.session.is_handle() {
            // Of a server's own portal: the payload of the call that it is in.
            return crate::call::take_payload(to, at.ok_or(Error::BadOffset)?);
        }
        if !self.file.session.moves_pages() {
            return self.take_file(to, at);
        }
        let mut m = self.file.message(op::TREAD);
        m.count = to.len.min(MOST) as u32;
        m.data = Data::Take(to);
        self.call(&mut m).map(|r| r.count as usize)
    }
}
