//! The system calls as functions: thin, unsafe only where a wrong argument could break memory safety.
//!
//! Every function returns `None` for -1; the words of the failure are in the thread's error string then
//! ([`errstr`]). Pages: doc/sys.
#![allow(unsafe_code, reason = "enters the kernel")]

use abi::portal::{Answer, Limits};
use abi::sys::{Str, Sys};
use core::arch::asm;
use core::sync::atomic::AtomicI32;

/// A system call with any number of arguments.
///
/// # Safety
/// The arguments must fit the call: what they point to must be valid for what the kernel does with it.
#[inline(always)]
pub unsafe fn call(number: Sys, args: [u64; 6]) -> u64 {
    let [a0, a1, a2, a3, a4, a5] = args;
    let result;
    // SAFETY: the caller vouches for the arguments; the kernel keeps every register but those named here, and
    // all vector registers are given up.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as u64 => result,
            inlateout("rdi") a0 => _, inlateout("rsi") a1 => _, inlateout("rdx") a2 => _,
            inlateout("r10") a3 => _, inlateout("r8") a4 => _, inlateout("r9") a5 => _,
            out("rcx") _, out("r11") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(nostack)
        );
    }
    result
}

macro_rules! call {
    ($n:ident $(, $a:expr)*) => {{
        let given = [$($a as u64),*];
        let mut args = [0u64; 6];
        let mut i = 0;
        while i < given.len() {
            args[i] = given[i];
            i += 1;
        }
        // SAFETY: the wrapper's own arguments are slices or plain numbers, which fit the call.
        let r = unsafe { call(Sys::$n, args) };
        if r as i64 == -1 { None } else { Some(r) }
    }};
}

