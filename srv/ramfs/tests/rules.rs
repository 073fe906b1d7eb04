//! The rules of section 5 that a user of ramfs notices, one test each.

mod common;

use abi::error::Error;
use abi::file::*;
use common::{Client, Random, WireFront, options};
use ninep::{NOCHANGE, Stat};
use ramfs::Options;

type C = Client<WireFront>;

/// A client whose fid 0 is the root, as glenda.
fn client() -> C {
    with(&options())
}

fn with(options: &Options) -> C {
    let mut c = Client::new(WireFront::new(options));
    c.attach(0, "glenda").unwrap();
    c
}

fn err<T>(e: Error) -> Result<T, String> {
    Err(e.text().into())
}

/// Fids 100 to 102: the root as another user.
fn as_user(c: &mut C, uname: &str) -> u32 {
    let fid = 100 + ["ken", "rob", "ann"].iter().position(|u| *u == uname).unwrap() as u32;
    let _ = c.attach(fid, uname);
    fid
}

#[test]
fn what_was_written_is_read_and_counted() {
    let mut c = client();
    let q = c.make(0, 1, "f", 0o644, ORDWR).unwrap();
    assert_ne!(q.vers, 0, "a plain file may be cached");
    assert_eq!(c.write(1, 10, b"hello"), Ok(5));
    assert_eq!(c.read(1, 0, 100).unwrap(), b"\0\0\0\0\0\0\0\0\0\0hello");
    assert_eq!(c.read(1, 15, 100).unwrap(), b"");
    let s = c.stat(1).unwrap();
    assert_eq!((s.length, s.name.as_str(), s.uid.as_str(), s.muid.as_str()), (15, "f", "glenda", "glenda"));
    assert_eq!(s.qid.vers, q.vers + 1);
    assert_eq!(c.write(1, 0, b""), Ok(0));
    assert_eq!(c.stat(1).unwrap().qid.vers, q.vers + 1, "nothing was changed");
}

#[test]
fn permissions_are_those_of_user_group_and_others() {
    let mut c = client();
    c.make(0, 1, "f", 0o640, OWRITE).unwrap();
    c.wstat(1, &Stat { gid: "sys", ..NOCHANGE }).unwrap();
    // rob is in sys, ken leads it, ann is neither.
    for (user, mode, allowed) in [
        ("rob", OREAD, true),
        ("rob", OWRITE, false),
        ("ken", OREAD, true),
        ("ann", OREAD, false),
        ("ann", OEXEC, false),
    ] {
        let root = as_user(&mut c, user);
        c.walk(root, 9, &["f"]).unwrap();
        let opened = c.open(9, mode).map(drop);
        assert_eq!(opened, if allowed { Ok(()) } else { err(Error::Perm) }, "{user} {mode}");
        c.clunk(9).unwrap();
    }
}

#[test]
fn a_directory_without_x_is_not_walked_and_without_w_not_changed() {
    let mut c = client();
    c.make(0, 1, "d", DMDIR | 0o744, OREAD).unwrap();
    c.make(0, 2, "e", DMDIR | 0o755, OREAD).unwrap();
    c.walk(0, 3, &["d"]).unwrap();
    c.create(3, "f", 0o666, OREAD).unwrap();
    let ann = as_user(&mut c, "ann");
    assert_eq!(c.walk(ann, 9, &["d", "f"]), Ok(1), "a partial walk");
    assert_eq!(c.stat(9).map(drop), err(Error::UnknownFid), "binds nothing");
    c.walk(ann, 9, &["e"]).unwrap();
    assert_eq!(c.create(9, "f", 0o666, OREAD).map(drop), err(Error::Perm));
}

#[test]
fn a_new_file_has_the_permissions_and_the_group_of_its_directory() {
    let mut c = client();
    c.make(0, 1, "d", DMDIR | 0o750, OREAD).unwrap();
    c.wstat(1, &Stat { gid: "sys", ..NOCHANGE }).unwrap();
    c.walk(0, 2, &["d"]).unwrap();
    c.create(2, "f", 0o777, OREAD).unwrap();
    let s = c.stat(2).unwrap();
    assert_eq!((s.mode, s.gid.as_str()), (0o751, "sys"));
}

