//! [`Segment`]: the pages of a file that are here, shared by all who have the file attached or open.
//!
//! There is one for each file of a server's tree and user, found by [`of`]. It is made when somebody first uses the file
//! in a way that can be cached, and has no file of its own: it keeps the open file of who attached it, which a close then
//! leaves open at the server. When nobody uses it any more its clean pages stay, as long as there is memory and the
//! server is there, for the next who opens the file and finds qid.vers unchanged.
//!
//! This file finds segments and maps their pages; [`super::pager`] calls servers for them.
//!
//! A space links the tables of [`Pages`] where an attachment covers their 2 MiB or what there is of the file in them, and
//! nothing else is attached there; so what one shows all have. Elsewhere pages are mapped one by one.
//!
//! Locks: a bucket before the segments in it; a segment under a space that has it attached. What is linked, shown or
//! mapped of a segment's pages is so under the segment's lock, and what is no more, to be freed, is shot down under it.
//! Whoever wants frames tries the locks only, since it may hold any other.

use super::fault::{Access, Miss};
use super::frames;
use super::pages::{LEAF, Pages};
use super::shootdown;
use super::space::{BLOCK, PAGE64};
use super::state::{Event, State};
use crate::base::{Bytes, List, Ref, Spin};
use crate::counters;
use crate::machine::{self, Frame, Rights, Root};
use crate::msg::Result;
use crate::name::{Chan, File};
use crate::thread::{Thread, Waiters};
use abi::error::Error;
use abi::file::{OEXEC, QTFILE};
use abi::limit::PAGE;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Pages that are read in together, and mapped together: 64 KiB.
pub(super) const AROUND: u64 = 16;

/// An attachment of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Map {
    pub(super) root: Root,
    /// Where, and up to where.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The page at `start`.
    pub(super) first: u64,
    pub(super) rights: Rights,
    /// Its pages stay.
    pub(super) wired: bool,
}

impl Map {
    /// The address of a page, if it is attached here.
    pub(super) fn address(&self, page: u64) -> Option<u64> {
        let at = page.checked_sub(self.first)?.checked_mul(PAGE64)?.checked_add(self.start)?;
        (at < self.end).then_some(at)
    }

    /// The page at an address of it.
    pub(super) fn page(&self, addr: u64) -> u64 {
        self.first.saturating_add(addr.saturating_sub(self.start) / PAGE64)
    }
}

/// What is behind a segment's lock.
pub(super) struct Inner {
    /// Who has it attached or open.
    users: u32,
    /// The version of the file that the clean pages are of.
    pub(super) vers: u32,
    /// The file's length as far as it is known.
    pub(super) length: u64,
    pub(super) pages: Pages,
    pub(super) maps: List<Map>,
    /// Open files to read and write by, while it is attached or dirty.
    pub(super) reader: Option<Ref<File>>,
    pub(super) writer: Option<Ref<File>>,
    /// Who waits for a page.
    pub(super) waiters: Waiters,
    /// The page at which the next eviction begins.
    hand: u64,
    /// Frames that have been told to [`frames::pooled`].
    pooled: usize,
    /// Its server has shared pages of its own.
    pub(super) shares: bool,
}

/// The pages of a file that are here.
pub struct Segment {
    /// The portal's identity.
    server: usize,
    /// User and tree, as they were attached; and the number of a session with them.
    who: Bytes,
    session: u64,
    path: u64,
    /// A name by which the file was opened.
    pub name: Bytes,
    pub(super) inner: Spin<Inner>,
}

impl core::fmt::Debug for Segment {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Segment")
    }
}

const BUCKETS: usize = 32;
static BUCKET: [Spin<List<Ref<Segment>>>; BUCKETS] = [const { Spin::new(List::new()) }; BUCKETS];

fn bucket(server: usize, path: u64) -> &'static Spin<List<Ref<Segment>>> {
    let hash = path ^ path >> 7 ^ (server as u64) >> 6;
    #[expect(clippy::indexing_slicing, reason = "masked to the table's length")]
    &BUCKET[hash as usize & (BUCKETS - 1)]
}

/// One use of a segment: an attachment, or an open file that goes through it.
#[derive(Debug)]
pub struct User(Ref<Segment>);

impl User {
    /// The segment.
    pub fn segment(&self) -> &Ref<Segment> {
        &self.0
    }

