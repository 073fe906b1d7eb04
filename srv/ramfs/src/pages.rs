//! [`Pages`]: the contents of a file, a sparse tree of pages with 64 branches at each level.
//!
//! A file of one page has no level, one of a gigabyte three. What was never written takes no memory and reads as
//! zeros. Each page is counted by itself, so that an answer can keep hold of it; a write to a page that is held
//! elsewhere, or shared by the kernel with those who have the file attached, goes to a copy.

use abi::limit::PAGE;
use alloc::boxed::Box;
use alloc::vec::Vec;
use serve::{Error, Page, Result, Sink, Source, ZERO_PAGE};
use sync::Bytes;

const BITS: u32 = 6;
const BRANCHES: usize = 1 << BITS;
/// Bytes of a level's node, as they are charged.
const NODE: u64 = (BRANCHES * size_of::<Slot>()) as u64;
/// Largest file.
pub(crate) const MOST: u64 = i64::MAX as u64;

#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Page(Page),
    Node(Box<[Slot]>),
}

/// A file's pages.
#[derive(Default)]
pub(crate) struct Pages {
    root: Slot,
    levels: u32,
    /// Memory that they take.
    bytes: u64,
}

impl Pages {
    /// Memory that the pages take.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    #[inline]
    fn get(&self, index: u64) -> Option<&Page> {
        if index >> (BITS * self.levels) != 0 {
            return None;
        }
        let mut slot = &self.root;
        let mut level = self.levels;
        while let Slot::Node(node) = slot {
            level -= 1;
            slot = node.get((index >> (BITS * level)) as usize % BRANCHES)?;
        }
        match slot {
            Slot::Page(page) => Some(page),
            _ => None,
        }
    }

    /// Is there a page at this offset?
    pub(crate) fn has(&self, offset: u64) -> bool {
        self.get(offset / PAGE as u64).is_some()
    }

    /// Memory that a write at this offset adds: a page, if there is none, and the nodes that lead to it.
    pub(crate) fn cost(&self, offset: u64) -> u64 {
        if self.has(offset) {
            return 0;
        }
        let index = offset / PAGE as u64;
        let (mut slot, mut level, mut nodes) = (&self.root, self.levels, 0);
        while index >> (BITS * level) != 0 {
            level += 1;
        }
        if level > self.levels && !matches!(slot, Slot::Empty) {
            // What is there moves below new nodes, at whose top the page's way is another.
            nodes = level - self.levels;
            level -= 1;
            slot = &Slot::Empty;
        }
        while let Slot::Node(node) = slot {
            level -= 1;
            slot = node.get((index >> (BITS * level)) as usize % BRANCHES).unwrap_or(&Slot::Empty);
        }
        PAGE as u64 + u64::from(nodes + level) * NODE
    }

    /// The place of a page, made if it is not there.
    fn place(&mut self, index: u64) -> Result<&mut Slot> {
        while index >> (BITS * self.levels) != 0 {
            if !matches!(self.root, Slot::Empty) {
                let mut node = new_node()?;
                if let Some(first) = node.first_mut() {
                    *first = core::mem::take(&mut self.root);
                }
                self.root = Slot::Node(node);
                self.bytes += NODE;
            }
            self.levels += 1;
        }
        let mut slot = &mut self.root;
        for level in (0..self.levels).rev() {
            if matches!(slot, Slot::Empty) {
                *slot = Slot::Node(new_node()?);
                self.bytes += NODE;
            }
            let Slot::Node(node) = slot else { return Err(Error::Io.into()) };
            slot = node.get_mut((index >> (BITS * level)) as usize % BRANCHES).ok_or(Error::Io)?;
        }
        Ok(slot)
    }

