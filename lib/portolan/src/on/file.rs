//! [`File`]: a descriptor that closes itself.

use super::error::{Error, Result, check};
use crate::alloc::vec::Vec;
use crate::sys;
use abi::error::Error as Known;
use abi::limit;

/// An open file. Dropping it closes the descriptor.
#[derive(Debug, PartialEq, Eq)]
pub struct File(i32);

/// The standard input's descriptor.
pub const STDIN: i32 = 0;
/// The standard output's descriptor.
pub const STDOUT: i32 = 1;
/// The standard error's descriptor.
pub const STDERR: i32 = 2;

impl File {
    /// Opens a file; the mode is `abi::file::OREAD` and its kin.
    pub fn open(path: impl AsRef<[u8]>, mode: u8) -> Result<File> {
        check(sys::open(path.as_ref(), mode)).map(File)
    }

    /// Creates a file, or truncates an existing one unless the mode has `OEXCL`.
    pub fn create(path: impl AsRef<[u8]>, mode: u32, perm: u32) -> Result<File> {
        check(sys::create(path.as_ref(), mode, perm)).map(File)
    }

    /// Takes over a descriptor.
    pub const fn from_fd(fd: i32) -> File {
        File(fd)
    }

    /// Gives the descriptor away: it stays open.
    pub fn into_fd(self) -> i32 {
        let fd = self.0;
        core::mem::forget(self);
        fd
    }

    /// The descriptor.
    pub const fn fd(&self) -> i32 {
        self.0
    }

    /// Reads where the last read or write ended; 0 at the end of the file.
    pub fn read(&self, buf: &mut [u8]) -> Result<usize> {
        read(self.0, buf)
    }

    /// Reads at an offset.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        check(sys::pread(self.0, buf, offset as i64))
    }

    /// Reads until the buffer is full or the file ends.
    pub fn read_full(&self, buf: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.read(&mut buf[done..])? {
                0 => break,
                n => done += n,
            }
        }
        Ok(done)
    }

    /// The same open file by a descriptor that programs which this process starts do not get.
    pub fn not_inherited(&self) -> Result<File> {
        File::open(crate::alloc::format!("#dup/{}", self.fd()), abi::file::ORDWR | abi::file::OCEXEC)
    }

    /// Reads from here to the end.
    pub fn read_all(&self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        // Where the length is known nothing is moved to grow; one byte more has room for what the end gives.
        let length = super::fs::fstat(self).map_or(0, |a| a.stat().length);
        if let Ok(length @ 1..) = usize::try_from(length) {
            let _ = all.try_reserve_exact(length.saturating_add(1));
        }
        loop {
            let len = all.len();
            if all.capacity() == len {
                all.try_reserve(len.clamp(4096, limit::IO)).map_err(|_| Known::NoMemory)?;
            }
            let step = (all.capacity() - len).min(limit::IO);
            all.resize(len + step, 0);
            let n = self.read(&mut all[len..])?;
            all.truncate(len + n);
            if n == 0 {
                return Ok(all);
            }
        }
    }

    /// Writes where the last read or write ended; may write less than was asked.
    pub fn write(&self, buf: &[u8]) -> Result<usize> {
        check(sys::pwrite(self.0, buf, -1))
    }

    /// Writes everything.
    pub fn write_all(&self, buf: &[u8]) -> Result<()> {
        write_all(self.0, buf)
    }

    /// Writes at an offset.
    pub fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        check(sys::pwrite(self.0, buf, offset as i64))
    }

    /// Moves to an offset from the start.
    pub fn seek(&self, offset: u64) -> Result<u64> {
        check(sys::seek(self.0, offset as i64, 0))
    }

    /// Has everything that was written to the file, by whatever way, brought to its server, whose word on it this is.
    pub fn sync(&self) -> Result<()> {
        let mut buf = [0; 64];
        let n = super::fs::Stat::NOCHANGE.encode(&mut buf).map_err(|_| Known::BadStat)?;
        check(sys::fwstat(self.0, &buf[..n]))
    }

    /// Another descriptor of the same open file.
    pub fn duplicate(&self) -> Result<File> {
        check(sys::dup(self.0, -1)).map(File)
    }

    /// The path by which it was opened.
    pub fn path(&self) -> Result<Vec<u8>> {
        let mut buf = Vec::new();
        buf.try_reserve(limit::PATH).map_err(|_| Known::NoMemory)?;
        buf.resize(limit::PATH, 0);
        let n = check(sys::fd2path(self.0, &mut buf))?;
        buf.truncate(n);
        Ok(buf)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // A close that fails has given the port back all the same.
        let _ = sys::close(self.0);
    }
}

/// Reads from a descriptor where the last read or write ended.
pub(crate) fn read(fd: i32, buf: &mut [u8]) -> Result<usize> {
    check(sys::pread(fd, buf, -1))
}

/// Writes everything to a descriptor.
pub(crate) fn write_all(fd: i32, mut buf: &[u8]) -> Result<()> {
    while !buf.is_empty() {
        let n = check(sys::pwrite(fd, buf, -1))?;
        if n == 0 {
            return Err(Error::new("nothing more could be written"));
        }
        buf = buf.get(n..).unwrap_or(&[]);
    }
    Ok(())
}
