//! Page tables, the direct map, and kernel stacks.
//!
//! The upper half of every space is the same: the direct map of all memory at [`DIRECT`], kernel stacks with holes
//! between them at [`STACKS`], the kernel's image at the top. Its top-level entries are made once, so tables below
//! them appear in every space. The lower half is the program's.
//!
//! Entries are only touched as atomics, since processors read and mark them meanwhile. Who may change a space's tables
//! is the portable kernel's business; the stacks' tables have a lock here.
#![allow(unsafe_code, reason = "page tables and raw memory")]

use abi::limit::{PAGE, USER_END};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use kernel_core::base::Spin;
use kernel_core::machine::{Frame, KERNEL_STACK, Rights, Root, SHOWN};
use kernel_core::mem::frames::{self, For};

/// Where physical address 0 is.
pub(super) const DIRECT: u64 = 0xffff_8000_0000_0000;
/// How much of it there may be: one top-level entry.
pub(super) const DIRECT_SIZE: u64 = 1 << 39;
/// Where kernel stacks are.
const STACKS: u64 = 0xffff_8100_0000_0000;
/// Each has a hole as large as itself below it.
const STACK_STRIDE: u64 = 2 * KERNEL_STACK as u64;
/// Where the kernel's image is linked.
const IMAGE: u64 = 0xffff_ffff_8000_0000;

const PRESENT: u64 = 1;
const WRITE: u64 = 2;
const USER: u64 = 4;
const UNCACHED: u64 = 0x18;
const LARGE: u64 = 0x80;
const NO_EXECUTE: u64 = 1 << 63;
/// Not present, and not to be made either: what was there was given away.
const GONE: u64 = 1 << 9;
/// Not present, but the entry of a page: its frame, or its place in swap, is in the entry.
const OUT: u64 = 1 << 10;
/// Leads to a table that is not the space's own. Of a page's entry in it bits 52 to 54 are its keeper's.
const LINKED: u64 = 1 << 11;
const NOTE: u32 = 52;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const TABLE: u64 = PRESENT | WRITE | USER;

/// Physical addresses of devices' registers that the kernel itself uses: local and I/O APIC, microvm's sleep control.
const DEVICES: [u64; 3] = [0xfee0_0000, 0xfec0_0000, 0xfea0_0000];
const LARGE_SIZE: u64 = 2 << 20;

/// The root with nothing but the kernel; what starts the other CPUs loads it too.
#[unsafe(no_mangle)]
static KERNEL_ROOT: AtomicU64 = AtomicU64::new(0);

/// What the direct map has at a physical address.
#[inline(always)]
pub(super) fn direct(physical: u64) -> *mut u8 {
    (DIRECT + physical) as *mut u8
}

/// An entry of a table.
#[inline(always)]
fn entry(table: u64, index: u64) -> &'static AtomicU64 {
    // SAFETY: the table is a frame that holds a page table, in the direct map, and the index is below 512.
    unsafe { &*direct(table + (index & 511) * 8).cast::<AtomicU64>() }
}

#[inline(always)]
fn index(addr: u64, level: u32) -> u64 {
    addr >> (12 + 9 * level) & 511
}

/// Source of frames for tables; the early one takes from memory that the allocator does not know yet.
type Take<'a> = &'a mut dyn FnMut() -> Option<u64>;

fn zeroed_table() -> Option<u64> {
    frames::zeroed(For::Kernel).ok().map(|f| f.0 << 12)
}

