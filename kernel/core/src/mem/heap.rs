//! [`Heap`]: memory for kernel objects, the kernel's global allocator.
//!
//! Small sizes are rounded up to a class; a slab of a class is one frame with a short header and the objects. A slab
//! that is empty goes back to the frames unless it is the only one of its class with room. Larger sizes are blocks
//! of frames. Nothing fails but for want of frames, and then null says so: the kernel only uses the fallible
//! half of `alloc`.
#![allow(unsafe_code, reason = "hands out raw memory")]

use crate::base::Spin;
use crate::machine;
use crate::mem::frames;
use abi::limit::PAGE;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::null_mut;

/// Objects of a slab, for each class: their sizes follow. Chosen so that little of a frame is lost.
const PER_SLAB: [usize; 18] = [252, 126, 84, 63, 50, 42, 31, 25, 21, 16, 12, 10, 8, 7, 6, 5, 4, 2];
const CLASSES: usize = PER_SLAB.len();
const ALIGN: usize = 16;
const HEADER: usize = 48;
/// The largest size that is not made of whole frames.
pub const SMALL: usize = size_of_class(CLASSES - 1);

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "small numbers; a const table uses it"
)]
const fn size_of_class(class: usize) -> usize {
    (PAGE - HEADER) / PER_SLAB[class] / ALIGN * ALIGN
}

/// For each size in units of [`ALIGN`], rounded up, its class.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const CLASS: [u8; SMALL / ALIGN + 1] = {
    let mut t = [0; SMALL / ALIGN + 1];
    let (mut units, mut class) = (0, 0);
    while units < t.len() {
        if units * ALIGN > size_of_class(class) {
            class += 1;
        }
        t[units] = class as u8;
        units += 1;
    }
    t
};

/// What stands at the start of a slab's frame.
#[repr(C)]
struct Slab {
    next: *mut Slab,
    previous: *mut Slab,
    /// The free objects, each the address of the next in its first word.
    free: *mut Object,
    /// How many are in use.
    used: usize,
    /// Where objects begin that were never used; those above it are free too.
    fresh: usize,
    class: usize,
}
const _: () = assert!(size_of::<Slab>() == HEADER);

#[repr(C)]
struct Object {
    next: *mut Object,
}

/// The slabs of one class that have room.
struct Class {
    head: *mut Slab,
    live: usize,
    slabs: usize,
}
// SAFETY: the slabs that it leads to belong to the class and are touched only by the holder of its lock.
unsafe impl Send for Class {}

/// The allocator; each class has a lock, below which only that of the frames is taken.
pub struct Heap {
    classes: [Spin<Class>; CLASSES],
}

/// What the heap holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Small objects in use.
    pub objects: usize,
    /// Frames that hold them.
    pub slabs: usize,
}

impl Default for Heap {
    fn default() -> Self {
        Heap::new()
    }
}

impl Heap {
    /// An empty heap.
    pub const fn new() -> Heap {
        Heap { classes: [const { Spin::new(Class { head: null_mut(), live: 0, slabs: 0 }) }; CLASSES] }
    }

    /// What it holds; blocks of whole frames are not counted here.
    pub fn stats(&self) -> Stats {
        self.classes.iter().fold(Stats::default(), |sum, c| {
            let c = c.lock();
            Stats { objects: sum.objects.wrapping_add(c.live), slabs: sum.slabs.wrapping_add(c.slabs) }
        })
    }
}

fn class_of(layout: Layout) -> Option<usize> {
    if layout.align() > ALIGN {
        return None;
    }
    CLASS.get(layout.size().div_ceil(ALIGN)).map(|&c| usize::from(c))
}

/// The block order for a size in whole frames.
fn order_of(layout: Layout) -> Option<u8> {
    if layout.align() > PAGE {
        return None;
    }
    let frames = layout.size().div_ceil(PAGE).max(1).checked_next_power_of_two()?;
    Some(frames.trailing_zeros() as u8).filter(|&o| o <= frames::MAX_ORDER)
}

impl Class {
    /// # Safety
    /// `self` is the class of this number and its list is well formed.
    unsafe fn take(&mut self, class: usize) -> *mut u8 {
        if self.head.is_null() {
            let Ok(frame) = frames::run(0) else { return null_mut() };
            let slab = machine::frame_address(frame).cast::<Slab>();
            let empty =
                Slab { next: null_mut(), previous: null_mut(), free: null_mut(), used: 0, fresh: 0, class };
            // SAFETY: the frame is new and ours, and a frame is aligned for anything.
            unsafe { slab.write(empty) };
            self.head = slab;
            self.slabs = self.slabs.wrapping_add(1);
        }
        // SAFETY: slabs of the list are frames of this class with at least one free object, which only the holder
        // of the class's lock touches.
        let slab = unsafe { &mut *self.head };
        let object = if slab.free.is_null() {
            let at = HEADER.wrapping_add(slab.fresh.wrapping_mul(size_of_class(class)));
            slab.fresh = slab.fresh.wrapping_add(1);
            self.head.cast::<u8>().wrapping_add(at)
        } else {
            let object = slab.free;
            // SAFETY: free objects hold the address of the next.
            slab.free = unsafe { (*object).next };
            object.cast()
        };
        slab.used = slab.used.wrapping_add(1);
        self.live = self.live.wrapping_add(1);
        if slab.used == per_slab(class) {
            self.head = slab.next;
            if !slab.next.is_null() {
                // SAFETY: as above, a slab of the list.
                unsafe { (*slab.next).previous = null_mut() };
            }
        }
        object
    }

