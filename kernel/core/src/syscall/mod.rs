//! System calls: one `match` from the number to a handler. Handlers have one signature and live with what they handle;
//! those here turn words into arguments for processes and portals.

mod file;
mod portal;
mod process;

use crate::msg::Result;
use crate::thread::Thread;
use abi::error::Error;
use abi::sys::Sys;

const REPLY: u64 = Sys::Reply as u64;
const PREAD: u64 = Sys::Pread as u64;
const PWRITE: u64 = Sys::Pwrite as u64;
const CLOCK: u64 = Sys::Clock as u64;
const SEMACQUIRE: u64 = Sys::Semacquire as u64;
const SEMRELEASE: u64 = Sys::Semrelease as u64;

/// Calls the handler of a system call: its result. The few that servers and their callers make all the time come first;
/// their words stay in the registers in which they came.
#[inline(always)]
pub(crate) fn dispatch(me: &Thread, number: u64, a: [u64; 6]) -> u64 {
    let [w0, w1, w2, w3, w4, w5] = a;
    match number {
        REPLY => crate::call::reply(w0, w1, w2, w3, me),
        PREAD if w4 == 0 => file::pread(w0, w1, w2, w3, me),
        PWRITE if w4 == 0 => file::pwrite(w0, w1, w2, w3, me),
        CLOCK if w0 == 3 => u64::from(me.proc.pid),
        SEMACQUIRE => process::semacquire(w0, w1, me),
        SEMRELEASE => process::semrelease(w0, w1, me),
        _ => rare(w0, w1, w2, w3, w4, w5, number),
    }
}

/// The others, in a stack frame of their own, since kernel stacks are short and they need much of them.
#[inline(never)]
fn rare(w0: u64, w1: u64, w2: u64, w3: u64, w4: u64, w5: u64, number: u64) -> u64 {
    let me = crate::thread::current();
    let done = match Sys::from_number(number) {
        Some(sys) => other(me, sys, [w0, w1, w2, w3, w4, w5]),
        None => Err(Error::NoSys.into()),
    };
    done.unwrap_or_else(|fail| crate::entry::failed(me, fail))
}

fn other(me: &Thread, sys: Sys, a: [u64; 6]) -> Result<u64> {
    let [w0, w1, w2, w3, ..] = a;
    match sys {
        Sys::Pread => file::take(me, a),
        Sys::Pwrite => file::give(me, a),
        Sys::Reply => Ok(crate::call::reply(w0, w1, w2, w3, me)),
        Sys::Rfork => process::rfork(me, a),
        Sys::Exits => process::exits(me, a),
        Sys::Await => process::r#await(me, a),
        Sys::Notify => crate::proc::notify(me, a[0]),
        Sys::Noted => process::noted(me, a),
        Sys::Alarm => process::alarm(me, a),
        Sys::Sleep => process::sleep(me, a),
        Sys::Rendezvous => process::rendezvous(me, a),
        Sys::Semacquire => Ok(process::semacquire(w0, w1, me)),
        Sys::Semrelease => Ok(process::semrelease(w0, w1, me)),
        Sys::Errstr => process::errstr(me, a),
        Sys::Segattach => process::segattach(me, a),
        Sys::Segdetach => process::segdetach(me, a),
        Sys::Segbrk => process::segbrk(me, a),
        Sys::Clock => process::clock(me, a),
        Sys::Open => file::open(a),
        Sys::Create => file::create(a),
        Sys::Close => file::close(a),
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
        Sys::Exchange => process::exchange(me, a),
    }
}
