//! The fake machine's memory: frames in one block of the host's, page tables as maps.
//!
//! Tests that use memory hold a [`Memory`] for as long; it gives the frames to the kernel the first time and keeps
//! such tests apart, so that each can count.

use crate::machine::{Frame, Rights, Root, SHOWN};
use crate::mem::frames::{self, For, Region};
use crate::msg::UserBuf;
use abi::limit::PAGE;
use std::alloc::{Layout, alloc_zeroed};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard};

/// Frames that the kernel gets: numbers from [`FIRST`] on.
const GIVEN: u64 = 64 << 8;
/// Frames for [`reserve`].
const RESERVED: u64 = 64 << 8;
const FIRST: u64 = 0x100;

/// Where frame [`FIRST`] is; an address, since a pointer can't be shared.
static ARENA: LazyLock<usize> = LazyLock::new(|| {
    let layout = Layout::from_size_align((GIVEN + RESERVED) as usize * PAGE, 4 << 20).unwrap();
    // SAFETY: not of size zero. The host only makes the pages that are touched.
    unsafe { alloc_zeroed(layout) }.expose_provenance()
});
static NEXT_RESERVED: AtomicU64 = AtomicU64::new(FIRST + GIVEN);
static ALONE: Mutex<()> = Mutex::new(());
static GIVE: LazyLock<()> = LazyLock::new(|| {
    let table = Vec::leak(vec![0; (FIRST + GIVEN) as usize]);
    frames::init(&[Region { start: FIRST, end: FIRST + GIVEN }], table);
});

type Table = BTreeMap<u64, (Frame, Rights)>;
static ROOTS: LazyLock<Mutex<HashMap<u64, Table>>> = LazyLock::new(Default::default);
static NEXT_ROOT: AtomicU64 = AtomicU64::new(1 << 40);

thread_local! {
    /// The root that this host thread's CPU has loaded; passed on with the CPU.
    pub(super) static LOADED: Cell<u64> = const { Cell::new(0) };
}

/// The use of memory by one test at a time.
#[derive(Debug)]
pub struct Memory {
    _alone: MutexGuard<'static, ()>,
}

/// Gives the kernel its memory and waits until no other test uses it.
pub fn memory() -> Memory {
    let alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    LazyLock::force(&GIVE);
    Memory { _alone: alone }
}

impl Memory {
    /// Free frames.
    pub fn free(&self) -> u64 {
        frames::stats().free
    }

    /// Takes every frame but so many until the result is dropped.
    pub fn exhaust(&self, but: u64) -> Exhausted {
        let mut all: Vec<Frame> = std::iter::from_fn(|| frames::alloc(For::Kernel).ok()).collect();
        all.drain(..but as usize).for_each(frames::free);
        Exhausted(all)
    }
}

/// Frames that are taken so that nobody else can have them.
#[derive(Debug)]
pub struct Exhausted(Vec<Frame>);

impl Drop for Exhausted {
    fn drop(&mut self) {
        self.0.drain(..).for_each(frames::free);
    }
}

/// Frames in a row that the kernel does not have, for tests with an allocator of their own.
pub fn reserve(count: u64) -> Frame {
    let first = NEXT_RESERVED.fetch_add(count, Ordering::Relaxed);
    assert!(first + count <= FIRST + GIVEN + RESERVED, "the fake machine's memory is too small");
    Frame(first)
}

#[unsafe(no_mangle)]
fn frame_address(frame: Frame) -> *mut u8 {
    assert!((FIRST..FIRST + GIVEN + RESERVED).contains(&frame.0), "no frame {:#x}", frame.0);
    std::ptr::with_exposed_provenance_mut(*ARENA + (frame.0 - FIRST) as usize * PAGE)
}

#[unsafe(no_mangle)]
fn frame_of(at: *mut u8) -> Frame {
    Frame(((at.addr() - *ARENA) / PAGE) as u64 + FIRST)
}

fn inside(offset: usize, len: usize) {
    assert!(offset + len <= PAGE, "{len} bytes at {offset} of a frame");
}

