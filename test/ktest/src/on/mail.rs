//! Mailboxes: who gets which message and which reply, who waits and is told, and a portal in a mailbox's place.
#![allow(unsafe_code, reason = "is entered by the kernel as a portal")]

use super::call::sharing_child as child;
use super::{Test, check, fails};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use portolan::abi::error::Error as Known;
use portolan::abi::file::{ORCLOSE, ORDWR, OREAD, OWRITE, QTFILE};
use portolan::abi::limit::{MAIL, MESSAGE};
use portolan::abi::portal::{Answer, Limits, Request, op};
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec;
use portolan::mail::{self, Mailbox, Senders};
use portolan::portal::Portal;
use portolan::{Error, File, Result, fs, note, process, sys, time};

pub(super) const TESTS: &[Test] = &[
    ("t38_mail_goes_to_and_fro", round_trips),
    ("t38_mail_says_who_may_send", modes),
    ("t38_mail_waits_for_room", room),
    ("t38_mail_of_bad_form", bad),
    ("t38_mail_waits_end_by_interrupt", interrupts),
    ("t38_mail_ends_with_its_reader", deaths),
    ("t38_mail_senders_may_be_killed", killed_senders),
    ("t38_mail_by_a_portal_looks_the_same", portal),
    ("t38_mail_of_many_who_are_killed", crowd),
];

fn ended_well(pid: u32) -> Result<()> {
    let e = process::wait_for(pid)?;
    check!(e.status.is_empty(), "{}", e.status);
    Ok(())
}

fn pause(ms: u64) -> Result<()> {
    time::sleep(Duration::from_millis(ms))
}

/// Waits until a process waits for its mailbox or another's.
fn waits(pid: u32) -> Result<()> {
    let mut status = String::new();
    for _ in 0..500 {
        status = String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/status"))?).into_owned();
        if status.contains(" Mail:") {
            return Ok(());
        }
        pause(10)?;
    }
    Err(Error::new(&format!("does not wait: {status}")))
}

/// Starts a reader that answers each message with its bytes, doubled, until it gets `end`.
fn echo() -> Result<u32> {
    let pid = child(|| {
        let mailbox = Mailbox::own(Senders::Everybody)?;
        while let Some(m) = mailbox.receive()? {
            if m.bytes == b"end" {
                break;
            }
            // A sender that is gone is no failure here.
            let _ = mailbox.reply(&[&m.bytes[..], &m.bytes[..]].concat());
        }
        Ok(())
    })?;
    opened(pid)?;
    Ok(pid)
}

/// Waits until a process's mailbox takes messages.
fn opened(pid: u32) -> Result<()> {
    for _ in 0..500 {
        if mail::to(pid).is_ok() {
            return Ok(());
        }
        pause(10)?;
    }
    Err(Error::new("the mailbox did not open"))
}

fn end(pid: u32) -> Result<()> {
    mail::to(pid)?.write_all(b"end")?;
    ended_well(pid)
}

fn ask(f: &File, question: &[u8]) -> Result<()> {
    f.write_all(question)?;
    let mut buf = vec![0; MESSAGE];
    let n = f.read(&mut buf)?;
    check!(buf[..n] == [question, question].concat(), "the reply is {:?}", &buf[..n.min(40)]);
    Ok(())
}