    /// Another use of it.
    pub fn again(&self) -> User {
        let mut inner = self.0.inner.lock();
        inner.users = inner.users.saturating_add(1);
        drop(inner);
        User(self.0.clone())
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Most dirty pages of one server: an eighth of memory.
fn most_dirty() -> usize {
    usize::try_from(frames::stats().total / 8).unwrap_or(usize::MAX).max(AROUND as usize)
}

/// A segment of a server that has dirty pages, or of any server.
pub(super) fn dirty(server: Option<usize>) -> Option<User> {
    for bucket in &BUCKET {
        let list = bucket.lock();
        let found =
            list.iter().find(|s| server.is_none_or(|id| s.server == id) && s.inner.lock().dirty() != 0);
        let Some(found) = found else { continue };
        let mut inner = found.inner.lock();
        inner.users = inner.users.saturating_add(1);
        inner.account();
        drop(inner);
        return Some(User(found.clone()));
    }
    None
}

/// Names each server with dirty pages, some perhaps twice; no lock is held meanwhile.
pub(super) fn dirty_servers(mut visit: impl FnMut(usize)) {
    for bucket in &BUCKET {
        let mut at = 0usize;
        loop {
            let next = bucket.lock().get(at).map(|s| (s.server, s.inner.lock().dirty() != 0));
            let Some((server, dirty)) = next else { break };
            if dirty {
                visit(server);
            }
            at = at.saturating_add(1);
        }
    }
}

/// May a file be cached? Its server says so by a version, and it is no directory and nothing special.
pub fn cacheable(file: &File) -> bool {
    file.qid.kind == QTFILE && file.qid.vers != 0 && file.session.portal().is_some()
}

/// The segment of an open file that is cacheable, if there is one; the version with which it was opened counts.
pub fn find(file: &File) -> Option<User> {
    let server = file.session.portal()?.id();
    let found = {
        let list = bucket(server, file.qid.path).lock();
        let found = list.iter().find(|s| s.is(server, file))?.clone();
        let mut inner = found.inner.lock();
        inner.users = inner.users.saturating_add(1);
        inner.account();
        drop(inner);
        User(found)
    };
    Some(found)
}

/// Looks up what a file that has a segment has from an offset on: how many of `most` bytes, and in what [`Pages::rows`].
/// None of a file that has no segment.
///
/// The frames stay what they are until this CPU spins, switches or leaves the kernel, for who frees one has all CPUs answer
/// first. A hold on each page, and a use of the segment, were 250 of a short read's 700 instructions.
pub(super) fn look(file: &File, offset: u64, most: usize, rows: &mut [(Frame, u64)]) -> Option<usize> {
    let server = file.session.portal()?.id();
    let list = bucket(server, file.qid.path).lock();
    let segment = list.iter().find(|s| s.is(server, file))?;
    let inner = segment.inner.lock();
    let left = usize::try_from(inner.length.saturating_sub(offset)).unwrap_or(usize::MAX).min(most);
    let pages = (offset % PAGE64).saturating_add(left as u64).div_ceil(PAGE64);
    inner.pages.rows(offset / PAGE64, pages, rows);
    Some(left)
}

/// The segment of an open file, made if there is none.
pub fn of(chan: &Chan) -> Result<User> {
    let file = &chan.file;
    if let Some(found) = find(file) {
        return Ok(found);
    }
    let portal = file.session.portal().ok_or(Error::NotSupported)?;
    let server = portal.id();
    let length = super::pager::stat(file)?.1;
    let who = Bytes::new(&file.session.attached.lock())?;
    let inner = Inner {
        users: 1,
        vers: file.qid.vers,
        length,
        pages: Pages::new(),
        maps: List::new(),
        reader: None,
        writer: None,
        waiters: Waiters::new(),
        hand: 0,
        pooled: 0,
        shares: false,
    };
    let new = Segment {
        server,
        who,
        session: file.session.number,
        path: file.qid.path,
        name: Bytes::new(chan.path.text())?,
        inner: Spin::new(inner),
    };
    let new = Ref::new(new)?;
    {
        let mut list = bucket(server, file.qid.path).lock();
        // A closed portal's are forgotten once, by its close.
        if portal.closed() {
            return Err(Error::Died.into());
        }
        if list.iter().any(|s| s.is(server, file)) {
            drop(list);
            // Somebody else was first.
            return find(file).ok_or(Error::Died.into());
        }
        list.push(new.clone())?;
    }
    Ok(User(new))
}

/// A server is gone: nobody finds its segments any more. Who uses one keeps what is here of it.
pub(crate) fn server_died(server: usize) {
    for bucket in &BUCKET {
        loop {
            // Taken out one by one, so that each is dropped with no lock held.
            let mut list = bucket.lock();
            let at = list.iter().position(|s| s.server == server);
            let gone = at.and_then(|at| list.swap_remove(at));
            drop(list);
            if gone.is_none() {
                break;
            }
        }
    }
}

/// Frees up to so many frames that hold clean pages: how many. First those of files that nobody uses, then those that no
/// program has touched since it was last asked, then any; it leaves off at the first kind of which there were some, unless
/// all are wanted. Called from anywhere: locks that are held are left alone.
#[cold]
#[inline(never)]
pub fn evict(mut want: usize) -> usize {
    static HAND: AtomicUsize = AtomicUsize::new(0);
    let mut done = 0usize;
    let by_use = [Choice::Unused, Choice::Untouched, Choice::Untouched, Choice::Any];
    let kinds: &[Choice] = if want == usize::MAX { &[Choice::All] } else { &by_use };
    for (i, &how) in kinds.iter().enumerate() {
        if done > 0 {
            break;
        }
        if i == 2 {
            // Those that are left are in use: text, which its programs would bring in again and again.
            super::swap::scarce();
            want = AROUND as usize;
        }
        for _ in 0..BUCKETS {
            if done >= want {
                return done;
            }
            let hand = HAND.fetch_add(1, Ordering::Relaxed);
            let Some(Some(list)) = BUCKET.get(hand % BUCKETS).map(Spin::try_lock) else { continue };
            for s in list.iter() {
                if let Some(mut inner) = s.inner.try_lock() {
                    done = done.saturating_add(inner.evict(want.saturating_sub(done), how));
                }
            }
        }
    }
    done
}

/// Whose pages are evicted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Choice {
    /// Those of segments that nobody uses.
    Unused,
    /// Those that no space has mapped. Others are unmapped: who still uses them maps them again.
    Untouched,
    /// Of segments in use those whose frames would be free then.
    Any,
    /// All.
    All,
}

/// Visits every segment, for those who look.
pub fn each(mut visit: impl FnMut(&Segment)) {
    BUCKET.iter().for_each(|b| b.lock().iter().for_each(|s| visit(s)));
}

/// A segment in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Attachments and open files.
    pub users: u32,
    /// Pages that are as the server has them.
    pub clean: usize,
    /// Pages that are not, or are on their way there.
    pub dirty: usize,
    /// Pages on their way here.
    pub reading: usize,
}