#[test]
fn an_append_only_file_grows_wherever_one_writes_and_is_not_truncated() {
    let mut c = client();
    let q = c.make(0, 1, "log", DMAPPEND | 0o666, ORDWR).unwrap();
    assert_eq!(q.kind, QTAPPEND);
    c.write(1, 0, b"one").unwrap();
    c.write(1, 0, b"two").unwrap();
    c.walk(0, 2, &["log"]).unwrap();
    c.open(2, OREAD | OTRUNC).unwrap();
    assert_eq!(c.read(2, 0, 10).unwrap(), b"onetwo");
    assert_eq!(c.wstat(2, &Stat { length: 0, ..NOCHANGE }), err(Error::Perm));
}

#[test]
fn an_exclusive_file_is_open_once() {
    let mut c = client();
    c.make(0, 1, "lock", DMEXCL | 0o666, ORDWR).unwrap();
    c.walk(0, 2, &["lock"]).unwrap();
    assert_eq!(c.open(2, OREAD).map(drop), err(Error::Exclusive));
    c.clunk(1).unwrap();
    c.open(2, OREAD).unwrap();
}

#[test]
fn orclose_removes_as_the_fid_goes_or_its_client_does() {
    let mut c = client();
    c.make(0, 1, "t", 0o666, ORDWR | ORCLOSE).unwrap();
    c.clunk(1).unwrap();
    assert_eq!(c.walk(0, 1, &["t"]), err(Error::NotExist));
    let engine = c.front.engine.clone();
    let mut other = Client::new(WireFront::over(engine, 2));
    other.attach(0, "glenda").unwrap();
    other.make(0, 1, "u", 0o666, ORDWR | ORCLOSE).unwrap();
    assert_eq!(c.walk(0, 1, &["u"]), Ok(1));
    drop(other);
    assert_eq!(c.walk(0, 2, &["u"]), err(Error::NotExist));
}

#[test]
fn orclose_needs_permission_to_remove() {
    let mut c = client();
    c.make(0, 1, "d", DMDIR | 0o755, OREAD).unwrap();
    c.walk(0, 2, &["d"]).unwrap();
    c.create(2, "f", 0o666, OREAD).unwrap();
    let ann = as_user(&mut c, "ann");
    c.walk(ann, 9, &["d", "f"]).unwrap();
    assert_eq!(c.open(9, OREAD | ORCLOSE).map(drop), err(Error::Perm));
    c.open(9, OREAD).unwrap();
}

#[test]
fn a_removed_file_lives_on_for_those_who_have_it() {
    let mut c = client();
    c.make(0, 1, "f", 0o666, ORDWR).unwrap();
    c.write(1, 0, b"still here").unwrap();
    let used = c.front.engine.server().used();
    c.walk(0, 2, &["f"]).unwrap();
    c.remove(2).unwrap();
    assert_eq!(c.clunk(2), err(Error::UnknownFid), "remove forgets the fid");
    assert_eq!(c.read(1, 0, 20).unwrap(), b"still here");
    assert_eq!(c.front.engine.server().used(), used);
    c.clunk(1).unwrap();
    assert_eq!(c.front.engine.server().used(), 0, "its memory is free");
}

#[test]
fn remove_forgets_the_fid_even_when_it_fails() {
    let mut c = client();
    c.make(0, 1, "d", DMDIR | 0o777, OREAD).unwrap();
    c.walk(0, 2, &["d"]).unwrap();
    c.create(2, "f", 0o666, OREAD).unwrap();
    assert_eq!(c.remove(1), err(Error::NotEmpty));
    assert_eq!(c.clunk(1), err(Error::UnknownFid));
    assert_eq!(c.remove(0), err(Error::Perm), "the root stays");
}

