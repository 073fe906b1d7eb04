//! [`Parcel`]: what was written and has not been read, where whole pages may travel by page table.
//!
//! A parcel that is given has the whole pages of the writer's buffer, and copies of what lies before and behind them.
//! Whoever reads it plainly gets copies. A reader that takes has the pages put in the place of its buffer's own,
//! wherever buffer and parcel have their page borders in common.

use super::{here, put};
use crate::base::Bytes;
use crate::machine;
use crate::mem::fault::Access;
use crate::mem::{Pages, Space};
use crate::msg::{Data, Msg, Result, UserBuf};
use abi::error::Error;
use abi::limit::PAGE;

/// Bytes on their way.
#[derive(Debug, Default)]
pub struct Parcel {
    /// Those before the pages, then those behind them.
    bytes: Bytes,
    /// How many are before.
    head: usize,
    pages: Pages,
    /// How many bytes have been read.
    done: usize,
}

impl From<Bytes> for Parcel {
    fn from(bytes: Bytes) -> Parcel {
        Parcel { head: bytes.len(), bytes, ..Parcel::default() }
    }
}

/// A part of a buffer.
fn part(of: UserBuf, at: usize, len: usize) -> UserBuf {
    UserBuf { addr: of.addr.wrapping_add(at as u64), len }
}

/// The lengths of a buffer's head, whole pages and tail.
fn divide(buf: UserBuf) -> (usize, usize, usize) {
    let head = (buf.addr.wrapping_neg() as usize & (PAGE - 1)).min(buf.len);
    let rest = buf.len.saturating_sub(head);
    (head, rest & !(PAGE - 1), rest & (PAGE - 1))
}

impl Parcel {
    /// Takes a buffer out of a space: its whole pages are gone then, its ends are copied.
    pub fn give(space: &Space, from: UserBuf) -> Result<Parcel> {
        let (head, whole, tail) = divide(from);
        let mut bytes = Bytes::zeroed(head.saturating_add(tail))?;
        let (before, behind) = bytes.split_at_mut_checked(head).ok_or(Error::BadArg)?;
        let end = head.saturating_add(whole);
        if !machine::copy_in(before, part(from, 0, head)) || !machine::copy_in(behind, part(from, end, tail))
        {
            return Err(Error::BadAddress.into());
        }
        let pages = space.give(part(from, head, 0).addr, (whole / PAGE) as u64)?;
        Ok(Parcel { bytes, head, pages, done: 0 })
    }

    /// Nobody wants it: its pages go back to where they came from.
    pub fn restore(&mut self, space: &Space, from: UserBuf) {
        let count = self.pages.count();
        // Where another thread has detached the place meanwhile, they go.
        let _ = space.receive(part(from, self.head, 0).addr, &mut self.pages, count);
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn whole(&self) -> usize {
        (self.pages.count() as usize).saturating_mul(PAGE)
    }

    /// All its bytes.
    pub fn size(&self) -> usize {
        self.bytes.len().saturating_add(self.whole())
    }

    /// Has it pages?
    pub fn has_pages(&self) -> bool {
        self.pages.count() != 0
    }

    /// Has it been read to its end?
    pub fn is_read(&self) -> bool {
        self.done >= self.size()
    }

    /// Moves the next bytes, up to `room`, to `at` bytes into where a message wants them: how many. An error only if none
    /// could be moved.
    pub fn read(&mut self, m: &mut Msg<'_>, at: usize, room: usize) -> Result<usize> {
        let mut moved = 0usize;
        while moved < room && !self.is_read() {
            match self.step(m, at.saturating_add(moved), room.saturating_sub(moved)) {
                Ok(0) => break,
                Ok(n) => {
                    self.done = self.done.saturating_add(n);
                    moved = moved.saturating_add(n);
                }
                Err(e) if moved == 0 => return Err(e),
                Err(_) => break,
            }
        }
        Ok(moved)
    }

    /// Moves bytes of one kind.
    fn step(&mut self, m: &mut Msg<'_>, at: usize, room: usize) -> Result<usize> {
        let whole = self.whole();
        let Some(from) = self.done.checked_sub(self.head).filter(|&from| from < whole) else {
            // Before the pages or behind them.
            let (from, end) = match self.done.checked_sub(whole) {
                Some(from) if from >= self.head => (from, self.bytes.len()),
                _ => (self.done, self.head),
            };
            let bytes = self.bytes.get(from..end.min(from.saturating_add(room))).unwrap_or(&[]);
            return put(&mut m.data, at, bytes).map(|n| n as usize);
        };
        let (page, offset) = (from / PAGE, from & (PAGE - 1));
        if let Data::Take(to) = m.data {
            let to = part(to, at, room);
            let count = (room / PAGE).min((whole / PAGE).saturating_sub(page));
            if offset == 0 && count > 0 && to.addr as usize & (PAGE - 1) == 0 {
                let space = here::space()?;
                // A buffer that can't have other pages, such as an attached file, gets copies.
                if space.may_move(to.addr, count as u64, true).is_ok() {
                    self.pages.skip(page as u64)?;
                    space.receive(to.addr, &mut self.pages, count as u64)?;
                    return Ok(count.saturating_mul(PAGE));
                }
            }
        }
        self.copy(m, at, room, (page, offset))
    }

    /// Copies out of one page.
    fn copy(&self, m: &mut Msg<'_>, at: usize, room: usize, (page, offset): (usize, usize)) -> Result<usize> {
        let n = PAGE.saturating_sub(offset).min(room);
        let frame = self.pages.frame(page as u64);
        match (&mut m.data, frame) {
            (Data::ToUser(to) | Data::Take(to), Some(frame)) => {
                let n = n.min(to.len.saturating_sub(at));
                let to = part(*to, at, n);
                while n > 0 && !machine::frame_to_user(frame, offset, to) {
                    if !crate::entry::bring(to, Access::Write) {
                        return Err(Error::BadAddress.into());
                    }
                }
                Ok(n)
            }
            (Data::ToKernel(to), Some(frame)) => {
                let to = to.get_mut(at..).unwrap_or(&mut []);
                let n = n.min(to.len());
                machine::read_frame(frame, offset, to.get_mut(..n).unwrap_or(&mut []));
                Ok(n)
            }
            // The writer never touched it.
            (data, None) => put(data, at, [0; 512].get(..n.min(512)).unwrap_or(&[])).map(|n| n as usize),
            _ => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_apart_at_page_borders() {
        for (addr, len, want) in [
            (0x1000, 0x1000, (0, 0x1000, 0)),
            (0x1001, 0x1000, (0xfff, 0, 1)),
            (0x1001, 10, (10, 0, 0)),
            (0x1fff, 0x2002, (1, 0x2000, 1)),
            (0x1000, 0, (0, 0, 0)),
            (u64::MAX, 1, (1, 0, 0)),
        ] {
            assert_eq!(divide(UserBuf { addr, len }), want, "{addr:#x} {len:#x}");
        }
    }
}
