//! Memory that is out is an error that the client hears, and nothing is lost or left by it.
#![allow(unsafe_code, reason = "an allocator that can be told to fail")]

mod common;

use abi::error::Error;
use abi::file::*;
use common::{Client, options};
use ninep::{NOCHANGE, Stat, Tmsg};
use ramfs::Ramfs;
use serve::portal::Portal;
use serve::{Held, NoWake};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// How many allocations of this thread succeed from now on.
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

struct Failing;

fn granted() -> bool {
    LEFT.with(|left| {
        let n = left.get();
        if n != u64::MAX && n > 0 {
            left.set(n - 1);
        }
        n > 0
    })
}

// SAFETY: everything is the system's allocator's, or refused.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        if granted() { unsafe { System.alloc(layout) } } else { std::ptr::null_mut() }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        if granted() { unsafe { System.realloc(at, layout, size) } } else { std::ptr::null_mut() }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: it came from the system's allocator.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// The portal's front, with the server's allocations failing and not the test's. (On a wire the session's own tables
/// are the host's; in the machine there is none.)
struct Poor {
    portal: Portal<Ramfs>,
    /// Allocations granted to each request.
    grant: u64,
}

impl common::Front for Poor {
    fn call(&mut self, frame: &[u8]) -> Vec<u8> {
        let (tag, t) = Tmsg::decode(frame).unwrap();
        let (mut page, mut window, mut held) = (vec![0; 4096], vec![0; 8192], Held::Nothing);
        let request = ninep::portal::request(tag, &t, &mut page).unwrap();
        if let Tmsg::Twrite { data, .. } = t {
            window[..data.len()].copy_from_slice(data);
        }
        LEFT.with(|left| left.set(self.grant));
        let a = self.portal.call(&request, &mut page, &mut window, &mut held, &NoWake);
        LEFT.with(|left| left.set(u64::MAX));
        let mut out = vec![0; 16384];
        let len = ninep::portal::rmsg(&a, &page, &window).unwrap().encode(tag, &mut out).unwrap();
        out.truncate(len);
        out
    }
}

/// Does one thing with ever more allocations granted, until it succeeds. Every failure says that memory is out.
fn until_it_works(
    c: &mut Client<Poor>,
    what: &str,
    mut act: impl FnMut(&mut Client<Poor>) -> Result<(), String>,
) {
    for grant in 0..100 {
        c.front.grant = grant;
        let done = act(c);
        c.front.grant = u64::MAX;
        match done {
            Ok(()) => {
                println!("{what}: {grant} allocations");
                return;
            }
            Err(e) => assert_eq!(e, Error::NoMemory.text(), "{what} with {grant} allocations"),
        }
    }
    panic!("{what} does not work");
}

#[test]
fn every_operation_fails_cleanly_at_each_of_its_allocations() {
    let mut c =
        Client::new(Poor { portal: Portal::new(Ramfs::new(&options()).unwrap()).unwrap(), grant: u64::MAX });
    until_it_works(&mut c, "attach", |c| c.attach(0, "glenda").map(drop));
    until_it_works(&mut c, "clone", |c| c.walk(0, 1, &[]).map(drop));
    until_it_works(&mut c, "create", |c| c.create(1, "f", 0o666, ORDWR).map(drop));
    let before = c.front.portal.server().used();
    until_it_works(&mut c, "write", |c| match c.write(1, 1 << 40, b"hello")? {
        5 => Ok(()),
        n => panic!("{n} bytes taken"),
    });
    until_it_works(&mut c, "rename", |c| {
        c.wstat(1, &Stat { name: "a-longer-name", length: 4097, ..NOCHANGE })
    });
    assert_eq!(c.stat(1).unwrap().name, "a-longer-name");
    c.wstat(1, &Stat { length: 0, ..NOCHANGE }).unwrap();
    assert_eq!(c.front.portal.server().used(), before);
    until_it_works(&mut c, "walk", |c| c.walk(0, 2, &["a-longer-name"]).map(drop));
    until_it_works(&mut c, "open", |c| c.open(2, OREAD).map(drop));
    until_it_works(&mut c, "read", |c| c.read(2, 0, 10).map(drop));
    // These need no memory, and have to work when there is none.
    c.front.grant = 0;
    c.clunk(2).unwrap();
    c.remove(1).unwrap();
    c.front.grant = u64::MAX;
    assert_eq!(c.front.portal.server().used(), 0);
}
