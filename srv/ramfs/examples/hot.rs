//! Reads one byte through the portal's front again and again: what a debugger counts the instructions of.
#![allow(clippy::unwrap_used, reason = "a measuring program")]

use abi::file::ORDWR;
use abi::portal::{Request, op};
use ninep::{NOFID, Name, Tmsg};
use ramfs::{Options, Ramfs};
use serve::portal::Portal;
use serve::{Held, NoWake};
use std::hint::black_box;

#[inline(never)]
fn mark(n: u64) -> u64 {
    black_box(n)
}

fn main() {
    let options = Options {
        size: 1 << 30,
        quota: 1 << 30,
        owner: "adm".into(),
        root_mode: 0o777,
        groups: Vec::new(),
        open: true,
        posix: false,
        now: || 1,
        key: (1, 2),
    };
    let portal = Portal::new(Ramfs::new(&options).unwrap()).unwrap();
    let (mut page, mut window, mut held) = (vec![0; 4096], vec![0; 8192], Held::Nothing);
    let name = Name::new("f").unwrap();
    for t in [
        Tmsg::Tattach { fid: 0, afid: NOFID, uname: "glenda", aname: "" },
        Tmsg::Tcreate { fid: 0, name, perm: 0o666, mode: ORDWR },
        Tmsg::Twrite { fid: 0, offset: 0, data: &[1; 4096] },
    ] {
        let request = Request { session: 7, ..ninep::portal::request(1, &t, &mut page).unwrap() };
        black_box(portal.call(&request, &mut page, &mut window, &mut held, &NoWake));
    }
    let read = Request {
        head: Request::make_head(op::TREAD, 0, 1, 1),
        fids: 0,
        offset: 100,
        session: 7,
        ..Request::default()
    };
    for i in 0..10 {
        mark(i);
        black_box(portal.call(black_box(&read), &mut page, &mut window, &mut held, &NoWake));
    }
}