fn round_trips() -> Result<()> {
    let pid = echo()?;
    let (a, b) = (mail::to(pid)?, mail::to(pid)?);
    for i in 0..50 {
        ask(&a, format!("message {i}").as_bytes())?;
    }
    a.write_all(b"from a")?;
    b.write_all(b"from b")?;
    let mut buf = [0; 64];
    let n = b.read(&mut buf)?;
    check!(&buf[..n] == b"from bfrom b", "b got {:?}", &buf[..n]);
    let n = a.read(&mut buf[..4])?;
    check!(&buf[..n] == b"from", "a got {:?}", &buf[..n]);
    let n = a.read(&mut buf)?;
    check!(&buf[..n] == b" afrom a", "a went on with {:?}", &buf[..n]);
    check!(a.read(&mut buf)? == 0, "a reply to nothing");
    // One that is longer than what is copied.
    let long = vec![3; 5 * MESSAGE + 1];
    mail::send(&a, &long)?;
    let reply = a.read_all()?;
    check!(reply.len() == 2 * long.len() && reply.iter().all(|&b| b == 3), "{} bytes came back", reply.len());
    // Several before the first reply: they come in order.
    for i in 0..5u8 {
        a.write_all(&[i])?;
    }
    for i in 0..5u8 {
        let n = a.read(&mut buf)?;
        check!(buf[..n] == [i, i], "reply {i} is {:?}", &buf[..n]);
    }
    let (me, user) = (process::id(), String::from_utf8_lossy(&fs::read("#sys/user")?).into_owned());
    let other = child(move || {
        let own = Mailbox::own(Senders::Only(me))?;
        let m = own.receive()?.ok_or_else(|| Error::new("no message"))?;
        check!(m.pid == me && m.user == user && m.bytes == vec![7; MESSAGE], "{} {}", m.pid, m.user);
        own.reply(b"thanks")
    })?;
    opened(other)?;
    let f = mail::to(other)?;
    f.write_all(&[7; MESSAGE])?;
    check!(f.read_all()? == b"thanks", "no thanks");
    ended_well(other)?;
    drop((a, b));
    end(pid)
}

fn modes() -> Result<()> {
    let me = process::id();
    fails(child_sends(me, b"x"), Known::NoMail)?;
    let mailbox = Mailbox::own(Senders::Everybody)?;
    child_sends(me, b"one")?;
    mail::admit(me, Senders::Only(me))?;
    fails(child_sends(me, b"two"), Known::NoMail)?;
    // An open file does not outlive the permission.
    mail::admit(me, Senders::Everybody)?;
    let pid = child(|| {
        let f = mail::to(me)?;
        f.write_all(b"three")?;
        check!(f.read_all()? == b"go", "no reply");
        fails(f.write_all(b"four"), Known::NoMail)
    })?;
    for want in ["one", "three"] {
        let m = mailbox.receive()?.ok_or_else(|| Error::new("no message"))?;
        check!(m.bytes == want.as_bytes(), "{:?} instead of {want}", m.bytes);
    }
    mail::admit(me, Senders::Nobody)?;
    mailbox.reply(b"go")?;
    ended_well(pid)?;
    check!(mailbox.receive()?.is_none(), "a closed mailbox does not end");
    let mode = fs::stat(format!("/proc/{me}/mbox"))?.stat().mode;
    check!(mode == 0o600, "a closed mailbox's mode is {mode:o}");
    Ok(())
}

fn child_sends(to: u32, bytes: &[u8]) -> Result<()> {
    let pid = child(|| mail::to(to)?.write_all(bytes))?;
    let e = process::wait_for(pid)?;
    if e.status.is_empty() { Ok(()) } else { Err(Error::new(&e.status)) }
}

fn room() -> Result<()> {
    let me = process::id();
    let mailbox = Mailbox::own(Senders::Everybody)?;
    let pid = child(|| {
        let f = mail::to(me)?;
        for i in 0..MAIL + 3 {
            f.write_all(&[i as u8; 100])?;
        }
        Ok(())
    })?;
    waits(pid)?;
    let length = fs::stat(format!("/proc/{me}/mbox"))?.stat().length;
    check!(length == MAIL as u64, "{length} messages wait");
    for i in 0..MAIL + 3 {
        let m = mailbox.receive()?.ok_or_else(|| Error::new("no message"))?;
        check!(m.bytes == [i as u8; 100], "message {i} is {:?}", m.bytes.first());
    }
    ended_well(pid)?;
    // Long ones fill it by their bytes.
    let pid = child(|| {
        let f = mail::to(me)?;
        (0..MAIL).try_for_each(|i| f.write_all(&[i as u8; MESSAGE]))
    })?;
    waits(pid)?;
    let length = fs::stat(format!("/proc/{me}/mbox"))?.stat().length;
    check!(length == 8, "{length} long messages wait");
    for _ in 0..MAIL {
        check!(mailbox.receive()?.is_some(), "no message");
    }
    ended_well(pid)
}

