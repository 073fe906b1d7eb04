//! Every argument of every system call, wrong in every way while the others are right: an error or a result, and
//! nobody is the worse for it.
//!
//! Each call has a process of its own, for some wrong arguments are that process's rightful end: unmapping one's own
//! stack, say. Its end must then be a fault's, it must come in time, and a pipe that it had no part in must still work.
#![allow(unsafe_code, reason = "that is the test: no argument of a system call may do harm")]

use super::{Test, check};
use core::time::Duration;
use portolan::abi::file::{OREAD, RFFDG, RFNAMEG, RFNOTEG};
use portolan::abi::portal::Limits;
use portolan::abi::sys::{Str, Sys};
use portolan::alloc::format;
use portolan::alloc::string::{String, ToString};
use portolan::alloc::vec;
use portolan::{Result, note, process, sys, time};

pub(super) const TESTS: &[Test] = &[("t24_each_argument_wrong", each_argument)];

/// Numbers that are wrong as most things.
const WRONG: &[u64] = &[
    0,
    1,
    3,
    0xfff,
    0x1000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_f000,
    0x7fff_ffff_ffff,
    0x8000_0000_0000,
    0xffff_8000_0000_0000,
    0xffff_ffff_8000_0000,
    1 << 63,
    u64::MAX - 4095,
    u64::MAX - 1,
    u64::MAX,
];

/// What the right arguments point at.
struct Room {
    buf: vec::Vec<u8>,
    limits: Limits,
    name: Str,
    fds: [i32; 2],
}

/// Right arguments of a call.
fn right(call: Sys, room: &mut Room) -> [u64; 6] {
    let path = |p: &'static str| (p.as_ptr() as u64, p.len() as u64);
    let ((null, null_len), (dir, dir_len)) = (path("#sys/null"), path("/mnt"));
    let (new, new_len) = path("/n/none");
    let (buf, len) = (room.buf.as_mut_ptr() as u64, room.buf.len() as u64);
    let fd = room.fds[0] as u64;
    match call {
        Sys::Open => [null, null_len, u64::from(OREAD), 0, 0, 0],
        Sys::Create => [new, new_len, 1, 0o644, 0, 0],
        Sys::Close => [fd, 0, 0, 0, 0, 0],
        Sys::Pread | Sys::Pwrite => [fd, buf, len, u64::MAX, 0, 0],
        Sys::Seek => [fd, 0, 1, 0, 0, 0],
        Sys::Dup => [fd, u64::MAX, 0, 0, 0, 0],
        Sys::Pipe => [room.fds.as_mut_ptr() as u64, 0, 0, 0, 0, 0],
        Sys::Stat | Sys::Wstat => [null, null_len, buf, len, 0, 0],
        Sys::Fstat | Sys::Fwstat | Sys::Fd2path => [fd, buf, len, 0, 0, 0],
        Sys::Remove => [new, new_len, 0, 0, 0, 0],
        Sys::Chdir => [dir, dir_len, 0, 0, 0, 0],
        Sys::Bind => [dir, dir_len, dir, dir_len, 0, 0],
        Sys::Mount => [fd, u64::MAX, dir, dir_len, 0, &raw const room.name as u64],
        Sys::Unmount => [null, 0, dir, dir_len, 0, 0],
        Sys::Fauth => [fd, null, null_len, 0, 0, 0],
        // Without RFPROC: no process is to begin with registers that are none.
        Sys::Rfork => [u64::from(RFNAMEG), 0, 0, 0, 0, 0],
        Sys::Exec => [new, new_len, &raw const room.name as u64, 1, 0, 0],
        Sys::Exits => [buf, 8, 0, 0, 0, 0],
        Sys::Await | Sys::Errstr => [buf, len, 0, 0, 0, 0],
        Sys::Notify => [0; 6],
        Sys::Noted | Sys::Clock => [1, 0, 0, 0, 0, 0],
        Sys::Alarm => [1_000_000_000, 0, 0, 0, 0, 0],
        Sys::Sleep => [1000, 0, 0, 0, 0, 0],
        Sys::Rendezvous => [77, 78, 0, 0, 0, 0],
        Sys::Semacquire => [buf, 0, 0, 0, 0, 0],
        Sys::Semrelease => [buf, 1, 0, 0, 0, 0],
        Sys::Segattach => [0, u64::MAX, 0, 0, 4096, 0],
        Sys::Segdetach => [0x5000_0000_0000, 4096, 0, 0, 0, 0],
        Sys::Segbrk => [0; 6],
        Sys::Portal => [each_argument as *const () as u64, &raw const room.limits as u64, 0, 0, 0, 0],
        Sys::Reply => [0; 6],
        Sys::Wake => [fd, 1, 1, 0, 0, 0],
        Sys::Exchange => [77, buf & !4095, 0, 0, 0, 0],
    }
}

