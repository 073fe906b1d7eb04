//! Whatever a client says, the portal's front, the wire's front and a socket answer the same bytes.

mod common;

use abi::file::*;
use common::{Front, PortalFront, Random, SocketFront, WireFront, frame, options};
use ninep::{NOCHANGE, NOFID, Name, Names, Stat, Tmsg};

const NAMES: [&str; 8] = ["a", "b", "c", "log", "lock", "..", ".", "a\u{1}"];
const USERS: [&str; 5] = ["glenda", "ken", "rob", "ann", "bad:name"];
const MODES: [u8; 11] = [
    OREAD,
    ORDWR,
    OREAD,
    OWRITE,
    ORDWR,
    OEXEC,
    OREAD | OTRUNC,
    ORDWR | ORCLOSE,
    OREAD | ORCLOSE,
    0x80,
    ORDWR | OTRUNC,
];
const PERMS: [u32; 10] = [
    0o666,
    0o666,
    DMDIR | 0o777,
    0o666,
    0o640,
    DMDIR | 0o777,
    DMDIR | 0o700,
    DMAPPEND | 0o666,
    DMEXCL | 0o666,
    DMMOUNT | 0o666,
];

fn fid(r: &mut Random) -> u32 {
    if r.below(50) == 0 { NOFID } else { r.below(6) as u32 }
}

/// Any request, most of them sensible.
fn request(r: &mut Random) -> Vec<u8> {
    let data = vec![r.below(256) as u8; r.below(9000) as usize];
    let list: Vec<_> = (0..r.below(4)).map(|_| Name::new(r.pick(&NAMES)).unwrap()).collect();
    let one = Name::new(r.pick(&NAMES)).unwrap();
    let offset = match r.below(4) {
        0 => r.below(20_000),
        1 => r.next() << 11,
        _ => 0,
    };
    let stat = Stat {
        name: if r.below(3) == 0 { one.as_str() } else { "" },
        mode: if r.below(3) == 0 { r.pick(&PERMS) } else { NOCHANGE32 },
        length: if r.below(3) == 0 { r.below(10_000) } else { NOCHANGE64 },
        mtime: if r.below(3) == 0 { 5 } else { NOCHANGE32 },
        gid: if r.below(5) == 0 { "sys" } else { "" },
        ..NOCHANGE
    };
    let t = match r.below(16) {
        0 => Tmsg::Tattach { fid: fid(r), afid: NOFID, uname: r.pick(&USERS), aname: "" },
        1 | 2 => Tmsg::Twalk { fid: fid(r), newfid: fid(r), wname: Names::new(&list).unwrap() },
        3 => Tmsg::Topen { fid: fid(r), mode: r.pick(&MODES) },
        4 | 12..=14 => Tmsg::Tcreate { fid: fid(r), name: one, perm: r.pick(&PERMS), mode: r.pick(&MODES) },
        5 | 6 => Tmsg::Tread { fid: fid(r), offset, count: r.below(20_000) as u32 },
        7 | 8 => Tmsg::Twrite { fid: fid(r), offset, data: &data },
        9 => Tmsg::Tclunk { fid: fid(r) },
        10 => Tmsg::Tremove { fid: fid(r) },
        11 => Tmsg::Tstat { fid: fid(r) },
        _ if r.below(20) == 0 => Tmsg::Tauth { afid: fid(r), uname: r.pick(&USERS), aname: "" },
        _ => Tmsg::Twstat { fid: fid(r), stat },
    };
    frame(r.below(1000) as u16, &t)
}

#[test]
fn every_front_gives_the_same_answers() {
    let mut answered = [0; 256];
    for seed in 1..=16 {
        let mut r = Random(seed * 7919);
        let (mut portal, mut wire, mut socket) =
            (PortalFront::new(&options()), WireFront::new(&options()), SocketFront::new(&options()));
        let version = frame(ninep::NOTAG, &Tmsg::Tversion { msize: 1 << 20, version: "9P2000" });
        for step in 0..1000 {
            let t = if step == 0 { version.clone() } else { request(&mut r) };
            let a = wire.call(&t);
            answered[usize::from(a[4])] += 1;
            assert_eq!(portal.call(&t), a, "portal, seed {seed} step {step}: {:?}", Tmsg::decode(&t));
            assert_eq!(socket.call(&t), a, "socket, seed {seed} step {step}: {:?}", Tmsg::decode(&t));
        }
    }
    // The test is worth something only if things succeed.
    for op in [105, 111, 113, 115, 117, 119, 121, 123, 125, 127] {
        assert!(answered[op] > 20, "{} answers of {op}", answered[op]);
    }
}

/// A page that an answer names stays as it was when the file changes before the reader has copied it.
#[test]
fn an_answer_that_names_a_page_does_not_change_with_the_file() {
    use abi::portal::Request;
    use serve::{Held, NoWake};
    let mut front = PortalFront::new(&options());
    for t in [
        Tmsg::Tattach { fid: 0, afid: NOFID, uname: "glenda", aname: "" },
        Tmsg::Tcreate { fid: 0, name: Name::new("f").unwrap(), perm: 0o666, mode: ORDWR },
        Tmsg::Twrite { fid: 0, offset: 0, data: &[1; 4096] },
    ] {
        front.call(&frame(1, &t));
    }
    let call = |t: &Tmsg<'_>, window: &mut Vec<u8>, held: &mut Held| {
        let mut page = vec![0; 4096];
        let request: Request = ninep::portal::request(1, t, &mut page).unwrap();
        front.portal.call(&Request { session: 7, ..request }, &mut page, window, held, &NoWake)
    };
    let (mut window, mut first, mut second) = (vec![2; 8192], Held::Nothing, Held::Nothing);
    let a = call(&Tmsg::Tread { fid: 0, offset: 0, count: 4096 }, &mut window, &mut first);
    let Held::Page(page) = &first else { panic!("the answer names no page") };
    assert_eq!(a.w1, page.as_ptr() as u64);
    let written = call(&Tmsg::Twrite { fid: 0, offset: 0, data: &[2; 4096] }, &mut window, &mut second);
    assert_eq!((written.op(), written.count()), (abi::portal::op::TWRITE + 1, 4096));
    call(&Tmsg::Tremove { fid: 0 }, &mut window, &mut second);
    assert_eq!(**page, [1; 4096]);
}
