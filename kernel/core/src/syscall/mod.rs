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

/// The others.
#[inline(never)]
fn rare(w0: u64, w1: u64, w2: u64, w3: u64, w4: u64, w5: u64, number: u64) -> u64 {
    let me = crate::thread::current();
    let done = match Sys::from_number(number) {
        Some(sys) => handler(sys)(me, &[w0, w1, w2, w3, w4, w5]),
        None => Err(Error::NoSys.into()),
    };
    done.unwrap_or_else(|fail| crate::entry::failed(me, fail))
}

/// A system call's code. Each has a stack frame of its own, since kernel stacks are short and some need much of them.
type Handler = fn(&Thread, &[u64; 6]) -> Result<u64>;

fn handler(sys: Sys) -> Handler {
    match sys {
        Sys::Pread => file::take,
        Sys::Pwrite => file::give,
        Sys::Rfork => process::rfork,
        Sys::Exits => process::exits,
        Sys::Await => process::r#await,
        Sys::Notify => process::notify,
        Sys::Noted => process::noted,
        Sys::Alarm => process::alarm,
        Sys::Sleep => process::sleep,
        Sys::Rendezvous => process::rendezvous,
        Sys::Errstr => process::errstr,
        Sys::Segattach => process::segattach,
        Sys::Segdetach => process::segdetach,
        Sys::Segbrk => process::segbrk,
        Sys::Clock => process::clock,
        Sys::Open => |me, a| file::by_path(me, a, file::open),
        Sys::Create => |me, a| file::by_path(me, a, file::create),
        Sys::Close => file::close,
        Sys::Seek => file::seek,
        Sys::Dup => file::dup,
        Sys::Pipe => file::pipe,
        Sys::Stat => |me, a| file::by_path(me, a, file::stat),
        Sys::Wstat => |me, a| file::by_path(me, a, file::wstat),
        Sys::Fstat => file::fstat,
        Sys::Fwstat => file::fwstat,
        Sys::Remove => |me, a| file::by_path(me, a, file::remove),
        Sys::Chdir => |me, a| file::by_path(me, a, file::chdir),
        Sys::Fd2path => file::fd2path,
        Sys::Bind => |me, a| file::by_path(me, a, file::bind),
        Sys::Mount => file::mount,
        Sys::Unmount => |me, a| file::by_path(me, a, file::unmount),
        Sys::Fauth => file::fauth,
        Sys::Exec => process::exec,
        Sys::Portal => portal::portal,
        Sys::Wake => portal::wake,
        Sys::Exchange => process::exchange,
        Sys::Reply => elsewhere,
        Sys::Semacquire => elsewhere,
        Sys::Semrelease => elsewhere,
    }
}

/// For those that [`dispatch`] has dealt with.
fn elsewhere(_: &Thread, _: &[u64; 6]) -> Result<u64> {
    Err(Error::NoSys.into())
}