    /// The page for writing, made if it is not there.
    fn make(&mut self, index: u64) -> Result<&mut Bytes> {
        if !self.has(index * PAGE as u64) {
            *self.place(index)? = Slot::Page(Page::zeroed()?);
            self.bytes += PAGE as u64;
        }
        let slot = self.place(index)?;
        let Slot::Page(page) = slot else { return Err(Error::Io.into()) };
        if !page.is_alone() {
            *page = page.copy()?;
        }
        page.get_mut().ok_or(Error::Io.into())
    }

    /// Gives `len` bytes from `offset` on to the sink.
    #[inline]
    pub(crate) fn read(&self, offset: u64, len: u64, sink: &mut Sink<'_>) -> Result<()> {
        let len = (sink.left() as u64).min(len) as usize;
        let at = (offset % PAGE as u64) as usize;
        if at + len <= PAGE { self.piece(offset, at, len, sink) } else { self.pieces(offset, len, sink) }
    }

    /// A part of one page.
    #[inline]
    fn piece(&self, offset: u64, at: usize, len: usize, sink: &mut Sink<'_>) -> Result<()> {
        match self.get(offset / PAGE as u64) {
            Some(page) => sink.page(page, at, len),
            None => sink.fixed(ZERO_PAGE.get(..len).unwrap_or_default()),
        }
    }

    #[inline(never)]
    fn pieces(&self, mut offset: u64, mut left: usize, sink: &mut Sink<'_>) -> Result<()> {
        while left > 0 {
            let at = (offset % PAGE as u64) as usize;
            let n = left.min(PAGE - at);
            self.piece(offset, at, n, sink)?;
            offset += n as u64;
            left -= n;
        }
        Ok(())
    }

    /// Takes up to one page's worth of the source: how many bytes.
    pub(crate) fn write(&mut self, offset: u64, source: &mut Source<'_>) -> Result<usize> {
        let at = (offset % PAGE as u64) as usize;
        let n = source.left().min(PAGE - at);
        if n == PAGE && (source.gives() || !self.has(offset)) {
            let (there, page) = (self.has(offset), source.page()?);
            *self.place(offset / PAGE as u64)? = Slot::Page(page);
            self.bytes += if there { 0 } else { PAGE as u64 };
            return Ok(n);
        }
        let page = self.make(offset / PAGE as u64)?;
        source.take(page.get_mut(at..at + n).ok_or(Error::Io)?)?;
        Ok(n)
    }

    /// Forgets everything from `length` on, which then reads as zeros again.
    pub(crate) fn cut(&mut self, length: u64) -> Result<()> {
        let tail = (length % PAGE as u64) as usize;
        let mut keep = length / PAGE as u64;
        if tail != 0 {
            if self.get(keep).is_some()
                && let Some(rest) = self.make(keep)?.get_mut(tail..)
            {
                rest.fill(0);
            }
            keep += 1;
        }
        self.bytes -= cut(&mut self.root, self.levels, keep);
        if matches!(self.root, Slot::Empty) {
            self.levels = 0;
        }
        Ok(())
    }
}

/// Frees the pages from number `keep` on: how many bytes. Recurses once per level.
fn cut(slot: &mut Slot, level: u32, keep: u64) -> u64 {
    match slot {
        Slot::Empty => 0,
        Slot::Page(_) if keep == 0 => {
            *slot = Slot::Empty;
            PAGE as u64
        }
        Slot::Page(_) => 0,
        Slot::Node(node) => {
            let below = level.saturating_sub(1);
            let span = 1_u64 << (BITS * below);
            let mut freed = 0;
            for (i, slot) in node.iter_mut().enumerate() {
                freed += cut(slot, below, keep.saturating_sub(i as u64 * span).min(span));
            }
            if node.iter().all(|s| matches!(s, Slot::Empty)) {
                *slot = Slot::Empty;
                freed += NODE;
            }
            freed
        }
    }
}

fn new_node() -> Result<Box<[Slot]>> {
    let mut node = Vec::new();
    node.try_reserve_exact(BRANCHES)?;
    node.resize_with(BRANCHES, Slot::default);
    Ok(node.into_boxed_slice())
}
