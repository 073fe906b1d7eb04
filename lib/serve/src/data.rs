//! Payload: [`Sink`] takes the data of a read, [`Source`] gives the data of a write, each with one copy or none.
//!
//! A server hands a read the piece of its memory where the data is. Behind a connection the piece is copied into the
//! reply. Behind a portal the answer can name the piece itself, so that the kernel copies it once, straight to the
//! reader; the piece must then outlive the handler, and [`Held`] is what keeps it. The activation keeps its `Held`
//! until its next call, when the kernel is long done with it.

use crate::{Fail, Result};
use abi::error::Error;
use abi::limit::PAGE;
use alloc::vec::Vec;
use sync::{Bytes, Page, Shared};

/// What a hole in a file reads as.
pub static ZERO_PAGE: Bytes = [0; PAGE];

/// Pieces shorter than this are copied even where a pointer would do: keeping hold of a page would make the next
/// write to it copy the page.
const SMALL: usize = 512;

/// A buffer of the caller's, which the caller or a device may change meanwhile: never a slice, always copied.
pub trait Window {
    /// Copies out of the window.
    fn get(&self, at: usize, out: &mut [u8]);
    /// Copies into the window.
    fn put(&mut self, at: usize, data: &[u8]);
    /// Puts a page of the caller's, who gives it away, in the place of this one. If not, it is to be copied.
    fn give(&self, _at: usize, _to: &mut Bytes) -> bool {
        false
    }
    /// Does the caller give its pages?
    fn gives(&self) -> bool {
        false
    }
}

impl Window for Vec<u8> {
    fn get(&self, at: usize, out: &mut [u8]) {
        if let Some(from) = self.as_slice().get(at..at + out.len()) {
            out.copy_from_slice(from);
        }
    }
    fn put(&mut self, at: usize, data: &[u8]) {
        if let Some(to) = self.as_mut_slice().get_mut(at..at + data.len()) {
            to.copy_from_slice(data);
        }
    }
}

/// What keeps the memory of the last answer alive.
#[derive(Debug, Default)]
pub enum Held {
    /// The answer named no memory of the server's, or memory that never goes.
    #[default]
    Nothing,
    /// A page of a file.
    Page(Page),
    /// Text made for the occasion.
    Text(Shared<Vec<u8>>),
}

impl Held {
    /// Lets a page be shared, if the answer named it from its beginning on: where it is. A hole becomes a page of its own.
    #[cold]
    pub(crate) fn share(&mut self, address: u64) -> Option<u64> {
        if address == ZERO_PAGE.as_ptr() as u64 {
            *self = Held::Page(Page::zeroed().ok()?);
        }
        let Held::Page(page) = self else { return None };
        let at = page.as_ptr() as u64;
        let whole = address == at || address == ZERO_PAGE.as_ptr() as u64;
        whole.then(|| page.share()).map(|()| at)
    }
}

/// Where a sink puts bytes: appended to a reply, or at the start of a window.
pub trait Room {
    /// Appends.
    fn put(&mut self, data: &[u8]) -> Result<()>;
}

impl Room for Vec<u8> {
    fn put(&mut self, data: &[u8]) -> Result<()> {
        self.try_reserve(data.len())?;
        self.extend_from_slice(data);
        Ok(())
    }
}

/// A piece of memory that an answer names.
#[derive(Debug)]
struct Piece {
    held: Held,
    at: usize,
    len: usize,
    fixed: &'static [u8],
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        let all = match &self.held {
            Held::Nothing => self.fixed,
            Held::Page(page) => &page[..],
            Held::Text(text) => text.as_slice(),
        };
        all.get(self.at..self.at + self.len).unwrap_or_default()
    }
}

/// Takes the data of a read, in order, up to what was asked for.
pub struct Sink<'a> {
    room: &'a mut dyn Room,
    limit: usize,
    len: usize,
    /// May the answer name memory?
    lends: bool,
    /// All data so far, if it is one piece that nobody has copied.
    piece: Option<Piece>,
}

