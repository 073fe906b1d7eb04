//! Memory that is out is an error that the client hears, and nothing is lost or left by it.
#![allow(unsafe_code, reason = "an allocator that can be told to fail")]

mod common;

use abi::error::Error;
use abi::file::*;
use common::{Client, options};
use ninep::{NOCHANGE, NOFID, NOTAG, Name, Names, Rmsg, Stat, Tmsg, frame};
use ramfs::Ramfs;
use serve::portal::Portal;
use serve::wire::Connection;
use serve::{Engine, Held, NoWake};
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

/// The portal's front, with the server's allocations failing and not the test's.
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

/// What a wire's client says, all at once: with the session's tables and the answers' places it needs many allocations.
fn conversation() -> Vec<u8> {
    let name = [Name::new("f").unwrap()];
    let some = Names::new(&name).unwrap();
    let said = [
        (NOTAG, Tmsg::Tversion { msize: 8192, version: "9P2000" }),
        (1, Tmsg::Tattach { fid: 0, afid: NOFID, uname: "glenda", aname: "" }),
        (2, Tmsg::Twalk { fid: 0, newfid: 1, wname: Names::new(&[]).unwrap() }),
        (3, Tmsg::Tcreate { fid: 1, name: name[0], perm: 0o666, mode: ORDWR }),
        (4, Tmsg::Twrite { fid: 1, offset: 0, data: b"hello" }),
        (5, Tmsg::Tstat { fid: 1 }),
        (6, Tmsg::Tflush { oldtag: 5 }),
        (7, Tmsg::Twalk { fid: 0, newfid: 2, wname: some }),
        (8, Tmsg::Tread { fid: 2, offset: 0, count: 8 }),
        (9, Tmsg::Tremove { fid: 1 }),
        (10, Tmsg::Tclunk { fid: 1 }),
    ];
    said.iter().flat_map(|(tag, t)| common::frame(*tag, t)).collect()
}

#[test]
fn a_connection_without_memory_says_so_or_ends() {
    let said = conversation();
    let (mut ended, mut short) = (0, 0);
    for grant in 0.. {
        assert!(grant < 1000, "it never has enough");
        let engine = Engine::new(Ramfs::new(&options()).unwrap());
        LEFT.with(|left| left.set(grant));
        let mut connection = None;
        let gone = match Connection::new(grant) {
            Err(_) => true,
            Ok(made) => {
                let c = connection.insert(made);
                c.receive(&said).is_err() || c.run(&engine, &NoWake).is_err()
            }
        };
        LEFT.with(|left| left.set(u64::MAX));
        let Some(mut connection) = connection else { continue };
        let answers = std::mem::take(connection.output());
        connection.end(&engine, &NoWake);
        assert_eq!(connection.fids(), 0, "with {grant} allocations");
        if gone {
            ended += 1;
            continue;
        }
        // Every request was answered, each in its turn, and what went wrong is said.
        let (mut rest, mut tags, mut poor) = (&answers[..], Vec::new(), false);
        while let Ok(frame::Frame::Whole { frame, rest: next }) = frame::next(rest, 8192) {
            let (tag, r) = Rmsg::decode(frame).unwrap();
            tags.push(tag);
            poor |= matches!(r, Rmsg::Rerror { ename } if ename == Error::NoMemory.text());
            rest = next;
        }
        assert_eq!(tags, [NOTAG, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "with {grant} allocations");
        if !poor {
            println!("{grant} allocations; {ended} connections ended, {short} answered that memory is out");
            assert!(ended > 5 && short > 0);
            return;
        }
        short += 1;
    }
}