fn bad() -> Result<()> {
    let pid = echo()?;
    let f = mail::to(pid)?;
    fails(f.write_all(&vec![0; MESSAGE + 1]), Known::TooLong)?;
    f.write_all(b"")?;
    fails(check_sys(sys::pwrite(f.fd(), nothing(), 0)), Known::BadAddress)?;
    check!(f.read(&mut [0; 8])? == 0, "a message that was not sent is answered");
    let name = format!("/proc/{pid}/mbox");
    fails(File::open(&name, OREAD), Known::Perm)?;
    fails(File::open(&name, ORDWR | ORCLOSE), Known::Perm)?;
    for words in
        ["mbox", "mbox shut", "mbox from", "mbox from x", "mbox portal", "mbox portal x", "mbox reader -1"]
    {
        let ctl = File::open(format!("/proc/{pid}/ctl"), OWRITE)?;
        fails(ctl.write_all(words.as_bytes()), Known::BadCtl)?;
    }
    fails(mail::put_portal(f.fd()), Known::BadMount)?;
    fails(mail::put_portal(999), Known::BadMount)?;
    let own = Mailbox::own(Senders::Everybody)?;
    fails(own.reply(b"to whom?"), Known::NoMessage)?;
    // A message that does not fit a bad buffer is there for the next.
    let me = process::id();
    child_sends(me, b"kept")?;
    fails(check_sys(sys::pread(own.file().fd(), nothing_mut(), -1)), Known::BadAddress)?;
    let m = own.receive()?.ok_or_else(|| Error::new("no message"))?;
    check!(m.bytes == b"kept", "{:?}", m.bytes);
    fails(own.reply(b"late"), Known::Hungup)?;
    drop(f);
    end(pid)
}

fn check_sys(r: Option<usize>) -> Result<()> {
    r.map(drop).ok_or_else(Error::last)
}

/// A range that no program has.
fn nothing() -> &'static [u8] {
    // SAFETY: nothing reads it but the kernel, which finds no memory there.
    unsafe { core::slice::from_raw_parts(core::ptr::without_provenance(0x1000), 100) }
}

fn nothing_mut() -> &'static mut [u8] {
    // SAFETY: as in `nothing`.
    unsafe { core::slice::from_raw_parts_mut(core::ptr::without_provenance_mut(0x1000), 100) }
}

static RINGS: AtomicU32 = AtomicU32::new(0);

fn ring(_: &str) -> note::Then {
    RINGS.fetch_add(1, Ordering::SeqCst);
    note::Then::Continue
}

/// Each way to wait, ended by an alarm; then it works as if nothing had been.
fn interrupts() -> Result<()> {
    note::handle(ring)?;
    let me = process::id();
    let own = Mailbox::own(Senders::Everybody)?;
    let _ = sys::alarm(50_000_000);
    fails(own.receive(), Known::Interrupted)?;
    let silent = child(|| {
        note::handle(ring)?;
        RINGS.store(0, Ordering::SeqCst);
        let mailbox = Mailbox::own(Senders::Everybody)?;
        while RINGS.load(Ordering::SeqCst) == 0 {
            let _ = pause(20);
        }
        let mut all = 0;
        while let Some(m) = mailbox.receive()? {
            if m.bytes == b"end" {
                return mailbox.reply(format!("{all}").as_bytes());
            }
            all += 1;
        }
        Ok(())
    })?;
    opened(silent)?;
    let f = mail::to(silent)?;
    f.write_all(b"first")?;
    let _ = sys::alarm(50_000_000);
    fails(f.read(&mut [0; 8]), Known::Interrupted)?;
    for _ in 1..MAIL {
        f.write_all(b"more")?;
    }
    let _ = sys::alarm(50_000_000);
    fails(f.write_all(b"too much"), Known::Interrupted)?;
    check!(RINGS.load(Ordering::SeqCst) == 3, "{} alarms", RINGS.load(Ordering::SeqCst));
    note::send(silent, "go on")?;
    f.write_all(b"end")?;
    check!(f.read_all()? == format!("{MAIL}").as_bytes(), "what was interrupted was sent, or something lost");
    ended_well(silent)?;
    child_sends(me, b"after")?;
    check!(own.receive()?.is_some(), "no message after the interrupt");
    Ok(())
}

