//! The first CPU's way into the kernel: what the loader left is read and believed as far as it makes sense.
#![allow(unsafe_code, reason = "reads what the loader left in memory")]

use super::page::{DIRECT_SIZE, direct};
use super::{apic, boot, cpu, entry, page, selftest, smp, time, trap};
use crate::log;
use abi::limit::{CPUS, PAGE};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};
use kernel_core::mem::frames::{self, Mark, REGIONS, Region};

/// Longest command line; the rest is cut off.
const COMMAND: usize = 2048;
const MAGIC: u32 = 0x336e_c578;
/// Memory below this stays unused: the processor's and the loader's own tables.
const LOW: u64 = 0x1_0000;
/// End of what the boot tables map.
const EARLY_END: u64 = 1 << 30;

/// What PVH passes: the start of it, in version 1.
#[repr(C)]
#[derive(Clone, Copy)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command: u64,
    rsdp: u64,
    map: u64,
    map_entries: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Module {
    start: u64,
    size: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct MapEntry {
    start: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

struct Command(UnsafeCell<[u8; COMMAND]>);
// SAFETY: written by the first CPU before the others run, then only read.
unsafe impl Sync for Command {}
static COMMAND_LINE: Command = Command(UnsafeCell::new([0; COMMAND]));
static COMMAND_LEN: AtomicU64 = AtomicU64::new(0);
static ARCHIVE: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Reads something that the loader left.
fn read<T: Copy>(physical: u64) -> Option<T> {
    if physical == 0 || physical >= EARLY_END {
        return None;
    }
    // SAFETY: memory of the loader's, mapped by the boot tables; T is plain numbers. It may be anything, and is checked.
    Some(unsafe { direct(physical).cast::<T>().read_unaligned() })
}

fn fail(why: &str) -> ! {
    log::line(&["kernel panic: ".into(), why.into()]);
    super::stop(log::PANIC)
}

/// Ranges of memory, in bytes.
struct Map {
    ranges: [(u64, u64); REGIONS],
    len: usize,
}

impl Map {
    fn each(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().take(self.len).copied()
    }

    /// Adds a range, whole pages of it. When there are too many the shortest is dropped.
    fn add(&mut self, start: u64, end: u64) {
        let (start, end) = (start.next_multiple_of(PAGE as u64), end & !(PAGE as u64 - 1));
        if start >= end {
            return;
        }
        if self.len < REGIONS {
            self.ranges[self.len] = (start, end);
            self.len += 1;
        } else if let Some(shortest) = self.ranges.iter_mut().min_by_key(|r| r.1 - r.0)
            && shortest.1 - shortest.0 < end - start
        {
            *shortest = (start, end);
        }
    }

    /// Takes a range out.
    fn remove(&mut self, start: u64, end: u64) {
        let old = Map { ranges: self.ranges, len: self.len };
        self.len = 0;
        for (s, e) in old.each() {
            self.add(s, e.min(start & !(PAGE as u64 - 1)));
            self.add(s.max(end.next_multiple_of(PAGE as u64)), e);
        }
    }

    /// Takes so many bytes, below 1 GiB, from a range that has them: where.
    fn take(&mut self, bytes: u64) -> Option<u64> {
        let bytes = bytes.next_multiple_of(PAGE as u64);
        let fits = |r: &&mut (u64, u64)| r.0 + bytes <= r.1.min(EARLY_END);
        // The low memory is full of holes: last choice.
        let (low, high): (u64, u64) = (0, 1 << 20);
        let chosen = self
            .ranges
            .iter_mut()
            .take(self.len)
            .filter(fits)
            .max_by_key(|r| (low..high).contains(&r.0) as u8 ^ 1)?;
        let at = chosen.0;
        chosen.0 += bytes;
        Some(at)
    }
}

/// The memory map: what may be used, and the same for the direct map, with what is in use.
fn memory(info: &StartInfo) -> Map {
    let mut map = Map { ranges: [(0, 0); REGIONS], len: 0 };
    for i in 0..u64::from(info.map_entries.min(128)) {
        let Some(e) = read::<MapEntry>(info.map + i * size_of::<MapEntry>() as u64) else { break };
        let end = e.start.saturating_add(e.size).min(DIRECT_SIZE);
        if e.kind == 1 && e.start < end {
            map.add(e.start.max(LOW), end);
        }
    }
    map
}

fn take_command(info: &StartInfo) {
    // SAFETY: only this CPU runs.
    let line = unsafe { &mut *COMMAND_LINE.0.get() };
    let mut len = 0;
    while let Some(slot) = line.get_mut(len)
        && let Some(b) = read::<u8>(info.command + len as u64)
        && b != 0
    {
        *slot = b;
        len += 1;
    }
    COMMAND_LEN.store(if info.command == 0 { 0 } else { len as u64 }, Ordering::Release);
}

#[unsafe(no_mangle)]
fn archive() -> &'static [u8] {
    let [start, size] = &ARCHIVE;
    let (start, size) = (start.load(Ordering::Acquire), size.load(Ordering::Acquire));
    // SAFETY: the range was kept from the allocator, is in the direct map, and nobody writes it.
    unsafe { core::slice::from_raw_parts(direct(start), size as usize) }
}

#[unsafe(no_mangle)]
fn archive_at() -> u64 {
    ARCHIVE[0].load(Ordering::Acquire)
}

#[unsafe(no_mangle)]
fn command_line() -> &'static [u8] {
    // SAFETY: it is not written any more once its length is there.
    let line = unsafe { &*COMMAND_LINE.0.get() };
    line.get(..COMMAND_LEN.load(Ordering::Acquire) as usize).unwrap_or(&[])
}