fn take(_: &str) -> note::Then {
    note::Then::Continue
}

/// In a process of its own.
fn tried(call: Sys) -> Result<()> {
    for at in 0..call.args().len() {
        for &wrong in WRONG {
            let fds = sys::pipe().ok_or_else(portolan::Error::last)?;
            let text = "word";
            let mut room = Room {
                buf: vec![0; 256],
                limits: Limits { activations: 1, flags: 0, stack: 0, reserved: 0 },
                name: Str { addr: text.as_ptr() as u64, len: text.len() as u64 },
                fds,
            };
            let mut args = right(call, &mut room);
            args[at] = wrong;
            if call == Sys::Rfork {
                args[0] &= !(1 << 4);
            }
            // What waits is interrupted.
            note::handle(take)?;
            sys::alarm(30_000_000);
            // SAFETY: the process is made for it: whatever the call does to its memory is seen by its parent.
            let r = unsafe { sys::call(call, args) };
            sys::alarm(0);
            if r == u64::MAX {
                let mut words = [0; 130];
                let n = sys::errstr(&mut words).unwrap_or(0);
                check!(n > 0, "{} failed without words, argument {at} {wrong:#x}", call.name());
            }
            for fd in fds {
                let _ = sys::close(fd);
            }
        }
    }
    Ok(())
}

/// May these arguments end the process that uses them? Then by a fault, or by its will.
fn may_end(call: Sys) -> bool {
    matches!(call, Sys::Exits | Sys::Notify | Sys::Segdetach | Sys::Segbrk | Sys::Rfork | Sys::Pipe)
}

fn each_argument() -> Result<()> {
    let [read, write] = sys::pipe().ok_or_else(portolan::Error::last)?;
    for &call in Sys::ALL {
        let pid = process::fork(RFFDG | RFNAMEG | RFNOTEG)?;
        if pid == 0 {
            for fd in [read, write] {
                let _ = sys::close(fd);
            }
            match tried(call) {
                Ok(()) => sys::exits(b""),
                Err(e) => sys::exits(e.words().as_bytes()),
            }
        }
        let status = ended(pid)?;
        let fault = status.starts_with("sys: trap") || call == Sys::Exits;
        check!(status.is_empty() || may_end(call) && fault, "{}: {status}", call.name());
        let mut buf = [0; 8];
        let n = sys::pwrite(write, b"intact", -1).and_then(|_| sys::pread(read, &mut buf, -1));
        check!(n == Some(6) && &buf[..6] == b"intact", "{}: a pipe of another process broke", call.name());
    }
    Ok(())
}

/// A child's status, when it has ended; it has half a minute.
fn ended(pid: u32) -> Result<String> {
    sys::alarm(30_000_000_000);
    note::handle(take)?;
    let r = process::wait_for(pid);
    sys::alarm(0);
    match r {
        Ok(e) => Ok(e.status),
        Err(e) => {
            let state =
                String::from_utf8_lossy(&portolan::fs::read(format!("#proc/{pid}/status"))?).to_string();
            let _ = time::sleep(Duration::from_millis(1));
            Err(portolan::Error::new(&format!("{e}: it is {state}")))
        }
    }
}