/// A reader that is killed: who waits for its reply, or for room, is told, and so is everybody later.
fn deaths() -> Result<()> {
    for taken in [false, true] {
        let reader = child(|| {
            let mailbox = Mailbox::own(Senders::Everybody)?;
            if taken {
                mailbox.receive()?;
            }
            pause(60_000)
        })?;
        opened(reader)?;
        let asks = child(|| {
            let f = mail::to(reader)?;
            f.write_all(b"?")?;
            fails(f.read(&mut [0; 8]), Known::Died)?;
            fails(f.write_all(b"?"), Known::Died)
        })?;
        waits(asks)?;
        let fills = child(|| {
            let f = mail::to(reader)?;
            for _ in 0..2 * MAIL {
                if let Err(e) = f.write_all(b"!") {
                    return fails(Err::<(), _>(e), Known::Died);
                }
            }
            Err(Error::new("a full mailbox took more"))
        })?;
        waits(fills)?;
        let idle = mail::to(reader)?;
        File::open(format!("/proc/{reader}/ctl"), OWRITE)?.write_all(b"kill")?;
        let mut left = 3;
        while left > 0 {
            let e = process::wait()?;
            check!(e.status.is_empty() || e.pid == reader, "taken {taken}: {}", e.status);
            left -= 1;
        }
        fails(idle.write_all(b"late"), Known::Died)?;
        fails(mail::to(reader), Known::NotExist)?;
    }
    Ok(())
}

fn killed_senders() -> Result<()> {
    let me = process::id();
    let own = Mailbox::own(Senders::Everybody)?;
    let asks = child(|| mail::to(me)?.write_all(b"?").and_then(|()| pause(60_000)))?;
    let m = own.receive()?.ok_or_else(|| Error::new("no message"))?;
    check!(m.pid == asks, "from {}", m.pid);
    File::open(format!("/proc/{asks}/ctl"), OWRITE)?.write_all(b"kill")?;
    process::wait_for(asks)?;
    // Its files may be closed a moment after its end is told.
    for _ in 0..100 {
        child_sends(me, b"next")?;
        let m = own.receive()?.ok_or_else(|| Error::new("no message"))?;
        check!(m.bytes == b"next", "{:?}", m.bytes);
    }
    fails(own.reply(b"gone"), Known::Hungup)?;
    let fills = child(|| {
        let f = mail::to(me)?;
        (0..2 * MAIL).try_for_each(|_| f.write_all(b"!"))
    })?;
    waits(fills)?;
    File::open(format!("/proc/{fills}/ctl"), OWRITE)?.write_all(b"kill")?;
    process::wait_for(fills)?;
    mail::admit(me, Senders::Nobody)?;
    let mut all = 0;
    while own.receive()?.is_some() {
        all += 1;
    }
    check!(all == MAIL, "{all} messages of a killed sender");
    Ok(())
}

/// What the portal that stands for a mailbox was sent last.
static SENT: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];

