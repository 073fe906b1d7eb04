//! [`Memory`]: one piece of `#hw/dma`, from which queues and buffers are cut; [`Machine`]: what the queues ask of it.
//!
//! A driver attaches one piece when it starts and cuts it up for good; nothing is given back before its process ends. All
//! its addresses are one distance from their physical ones, so that no table is needed.
#![allow(unsafe_code, reason = "hands memory and registers to the virtio queues")]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use portolan::abi::file::ORDWR;
use portolan::abi::limit::PAGE;
use portolan::{Error, File, Result, sys};
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

/// Where the piece is in this process and in the machine, its end, and how far it has been cut.
static START: AtomicU64 = AtomicU64::new(0);
static PHYSICAL: AtomicU64 = AtomicU64::new(0);
static END: AtomicU64 = AtomicU64::new(0);
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Cuts pieces from the driver's memory.
#[derive(Clone, Copy, Debug)]
pub struct Memory(());

impl Memory {
    /// Attaches the memory of this process, once.
    pub fn attach(pages: usize) -> Result<Memory> {
        let file = File::open("#hw/dma", ORDWR)?;
        let len = pages * PAGE;
        let start = sys::segattach(0, file.fd(), 0, 0, len).ok_or_else(Error::last)?;
        let mut text = [0; 20];
        let n = file.read_at(&mut text, start)?;
        let physical = core::str::from_utf8(&text[..n]).ok().and_then(|t| t.parse().ok());
        PHYSICAL.store(physical.ok_or(Error::new("#hw/dma: not an address"))?, Ordering::Relaxed);
        START.store(start, Ordering::Relaxed);
        NEXT.store(start, Ordering::Relaxed);
        END.store(start + len as u64, Ordering::Release);
        Ok(Memory(()))
    }

    /// The next pages of it; none when it is used up.
    pub fn cut(self, pages: usize) -> Option<NonNull<u8>> {
        let len = (pages * PAGE) as u64;
        let end = END.load(Ordering::Acquire);
        let cut = NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| {
            at.checked_add(len).filter(|&next| next <= end)
        });
        NonNull::new(cut.ok()? as *mut u8)
    }
}

fn physical(at: u64) -> u64 {
    at.wrapping_sub(START.load(Ordering::Relaxed)).wrapping_add(PHYSICAL.load(Ordering::Relaxed))
}

/// Attaches registers at a physical address, which need not be a page's.
pub(super) fn registers(address: u64, size: usize) -> Result<NonNull<u8>> {
    let file = File::open("#hw/mem", ORDWR)?;
    let inside = address % PAGE as u64;
    let at =
        sys::segattach(0, file.fd(), address - inside, 0, size + inside as usize).ok_or_else(Error::last)?;
    NonNull::new((at + inside) as *mut u8).ok_or(Error::new("#hw/mem: no address"))
}

/// The machine under the queues.
#[derive(Debug)]
pub struct Machine;

// SAFETY: `dma_alloc` cuts pages that are attached for the life of the process, zeroed by the kernel, and given out
// once; `share` answers addresses that the device may use, since buffers are cut from the same memory.
unsafe impl Hal for Machine {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        match Memory(()).cut(pages) {
            Some(at) => (physical(at.as_ptr() as u64), at),
            // An address of 0 says that there is none.
            None => (0, NonNull::dangling()),
        }
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, size: usize) -> NonNull<u8> {
        // There is no way to say no: a device whose registers can't be attached ends its driver.
        registers(address, size).unwrap_or_else(|e| portolan::fail(&Error::of("registers of the device", e)))
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        let at = buffer.cast::<u8>().as_ptr() as u64;
        let mine = START.load(Ordering::Relaxed)..END.load(Ordering::Relaxed);
        if !mine.contains(&at) {
            portolan::fail(&Error::new("a buffer that no device may know"));
        }
        physical(at)
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}