/// The frames that are taken out of a segment's pages and everybody's tables at once.
const BATCH: usize = 32;

/// Frees them. Copies by other CPUs that looked a page up are over when all have answered.
fn free_all(batch: &[Frame]) {
    if !batch.is_empty() {
        shootdown::everywhere();
    }
    batch.iter().for_each(|&f| frames::free(f));
}

impl Inner {
    /// Tells the memory how many of its frames nobody is using.
    pub(super) fn account(&mut self) {
        let idle = if self.users == 0 { self.pages.frames() } else { 0 };
        frames::pooled((idle as isize).wrapping_sub(self.pooled as isize));
        self.pooled = idle;
    }

    /// Lets an event happen to a page, and tells the server's count of dirty pages.
    pub(super) fn event(&mut self, page: u64, event: Event, frame: Frame) -> Option<(State, Frame)> {
        let before = self.dirty();
        let after = self.pages.event(page, event, frame);
        let change = (self.dirty() as isize).wrapping_sub(before as isize);
        if change != 0
            && let Some(count) = self.count()
        {
            count.fetch_add(change as usize, Ordering::Relaxed);
            counters::DIRTY.rise(change as u64);
        }
        after
    }

    /// Pages that the server does not have as they are here.
    pub(super) fn dirty(&self) -> usize {
        let states = [State::Dirty, State::Writing, State::WritingDirty];
        states.iter().fold(0, |n, &s| n.saturating_add(self.pages.count(s)))
    }

    /// Where its server's dirty pages are counted.
    fn count(&self) -> Option<&AtomicUsize> {
        self.writer.as_ref()?.session.portal().map(|p| &p.dirty)
    }

