//! Each message in its three forms (wire, portal, text) is the same message.
#![expect(clippy::unwrap_used, reason = "tests")]

use ninep::{Rmsg, Tmsg, dialect, frame, portal, text};

/// One line and more of every message.
const T: &[&str] = &[
    "Tversion tag NOTAG msize 8216 version 9P2000",
    "Tversion tag NOTAG msize 4294967295 version ''",
    "Tauth tag 1 afid 7 uname glenda aname ''",
    "Tattach tag 2 fid 0 afid NOFID uname glenda aname 'a b/c'",
    "Tflush tag 3 oldtag 2",
    "Twalk tag 4 fid 0 newfid 1 nwname 0",
    "Twalk tag 4 fid 0 newfid 1 nwname 3 wname usr .. 'Ken''s files'",
    "Twalk tag 4 fid 0 newfid 1 nwname 16 wname 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 ünder",
    "Topen tag 5 fid 1 mode 64",
    "Tcreate tag 6 fid 1 name '%x' perm 0o20000000755 mode 0",
    "Tread tag 7 fid 1 offset 18446744073709551615 count 8192",
    "Twrite tag 8 fid 1 offset 0 count 5 data hello",
    "Twrite tag 8 fid 1 offset 1 count 0 data ''",
    "Twrite tag 8 fid 1 offset 1 count 3 data %ff000a",
    "Tclunk tag 9 fid 1",
    "Tremove tag 10 fid 1",
    "Tstat tag 11 fid 1",
    "Twstat tag 12 fid 1 kind 1 dev 2 qid 3,4,d mode 0o20000000755 atime 5 mtime 6 length 7 name a uid b gid c muid d",
];

const R: &[&str] = &[
    "Rversion tag NOTAG msize 8192 version 9P2000",
    "Rauth tag 1 aqid 3,0,A",
    "Rattach tag 2 qid 0,1,d",
    "Rerror tag 3 ename 'file does not exist'",
    "Rerror tag 3 ename 'the server''s own words'",
    "Rerror tag 3 ename ''",
    "Rflush tag 4",
    "Rwalk tag 5 nwqid 0",
    "Rwalk tag 5 nwqid 2 wqid 1,2,d 18446744073709551615,4294967295,dalmAtSL",
    "Ropen tag 6 qid 1,2,- iounit 0",
    "Rcreate tag 7 qid 1,2,al iounit 8168",
    "Rread tag 8 count 3 data %c3a9c3",
    "Rwrite tag 9 count 5",
    "Rclunk tag 10",
    "Rremove tag 11",
    "Rstat tag 12 kind 1 dev 2 qid 3,4,d mode 0o20000000755 atime 5 mtime 6 length 7 name / uid b gid c muid d",
    "Rwstat tag 13",
];

fn wire(line: &str) -> Vec<u8> {
    let mut room = [0; 1024];
    let n = text::encode(line, &mut room).unwrap_or_else(|e| panic!("{line}: {e}"));
    room[..n].to_vec()
}

fn names(lines: &[&str]) -> Vec<String> {
    let mut names: Vec<_> = lines.iter().map(|l| l.split(' ').next().unwrap().to_string()).collect();
    names.dedup();
    names
}

#[test]
fn the_samples_cover_the_tables() {
    assert_eq!(names(T), Tmsg::ALL.iter().map(|m| m.0).collect::<Vec<_>>());
    assert_eq!(names(R), Rmsg::ALL.iter().map(|m| m.0).collect::<Vec<_>>());
}

#[test]
fn requests_keep_their_meaning_in_every_form() {
    for line in T {
        let bytes = wire(line);
        let (tag, t) = Tmsg::decode(&bytes).unwrap();
        assert_eq!(t.line(tag).to_string(), *line);
        let mut room = [0; 1024];
        let n = t.encode(tag, &mut room).unwrap();
        assert_eq!(room[..n], bytes, "{line}");

        let mut page = [0xaa; abi::limit::PAGE];
        let words = portal::request(tag, &t, &mut page).unwrap();
        let payload = if let Tmsg::Twrite { data, .. } = t { data } else { &[] };
        assert_eq!(portal::tmsg(&words, &page, payload), Ok((tag, t)), "{line}");
        assert_eq!(words.op(), bytes[4]);
    }
}