/// Opens a file by path.
#[inline]
pub fn open(path: &[u8], mode: u8) -> Option<i32> {
    call!(Open, path.as_ptr(), path.len(), mode).map(|r| r as i32)
}
/// Creates a file.
#[inline]
pub fn create(path: &[u8], mode: u32, perm: u32) -> Option<i32> {
    call!(Create, path.as_ptr(), path.len(), mode, perm).map(|r| r as i32)
}
/// Closes a descriptor.
#[inline]
pub fn close(fd: i32) -> Option<()> {
    call!(Close, fd).map(drop)
}
/// Reads at an offset, -1 for the descriptor's own.
#[inline]
pub fn pread(fd: i32, buf: &mut [u8], offset: i64) -> Option<usize> {
    call!(Pread, fd, buf.as_mut_ptr(), buf.len(), offset).map(|r| r as usize)
}
/// Writes at an offset, -1 for the descriptor's own.
#[inline]
pub fn pwrite(fd: i32, buf: &[u8], offset: i64) -> Option<usize> {
    call!(Pwrite, fd, buf.as_ptr(), buf.len(), offset).map(|r| r as usize)
}
/// As [`pread`], into memory whose whole pages may be replaced by those that a writer gave.
///
/// # Safety
/// The range is the caller's to change, and nothing refers to it meanwhile.
#[inline]
pub unsafe fn take(fd: i32, addr: u64, len: usize, offset: i64) -> Option<usize> {
    call!(Pread, fd, addr, len, offset, abi::file::TAKE).map(|r| r as usize)
}
/// As [`pwrite`]; then the whole pages of the range are gone, and touching them is a fault.
///
/// # Safety
/// Nothing refers to the range any more.
#[inline]
pub unsafe fn give(fd: i32, addr: u64, len: usize, offset: i64) -> Option<usize> {
    call!(Pwrite, fd, addr, len, offset, abi::file::GIVE).map(|r| r as usize)
}
/// Moves the descriptor's offset.
#[inline]
pub fn seek(fd: i32, offset: i64, whence: u32) -> Option<u64> {
    call!(Seek, fd, offset, whence)
}
/// Copies a port; `new` is -1 for the lowest free one.
#[inline]
pub fn dup(old: i32, new: i32) -> Option<i32> {
    call!(Dup, old, new).map(|r| r as i32)
}
/// Makes a pipe.
#[inline]
pub fn pipe() -> Option<[i32; 2]> {
    let mut fds = [0i32; 2];
    call!(Pipe, fds.as_mut_ptr())?;
    Some(fds)
}
/// The stat record of a path.
#[inline]
pub fn stat(path: &[u8], buf: &mut [u8]) -> Option<usize> {
    call!(Stat, path.as_ptr(), path.len(), buf.as_mut_ptr(), buf.len()).map(|r| r as usize)
}
/// Changes a path's stat record.
#[inline]
pub fn wstat(path: &[u8], buf: &[u8]) -> Option<()> {
    call!(Wstat, path.as_ptr(), path.len(), buf.as_ptr(), buf.len()).map(drop)
}
/// The stat record of a descriptor.
#[inline]
pub fn fstat(fd: i32, buf: &mut [u8]) -> Option<usize> {
    call!(Fstat, fd, buf.as_mut_ptr(), buf.len()).map(|r| r as usize)
}
/// Changes a descriptor's stat record.
#[inline]
pub fn fwstat(fd: i32, buf: &[u8]) -> Option<()> {
    call!(Fwstat, fd, buf.as_ptr(), buf.len()).map(drop)
}
/// Removes a file.
#[inline]
pub fn remove(path: &[u8]) -> Option<()> {
    call!(Remove, path.as_ptr(), path.len()).map(drop)
}
/// Changes the working directory.
#[inline]
pub fn chdir(path: &[u8]) -> Option<()> {
    call!(Chdir, path.as_ptr(), path.len()).map(drop)
}
/// The path of a descriptor.
#[inline]
pub fn fd2path(fd: i32, buf: &mut [u8]) -> Option<usize> {
    call!(Fd2path, fd, buf.as_mut_ptr(), buf.len()).map(|r| r as usize)
}
/// Makes `new` appear at `old`.
#[inline]
pub fn bind(new: &[u8], old: &[u8], flags: u32) -> Option<()> {
    call!(Bind, new.as_ptr(), new.len(), old.as_ptr(), old.len(), flags).map(drop)
}
/// Attaches to a server and puts its root at `old`.
#[inline]
pub fn mount(fd: i32, afd: i32, old: &[u8], flags: u32, aname: &[u8]) -> Option<()> {
    let aname = Str { addr: aname.as_ptr() as u64, len: aname.len() as u64 };
    call!(Mount, fd, afd, old.as_ptr(), old.len(), flags, &raw const aname).map(drop)
}
/// Undoes bind or mount.
#[inline]
pub fn unmount(new: &[u8], old: &[u8]) -> Option<()> {
    call!(Unmount, new.as_ptr(), new.len(), old.as_ptr(), old.len()).map(drop)
}
/// An authentication file.
#[inline]
pub fn fauth(fd: i32, aname: &[u8]) -> Option<i32> {
    call!(Fauth, fd, aname.as_ptr(), aname.len()).map(|r| r as i32)
}
/// Divides the process without sharing memory, or changes its groups: the child's number, or 0 in the child.
#[inline]
pub fn rfork(flags: u32) -> Option<u32> {
    call!(Rfork, flags & !abi::file::RFMEM, 0).map(|r| r as u32)
}

/// A new process in the same memory, which calls `run(arg)` on a stack that ends at `stack`, then releases the
/// semaphore that `run` returned and exits. After the release it touches the stack no more, so whoever acquires the
/// semaphore may take the stack away.
///
/// # Safety
/// `stack` is 16-byte aligned, above memory that nobody else uses for as long as the process lives; `arg` is
/// what `run` expects and stays valid as long; the semaphore outlives `run`.
pub unsafe fn rfork_thread(
    flags: u32,
    stack: *mut u8,
    run: extern "C" fn(usize) -> *const AtomicI32,
    arg: usize,
) -> Option<u32> {
    let result: i64;
    // SAFETY: the child comes back from the call on the new stack with 0 and never leaves the block: it calls `run`
    // and ends the process. The parent sees an ordinary system call.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "mov rdi, rax",
            "mov esi, 1",
            "mov eax, {release}",
            "syscall",
            "xor edi, edi",
            "xor esi, esi",
            "mov eax, {exits}",
            "syscall",
            "ud2",
            "2:",
            exits = const Sys::Exits as u32,
            release = const Sys::Semrelease as u32,
            in("r12") run, in("r13") arg,
            inlateout("rax") Sys::Rfork as u64 => result,
            inlateout("rdi") u64::from(flags | abi::file::RFMEM | abi::file::RFPROC) => _,
            inlateout("rsi") stack => _,
            lateout("rdx") _, lateout("r10") _, lateout("r8") _, lateout("r9") _, out("rcx") _, out("r11") _,
            clobber_abi("C"),
        );
    }
    (result != -1).then_some(result as u32)
}