#[unsafe(no_mangle)]
fn read_frame(frame: Frame, offset: usize, to: &mut [u8]) {
    inside(offset, to.len());
    // SAFETY: the range lies in the frame, which is in the arena; to is the caller's own.
    unsafe { frame_address(frame).add(offset).copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
}

#[unsafe(no_mangle)]
fn write_frame(frame: Frame, offset: usize, from: &[u8]) {
    inside(offset, from.len());
    // SAFETY: as in `read_frame`.
    unsafe { frame_address(frame).add(offset).copy_from_nonoverlapping(from.as_ptr(), from.len()) };
}

#[unsafe(no_mangle)]
fn frame_from_user(frame: Frame, offset: usize, from: UserBuf) -> bool {
    inside(offset, from.len);
    pieces(from, (false, false), |f, o, at| copy_frames(frame, offset + at.start, f, o, at.len()))
}

#[unsafe(no_mangle)]
fn frame_to_user(frame: Frame, offset: usize, to: UserBuf) -> bool {
    pieces(to, (true, false), |f, o, at| {
        let (mut o, mut at) = (o, at);
        while !at.is_empty() {
            let from = offset + at.start;
            let n = at.len().min(PAGE - from % PAGE);
            copy_frames(f, o, Frame(frame.0 + (from / PAGE) as u64), from % PAGE, n);
            (o, at.start) = (o + n, at.start + n);
        }
    })
}

#[unsafe(no_mangle)]
fn add_in_frame(frame: Frame, offset: usize, n: i32) -> Option<i32> {
    let mut word = [0; 4];
    read_frame(frame, offset, &mut word);
    let sum = i32::from_le_bytes(word).checked_add(n).filter(|&s| s >= 0)?;
    write_frame(frame, offset, &sum.to_le_bytes());
    Some(sum)
}

#[unsafe(no_mangle)]
fn kernel_root() -> Root {
    Root(Frame(0))
}

#[unsafe(no_mangle)]
fn copy_frames(to: Frame, to_offset: usize, from: Frame, from_offset: usize, len: usize) {
    inside(to_offset, len);
    inside(from_offset, len);
    // SAFETY: both ranges lie in frames of the arena; they may be the same.
    unsafe { frame_address(to).add(to_offset).copy_from(frame_address(from).add(from_offset), len) };
}

#[unsafe(no_mangle)]
fn zero_frame(frame: Frame) {
    // SAFETY: the frame is in the arena.
    unsafe { frame_address(frame).write_bytes(0, PAGE) };
}

#[unsafe(no_mangle)]
fn new_root() -> Option<Root> {
    // A root costs a frame, as it does on hardware, so that tests can run out and can count.
    let root = NEXT_ROOT.fetch_add(1, Ordering::Relaxed);
    let frame = frames::alloc(For::Kernel).ok()?;
    let mut roots = ROOTS.lock().unwrap();
    roots.insert(root, Table::from([(u64::MAX, (frame, Rights::Read))]));
    Some(Root(Frame(root)))
}

#[unsafe(no_mangle)]
fn free_root(root: Root) {
    forget_gone(root, 0, u64::MAX);
    let mut table = ROOTS.lock().unwrap().remove(&root.0.0).expect("a root is freed once");
    let (frame, _) = table.remove(&u64::MAX).unwrap();
    LINKS.lock().unwrap().retain(|&(r, _), _| r != root.0.0);
    // Pages that are left are a segment's; a page of the space's own would be missed among the free frames.
    frames::free(frame);
}

fn with<T>(root: Root, f: impl FnOnce(&mut Table) -> T) -> T {
    f(ROOTS.lock().unwrap().get_mut(&root.0.0).expect("a root that was freed is used"))
}

#[unsafe(no_mangle)]
fn map(root: Root, addr: u64, frame: Frame, rights: Rights) -> bool {
    assert!(addr.is_multiple_of(PAGE as u64));
    forget_gone(root, addr, addr + PAGE as u64);
    assert!(!unlink(root, addr), "mapped where a table is linked");
    with(root, |t| t.insert(addr, (frame, rights)));
    true
}

#[unsafe(no_mangle)]
fn unmap(root: Root, addr: u64) -> Option<(Frame, Rights)> {
    with(root, |t| t.remove(&(addr & !(PAGE as u64 - 1))))
}

#[unsafe(no_mangle)]
fn lookup(root: Root, addr: u64) -> Option<(Frame, Rights)> {
    let link = LINKS.lock().unwrap().get(&(root.0.0, addr / BLOCK)).copied();
    if let Some((table, most)) = link {
        return narrow(table, addr / PAGE as u64 % 512, most);
    }
    with(root, |t| t.get(&(addr & !(PAGE as u64 - 1))).copied())
}

#[unsafe(no_mangle)]
fn next_mapped(root: Root, from: u64, to: u64) -> Option<(u64, Frame, Rights)> {
    let own = with(root, |t| t.range(from..to).next().map(|(&a, &(f, r))| (a, f, r)));
    let links: Vec<u64> = LINKS
        .lock()
        .unwrap()
        .range((root.0.0, from / BLOCK)..(root.0.0, to.div_ceil(BLOCK)))
        .map(|l| l.0.1)
        .collect();
    let pages = links
        .iter()
        .flat_map(|l| (l * BLOCK..(l + 1) * BLOCK).step_by(PAGE))
        .filter(|a| (from..to).contains(a));
    let linked = pages.filter_map(|a| lookup(root, a).map(|(f, r)| (a, f, r))).next();
    own.into_iter().chain(linked).min_by_key(|p| p.0)
}

#[unsafe(no_mangle)]
fn take_mapped(root: Root, from: u64, to: u64) -> Option<(u64, Frame, Rights)> {
    let found = next_mapped(root, from, to);
    if let Some((at, ..)) = found {
        assert!(unmap(root, at).is_some(), "taken out of a linked table");
    }
    found
}

/// What a table of pages covers.
const BLOCK: u64 = 512 * PAGE as u64;
/// Tables that roots link, by root and address divided by [`BLOCK`]: each with the most rights there are.
static LINKS: Mutex<BTreeMap<(u64, u64), (Frame, Rights)>> = Mutex::new(BTreeMap::new());

#[unsafe(no_mangle)]
fn link(root: Root, addr: u64, table: Frame, rights: Rights) -> Option<Frame> {
    with(root, |t| t.retain(|a, _| a / BLOCK != addr / BLOCK));
    LINKS.lock().unwrap().insert((root.0.0, addr / BLOCK), (table, rights));
    Some(Frame(0))
}

#[unsafe(no_mangle)]
fn unlink(root: Root, addr: u64) -> bool {
    LINKS.lock().unwrap().remove(&(root.0.0, addr / BLOCK)).is_some()
}

/// The rights that a page of a linked table can have, by the number that stands for them.
const LINKABLE: [Rights; 3] = [Rights::Out, Rights::Exec, Rights::Write];

fn entry(table: Frame, index: u64) -> (Frame, u8, Rights) {
    let mut word = [0; 8];
    read_frame(table, index as usize * 8, &mut word);
    let word = u64::from_le_bytes(word);
    (Frame(word >> 16), (word >> 8) as u8, LINKABLE[word as usize & 0xff])
}

/// What a space that may do no more than this has of an entry.
fn narrow(table: Frame, index: u64, most: Rights) -> Option<(Frame, Rights)> {
    match (entry(table, index), most) {
        ((_, _, Rights::Out), _) => None,
        ((frame, _, Rights::Exec), Rights::Write) => Some((frame, Rights::Read)),
        ((frame, _, _), most) => Some((frame, most)),
    }
}

#[unsafe(no_mangle)]
fn page_entry(table: Frame, index: u64) -> (Frame, u8) {
    let (frame, note, rights) = entry(table, index);
    (frame, if rights == Rights::Out { note } else { note | SHOWN })
}

#[unsafe(no_mangle)]
fn page_row(table: Frame, index: u64, most: u64, notes: u8) -> (Frame, u64) {
    let first = page_entry(table, index).0;
    let fits = |i: &u64| {
        let (frame, note) = page_entry(table, index + i);
        frame.0 == first.0 + i && notes & (1 << (note % SHOWN)) != 0
    };
    (first, (0..most).take_while(fits).count() as u64)
}

#[unsafe(no_mangle)]
fn set_page_entry(table: Frame, index: u64, frame: Frame, note: u8, rights: Rights) {
    let rights = LINKABLE.iter().position(|&r| r == rights).expect("rights of a linked page") as u64;
    let word = frame.0 << 16 | u64::from(note) << 8 | rights;
    write_frame(table, index as usize * 8, &word.to_le_bytes());
}

#[unsafe(no_mangle)]
fn fill(root: Root, addr: u64, table: Frame, index: u64, count: u64, rights: Rights) -> bool {
    let pages = (0..count).filter_map(|i| Some((i, narrow(table, index + i, rights)?)));
    pages.fold(true, |done, (i, (frame, rights))| done && map(root, addr + i * PAGE as u64, frame, rights))
}

#[unsafe(no_mangle)]
fn clear(root: Root, from: u64, to: u64) -> bool {
    let any = (from / BLOCK..to.div_ceil(BLOCK)).filter(|b| unlink(root, b * BLOCK)).count() != 0;
    let pages = std::iter::from_fn(|| take_mapped(root, from, to)).count();
    any || pages != 0
}

/// Pages that are marked gone, by root and address.
static GONE: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());
/// Tables that are in no space, by their frames.
static TABLES: LazyLock<Mutex<HashMap<u64, BTreeMap<u64, Frame>>>> = LazyLock::new(Default::default);