#[test]
fn answers_keep_their_meaning_in_every_form() {
    for line in R {
        let bytes = wire(line);
        let (tag, r) = Rmsg::decode(&bytes).unwrap();
        assert_eq!(r.line(tag).to_string(), *line);
        let mut room = [0; 1024];
        let n = r.encode(tag, &mut room).unwrap();
        assert_eq!(room[..n], bytes, "{line}");

        let mut page = [0xaa; abi::limit::PAGE];
        let words = portal::answer(&r, &mut page).unwrap();
        let payload = if let Rmsg::Rread { data } = r { data } else { &[] };
        assert_eq!(portal::rmsg(&words, &page, payload), Ok(r), "{line}");
    }
}

#[test]
fn an_answer_may_lead_to_the_servers_own_memory() {
    let bytes = wire(R[15]);
    let (_, r) = Rmsg::decode(&bytes).unwrap();
    let mut page = [0; abi::limit::PAGE];
    let mut words = portal::answer(&r, &mut page).unwrap();
    words.w1 = 0x1000;
    assert_eq!(portal::rmsg(&words, &[], &page), Ok(r));
    let error = Rmsg::Rerror { ename: "its own" };
    let mut words = portal::answer(&error, &mut page).unwrap();
    words.w1 = 0x1000;
    assert_eq!(portal::rmsg(&words, &[], b"its own and more"), Ok(error));
}

/// The bytes as the manual lays them out, written by hand.
#[test]
fn bytes_are_those_of_the_manual() {
    assert_eq!(
        wire("Tread tag 0x0203 fid 0x04050607 offset 0x08090a0b0c0d0e0f count 0x10111213"),
        [23, 0, 0, 0, 116, 3, 2, 7, 6, 5, 4, 15, 14, 13, 12, 11, 10, 9, 8, 19, 18, 17, 16]
    );
    assert_eq!(
        wire("Twalk tag 1 fid 2 newfid 3 wname a bc"),
        [24, 0, 0, 0, 110, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2, 0, 1, 0, b'a', 2, 0, b'b', b'c']
    );
    let stat =
        wire("Rstat tag 1 kind 1 dev 2 qid 3,4,d mode 5 atime 6 mtime 7 length 8 name n uid u gid g muid m");
    let body = [
        53, 0, 51, 0, 1, 0, 2, 0, 0, 0, 0x80, 4, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7,
        0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, b'n', 1, 0, b'u', 1, 0, b'g', 1, 0, b'm',
    ];
    assert_eq!(stat[7..], body);
}

#[test]
fn a_wstat_line_touches_what_it_names() {
    let bytes = wire("Twstat tag 1 fid 2 mode 0o600 name x");
    let (_, t) = Tmsg::decode(&bytes).unwrap();
    let stat = ninep::Stat { mode: 0o600, name: "x", ..ninep::NOCHANGE };
    assert_eq!(t, Tmsg::Twstat { fid: 2, stat });
}

#[test]
fn an_rread_filled_in_place_is_an_rread() {
    let mut room = [0; 64];
    let n = frame::encode_read::<ninep::Error>(5, 100, &mut room, |data| {
        data[..3].copy_from_slice(b"abc");
        Ok(3)
    });
    assert_eq!(Rmsg::decode(&room[..n.unwrap()]), Ok((5, Rmsg::Rread { data: b"abc" })));
    let n = frame::encode_read::<ninep::Error>(5, 2, &mut room, |data| Ok(data.len() + 9));
    assert_eq!(n, Ok(13), "no more than was asked for");
}