/// The entry of a level for an address, making tables on the way if there is a source for them.
fn walk(root: u64, addr: u64, level: u32, mut take: Option<Take<'_>>) -> Option<&'static AtomicU64> {
    let mut table = root;
    for l in (level + 1..4).rev() {
        let e = entry(table, index(addr, l));
        let mut value = e.load(Ordering::Relaxed);
        if value & (PRESENT | LINKED) != PRESENT {
            let new = (take.as_mut()?)()?;
            if value == GONE {
                (0..512).for_each(|i| entry(new, i).store(GONE, Ordering::Relaxed));
            }
            value = new | TABLE;
            e.store(value, Ordering::Release);
        }
        table = value & ADDRESS;
    }
    Some(entry(table, index(addr, level)))
}

fn bits(rights: Rights) -> u64 {
    match rights {
        Rights::Read => PRESENT | USER | NO_EXECUTE,
        Rights::Write => PRESENT | USER | WRITE | NO_EXECUTE,
        Rights::Exec => PRESENT | USER,
        Rights::Device => PRESENT | USER | WRITE | NO_EXECUTE | UNCACHED,
        Rights::Out => OUT,
    }
}

/// Is it the entry of a page, mapped or not?
fn is_page(entry: u64) -> bool {
    entry & (PRESENT | OUT) != 0
}

fn decode(entry: u64) -> (Frame, Rights) {
    let rights = match (entry & WRITE != 0, entry & NO_EXECUTE != 0) {
        _ if entry & PRESENT == 0 => Rights::Out,
        (true, _) if entry & UNCACHED != 0 => Rights::Device,
        (true, _) => Rights::Write,
        (false, true) => Rights::Read,
        (false, false) => Rights::Exec,
    };
    (Frame((entry & ADDRESS) >> 12), rights)
}

/// Builds the kernel's tables over the given ranges of memory and loads them. `take` gives zeroed frames below 1 GiB.
pub(super) fn init(memory: impl Iterator<Item = (u64, u64)>, take: Take<'_>) -> Option<()> {
    let root = take()?;
    for (start, end) in memory {
        let mut at = start & !(LARGE_SIZE - 1);
        while at < end.min(DIRECT_SIZE) {
            let e = walk(root, DIRECT + at, 1, Some(&mut *take))?;
            e.store(at | PRESENT | WRITE | LARGE | NO_EXECUTE, Ordering::Relaxed);
            at += LARGE_SIZE;
        }
    }
    for at in DEVICES {
        let e = walk(root, DIRECT + at, 1, Some(&mut *take))?;
        e.store(at | PRESENT | WRITE | LARGE | NO_EXECUTE | UNCACHED, Ordering::Relaxed);
    }
    map_image(root, take)?;
    // The table for the stacks, so that all spaces have it.
    walk(root, STACKS, 2, Some(take))?;
    KERNEL_ROOT.store(root, Ordering::Release);
    load_kernel();
    Some(())
}

/// The image page by page: code is read-only, nothing else can be executed.
fn map_image(root: u64, take: Take<'_>) -> Option<()> {
    let [start, rodata, data, end] = image();
    for at in (start..end).step_by(PAGE) {
        let bits = if at < rodata {
            0
        } else if at < data {
            NO_EXECUTE
        } else {
            WRITE | NO_EXECUTE
        };
        let e = walk(root, at, 0, Some(&mut *take))?;
        e.store((at - IMAGE) | PRESENT | bits, Ordering::Relaxed);
    }
    Some(())
}

/// Where the image's code, constants and variables start, and its end.
pub(super) fn image() -> [u64; 4] {
    unsafe extern "C" {
        safe static image_start: u8;
        safe static rodata_start: u8;
        safe static data_start: u8;
        safe static image_end: u8;
    }
    [&raw const image_start, &raw const rodata_start, &raw const data_start, &raw const image_end]
        .map(|p| p as u64)
}

/// The physical range of the image.
pub(super) fn image_range() -> (u64, u64) {
    let [start, _, _, end] = image();
    (start - IMAGE, end - IMAGE)
}

fn current() -> u64 {
    let root: u64;
    // SAFETY: only reads.
    unsafe { asm!("mov {}, cr3", out(reg) root, options(nomem, nostack, preserves_flags)) };
    root
}

fn set(root: u64) {
    // SAFETY: every root has the whole kernel, so what runs goes on; user memory is reached by `copy` alone.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

/// Loads the tables that have nothing but the kernel.
fn load_kernel() {
    let root = KERNEL_ROOT.load(Ordering::Relaxed);
    if current() != root {
        set(root);
    }
}

#[unsafe(no_mangle)]
fn load(root: Root) {
    if !is_loaded(root) {
        set(root.0.0 << 12);
    }
}

#[unsafe(no_mangle)]
fn is_loaded(root: Root) -> bool {
    current() == root.0.0 << 12
}

#[unsafe(no_mangle)]
fn kernel_root() -> Root {
    Root(Frame(KERNEL_ROOT.load(Ordering::Relaxed) >> 12))
}

#[unsafe(no_mangle)]
fn leave(root: Root) {
    if current() == root.0.0 << 12 {
        load_kernel();
    }
}

#[unsafe(no_mangle)]
fn new_root() -> Option<Root> {
    let root = zeroed_table()?;
    let kernel = KERNEL_ROOT.load(Ordering::Relaxed);
    let mut at = first(kernel, 256, 512, PRESENT);
    while at < 512 {
        entry(root, at).store(get(entry(kernel, at)), Ordering::Relaxed);
        at = first(kernel, at + 1, 512, PRESENT);
    }
    Some(Root(Frame(root >> 12)))
}

#[unsafe(no_mangle)]
fn free_root(root: Root) {
    // The upper half is the kernel's.
    free_tables(root.0.0 << 12, 3, 256);
}

/// Frees a table and those below its first `count` entries.
fn free_tables(table: u64, level: u32, count: u64) {
    if level > 0 {
        let mut at = first(table, 0, count, PRESENT);
        while at < count {
            let e = get(entry(table, at));
            if e & LINKED == 0 {
                free_tables(e & ADDRESS, level - 1, 512);
            }
            at = first(table, at + 1, count, PRESENT);
        }
    }
    frames::free(Frame(table >> 12));
}

#[unsafe(no_mangle)]
fn map(root: Root, addr: u64, frame: Frame, rights: Rights) -> bool {
    debug_assert!(addr < USER_END);
    let Some(e) = own(root, addr) else { return false };
    e.store(frame.0 << 12 | bits(rights), Ordering::Release);
    true
}

/// The leaf entry of a user address, if there is a table for it and the table is the space's own.
fn leaf(root: Root, addr: u64) -> Option<&'static AtomicU64> {
    // As `walk`, in half the steps: most who ask find something. Written out it takes 35 instructions, as a loop 60.
    let below = |above: u64, shift| get(entry(above & ADDRESS, addr >> shift));
    let third = below(root.0.0 << 12, 39);
    if addr >= USER_END || third & PRESENT == 0 {
        return None;
    }
    let second = below(third, 30);
    if second & PRESENT == 0 {
        return None;
    }
    let above = below(second, 21);
    (above & (PRESENT | LINKED) == PRESENT).then(|| entry(above & ADDRESS, addr >> 12))
}

/// As [`leaf`], with a table of its own made if there is none.
#[inline(always)]
fn own(root: Root, addr: u64) -> Option<&'static AtomicU64> {
    leaf(root, addr).or_else(|| walk(root.0.0 << 12, addr, 0, Some(&mut zeroed_table)))
}