fn forget_gone(root: Root, from: u64, to: u64) {
    let mut gone = GONE.lock().unwrap();
    let some: Vec<(u64, u64)> = gone.range((root.0.0, from)..(root.0.0, to)).copied().collect();
    some.iter().for_each(|g| assert!(gone.remove(g)));
}

#[unsafe(no_mangle)]
fn next_gone(root: Root, from: u64, to: u64) -> Option<(u64, u8)> {
    let gone = GONE.lock().unwrap();
    gone.range((root.0.0, from)..(root.0.0, to)).next().map(|&(_, a)| (a, 0))
}

#[unsafe(no_mangle)]
fn set_gone(root: Root, addr: u64, level: u8, gone: bool) -> bool {
    let size = (PAGE as u64) << (9 * level);
    forget_gone(root, addr, addr + size);
    if gone {
        let mut all = GONE.lock().unwrap();
        all.extend((addr..addr + size).step_by(PAGE).map(|a| (root.0.0, a)));
    }
    true
}

#[unsafe(no_mangle)]
fn take_table(root: Root, addr: u64, level: u8) -> Option<Frame> {
    let below = (PAGE as u64) << (9 * (level - 1));
    with(root, |t| t.range(addr..addr + 512 * below).next().map(drop))?;
    let mut entries = BTreeMap::new();
    for i in 0..512 {
        let at = addr + i * below;
        let frame = if level > 1 { take_table(root, at, level - 1) } else { unmap(root, at).map(|(f, _)| f) };
        entries.extend(frame.map(|f| (i, f)));
    }
    set_gone(root, addr, level, true);
    let table = frames::zeroed(For::Kernel).expect("the fake needs a frame for a table");
    TABLES.lock().unwrap().insert(table.0, entries);
    Some(table)
}

