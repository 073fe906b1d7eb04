//! [`Segment`]: memory that is attached by itself or from a file.
//!
//! What is attached from a file may be changed by whoever writes the file, here or on another machine; so there is no
//! slice of it, only copies in and out.
#![allow(unsafe_code, reason = "copies to and from attached memory")]

use super::error::{Error, Result, check};
use super::file::File;
use crate::sys;
use abi::error::Error as Known;

/// What may be done with a file's pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing; what is written is the file's.
    Write,
    /// A copy of what the file has now, for reading and writing.
    Private,
}

/// An attached range. It is detached when this is dropped.
#[derive(Debug)]
pub struct Segment {
    at: u64,
    len: usize,
    writable: bool,
}

impl Segment {
    /// Attaches `len` bytes of a file from `offset` on, which is a multiple of the page size.
    pub fn of_file(file: &File, access: Access, offset: u64, len: usize) -> Result<Segment> {
        let flags = match access {
            Access::Read => 0,
            Access::Write => abi::file::SGWRITE,
            Access::Private => abi::file::SGPRIVATE,
        };
        let at = check(sys::segattach(flags, file.fd(), offset, 0, len))?;
        Ok(Segment { at, len, writable: access != Access::Read })
    }

    /// New memory, filled with zeroes.
    pub fn new(len: usize) -> Result<Segment> {
        let at = check(sys::segattach(0, -1, 0, 0, len))?;
        Ok(Segment { at, len, writable: true })
    }

    /// Reads from where a file's last read or write ended, into the beginning: how many bytes.
    pub fn fill(&mut self, from: &File) -> Result<usize> {
        // SAFETY: the memory is this value's, whose user has no slice of it; one that a file's attachment would share can't
        // be had from `new`, and the kernel refuses where the memory can't be written.
        let room = unsafe { core::slice::from_raw_parts_mut(self.at as *mut u8, self.len) };
        check(sys::pread(from.fd(), room, -1))
    }

    /// Writes the first bytes, all of them, to where a file's last read or write ended. What can be given away is: whole
    /// pages, to a server or reader that takes them, are moved and not copied. So the memory is gone then.
    pub fn give(self, to: &File, len: usize) -> Result<()> {
        let mut done = 0;
        while done < len.min(self.len) {
            // SAFETY: nothing refers to the memory: it is only copied by this value, which ends here.
            let n =
                check(unsafe { sys::give(to.fd(), self.at + done as u64, len.min(self.len) - done, -1) })?;
            if n == 0 {
                return Err(Error::new("nothing more could be written"));
            }
            done += n;
        }
        Ok(())
    }

    /// Bytes of it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Has it none?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it is, for system calls that take an address.
    pub fn address(&self) -> u64 {
        self.at
    }

    /// Copies out. Where the file's server can't give a page this process gets a note.
    pub fn read(&self, at: usize, to: &mut [u8]) -> Result<()> {
        if at.checked_add(to.len()).is_none_or(|end| end > self.len) {
            return Err(Known::BadArg.into());
        }
        // SAFETY: the range is attached for as long as this lives; others may write it meanwhile, so it is copied by
        // one routine that no compiler looks into, and `to` is ours.
        unsafe { copy(to.as_mut_ptr(), (self.at as usize + at) as *const u8, to.len()) };
        Ok(())
    }

    /// Copies in.
    pub fn write(&self, at: usize, from: &[u8]) -> Result<()> {
        if !self.writable || at.checked_add(from.len()).is_none_or(|end| end > self.len) {
            return Err(Known::BadArg.into());
        }
        // SAFETY: as in `read`, the other way.
        unsafe { copy((self.at as usize + at) as *mut u8, from.as_ptr(), from.len()) };
        Ok(())
    }

    /// Detaches it now. What is written of a file goes to its server first, whose word on it this is.
    pub fn detach(self) -> Result<()> {
        let (at, len) = (self.at, self.len);
        core::mem::forget(self);
        // SAFETY: nothing refers to it: reads and writes copy, and the value is gone.
        check(unsafe { sys::segdetach(at, len) })
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: as in `detach`.
        let _ = unsafe { sys::segdetach(self.at, self.len) };
    }
}

/// The boot archive where it lies in memory, which nobody writes.
pub fn boot_archive() -> Result<&'static [u8]> {
    let file = File::open("#root/archive", abi::file::OREAD)?;
    let len = usize::try_from(super::fs::fstat(&file)?.stat().length).map_err(|_| Known::NoMemory)?;
    if len == 0 {
        return Ok(&[]);
    }
    let at = check(sys::segattach(0, file.fd(), 0, 0, len))?;
    // SAFETY: the kernel attached so many bytes there, to be read, and nobody detaches them or can write them.
    Ok(unsafe { core::slice::from_raw_parts(at as *const u8, len) })
}

/// Copies without the compiler knowing of what.
///
/// # Safety
/// Both ranges can be touched, one of them belongs to the caller, and they do not overlap.
unsafe fn copy(to: *mut u8, from: *const u8, n: usize) {
    // SAFETY: by the caller's promise; the direction flag is clear by the calling convention.
    unsafe {
        core::arch::asm!("rep movsq", "mov ecx, {rest:e}", "rep movsb",
            rest = in(reg) n & 7,
            inout("rcx") n >> 3 => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
}