/// A page's entry with no more rights than the one above it has.
fn narrow(value: u64, above: u64) -> u64 {
    value & (above | !WRITE) | above & NO_EXECUTE
}

#[unsafe(no_mangle)]
fn unmap(root: Root, addr: u64) -> Option<(Frame, Rights)> {
    let old = leaf(root, addr)?.swap(0, Ordering::AcqRel);
    is_page(old).then(|| decode(old))
}

#[unsafe(no_mangle)]
fn lookup(root: Root, addr: u64) -> Option<(Frame, Rights)> {
    let e = match leaf(root, addr) {
        Some(e) => e.load(Ordering::Acquire),
        None => linked(root, addr),
    };
    is_page(e).then(|| decode(e))
}

/// What a space has of an entry in a table that it links; 0 if there is none.
#[cold]
#[inline(never)]
fn linked(root: Root, addr: u64) -> u64 {
    let above = walk(root.0.0 << 12, addr, 1, None).map_or(0, get);
    if above & LINKED == 0 { 0 } else { narrow(get(entry(above & ADDRESS, addr >> 12)), above) }
}

/// The first entry of a table, of those from one up to another, that has any of these bits; `to` if none has. Most of a
/// table is empty, so eight entries are looked at together: a fork and an exit look at every table of a space, and one
/// entry at a time took half of their instructions.
fn first(table: u64, from: u64, to: u64, bits: u64) -> u64 {
    let mut at = from;
    while at < to {
        // SAFETY: as in `entry`; eight entries from a multiple of eight on are all in the table.
        let [a, b, c, d, e, f, g, h] = unsafe { &*direct(table + (at & 504) * 8).cast::<[AtomicU64; 8]>() };
        let (a, b, c, d) = (get(a), get(b), get(c), get(d));
        if (a | b | c | d | get(e) | get(f) | get(g) | get(h)) & bits == 0 {
            at = (at | 7) + 1;
        } else if get(entry(table, at)) & bits != 0 {
            return at;
        } else {
            at += 1;
        }
    }
    to
}

