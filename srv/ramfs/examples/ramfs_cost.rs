//! Does one thing through the portal's front as often as asked: `ramfs_cost read_1 1000`. The scenario `host_ramfs_cost` counts the
//! instructions.
#![allow(clippy::unwrap_used, reason = "a measuring program")]

use abi::file::ORDWR;
use abi::portal::{Request, op};
use ninep::{NOFID, Name, Tmsg};
use ramfs::{Options, Ramfs};
use serve::portal::Portal;
use serve::{Held, NoWake};
use std::hint::black_box;

fn main() {
    let mut args = std::env::args().skip(1);
    let (what, times): (String, u32) = (args.next().unwrap(), args.next().unwrap().parse().unwrap());
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
    for t in [
        Tmsg::Tattach { fid: 0, afid: NOFID, uname: "glenda", aname: "" },
        Tmsg::Tcreate { fid: 0, name: Name::new("f").unwrap(), perm: 0o666, mode: ORDWR },
        Tmsg::Twrite { fid: 0, offset: 0, data: &[1; 4096] },
    ] {
        let request = Request { session: 7, ..ninep::portal::request(1, &t, &mut page).unwrap() };
        black_box(portal.call(&request, &mut page, &mut window, &mut held, &NoWake));
    }
    let (op, count, offset) = match what.as_str() {
        "read_1" => (op::TREAD, 1, 100),
        "read_page" => (op::TREAD, 4096, 0),
        "write_1" => (op::TWRITE, 1, 100),
        "write_page" => (op::TWRITE, 4096, 0),
        "stat" => (op::TSTAT, 0, 0),
        _ => panic!("nothing of that name is measured"),
    };
    let head = Request::make_head(op, 0, 1, count);
    let request = Request { head, offset, session: 7, ..Request::default() };
    for _ in 0..times {
        black_box(portal.call(black_box(&request), &mut page, &mut window, &mut held, &NoWake));
    }
}