#[unsafe(no_mangle)]
fn put_table(root: Root, addr: u64, level: u8, table: Frame) -> bool {
    let below = (PAGE as u64) << (9 * (level - 1));
    if with(root, |t| t.range(addr..addr + 512 * below).next().is_some()) {
        return false;
    }
    forget_gone(root, addr, addr + 512 * below);
    let entries = TABLES.lock().unwrap().remove(&table.0).unwrap_or_default();
    for (i, frame) in entries {
        if level > 1 {
            put_table(root, addr + i * below, level - 1, frame);
        } else {
            map(root, addr + i * below, frame, Rights::Write);
        }
    }
    frames::free(table);
    true
}

#[unsafe(no_mangle)]
fn table_entry(table: Frame, index: u64) -> Option<Frame> {
    TABLES.lock().unwrap().get(&table.0)?.get(&index).copied()
}

#[unsafe(no_mangle)]
fn set_table_entry(table: Frame, index: u64, frame: Frame, _level: u8) {
    TABLES.lock().unwrap().entry(table.0).or_default().insert(index, frame);
}

#[unsafe(no_mangle)]
fn load(root: Root) {
    LOADED.set(root.0.0);
}

#[unsafe(no_mangle)]
fn is_loaded(root: Root) -> bool {
    LOADED.get() == root.0.0
}

#[unsafe(no_mangle)]
fn leave(root: Root) {
    if LOADED.get() == root.0.0 {
        LOADED.set(0);
    }
}

#[unsafe(no_mangle)]
fn flush_page(_addr: u64) {}

#[unsafe(no_mangle)]
fn flush(_root: Root) {}

#[unsafe(no_mangle)]
fn flush_all() {}

/// Walks a range of the loaded space page by page: each piece's frame, offset in it and place in the buffer. Is it written,
/// and are faults served?
fn pieces(
    buf: UserBuf,
    (write, serve): (bool, bool),
    mut f: impl FnMut(Frame, usize, std::ops::Range<usize>),
) -> bool {
    let root = Root(Frame(LOADED.get()));
    let mut done = 0;
    while done < buf.len {
        let Some(addr) = buf.addr.checked_add(done as u64) else { return false };
        let offset = addr as usize % PAGE;
        let n = (buf.len - done).min(PAGE - offset);
        match lookup(root, addr) {
            Some((frame, rights)) if rights == Rights::Write || !write && rights != Rights::Out => {
                f(frame, offset, done..done + n)
            }
            _ if serve && super::run::fault(addr, write) => continue,
            _ => return false,
        }
        done += n;
    }
    true
}

#[unsafe(no_mangle)]
fn user_in(to: &mut [u8], from: UserBuf) -> bool {
    pieces(from, (false, true), |frame, offset, at| read_frame(frame, offset, &mut to[at]))
}

#[unsafe(no_mangle)]
fn user_out(to: UserBuf, from: &[u8]) -> bool {
    pieces(to, (true, true), |frame, offset, at| write_frame(frame, offset, &from[at]))
}