#[unsafe(no_mangle)]
fn kernel_bytes() -> u64 {
    unsafe extern "C" {
        safe static bss_start: u8;
    }
    &raw const bss_start as u64 - page::image()[0]
}

/// A word of the command line: what follows its `=`, or nothing.
fn word(name: &str) -> Option<&'static [u8]> {
    command_line().split(|b| b.is_ascii_whitespace()).find_map(|w| match w.strip_prefix(name.as_bytes())? {
        [] => Some(&[][..]),
        [b'=', value @ ..] => Some(value),
        _ => None,
    })
}

fn number(digits: &[u8]) -> Option<usize> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// The first Rust of all: the physical address of PVH's start information.
#[unsafe(no_mangle)]
extern "C" fn first_cpu(info: u32) -> ! {
    let info = match read::<StartInfo>(u64::from(info)) {
        Some(i) if i.magic == MAGIC && i.version >= 1 => i,
        _ => fail("not started by PVH with a memory map"),
    };
    take_command(&info);
    let all = memory(&info);
    let mut free = memory(&info);
    let (start, end) = page::image_range();
    free.remove(start, end);
    free.remove(boot::TRAMPOLINE, boot::TRAMPOLINE + PAGE as u64);
    if info.modules > 0
        && let Some(m) = read::<Module>(info.module_list)
        && let Some(end) = m.start.checked_add(m.size).filter(|&e| e <= DIRECT_SIZE)
    {
        free.remove(m.start, end);
        ARCHIVE[0].store(m.start, Ordering::Release);
        ARCHIVE[1].store(m.size, Ordering::Release);
    }
    let mut take = || {
        let at = free.take(PAGE as u64)?;
        // SAFETY: a free page below 1 GiB, which the boot tables map.
        unsafe { direct(at).write_bytes(0, PAGE) };
        Some(at)
    };
    if page::init(all.each(), &mut take).is_none() {
        fail("too little memory for page tables");
    }
    hand_over(&all, &mut free);
    let Some(stack) = page::emergency_stack() else { fail("too little memory") };
    trap::init();
    apic::silence();
    entry::init();
    cpu::init(0, stack);
    apic::init_lines();
    time::init();
    time::stir(command_line());
    let limit = word("cpus").and_then(number).unwrap_or(CPUS).max(1);
    let Some(cpus) = smp::start_all(limit) else { fail("too little memory for so many CPUs") };
    let s = frames::stats();
    log::line(&[
        "kernel: ".into(),
        (cpus as u64).into(),
        " cpus, ".into(),
        (s.total * 4).into(),
        " KiB free, image ".into(),
        ((end - start) / 1024).into(),
        " KiB".into(),
    ]);
    if crate::TESTS
        && let Some(what) = word("selftest")
    {
        selftest::run(what);
    }
    smp::go();
    kernel_core::entry::boot()
}

/// Gives the free memory to the allocator, with a table of a byte for each frame.
fn hand_over(all: &Map, free: &mut Map) {
    let frames = all.each().map(|(_, end)| end).max().unwrap_or(0) / PAGE as u64;
    let Some(table) = free.take(frames * size_of::<Mark>() as u64) else {
        fail("too little memory for the frame table")
    };
    // SAFETY: the range is free memory, mapped, and nobody else's from now on.
    let table = unsafe { core::slice::from_raw_parts_mut(direct(table).cast::<Mark>(), frames as usize) };
    let to_region = |(start, end)| Region { start: start / PAGE as u64, end: end / PAGE as u64 };
    let own = apic::REGISTERS.map(|at| (at, at + PAGE as u64));
    frames::keep(own.into_iter().chain(all.each()).map(to_region));
    let mut regions = [Region { start: 0, end: 0 }; REGIONS];
    for (r, (start, end)) in regions.iter_mut().zip(free.each()) {
        *r = to_region((start, end));
    }
    frames::init(&regions, table);
}
