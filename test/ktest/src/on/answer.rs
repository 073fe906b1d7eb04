//! A server that answers wrongly in every field of every message: an error for who asked, and nothing worse.

use super::call::child;
use super::{Test, check, fails, imp};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{ORDWR, OREAD, OWRITE};
use portolan::abi::portal::{Answer, RWAIT, op};
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::{File, Result, fs, process, sys};

pub(super) const TESTS: &[Test] = &[("t16_call_answers_wrong_in_each_field", each_field)];

/// Numbers that are wrong for most fields.
const WRONG: &[u64] = &[
    0,
    1,
    2,
    16,
    0x7f,
    0xff,
    0xfff,
    0x1000,
    0x1001,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff,
    0x8000_0000_0000,
    0xffff_8000_0000_0000,
    1 << 63,
    u64::MAX - 7,
    u64::MAX,
];

/// Each message, and what sends it. `f` is an open file of the server.
type Sender = fn(&File) -> Result<()>;
const MESSAGES: &[(u8, Sender)] = &[
    (op::TATTACH, |_| imp::mount("imp", "/n").and_then(|()| fs::unmount("", "/n"))),
    (op::TAUTH, |_| {
        let server = File::open("/srv/imp", ORDWR)?;
        sys::fauth(server.fd(), b"tree").map(|fd| drop(File::from_fd(fd))).ok_or_else(portolan::Error::last)
    }),
    (op::TWALK, |_| File::open("/mnt/null", OREAD).map(drop)),
    (op::TOPEN, |_| File::open("/mnt/null", OREAD).map(drop)),
    (op::TCREATE, |_| File::create("/mnt/new", u32::from(OWRITE), 0o666).map(drop)),
    (op::TREAD, |f| f.read(&mut [0; 100]).map(drop)),
    (op::TWRITE, |f| f.write(b"some bytes").map(drop)),
    (op::TSTAT, |f| fs::fstat(f).map(drop)),
    (op::TWSTAT, |f| sys::fwstat(f.fd(), &stat()).ok_or_else(portolan::Error::last)),
    (op::TREMOVE, |_| fs::remove("/mnt/data")),
    (op::TCLUNK, |_| File::open("/mnt/null", OREAD).map(drop)),
];

/// A stat record that asks for no change: all its numbers are ones, its texts empty.
fn stat() -> [u8; 49] {
    let mut b = [0xff; 49];
    (b[0], b[1]) = (47, 0);
    b[41..].fill(0);
    b
}

fn head(kind: u64, a: u64, count: u64) -> u64 {
    Answer::make_head(kind as u8, a as u8, count as u32)
}

/// The answers to a message: each field wrong while the others are plausible.
fn answers(message: u8) -> impl Iterator<Item = Answer> {
    let right = u64::from(message) + 1;
    WRONG.iter().flat_map(move |&w| {
        let words = [
            // Types: RWAIT would rightly make the caller wait.
            (head(if w as u8 == RWAIT { 3 } else { w }, 0, 0), 0, 0, 0),
            (head(right, w, 1), 0, 0, 0),
            (head(right, 0, w), 0, 0, 0),
            (head(right, 1, 8), w, 0, 0),
            (head(right, 0, 8), w, w, w),
            (head(right, 0, 1), 0, w, w),
            (head(u64::from(op::RERROR), w, 1), 0, 0, 0),
            (head(u64::from(op::RERROR), 0, w), 0, 0, 0),
            (head(u64::from(op::RERROR), 0, 5), w, 0, 0),
        ];
        words.map(|(head, w1, w2, w3)| Answer { head, w1, w2, w3 })
    })
}

fn raw(control: &File, message: u8, a: &Answer) -> Result<()> {
    let mut text = [0u8; 43];
    text[..3].copy_from_slice(b"raw");
    for (to, word) in text[3..].chunks_exact_mut(8).zip([u64::from(message), a.head, a.w1, a.w2, a.w3]) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    control.write_all(&text)
}

/// One message with all its answers, in a process of its own.
fn one(message: u8, send: Sender) -> Result<()> {
    // Armed through a descriptor of its own: opening one would send what is to be tried.
    let (control, f) = (File::open("/mnt/null", ORDWR)?, File::open("/mnt/null", ORDWR)?);
    for a in answers(message) {
        raw(&control, message, &a)?;
        let r = send(&f);
        let kind = a.head as u8;
        if let Err(e) = &r {
            check!(!e.words().is_empty(), "message {message} failed without words: {a:x?}");
        }
        // A clunk's answer is nobody's to hear.
        if kind != message + 1 && kind != op::RERROR && message != op::TCLUNK {
            check!(r.is_err_and(|e| e.is(Known::BadReply)), "message {message}, answered {a:x?}");
        }
        // Whatever was not asked for is not left for the next.
        raw(&control, 0, &Answer::default())?;
    }
    let mut buf = [0; 8];
    check!(File::open("/mnt/data", OREAD)?.read(&mut buf)? == 8, "the server is the worse for {message}");
    Ok(())
}

fn each_field() -> Result<()> {
    let imp = imp::mounted("imp", "/mnt", 4)?;
    let mut r = Ok(());
    for &(message, send) in MESSAGES {
        let words = child(|| one(message, send)).and_then(process::wait_for).map(|e| e.status);
        let words = words.unwrap_or_else(|e| String::from(e.words()));
        if !words.is_empty() {
            r = Err(portolan::Error::new(&format!("message {message}: {words}")));
            break;
        }
    }
    imp::stop("imp", imp);
    r?;
    fails(File::open("/mnt/data", OREAD), Known::Died)
}