#[inline(always)]
fn get(e: &AtomicU64) -> u64 {
    e.load(Ordering::Relaxed)
}

/// The first entry in a range that has any of these bits and leads to no table, or is of the lowest level asked for: its
/// first address in the range, its level and itself.
fn next(root: Root, from: u64, to: u64, bits: u64, lowest: u32) -> Option<(u64, u32, &'static AtomicU64)> {
    let (mut at, to) = (from, to.min(USER_END));
    'next: while at < to {
        let mut table = root.0.0 << 12;
        for level in (0..4).rev() {
            let size = 1u64 << (12 + 9 * level);
            let here = index(at, level);
            let e = entry(table, here);
            let value = e.load(Ordering::Acquire);
            let bits = if level == lowest { bits } else { bits | PRESENT };
            if value & bits == 0 {
                let end = (((to - 1) >> (12 + 9 * level)) - (at >> (12 + 9 * level)) + here + 1).min(512);
                let found = first(table, here + 1, end, bits);
                at = (at & !(size - 1)) + (found - here) * size;
                continue 'next;
            }
            if level == lowest || value & PRESENT == 0 {
                return Some((at, level, e));
            }
            table = value & ADDRESS;
        }
    }
    None
}

#[unsafe(no_mangle)]
fn next_mapped(root: Root, from: u64, to: u64) -> Option<(u64, Frame, Rights)> {
    mapped(root, from, to, false)
}

#[unsafe(no_mangle)]
fn take_mapped(root: Root, from: u64, to: u64) -> Option<(u64, Frame, Rights)> {
    mapped(root, from, to, true)
}

/// The next page, and takes it out if asked to; another CPU may have emptied its entry meanwhile.
fn mapped(root: Root, from: u64, to: u64, take: bool) -> Option<(u64, Frame, Rights)> {
    let mut from = from;
    loop {
        let (at, _, e) = next(root, from, to, PRESENT | OUT, 0)?;
        let value = if take { e.swap(0, Ordering::AcqRel) } else { e.load(Ordering::Acquire) };
        if is_page(value) {
            let (frame, rights) = decode(value);
            return Some((at, frame, rights));
        }
        from = at;
    }
}

#[unsafe(no_mangle)]
fn next_gone(root: Root, from: u64, to: u64) -> Option<(u64, u8)> {
    let mut from = from;
    loop {
        let (at, level, e) = next(root, from, to, GONE, 0)?;
        if get(e) == GONE {
            return Some((at, level as u8));
        }
        from = at + PAGE as u64;
    }
}

#[unsafe(no_mangle)]
fn set_gone(root: Root, addr: u64, level: u8, gone: bool) -> bool {
    let Some(e) = walk(root.0.0 << 12, addr, level.into(), Some(&mut zeroed_table)) else { return false };
    if !is_page(e.load(Ordering::Relaxed)) {
        e.store(if gone { GONE } else { 0 }, Ordering::Relaxed);
    }
    true
}

#[unsafe(no_mangle)]
fn take_table(root: Root, addr: u64, level: u8) -> Option<Frame> {
    let e = walk(root.0.0 << 12, addr, level.into(), None)?;
    let old = e.load(Ordering::Relaxed);
    if old & (PRESENT | LINKED) != PRESENT {
        return None;
    }
    e.store(GONE, Ordering::Release);
    Some(Frame((old & ADDRESS) >> 12))
}

#[unsafe(no_mangle)]
fn put_table(root: Root, addr: u64, level: u8, table: Frame) -> bool {
    match walk(root.0.0 << 12, addr, level.into(), Some(&mut zeroed_table)) {
        Some(e) if e.load(Ordering::Relaxed) & PRESENT == 0 => {
            e.store(table.0 << 12 | TABLE, Ordering::Release);
            true
        }
        _ => false,
    }
}