    /// Has the server as many dirty pages as it may?
    fn too_dirty(&self) -> bool {
        self.count().is_some_and(|n| n.load(Ordering::Relaxed) >= most_dirty())
    }

    /// Do its pages stay in some space?
    pub(super) fn is_wired(&self) -> bool {
        self.maps.iter().any(|m| m.wired)
    }

    /// Wakes all who wait for a page.
    pub(super) fn wake(&mut self) {
        while let Some(t) = self.waiters.pop() {
            Thread::unpark(&t);
        }
    }

    /// Takes a page out of every space, and tells whether one had it; the shootdown is the caller's.
    pub(super) fn unmap(&mut self, page: u64) -> bool {
        let shown = self.pages.hide(page);
        let out = |m: &Map| m.address(page).is_some_and(|at| machine::unmap(m.root, at).is_some());
        self.maps.iter().filter(|m| out(m)).count() != 0 || shown
    }

    /// Frees up to so many frames of clean pages, going on where it stopped the last time.
    fn evict(&mut self, want: usize, how: Choice) -> usize {
        if self.is_wired() || how == Choice::Unused && self.users != 0 {
            return 0;
        }
        let text = self.maps.iter().any(|m| m.rights == Rights::Exec);
        let mut done = 0usize;
        while done < want {
            let mut batch = [Frame(0); BATCH];
            let mut count = 0usize;
            let mut more = true;
            while count < BATCH.min(want.saturating_sub(done)) {
                let Some((page, _, frame)) = self.pages.next(self.hand, |s| s == State::Clean) else {
                    self.hand = 0;
                    more = false;
                    break;
                };
                self.hand = page.saturating_add(1);
                if matches!(how, Choice::Untouched | Choice::Any) && frames::shared(frame) {
                    // It is its server's too: nothing would be free.
                    continue;
                }
                if self.unmap(page) && how == Choice::Untouched {
                    continue;
                }
                if let Some(slot) = batch.get_mut(count) {
                    *slot = frame;
                    count = count.saturating_add(1);
                }
                self.pages.event(page, Event::Evict, frame);
            }
            free_all(batch.get(..count).unwrap_or(&[]));
            done = done.saturating_add(count);
            if !more {
                break;
            }
        }
        if self.maps.is_empty() {
            self.pages.tidy();
        }
        self.account();
        if text { &counters::TEXT_OUT } else { &counters::CLEAN_OUT }.rise(done as u64);
        done
    }

    /// Nobody has it attached: lets go of the pages that its server has too, from which they are soon had again.
    fn let_go(&mut self) {
        let mut at = 0;
        let mut batch = [Frame(0); BATCH];
        let mut count = 0usize;
        while let Some((page, _, frame)) = self.pages.next(at, |s| s == State::Clean) {
            at = page.saturating_add(1);
            if !frames::shared(frame) {
                continue;
            }
            self.pages.event(page, Event::Evict, frame);
            if count == BATCH {
                free_all(&batch);
                count = 0;
            }
            if let Some(slot) = batch.get_mut(count) {
                *slot = frame;
                count = count.saturating_add(1);
            }
        }
        free_all(batch.get(..count).unwrap_or(&[]));
    }

    /// Pages have changed at the server: what is clean of them is dropped, what is being read will be.
    pub(super) fn changed(&mut self, from: u64, to: u64) {
        let mut at = from;
        while let Some((page, state, frame)) =
            self.pages.next(at, |s| s == State::Clean || s == State::Reading)
        {
            if page >= to {
                break;
            }
            at = page.saturating_add(1);
            self.pages.event(page, Event::Change, frame);
            if state == State::Clean {
                self.unmap(page);
                shootdown::everywhere();
                frames::free(frame);
            }
        }
        self.account();
    }

    /// The file has another length. Nobody reaches what is behind an end, neither its new one nor, where it was in a
    /// table that a space links, that of an attachment.
    pub(super) fn set_length(&mut self, length: u64) {
        let mut any = false;
        if length > self.length {
            for m in self.maps.iter() {
                any |= machine::unlink(m.root, m.end.wrapping_sub(PAGE64));
            }
        } else if length < self.length {
            let mut at = length.div_ceil(PAGE64);
            while let Some((page, ..)) = self.pages.next(at, State::here) {
                any |= self.unmap(page);
                at = page.saturating_add(1);
            }
        }
        if any {
            shootdown::everywhere();
        }
        self.length = length;
    }
}