/// Replaces the program; returns only on failure.
#[inline]
pub fn exec(path: &[u8], argv: &[Str]) -> Option<()> {
    call!(Exec, path.as_ptr(), path.len(), argv.as_ptr(), argv.len()).map(drop)
}
/// Ends the process.
pub fn exits(status: &[u8]) -> ! {
    loop {
        let _ = call!(Exits, status.as_ptr(), status.len());
    }
}
/// Waits for a child's end: the record's length.
#[inline]
pub fn await_child(buf: &mut [u8]) -> Option<usize> {
    call!(Await, buf.as_mut_ptr(), buf.len()).map(|r| r as usize)
}

/// What takes notes: the registers, the note's text and its length.
pub type NoteHandler = unsafe extern "C" fn(*mut abi::note::Frame, *const u8, usize);

/// Names the function that takes notes.
///
/// # Safety
/// The handler may run between any two instructions of this process, on its stack.
#[inline]
pub unsafe fn notify(handler: Option<NoteHandler>) -> Option<()> {
    call!(Notify, handler.map_or(0, |h| h as usize)).map(drop)
}
/// Ends a note's handling; returns only on failure.
#[inline]
pub fn noted(how: u32) -> Option<()> {
    call!(Noted, how).map(drop)
}
/// Asks for an alarm after so many nanoseconds.
#[inline]
pub fn alarm(nanoseconds: u64) -> Option<u64> {
    call!(Alarm, nanoseconds)
}
/// Sleeps; 0 yields.
#[inline]
pub fn sleep(nanoseconds: u64) -> Option<()> {
    call!(Sleep, nanoseconds).map(drop)
}
/// Meets another process at a tag.
#[inline]
pub fn rendezvous(tag: u64, value: u64) -> Option<u64> {
    call!(Rendezvous, tag, value)
}
/// Takes one from a semaphore; `Some(0)` says that it was not to be had.
#[inline]
pub fn semacquire(sem: &AtomicI32, nanoseconds: i64) -> Option<u64> {
    call!(Semacquire, sem.as_ptr(), nanoseconds)
}
/// Adds to a semaphore.
#[inline]
pub fn semrelease(sem: &AtomicI32, count: i32) -> Option<u64> {
    call!(Semrelease, sem.as_ptr(), count)
}
/// Exchanges the thread's error string with the buffer's: two bytes of length, then the words.
#[inline]
pub fn errstr(buf: &mut [u8]) -> Option<usize> {
    call!(Errstr, buf.as_mut_ptr(), buf.len()).map(|r| r as usize)
}
/// Attaches a segment: its address.
#[inline]
pub fn segattach(flags: u32, fd: i32, offset: u64, addr: u64, len: usize) -> Option<u64> {
    call!(Segattach, flags, fd, offset, addr, len)
}
/// Detaches a segment.
///
/// # Safety
/// Nothing refers to the memory any more.
#[inline]
pub unsafe fn segdetach(addr: u64, len: usize) -> Option<()> {
    call!(Segdetach, addr, len).map(drop)
}
/// Moves the end of the heap: the new end.
#[inline]
pub fn segbrk(addr: u64) -> Option<u64> {
    call!(Segbrk, addr)
}

/// A portal's entry: takes the words of a request and ends with [`reply`].
pub type PortalEntry = extern "C" fn(u64, u64, u64, u64, u64, u64) -> !;

/// Makes a portal.
#[inline]
pub fn portal(entry: PortalEntry, limits: &Limits) -> Option<i32> {
    call!(Portal, entry as usize, &raw const *limits).map(|r| r as i32)
}
/// Ends the portal call; returns only when the kernel found the answer bad.
#[inline]
pub fn reply(a: &Answer) -> Option<()> {
    call!(Reply, a.head, a.w1, a.w2, a.w3).map(drop)
}
/// Lets up to `n` parked callers try again.
#[inline]
pub fn wake(fd: i32, queue: u64, n: u32) -> Option<u64> {
    call!(Wake, fd, queue, n)
}
/// Exchanges a page with another process at a tag.
///
/// # Safety
/// `page` is the address of a whole page to which nothing refers: its contents become another's.
#[inline]
pub unsafe fn exchange(tag: u64, page: u64) -> Option<()> {
    call!(Exchange, tag, page).map(drop)
}
/// The time, or this process's number: see `abi::sys::Sys::Clock`.
#[inline]
pub fn clock(which: u32) -> u64 {
    call!(Clock, which).unwrap_or(0)
}