#[unsafe(no_mangle)]
fn table_entry(table: Frame, index: u64) -> Option<Frame> {
    let e = entry(table.0 << 12, index).load(Ordering::Relaxed);
    is_page(e).then_some(Frame((e & ADDRESS) >> 12))
}

#[unsafe(no_mangle)]
fn set_table_entry(table: Frame, index: u64, frame: Frame, level: u8) {
    let bits = if level == 0 { bits(Rights::Write) } else { TABLE };
    entry(table.0 << 12, index).store(frame.0 << 12 | bits, Ordering::Relaxed);
}

#[unsafe(no_mangle)]
fn page_entry(table: Frame, index: u64) -> (Frame, u8) {
    let e = get(entry(table.0 << 12, index));
    (Frame((e & ADDRESS) >> 12), (e >> NOTE) as u8 & 7 | ((e & PRESENT) as u8 * SHOWN))
}

#[unsafe(no_mangle)]
fn page_row(table: Frame, index: u64, most: u64, notes: u8) -> (Frame, u64) {
    // Some fifteen instructions a page: long reads of what is here are made of these and of copying.
    let first = get(entry(table.0 << 12, index)) & ADDRESS;
    let mut n = 0;
    while n < most {
        let e = get(entry(table.0 << 12, index + n));
        if e & ADDRESS != first + (n << 12) || notes >> (e >> NOTE & 7) & 1 == 0 {
            break;
        }
        n += 1;
    }
    (Frame(first >> 12), n)
}

#[unsafe(no_mangle)]
fn set_page_entry(table: Frame, index: u64, frame: Frame, note: u8, rights: Rights) {
    let bits = if rights == Rights::Out { 0 } else { bits(rights) & !NO_EXECUTE };
    entry(table.0 << 12, index).store(frame.0 << 12 | u64::from(note) << NOTE | bits, Ordering::Release);
}

#[unsafe(no_mangle)]
fn link(root: Root, addr: u64, table: Frame, rights: Rights) -> Option<Frame> {
    let e = walk(root.0.0 << 12, addr, 1, Some(&mut zeroed_table))?;
    let old = e.swap(table.0 << 12 | LINKED | bits(rights), Ordering::AcqRel);
    Some(Frame(if old & (PRESENT | LINKED) == PRESENT { (old & ADDRESS) >> 12 } else { 0 }))
}

#[unsafe(no_mangle)]
fn unlink(root: Root, addr: u64) -> bool {
    walk(root.0.0 << 12, addr, 1, None).is_some_and(end_link)
}

/// Empties an entry if it leads to a linked table. Another CPU may do the same and put something else there, since a file
/// grows under its segment's lock alone.
fn end_link(e: &AtomicU64) -> bool {
    let out = |e| (e & LINKED != 0).then_some(0);
    e.fetch_update(Ordering::AcqRel, Ordering::Relaxed, out).is_ok()
}

#[unsafe(no_mangle)]
fn fill(root: Root, addr: u64, table: Frame, index: u64, count: u64, rights: Rights) -> bool {
    let (first, above) = (addr >> 12, bits(rights));
    // As `narrow`, with what is the same for all done once.
    let (keep, set) = ((ADDRESS | TABLE) & (above | !WRITE), above & NO_EXECUTE);
    let mut to = 0;
    for page in first..first + count {
        if page == first || page & 511 == 0 {
            // Where the link ends that led elsewhere, if there was one.
            let Some(e) = own(root, page << 12) else { return false };
            to = (core::ptr::from_ref(e) as u64 - DIRECT) & ADDRESS;
        }
        let e = get(entry(table.0 << 12, index + page - first));
        if e & PRESENT != 0 {
            entry(to, page).store(e & keep | set, Ordering::Release);
        }
    }
    true
}

#[unsafe(no_mangle)]
fn clear(root: Root, from: u64, to: u64) -> bool {
    let (mut at, mut any) = (from, false);
    while let Some((addr, _, e)) = next(root, at, to, PRESENT, 1) {
        at = to.min((addr | (LARGE_SIZE - 1)) + 1);
        let value = get(e);
        if value & (PRESENT | LINKED) != PRESENT {
            any |= end_link(e);
            continue;
        }
        for page in addr >> 12..at >> 12 {
            any |= entry(value & ADDRESS, page).swap(0, Ordering::AcqRel) != 0;
        }
    }
    any
}