#[test]
fn wstat_changes_all_or_nothing() {
    let mut c = client();
    c.make(0, 1, "f", 0o644, ORDWR).unwrap();
    c.make(0, 2, "g", 0o644, ORDWR).unwrap();
    c.write(1, 0, b"0123456789").unwrap();
    let before = c.stat(1).unwrap();
    for refused in [
        Stat { name: "g", mode: 0o600, length: 1, ..NOCHANGE },
        Stat { name: "h", mode: 0o600, gid: "chess", ..NOCHANGE },
        Stat { name: "h", length: 2, uid: "ken", ..NOCHANGE },
        Stat { name: "h", mode: DMDIR | 0o777, ..NOCHANGE },
        Stat { length: 3, atime: 5, ..NOCHANGE },
        Stat { length: 3, gid: "nobody-knows", ..NOCHANGE },
        Stat { name: "h", gid: "nobody-knows", ..NOCHANGE },
        Stat { name: "..", mode: 0o600, ..NOCHANGE },
    ] {
        assert!(c.wstat(1, &refused).is_err(), "{refused:?}");
        assert_eq!(c.stat(1).unwrap(), before, "{refused:?}");
    }
    c.wstat(1, &NOCHANGE).unwrap();
    assert_eq!(c.stat(1).unwrap(), before);
    c.wstat(1, &Stat { name: "h", mode: 0o600, length: 4, mtime: 77, gid: "sys", ..NOCHANGE }).unwrap();
    let s = c.stat(1).unwrap();
    assert_eq!((s.name.as_str(), s.mode, s.length, s.mtime, s.gid.as_str()), ("h", 0o600, 4, 77, "sys"));
    assert_eq!(c.walk(0, 9, &["f"]), err(Error::NotExist));
    assert_eq!(c.read(1, 0, 9).unwrap(), b"0123", "a fid survives its file's new name");
}

#[test]
fn wstat_is_for_the_owner_or_the_groups_leader() {
    let mut c = client();
    c.make(0, 1, "f", 0o666, OREAD).unwrap();
    c.wstat(1, &Stat { gid: "sys", ..NOCHANGE }).unwrap();
    for (user, may) in [("rob", false), ("ann", false), ("ken", true)] {
        let root = as_user(&mut c, user);
        c.walk(root, 9, &["f"]).unwrap();
        let changed = c.wstat(9, &Stat { mode: 0o664, ..NOCHANGE });
        assert_eq!(changed, if may { Ok(()) } else { err(Error::Perm) }, "{user}");
        c.clunk(9).unwrap();
    }
    // Whoever may write may set the length, and nobody else.
    c.wstat(1, &Stat { mode: 0o644, ..NOCHANGE }).unwrap();
    let ann = as_user(&mut c, "ann");
    c.walk(ann, 9, &["f"]).unwrap();
    assert_eq!(c.wstat(9, &Stat { length: 5, ..NOCHANGE }), err(Error::Perm));
    c.clunk(9).unwrap();
    // A leader may give the file to another group that he leads; a member may not.
    let rob = as_user(&mut c, "rob");
    c.walk(rob, 9, &["f"]).unwrap();
    assert_eq!(c.wstat(9, &Stat { gid: "lab", ..NOCHANGE }), err(Error::Perm));
    let ken = as_user(&mut c, "ken");
    c.walk(ken, 10, &["f"]).unwrap();
    c.wstat(10, &Stat { gid: "chess", ..NOCHANGE }).unwrap();
}

#[test]
fn posix_clients_get_what_they_ask_for() {
    let mut c = with(&Options { posix: true, ..options() });
    c.make(0, 1, "new", 0o666, ORDWR).unwrap();
    c.make(0, 2, "old", 0o666, ORDWR).unwrap();
    c.make(0, 3, "dir", DMDIR | 0o777, OREAD).unwrap();
    c.write(1, 0, b"new").unwrap();
    assert_eq!(c.wstat(1, &Stat { name: "dir", ..NOCHANGE }), err(Error::Exists));
    c.wstat(1, &Stat { name: "old", atime: 5, ..NOCHANGE }).unwrap();
    c.walk(0, 9, &["old"]).unwrap();
    c.open(9, OREAD).unwrap();
    assert_eq!(c.read(9, 0, 9).unwrap(), b"new");
    c.walk(0, 4, &[]).unwrap();
    c.open(4, OREAD).unwrap();
    assert_eq!(c.names(4, 8192), ["old", "dir"]);
    // And what is created has the permissions that were asked for, not only those of the directory.
    c.walk(0, 5, &["dir"]).unwrap();
    c.wstat(5, &Stat { mode: DMDIR | 0o700, ..NOCHANGE }).unwrap();
    c.make(5, 6, "open", 0o666, OREAD).unwrap();
    assert_eq!(c.stat(6).unwrap().mode, 0o666);
}