#[test]
fn dialects_keep_their_meaning() {
    use dialect::{l, u};
    let mut room = [0; 1024];
    let mut check = |line: &str| {
        let t = line.starts_with('T');
        let n = match t {
            true => text::encode_as::<u::Tmsg<'_>>(line, &mut room),
            false => text::encode_as::<u::Rmsg<'_>>(line, &mut room),
        };
        let bytes = room[..n.unwrap()].to_vec();
        let back = match t {
            true => u::Tmsg::decode(&bytes).map(|(tag, m)| m.line(tag).to_string()),
            false => u::Rmsg::decode(&bytes).map(|(tag, m)| m.line(tag).to_string()),
        };
        assert_eq!(back.unwrap(), line);
        bytes
    };
    let bytes = check("Tattach tag 1 fid 0 afid NOFID uname '' aname / n_uname 1000");
    assert_eq!(bytes[bytes.len() - 4..], 1000u32.to_le_bytes());
    check("Rerror tag 1 ename 'no such file' errno 2");
    check(
        "Rstat tag 1 kind 0 dev 0 qid 1,2,S mode 0o200777 atime 1 mtime 2 length 3 name l uid u gid g muid m \
         extension ../x n_uid 1 n_gid 2 n_muid 3",
    );
    let n = l::Tmsg::Tgetattr { fid: 3, request_mask: 0x7ff }.encode(9, &mut room).unwrap();
    assert_eq!(room[..n], [19, 0, 0, 0, 24, 9, 0, 3, 0, 0, 0, 0xff, 7, 0, 0, 0, 0, 0, 0]);
    let entry =
        [&[0x80, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, b'x'][..]].concat();
    let entries: Vec<_> = l::Entries::new(&entry).collect::<Result<_, _>>().unwrap();
    assert_eq!((entries[0].offset, entries[0].kind, entries[0].name.as_str()), (3, 4, "x"));
}

#[test]
fn a_precision_cuts_long_data() {
    let t = Tmsg::Twrite { fid: 1, offset: 0, data: b"0123456789" };
    assert_eq!(format!("{:.4}", t.line(1)), "Twrite tag 1 fid 1 offset 0 count 10 data 0123\u{2026}");
    assert_eq!(format!("{:.10}", t.line(1)), "Twrite tag 1 fid 1 offset 0 count 10 data 0123456789");
    assert_eq!(format!("{:.4}", Rmsg::Rerror { ename: "a long text" }), "Rerror ename 'a lo'\u{2026}");
}

#[test]
fn a_line_that_is_wrong_says_where() {
    let mut room = [0; 64];
    let mut why = |line| text::encode(line, &mut room).unwrap_err().to_string();
    assert_eq!(why("Tfoo tag 1"), "expected the name of a message, found Tfoo");
    assert_eq!(why("Tclunk fid 1"), "expected tag, found fid");
    assert_eq!(why("Tclunk tag 1 fid"), "expected a value at the end of the line");
    assert_eq!(why("Tclunk tag 65536 fid 1"), "expected a number that fits its field, found 65536");
    assert_eq!(why("Tclunk tag 1 fid 1 mode 2"), "expected the end of the line, found mode");
    assert_eq!(why("Twrite tag 1 fid 1 offset 0 count 2 data abc"), "expected the length of data, found 2");
    assert_eq!(
        why("Twalk tag 1 fid 1 newfid 2 nwname 2 wname a"),
        "expected the number of elements, found 2"
    );
    assert_eq!(why("Tauth tag 1 afid 1 uname 'a aname b"), "expected a closing quote, found 'a aname b");
    assert_eq!(why("Rclunk tag 1 fid 1"), "expected the end of the line, found fid");
    assert_eq!(why("Rattach tag 1 qid 1,2"), "expected a qid: path,vers,kind, found 1,2");
    assert_eq!(why("Rread tag 1 data %abc"), "expected an even number of hexadecimal digits, found %abc");
    assert_eq!(
        why("Rread tag 1 data '0123456789012345678901234567890123456789012345678901234567890'"),
        "message does not fit the buffer"
    );
}

