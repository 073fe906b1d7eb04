//! Several clients change one tree at once: nobody waits for ever, and when all is removed all memory is free.

mod common;

use abi::file::*;
use common::{Client, Random, WireFront, options};
use ninep::{NOCHANGE, Stat};
use ramfs::Ramfs;
use serve::Engine;
use std::sync::Arc;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Any operation on a few paths that all clients share; it may fail, since another was faster.
fn act(r: &mut Random, c: &mut Client<WireFront>) {
    let path = [r.pick(&NAMES), r.pick(&NAMES)];
    let path = &path[..r.below(3) as usize];
    if c.walk(0, 1, path) != Ok(path.len()) {
        // A partial walk binds nothing.
        assert!(c.clunk(1).is_err());
        return;
    }
    match r.below(7) {
        0 | 1 => {
            let perm = if r.below(2) == 0 { DMDIR | 0o777 } else { 0o666 };
            let _ = c.create(1, r.pick(&NAMES), perm, OREAD);
        }
        2 => {
            let _ = c.remove(1);
            return;
        }
        3 => drop(c.wstat(1, &Stat { name: r.pick(&NAMES), length: r.below(9000), ..NOCHANGE })),
        4 => {
            if c.open(1, ORDWR).is_ok() {
                c.write(1, r.below(20_000), &[7; 5000]).unwrap();
                let data = c.read(1, 0, 10_000).unwrap();
                assert!(data.iter().all(|b| matches!(b, 0 | 7)));
            }
        }
        5 => {
            if c.open(1, OREAD).is_ok() && c.stat(1).unwrap().mode & DMDIR != 0 {
                c.names(1, 300);
            }
        }
        _ => drop(c.stat(1).unwrap()),
    }
    c.clunk(1).unwrap();
}

fn remove_all(c: &mut Client<WireFront>, path: &mut Vec<String>) {
    let at: Vec<&str> = path.iter().map(String::as_str).collect();
    c.walk(0, 1, &at).unwrap();
    let names = if c.stat(1).unwrap().mode & DMDIR != 0 {
        c.open(1, OREAD).unwrap();
        c.names(1, 8192)
    } else {
        Vec::new()
    };
    c.clunk(1).unwrap();
    for name in names {
        path.push(name);
        remove_all(c, path);
        path.pop();
    }
    if !path.is_empty() {
        let at: Vec<&str> = path.iter().map(String::as_str).collect();
        c.walk(0, 1, &at).unwrap();
        c.remove(1).unwrap();
    }
}

#[test]
fn clients_that_race_neither_deadlock_nor_leak() {
    let engine = Arc::new(Engine::new(Ramfs::new(&options()).unwrap()));
    let clients: Vec<_> = (1..=4_u64)
        .map(|n| {
            let engine = engine.clone();
            std::thread::spawn(move || {
                let mut c = Client::new(WireFront::over(engine, n));
                c.attach(0, "glenda").unwrap();
                let mut r = Random(n * 7919);
                (0..5000).for_each(|_| act(&mut r, &mut c));
            })
        })
        .collect();
    clients.into_iter().for_each(|t| t.join().unwrap());
    let mut c = Client::new(WireFront::over(engine.clone(), 9));
    c.attach(0, "glenda").unwrap();
    assert!(engine.server().used() > 0, "nothing was made");
    remove_all(&mut c, &mut Vec::new());
    assert_eq!(engine.server().used(), 0);
}