#[test]
fn quotas_bound_each_user_and_all_together() {
    let mut c = with(&Options { size: 1 << 20, quota: 1 << 19, ..options() });
    let mut written = 0;
    c.make(0, 1, "a", 0o666, ORDWR).unwrap();
    let full = loop {
        match c.write(1, written, &[1; 10_000]) {
            Ok(n) => written += u64::from(n),
            Err(e) => break e,
        }
    };
    assert_eq!(full, Error::NoSpace.text());
    // All but the room for the last page and for what leads to the pages.
    assert!((500_000..1 << 19).contains(&written), "{written}");
    assert_eq!(c.write(1, 0, b"over"), Ok(4), "what is there can be changed");
    assert_eq!(c.stat(1).unwrap().length, written);
    // Another user has a quota of his own.
    let ken = as_user(&mut c, "ken");
    c.make(ken, 2, "b", 0o666, ORDWR).unwrap();
    c.write(2, 0, &[1; 10_000]).unwrap();
    // Making room helps.
    c.wstat(1, &Stat { length: 0, ..NOCHANGE }).unwrap();
    assert_eq!(c.write(1, 0, &[1; 10_000]), Ok(10_000));
}

#[test]
fn files_of_gigabytes_take_what_was_written() {
    let mut c = client();
    c.make(0, 1, "big", 0o666, ORDWR).unwrap();
    for at in [0, 4095, 5 << 30, (1 << 62) + 123] {
        c.write(1, at, b"here").unwrap();
        assert_eq!(c.read(1, at, 4).unwrap(), b"here", "{at}");
    }
    assert_eq!(c.read(1, 1 << 30, 5).unwrap(), [0; 5]);
    assert!(c.front.engine.server().used() < 200_000);
    assert_eq!(c.write(1, i64::MAX as u64 - 2, b"here"), err(Error::BadOffset));
    c.wstat(1, &Stat { length: 4097, ..NOCHANGE }).unwrap();
    assert_eq!(c.read(1, 4090, 100).unwrap(), *b"\0\0\0\0\0he");
    c.wstat(1, &Stat { length: 5000, ..NOCHANGE }).unwrap();
    assert_eq!(c.read(1, 4097, 2).unwrap(), [0; 2], "what was cut off is gone");
}

#[test]
fn a_directory_of_100000_entries_is_listed_while_it_changes() {
    const N: usize = 100_000;
    let mut c = with(&Options { size: 1 << 30, quota: 1 << 30, ..options() });
    for i in 0..N {
        c.make(0, 1, &format!("file{i}"), 0o666, OREAD).unwrap();
        c.clunk(1).unwrap();
    }
    c.walk(0, 2, &[]).unwrap();
    c.open(2, OREAD).unwrap();
    let names = c.names(2, 65536);
    assert_eq!(names.len(), N);
    assert!(names.iter().enumerate().all(|(i, n)| *n == format!("file{i}")));
    // Remove each entry of a piece after it was read, as rm does: nothing is skipped.
    let (mut offset, mut removed) = (0, 0);
    loop {
        let data = c.read(2, offset, 8192).unwrap();
        if data.is_empty() {
            break;
        }
        offset += data.len() as u64;
        for s in ninep::Stats::new(&data) {
            c.walk(0, 3, &[s.unwrap().name]).unwrap();
            c.remove(3).unwrap();
            removed += 1;
        }
    }
    assert_eq!(removed, N);
    assert_eq!(c.names(2, 8192), [""; 0]);
    assert_eq!(c.front.engine.server().used(), 0);
}