#[unsafe(no_mangle)]
fn flush_page(addr: u64) {
    // SAFETY: forgetting a translation changes nothing that Rust knows.
    unsafe { asm!("invlpg [{}]", in(reg) addr, options(nostack, preserves_flags)) };
}

#[unsafe(no_mangle)]
fn flush(root: Root) {
    if is_loaded(root) {
        flush_all();
    }
}

#[unsafe(no_mangle)]
fn flush_all() {
    set(current());
}

#[unsafe(no_mangle)]
fn frame_address(frame: Frame) -> *mut u8 {
    direct(frame.0 << 12)
}

#[unsafe(no_mangle)]
fn frame_of(at: *mut u8) -> Frame {
    Frame((at as u64 - DIRECT) >> 12)
}

/// Reads a device's register that the direct map has.
pub(super) fn device_read(physical: u64) -> u32 {
    // SAFETY: only called for the registers in `DEVICES`, which are mapped uncached.
    unsafe { direct(physical).cast::<u32>().read_volatile() }
}

/// Writes one.
pub(super) fn device_write(physical: u64, value: u32) {
    // SAFETY: as in `device_read`.
    unsafe { direct(physical).cast::<u32>().write_volatile(value) }
}

/// Writes one of a byte.
pub(super) fn device_write8(physical: u64, value: u8) {
    // SAFETY: as in `device_read`.
    unsafe { direct(physical).write_volatile(value) }
}

/// Kernel stacks: those given back, linked by their last words, and how many were ever made. Above the lock of the
/// frames.
struct Stacks {
    free: u64,
    made: u64,
}
static STACK_POOL: Spin<Stacks> = Spin::new(Stacks { free: 0, made: 0 });
const STACK_FRAMES: isize = (KERNEL_STACK / PAGE) as isize;

#[unsafe(no_mangle)]
fn new_stack() -> Option<u64> {
    let mut pool = STACK_POOL.lock();
    if pool.free != 0 {
        let top = pool.free;
        // SAFETY: a stack in the pool is mapped and nobody's; its last word leads to the next.
        pool.free = unsafe { ((top - 8) as *const u64).read() };
        frames::pooled(-STACK_FRAMES);
        return Some(top);
    }
    let top = STACKS + (pool.made + 1) * STACK_STRIDE;
    let root = KERNEL_ROOT.load(Ordering::Relaxed);
    for at in (top - KERNEL_STACK as u64..top).step_by(PAGE) {
        let e = walk(root, at, 0, Some(&mut zeroed_table))?;
        // A page that an earlier attempt left is used.
        if e.load(Ordering::Relaxed) == 0 {
            e.store(zeroed_table()? | PRESENT | WRITE | NO_EXECUTE, Ordering::Release);
        }
    }
    pool.made += 1;
    Some(top)
}

#[unsafe(no_mangle)]
fn free_stack(top: u64) {
    let mut pool = STACK_POOL.lock();
    // SAFETY: the stack is mapped and, the caller says, nobody runs on it.
    unsafe { ((top - 8) as *mut u64).write(pool.free) };
    pool.free = top;
    frames::pooled(STACK_FRAMES);
}

/// May kernel memory at an address be written, and executed? None if nothing is there.
pub(super) fn kernel_flags(addr: u64) -> Option<(bool, bool)> {
    let mut table = KERNEL_ROOT.load(Ordering::Relaxed);
    for level in (0..4).rev() {
        let e = entry(table, index(addr, level)).load(Ordering::Relaxed);
        if e & PRESENT == 0 {
            return None;
        }
        if level == 0 || level == 1 && e & LARGE != 0 {
            return Some((e & WRITE != 0, e & NO_EXECUTE == 0));
        }
        table = e & ADDRESS;
    }
    None
}

/// A page that stays for ever as a stack for faults that must not happen: the address above it.
pub(super) fn emergency_stack() -> Option<u64> {
    frames::zeroed(For::Kernel).ok().map(|f| DIRECT + (f.0 << 12) + PAGE as u64)
}
