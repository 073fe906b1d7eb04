//! System calls: one `match` from the number to a handler. Handlers have one signature and live with what they handle;
//! those here turn words into arguments for processes and portals.

mod file;
mod portal;
mod process;

use crate::msg::Result;
use crate::thread::Thread;
use abi::error::Error;
use abi::sys::Sys;

/// Calls the handler of a system call. The few that servers and their callers make all the time come first, in a stack
/// frame of their own, since kernel stacks are short and the others need much of them.
#[inline]
pub(crate) fn dispatch(me: &Thread, number: u64, a: [u64; 6]) -> Result<u64> {
    match Sys::from_number(number) {
        Some(Sys::Reply) => crate::call::reply(me, a),
        Some(Sys::Pread) => file::pread(a),
        Some(Sys::Pwrite) => file::pwrite(a),
        Some(Sys::Clock) => process::clock(me, a),
        Some(sys) => other(me, sys, a),
        None => Err(Error::NoSys.into()),
    }
}

#[inline(never)]
fn other(me: &Thread, sys: Sys, a: [u64; 6]) -> Result<u64> {
    match sys {
        Sys::Reply => crate::call::reply(me, a),
        Sys::Rfork => process::rfork(me, a),
        Sys::Exits => process::exits(me, a),
        Sys::Await => process::r#await(me, a),
        Sys::Notify => crate::proc::notify(me, a[0]),
        Sys::Noted => process::noted(me, a),
        Sys::Alarm => process::alarm(me, a),
        Sys::Sleep => process::sleep(me, a),
        Sys::Rendezvous => process::rendezvous(me, a),
        Sys::Semacquire => process::semacquire(me, a),
        Sys::Semrelease => crate::proc::semrelease(me, a[0], a[1]),
        Sys::Errstr => process::errstr(me, a),
        Sys::Segattach => process::segattach(me, a),
        Sys::Segdetach => process::segdetach(me, a),
        Sys::Segbrk => process::segbrk(me, a),
        Sys::Clock => process::clock(me, a),
        Sys::Open => file::open(a),
        Sys::Create => file::create(a),
        Sys::Close => file::close(a),
        Sys::Pread => file::pread(a),
        Sys::Pwrite => file::pwrite(a),
        Sys::Seek => file::seek(a),
        Sys::Dup => file::dup(a),
        Sys::Pipe => file::pipe(a),
        Sys::Stat => file::stat(a),
        Sys::Wstat => file::wstat(a),
        Sys::Fstat => file::fstat(a),
        Sys::Fwstat => file::fwstat(a),
        Sys::Remove => file::remove(a),
        Sys::Chdir => file::chdir(a),
        Sys::Fd2path => file::fd2path(a),
        Sys::Bind => file::bind(a),
        Sys::Mount => file::mount(a),
        Sys::Unmount => file::unmount(a),
        Sys::Fauth => file::fauth(a),
        Sys::Exec => process::exec(me, a),
        Sys::Portal => portal::portal(me, a),
        Sys::Wake => portal::wake(me, a),
        Sys::Exchange => Err(Error::NotSupported.into()),
    }
}