#[test]
fn a_directory_is_read_at_its_start_or_where_the_last_read_ended() {
    let mut c = client();
    for name in ["a", "b", "c"] {
        c.make(0, 1, name, 0o666, OREAD).unwrap();
        c.clunk(1).unwrap();
    }
    c.walk(0, 2, &[]).unwrap();
    c.open(2, OREAD).unwrap();
    assert_eq!(c.read(2, 0, 20).map(drop), err(Error::ShortBuffer));
    let one = c.read(2, 0, 100).unwrap();
    let len = 2 + u64::from(u16::from_le_bytes([one[0], one[1]]));
    assert_eq!(one.len() as u64, len, "whole entries");
    assert_eq!(c.read(2, 1, 100).map(drop), err(Error::BadOffset));
    c.read(2, len, 100).unwrap();
    assert_eq!(c.read(2, len, 100).map(drop), err(Error::BadOffset));
    assert_eq!(c.read(2, 0, 100).unwrap(), one);
}

#[test]
fn names_that_lie_are_refused() {
    let mut c = client();
    for name in [".", "..", "a\nb", "a\u{7f}", &"x".repeat(256)] {
        assert!(c.make(0, 1, name, 0o666, OREAD).is_err(), "{name:?}");
    }
    c.make(0, 1, &"x".repeat(255), 0o666, OREAD).unwrap();
    c.make(0, 2, "déjà vu", 0o666, OREAD).unwrap();
}

#[test]
fn dotdot_leads_up_and_stops_at_the_root() {
    let mut c = client();
    c.make(0, 1, "d", DMDIR | 0o777, OREAD).unwrap();
    c.walk(0, 2, &["d", "..", "..", "d"]).unwrap();
    assert_eq!(c.stat(2).unwrap().name, "d");
    c.make(0, 3, "f", 0o666, OREAD).unwrap();
    assert_eq!(c.walk(0, 4, &["f", ".."]), Ok(1));
    c.walk(0, 4, &["f"]).unwrap();
    assert_eq!(c.walk(4, 5, &[".."]), err(Error::NotDir));
}

#[test]
fn only_listed_users_come_in_where_only_they_may() {
    let mut c = Client::new(WireFront::new(&Options { open: false, ..options() }));
    assert_eq!(c.attach(0, "glenda").map(drop), err(Error::NoUser));
    c.attach(0, "sys").unwrap();
    let mut c = client();
    for name in ["", "a:b", "a b", &"u".repeat(65)] {
        assert_eq!(c.attach(7, name).map(drop), err(Error::NoUser), "{name:?}");
    }
}

#[test]
fn users_who_own_nothing_make_room_for_others() {
    let mut c = client();
    for i in 0..10_000 {
        c.attach(1, &format!("user{i}")).unwrap();
        c.clunk(1).unwrap();
    }
}

/// A write to a page that an answer still names must not change that answer: here, through the sink's copy, that a
/// file reads as last written whatever order pages are written in.
#[test]
fn random_writes_and_cuts_read_back_as_in_a_flat_file() {
    let mut c = client();
    let mut random = Random(42);
    let mut flat: Vec<u8> = Vec::new();
    c.make(0, 1, "f", 0o666, ORDWR).unwrap();
    for step in 0..2000 {
        let at = random.below(300_000) as usize;
        match random.below(10) {
            0 => {
                flat.resize(at, 0);
                c.wstat(1, &Stat { length: at as u64, ..NOCHANGE }).unwrap();
            }
            1..=5 => {
                let data = vec![step as u8; random.below(20_000) as usize + 1];
                c.write(1, at as u64, &data).unwrap();
                flat.resize(flat.len().max(at + data.len()), 0);
                flat[at..at + data.len()].copy_from_slice(&data);
            }
            _ => {
                let count = random.below(20_000) as usize;
                let from = at.min(flat.len());
                let upto = (from + count).min(flat.len());
                assert_eq!(c.read(1, from as u64, count as u32).unwrap(), flat[from..upto], "step {step}");
            }
        }
    }
    assert_eq!(c.stat(1).unwrap().length, flat.len() as u64);
}