    /// # Safety
    /// `object` came from `take` of the same class and is given back once.
    unsafe fn give(&mut self, object: *mut u8, class: usize) {
        let raw = object.map_addr(|a| a & !(PAGE - 1)).cast::<Slab>();
        // SAFETY: objects lie in the frame that begins with their slab's header.
        let slab = unsafe { &mut *raw };
        let object = object.cast::<Object>();
        // SAFETY: the object is ours again, and large and aligned enough for a word.
        unsafe { object.write(Object { next: slab.free }) };
        slab.free = object;
        let was_full = slab.used == per_slab(class);
        slab.used = slab.used.wrapping_sub(1);
        self.live = self.live.wrapping_sub(1);
        if was_full {
            slab.next = self.head;
            slab.previous = null_mut();
            if !self.head.is_null() {
                // SAFETY: a slab of the list.
                unsafe { (*self.head).previous = raw };
            }
            self.head = raw;
        }
        let alone = slab.next.is_null() && slab.previous.is_null();
        if slab.used == 0 && !alone {
            if slab.previous.is_null() {
                self.head = slab.next;
            } else {
                // SAFETY: a slab of the list.
                unsafe { (*slab.previous).next = slab.next };
            }
            if !slab.next.is_null() {
                // SAFETY: a slab of the list.
                unsafe { (*slab.next).previous = slab.previous };
            }
            self.slabs = self.slabs.wrapping_sub(1);
            frames::free(machine::frame_of(raw.cast()));
        }
    }
}

fn per_slab(class: usize) -> usize {
    PER_SLAB.get(class).copied().unwrap_or(usize::MAX)
}

// SAFETY: `alloc` returns memory of the size and alignment asked, or null, which nobody else has until `dealloc`:
// objects of a class are at least as large as the sizes that lead to it and 16-byte aligned, blocks of frames are
// page-aligned.
unsafe impl GlobalAlloc for Heap {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some(class) = class_of(layout) {
            let Some(c) = self.classes.get(class) else { return null_mut() };
            // SAFETY: the class's own list, under its lock.
            return unsafe { c.lock().take(class) };
        }
        match order_of(layout).map(frames::run) {
            Some(Ok(frame)) => machine::frame_address(frame),
            _ => null_mut(),
        }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        if let Some(class) = class_of(layout) {
            if let Some(c) = self.classes.get(class) {
                // SAFETY: the caller gives back what `alloc` returned for this layout, thus of this class.
                unsafe { c.lock().give(object, class) };
            }
        } else if let Some(order) = order_of(layout) {
            frames::free_run(machine::frame_of(object), order);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_as_large_as_the_sizes_that_lead_to_them() {
        for size in 0..=SMALL {
            let class = class_of(Layout::from_size_align(size, 8).unwrap()).unwrap();
            assert!(size_of_class(class) >= size, "{size}");
            assert!(HEADER + PER_SLAB[class] * size_of_class(class) <= PAGE, "class {class}");
            assert!(class == 0 || size_of_class(class - 1) < size.max(1), "{size} wastes");
        }
        assert_eq!(class_of(Layout::from_size_align(SMALL + 1, 8).unwrap()), None);
    }

    #[test]
    fn random_objects_keep_their_bytes_and_slabs_go_back() {
        let _alone = crate::fake::memory();
        let heap = Heap::new();
        let mut live: Vec<(*mut u8, Layout, u8)> = Vec::new();
        let mut seed = 88_172_645_463_325_252u64;
        let mut random = |n: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as usize % n
        };
        let check = |(p, layout, byte): (*mut u8, Layout, u8)| {
            // SAFETY: allocated with this layout and filled with this byte below.
            unsafe {
                assert!(core::slice::from_raw_parts(p, layout.size()).iter().all(|&b| b == byte));
                heap.dealloc(p, layout);
            }
        };
        for i in 0..20_000 {
            if random(2) == 0 || live.len() < 10 {
                let most = if random(50) == 0 { 20_000 } else { 600 };
                let layout = Layout::from_size_align(1 + random(most), 1 << random(5)).unwrap();
                // SAFETY: the layout is not of size zero.
                let p = unsafe { heap.alloc(layout) };
                assert!(!p.is_null() && p.addr() % layout.align() == 0);
                // SAFETY: just allocated with this size.
                unsafe { p.write_bytes(i as u8, layout.size()) };
                live.push((p, layout, i as u8));
            } else {
                check(live.swap_remove(random(live.len())));
            }
        }
        live.drain(..).for_each(check);
        let s = heap.stats();
        assert_eq!(s.objects, 0);
        assert!(s.slabs <= CLASSES, "{} slabs kept", s.slabs);
    }

    #[test]
    fn an_impossible_size_is_refused() {
        let _alone = crate::fake::memory();
        let heap = Heap::new();
        let layout = Layout::from_size_align(64 << 20, 8).unwrap();
        // SAFETY: not of size zero.
        assert!(unsafe { heap.alloc(layout) }.is_null());
    }
}