/// What no valid message says can be said to test those who should refuse it.
#[test]
fn a_line_may_say_what_is_invalid() {
    for (line, error) in [
        ("Tversion tag 1 msize 1 version %395000", ninep::Error::String),
        ("Tauth tag 1 afid 0 uname glenda aname %c0af", ninep::Error::String),
        ("Twalk tag 1 fid 0 newfid 1 wname a %00", ninep::Error::String),
        ("Twalk tag 1 fid 0 newfid 1 wname %ff", ninep::Error::String),
        ("Twalk tag 1 fid 0 newfid 1 wname ''", ninep::Error::Name),
        ("Tcreate tag 1 fid 0 name a/b perm 0 mode 0", ninep::Error::Name),
        ("Twstat tag 1 fid 0 name a/b", ninep::Error::Name),
        ("Twalk tag 1 fid 0 newfid 1 wname 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", ninep::Error::Count),
    ] {
        assert_eq!(Tmsg::decode(&wire(line)), Err(ninep::Bad { tag: 1, error }), "{line}");
    }
}

#[test]
fn a_stream_is_cut_where_the_sizes_say() {
    use frame::Frame::{Missing, Whole};
    let two = [wire("Tclunk tag 1 fid 1"), wire("Tstat tag 2 fid 1")].concat();
    assert_eq!(frame::next(&two, 11), Ok(Whole { frame: &two[..11], rest: &two[11..] }));
    assert_eq!(frame::next(&two, 10), Err(ninep::Error::Size(11)), "larger than agreed");
    for len in 0..11 {
        // Before the size is known, only a head can be asked for.
        let missing = if len < 4 { 7 - len } else { 11 - len };
        assert_eq!(frame::next(&two[..len], 8192), Ok(Missing(missing)));
    }
    for size in [0u32, 6, 8193, u32::MAX] {
        assert_eq!(frame::next(&size.to_le_bytes(), 8192), Err(ninep::Error::Size(size)));
    }
    assert_eq!(frame::next(&7u32.to_le_bytes(), 8192), Ok(Missing(3)));
}

#[test]
fn sizes_that_are_wrong_are_refused() {
    // A frame that is not as long as it says.
    let mut bytes = wire("Tclunk tag 1 fid 1");
    bytes[0] = 12;
    assert_eq!(Tmsg::decode(&bytes), Err(ninep::Bad { tag: 1, error: ninep::Error::Size(12) }));

    // A record with a byte more than its fields, and one with a byte less, in a frame that is right.
    for (more, error) in [(1i16, ninep::Error::Stat), (-1, ninep::Error::Stat)] {
        let mut bytes = wire("Twstat tag 1 fid 1 name x");
        bytes.resize(bytes.len().wrapping_add_signed(more.into()), 0);
        for at in [0, 11, 13] {
            let size = i16::from(bytes[at]) + more;
            bytes[at] = size as u8;
        }
        assert_eq!(Tmsg::decode(&bytes), Err(ninep::Bad { tag: 1, error }), "{more}");
    }
    // The record's own size against the one before it.
    let mut bytes = wire("Twstat tag 1 fid 1 name x");
    bytes[13] -= 1;
    assert_eq!(Tmsg::decode(&bytes), Err(ninep::Bad { tag: 1, error: ninep::Error::Stat }));
}

#[test]
fn a_directory_is_read_record_by_record() {
    let mut data = [0; 256];
    let mut len = 0;
    for name in ["a", "b"] {
        len += ninep::Stat { name, ..ninep::NOCHANGE }.encode(&mut data[len..]).unwrap();
    }
    let names: Vec<_> = ninep::Stats::new(&data[..len]).map(|s| s.unwrap().name).collect();
    assert_eq!(names, ["a", "b"]);
    let cut: Vec<_> = ninep::Stats::new(&data[..len - 1]).map(|s| s.map(|s| s.name)).collect();
    assert_eq!(cut, [Ok("a"), Err(ninep::Error::Short)]);
}