impl<'a> Sink<'a> {
    #[inline]
    /// A sink for up to `limit` bytes. With `lends` it keeps a single piece instead of copying it.
    pub fn new(room: &'a mut dyn Room, limit: usize, lends: bool) -> Sink<'a> {
        Sink { room, limit, len: 0, lends, piece: None }
    }

    /// How many bytes may still come.
    #[inline]
    pub fn left(&self) -> usize {
        self.limit - self.len
    }

    /// Takes bytes, as many as there is room for, by copying them.
    #[inline]
    pub fn bytes(&mut self, data: &[u8]) -> Result<()> {
        let data = data.get(..self.left()).unwrap_or(data);
        if self.piece.is_some() {
            self.settle()?;
        }
        self.room.put(data)?;
        self.len += data.len();
        Ok(())
    }

    /// Takes the part of a whole that lies at an offset: how a file that is one text is read.
    pub fn part(&mut self, whole: &[u8], offset: u64) -> Result<()> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX).min(whole.len());
        self.bytes(whole.get(at..).unwrap_or_default())
    }

    /// Takes `len` bytes of a page. It may be shared whole: what it has behind the file's end is zero.
    #[inline]
    pub fn page(&mut self, page: &Page, at: usize, len: usize) -> Result<()> {
        let len = len.min(self.left());
        let data = page.get(at..at + len).ok_or(Error::BadOffset)?;
        if !self.worth_lending(len) {
            return self.bytes(data);
        }
        self.lend(Held::Page(page.clone()), at, len, &[])
    }

    /// Takes the part of a text that lies at an offset.
    pub fn text(&mut self, text: &Shared<Vec<u8>>, offset: u64) -> Result<()> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
        let len = (text.len() - at).min(self.left());
        if !self.worth_lending(len) {
            return self.part(text, offset);
        }
        self.lend(Held::Text(text.clone()), at, len, &[])
    }

    /// Takes bytes that never go away.
    pub fn fixed(&mut self, data: &'static [u8]) -> Result<()> {
        let len = data.len().min(self.left());
        if !self.worth_lending(len) {
            return self.bytes(data);
        }
        self.lend(Held::Nothing, 0, len, data)
    }

    #[inline]
    fn worth_lending(&self, len: usize) -> bool {
        self.lends && self.len == 0 && len >= SMALL
    }

    fn lend(&mut self, held: Held, at: usize, len: usize, fixed: &'static [u8]) -> Result<()> {
        self.piece = Some(Piece { held, at, len, fixed });
        self.len = len;
        Ok(())
    }

    #[cold]
    /// More data comes, so a piece that was kept has to be copied before it.
    fn settle(&mut self) -> Result<()> {
        match self.piece.take() {
            None => Ok(()),
            Some(piece) => self.room.put(piece.bytes()),
        }
    }

    #[inline]
    /// How many bytes came, and where: `None` if they are in the room. `held` then keeps them alive.
    pub fn finish(self, held: &mut Held) -> (usize, Option<u64>) {
        match self.piece {
            None => (self.len, None),
            Some(piece) => {
                let address = piece.bytes().as_ptr() as u64;
                *held = piece.held;
                (self.len, Some(address))
            }
        }
    }
}

/// Gives the data of a write, in order.
pub struct Source<'a> {
    from: From<'a>,
    at: usize,
    len: usize,
}

enum From<'a> {
    Slice(&'a [u8]),
    Window(&'a dyn Window),
}

impl<'a> Source<'a> {
    /// The data lies in memory that nobody changes: a message.
    pub fn slice(data: &'a [u8]) -> Source<'a> {
        Source { from: From::Slice(data), at: 0, len: data.len() }
    }

    /// The data lies in a window.
    pub fn window(window: &'a dyn Window, len: usize) -> Source<'a> {
        Source { from: From::Window(window), at: 0, len }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.len - self.at
    }

    /// Does the writer give its pages, so that [`Source::page`] copies none?
    pub fn gives(&self) -> bool {
        matches!(self.from, From::Window(window) if window.gives())
    }

    /// The next bytes as a page of the server's, of which there are enough for one: moved, if the writer gives them, else
    /// copied.
    pub fn page(&mut self) -> Result<Page> {
        if self.left() < PAGE {
            return Err(Fail::Error(Error::ShortBuffer));
        }
        let mut page = Page::uncleared()?;
        let bytes = page.get_mut().ok_or(Error::Io)?;
        match self.from {
            From::Window(window) if window.give(self.at, bytes) => self.at += PAGE,
            _ => self.take(bytes)?,
        }
        Ok(page)
    }

    /// Copies the next bytes out; `out` is at most what is left.
    pub fn take(&mut self, out: &mut [u8]) -> Result<()> {
        if out.len() > self.left() {
            return Err(Fail::Error(Error::ShortBuffer));
        }
        match self.from {
            From::Slice(data) => {
                out.copy_from_slice(data.get(self.at..self.at + out.len()).unwrap_or_default());
            }
            From::Window(window) => window.get(self.at, out),
        }
        self.at += out.len();
        Ok(())
    }
}