/// Answers as `echo` does, at once, for messages of up to 4 bytes.
extern "C" fn enter(head: u64, fids: u64, offset: u64, session: u64, payload: u64, page: u64) -> ! {
    let r = Request { head, fids, offset, session, payload, page };
    let sent = &SENT[r.fid() as usize % SENT.len()];
    let file = Answer { head: Answer::make_head(r.op() + 1, QTFILE, 0), w1: 1, ..Answer::default() };
    let answer = match r.op() {
        op::TATTACH | op::TOPEN => file,
        op::TWRITE => {
            // SAFETY: the kernel put `count` bytes there; the window is longer than four.
            let bytes = unsafe { (payload as *const u32).read_unaligned() };
            let mask = u32::MAX.checked_shr(32 - 8 * r.count().min(4)).unwrap_or(0);
            sent.store(bytes & mask, Ordering::SeqCst);
            Answer { head: Answer::make_head(op::TWRITE + 1, 0, r.count()), ..Answer::default() }
        }
        op::TREAD => {
            let bytes = sent.swap(0, Ordering::SeqCst).to_le_bytes();
            let len = bytes.iter().position(|&b| b == 0).unwrap_or(4);
            for (i, b) in bytes[..len].iter().chain(&bytes[..len]).enumerate() {
                // SAFETY: the kernel made room there for more than eight bytes.
                unsafe { (payload as *mut u8).add(i).write(*b) };
            }
            Answer { head: Answer::make_head(op::TREAD + 1, 0, 2 * len as u32), ..Answer::default() }
        }
        _ => Answer { head: Answer::make_head(r.op() + 1, 0, 0), ..Answer::default() },
    };
    loop {
        let _ = sys::reply(&answer);
    }
}

/// A client that can't tell a portal from a mailbox.
fn client(pid: u32) -> Result<()> {
    let f = mail::to(pid)?;
    for question in [&b"abc"[..], b"x", b"four"] {
        ask(&f, question)?;
    }
    check!(f.read(&mut [0; 16])? == 0, "a reply to nothing");
    let path = String::from_utf8_lossy(&f.path()?).into_owned();
    check!(path == format!("#proc/{pid}/mbox"), "its path is {path}");
    Ok(())
}

fn portal() -> Result<()> {
    let plain = echo()?;
    client(plain)?;
    end(plain)?;
    let server = child(|| {
        let portal = Portal::new(enter, &Limits { activations: 2, flags: 0, stack: 0, reserved: 0 })?;
        mail::put_portal(portal.file().fd())?;
        pause(60_000)
    })?;
    opened(server)?;
    client(server)?;
    // Nobody else's portal can be put there.
    let mine = Portal::new(enter, &Limits { activations: 1, flags: 0, stack: 0, reserved: 0 })?;
    let words = format!("mbox portal {}", mine.file().fd());
    let ctl = File::open(format!("/proc/{server}/ctl"), OWRITE)?;
    fails(ctl.write_all(words.as_bytes()), Known::Perm)?;
    let f = mail::to(server)?;
    ctl.write_all(b"kill")?;
    process::wait_for(server)?;
    fails(f.write_all(b"late"), Known::Died)
}

/// Many ask one reader at once, some with pages; some are interrupted all the time, some are killed. Whoever is left gets
/// its own answers.
fn crowd() -> Result<()> {
    let reader = echo()?;
    let client = |kind: usize| {
        move || {
            note::handle(ring)?;
            let f = mail::to(reader)?;
            for i in 0..60u32 {
                if kind == 1 {
                    let _ = sys::alarm(300_000);
                }
                let question = format!("{} {i}", process::id());
                // What was interrupted is asked again, by a new file that knows nothing of the first.
                let f = if kind == 1 { &mail::to(reader)? } else { &f };
                match ask(f, question.as_bytes()) {
                    Err(e) if e.is(Known::Interrupted) && kind == 1 => {}
                    other => other?,
                }
            }
            Ok(())
        }
    };
    let mut victims = vec![];
    let mut left = vec![];
    for kind in [0, 1, 2, 0, 1, 2] {
        let pid = child(client(kind))?;
        if kind == 2 { victims.push(pid) } else { left.push(pid) }
    }
    pause(20)?;
    for pid in victims {
        // It may be done already.
        let _ = fs::write(format!("/proc/{pid}/ctl"), "kill");
    }
    for _ in 0..6 {
        let e = process::wait()?;
        check!(e.status.is_empty() || !left.contains(&e.pid), "{} of {}", e.status, e.pid);
    }
    end(reader)
}