impl Segment {
    fn is(&self, server: usize, file: &File) -> bool {
        // Mostly it is the session that the segment was made in, whose strings need not be compared.
        self.server == server
            && self.path == file.qid.path
            && (self.session == file.session.number || self.who == *file.session.attached.lock())
    }

    /// The file has been opened, with the version that it has now: if it is another, what is clean is old.
    pub fn opened(&self, file: &File) -> Result<()> {
        if self.inner.lock().vers == file.qid.vers {
            return Ok(());
        }
        self.refresh(file)
    }

    /// The file may have changed altogether.
    pub fn refresh(&self, file: &File) -> Result<()> {
        let (vers, length) = super::pager::stat(file)?;
        let mut inner = self.inner.lock();
        inner.vers = vers;
        inner.set_length(length);
        inner.changed(0, u64::MAX);
        Ok(())
    }

    /// One who used it goes. The last closes the files, unless something is still to be written by them.
    fn leave(&self) {
        let mut inner = self.inner.lock();
        inner.users = inner.users.saturating_sub(1);
        if inner.users != 0 {
            return;
        }
        if inner.shares && inner.pages.count(State::Clean) != 0 {
            inner.let_go();
        }
        inner.pages.tidy();
        inner.account();
        let dirty = inner.dirty() != 0;
        let files = (inner.reader.take(), if dirty { None } else { inner.writer.take() });
        let empty = inner.pages.frames() == 0;
        drop(inner);
        drop(files);
        if dirty {
            super::laundry::wake();
        } else if empty {
            self.retire();
        }
    }

    /// Nobody uses it and nothing is here of it: it goes, unless somebody has found it again.
    fn retire(&self) {
        let mut list = bucket(self.server, self.path).lock();
        let at = list.iter().position(|s| core::ptr::eq::<Segment>(&**s, self));
        let inner = self.inner.lock();
        let gone = inner.users == 0 && inner.pages.frames() == 0;
        drop(inner);
        let gone = at.filter(|_| gone).and_then(|at| list.swap_remove(at));
        drop(list);
        drop(gone);
    }

    /// Notes an attachment. The file is kept to read by and, if it may be written there, to write by.
    pub(super) fn attach(&self, map: Map, file: &Ref<File>) -> Result<()> {
        let mut inner = self.inner.lock();
        inner.maps.push(map)?;
        inner.reader.get_or_insert_with(|| file.clone());
        if map.rights == Rights::Write {
            inner.writer.get_or_insert_with(|| file.clone());
        }
        Ok(())
    }

    /// Notes one more attachment like one that there is.
    pub(super) fn attach_again(&self, map: Map) -> Result<()> {
        self.inner.lock().maps.push(map)
    }

    /// An attachment becomes shorter, two, or none. Its pages have been unmapped or soon are.
    pub(super) fn cut(&self, root: Root, start: u64, rest: &[(u64, u64)]) -> Result<()> {
        let mut inner = self.inner.lock();
        inner.maps.reserve(rest.len())?;
        // From the last on: of a thousand processes with this text those that end are mostly the youngest.
        let at = inner.maps.iter().rposition(|m| m.root == root && m.start == start);
        let Some(old) = at.and_then(|at| inner.maps.swap_remove(at)) else { return Ok(()) };
        for &(start, end) in rest.iter().filter(|r| r.0 < r.1) {
            let first = old.first.saturating_add(start.saturating_sub(old.start) / PAGE64);
            // There is room.
            let _ = inner.maps.push(Map { start, end, first, ..old });
        }
        Ok(())
    }

    /// The server's identity.
    pub(super) fn server(&self) -> usize {
        self.server
    }

    /// Its attachments in a space keep their pages from now on.
    pub(super) fn wire(&self, root: Root) {
        self.inner.lock().maps.iter_mut().filter(|m| m.root == root).for_each(|m| m.wired = true);
    }

    /// The frame for a touch of the page at an address of an attachment, mapped there. `block` is where the 2 MiB begin
    /// whose table may be linked, as far as the space knows.
    pub(super) fn touch(
        this: &Ref<Segment>,
        map: &Map,
        at: u64,
        access: Access,
        hold: bool,
        block: Option<u64>,
    ) -> core::result::Result<Frame, Miss> {
        let page = map.page(at);
        let mut inner = this.inner.lock();
        let (state, frame) = inner.pages.get(page);
        if page >= inner.length.div_ceil(PAGE64) {
            return Err(Miss::Fail(Error::BadAddress.into()));
        }
        if !state.here() {
            return Err(if state == State::Failed {
                Miss::Fail(Error::Died.into())
            } else {
                Miss::Page(this.clone(), page)
            });
        }
        let frame = if access == Access::Write {
            if state == State::Clean && !map.wired && inner.too_dirty() {
                return Err(Miss::Dirty(this.clone()));
            }
            inner.write(page, state, frame)?
        } else {
            frame
        };
        let block = block.filter(|&b| map.page(b).is_multiple_of(LEAF) && inner.covers(map, b));
        if !inner.show(map, at, access, block) {
            return Err(Miss::Fail(Error::NoMemory.into()));
        }
        if hold {
            frames::share(frame).map_err(Miss::Fail)?;
        } else {
            machine::flush_page(at);
        }
        Ok(frame)
    }

    /// The file's length as far as it is known.
    pub fn length(&self) -> u64 {
        self.inner.lock().length
    }

    /// How it stands.
    pub fn stats(&self) -> Stats {
        let inner = self.inner.lock();
        let count = |s| inner.pages.count(s);
        Stats {
            users: inner.users,
            clean: count(State::Clean),
            dirty: inner.dirty(),
            reading: count(State::Reading).saturating_add(count(State::Stale)),
        }
    }
}

impl Inner {
    /// Has an attachment all of the 2 MiB at an address, or what there is of the file in them? In a wired space no part is
    /// linked, since what is attached behind it would end that, and then there has to be memory for a table.
    fn covers(&self, map: &Map, block: u64) -> bool {
        map.end >= block.saturating_add(BLOCK)
            || !map.wired && map.page(map.end) >= self.length.div_ceil(PAGE64)
    }

    /// Shows a page to the space that touches it, with what else is here of the block that was read in with it: links their
    /// table at an address, or maps each. False without memory.
    fn show(&mut self, map: &Map, at: u64, access: Access, block: Option<u64>) -> bool {
        let page = map.page(at);
        let begin = page & !(AROUND - 1);
        let (from, to) = match access {
            Access::Write => (page, page.saturating_add(1)),
            _ => (begin.max(map.first), begin.saturating_add(AROUND).min(map.page(map.end))),
        };
        let to = to.min(self.length.div_ceil(PAGE64));
        let Some((table, index)) = self.pages.show(from, to) else { return false };
        let Some(block) = block else {
            let at = at.wrapping_sub(page.wrapping_sub(from).wrapping_mul(PAGE64));
            return machine::fill(map.root, at, table, index, to.saturating_sub(from), map.rights);
        };
        let Some(old) = machine::link(map.root, block, table, map.rights) else { return false };
        if old != Frame(0) {
            shootdown::everywhere();
            frames::free(old);
        }
        true
    }

    /// A page is about to be written: its frame then. What its server has shared stays as it is.
    fn write(&mut self, page: u64, state: State, frame: Frame) -> Result<Frame> {
        if state != State::Clean || !frames::shared(frame) {
            self.event(page, Event::Write, frame);
            return Ok(frame);
        }
        let copy = frames::alloc(frames::For::Program)?;
        machine::copy_frames(copy, 0, frame, 0, PAGE);
        self.event(page, Event::Write, copy);
        self.unmap(page);
        shootdown::everywhere();
        frames::free(frame);
        Ok(copy)
    }
}

impl Drop for Segment {
    /// What is dirty now is lost with its server, and nobody is left to be told.
    fn drop(&mut self) {
        let lost = self.inner.get_mut().dirty();
        if lost != 0 {
            let text: [&[u8]; 3] = [b"kernel: server died: lost what was written to ", &self.name, b"\n"];
            text.iter().for_each(|part| part.iter().for_each(|&b| machine::debug(b)));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        counters::DIRTY.sink(self.dirty() as u64);
        frames::pooled((self.pooled as isize).wrapping_neg());
    }
}

/// The rights that an open file gives to who attaches it.
pub fn may_attach(chan: &Chan, rights: Rights) -> bool {
    match rights {
        Rights::Read => chan.may_read(),
        Rights::Write => chan.may_read() && chan.may_write(),
        Rights::Exec => chan.file.mode() == OEXEC,
        Rights::Device | Rights::Out => false,
    }
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
