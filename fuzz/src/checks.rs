//! What must hold for any input: shared by the fuzzers and by the bounded loop among ninep's tests.
#![allow(unreachable_pub, reason = "a module of several crates")]

use ninep::session::{Client, ClientEvent, Event, Limits, Server};
use ninep::{Rmsg, Stats, Tmsg, dialect, frame, portal, text};

/// Room for any message of the checks.
const ROOM: usize = 1 << 17;

/// Bytes either are no message, or are the only form of the message that they are.
pub fn message(bytes: &[u8]) {
    let mut room = vec![0; ROOM];
    if let Ok((tag, t)) = Tmsg::decode(bytes) {
        assert_eq!(t.encode(tag, &mut room).map(|n| &room[..n]), Ok(bytes));
        assert_eq!(t.size(), bytes.len());
        line(&t.line(tag).to_string(), bytes);
        let mut page = [0; abi::limit::PAGE];
        if let Ok(words) = portal::request(tag, &t, &mut page) {
            let data = if let Tmsg::Twrite { data, .. } = t { data } else { &[] };
            assert_eq!(portal::tmsg(&words, &page, data), Ok((tag, t)));
        }
    }
    if let Ok((tag, r)) = Rmsg::decode(bytes) {
        assert_eq!(r.encode(tag, &mut room).map(|n| &room[..n]), Ok(bytes));
        assert_eq!(r.size(), bytes.len());
        line(&r.line(tag).to_string(), bytes);
        let mut page = [0; abi::limit::PAGE];
        if let Ok(words) = portal::answer(&r, &mut page) {
            let data = if let Rmsg::Rread { data } = r { data } else { &[] };
            assert_eq!(portal::rmsg(&words, &page, data), Ok(r));
        }
        if let Rmsg::Rread { data } = r {
            Stats::new(data).for_each(drop);
            dialect::l::Entries::new(data).for_each(drop);
        }
    }
    macro_rules! dialect {
        ($($M:ty),*) => {$(
            if let Ok((tag, m)) = <$M>::decode(bytes) {
                assert_eq!(m.encode(tag, &mut room).map(|n| &room[..n]), Ok(bytes));
                let line = m.line(tag).to_string();
                assert_eq!(text::encode_as::<$M>(&line, &mut room).map(|n| &room[..n]), Ok(bytes));
            }
        )*};
    }
    dialect!(dialect::u::Tmsg<'_>, dialect::u::Rmsg<'_>, dialect::l::Tmsg<'_>, dialect::l::Rmsg<'_>);
}

/// A line written for a message reads back as its bytes.
fn line(line: &str, bytes: &[u8]) {
    let mut room = vec![0; ROOM];
    assert_eq!(text::encode(line, &mut room).map(|n| &room[..n]), Ok(bytes), "{line}");
}

/// Any text either is no line, or makes a frame.
pub fn any_text(line: &str) {
    let mut room = vec![0; ROOM];
    if let Ok(n) = text::encode(line, &mut room) {
        assert!(frame::head(&room[..n]).is_ok());
        message(&room[..n]);
    }
}

/// Any portal words and page either are no message, or are one that goes into words and comes out again.
pub fn words(bytes: &[u8]) {
    let word =
        |i: usize| bytes.get(i * 8..i * 8 + 8).map_or(0, |b| u64::from_le_bytes(b.try_into().unwrap()));
    let page = bytes.get(32..).unwrap_or_default();
    let request =
        abi::portal::Request { head: word(0), fids: word(1), offset: word(2), ..Default::default() };
    let mut room = vec![0; ROOM];
    if let Ok((tag, t)) = portal::tmsg(&request, page, page) {
        let again = portal::request(tag, &t, &mut room).expect("what fitted a page fits again");
        assert_eq!(portal::tmsg(&again, &room, page), Ok((tag, t)));
    }
    let answer = abi::portal::Answer { head: word(0), w1: word(1), w2: word(2), w3: word(3) };
    if let Ok(r) = portal::rmsg(&answer, page, page) {
        let again = portal::answer(&r, &mut room).expect("what fitted a page fits again");
        let data = if let Rmsg::Rread { data } = r { data } else { &[] };
        assert_eq!(portal::rmsg(&again, &room, data), Ok(r));
    }
}

/// Any bytes from a client leave the server's session within its limits, and able to come to rest.
pub fn server(mut bytes: &[u8]) {
    const REQUESTS: usize = 16;
    let mut session = Server::new(Limits { msize: 4096, requests: REQUESTS });
    let mut running = Vec::new();
    let mut out = [0; 8192];
    while let Ok(frame::Frame::Whole { frame, rest }) = frame::next(bytes, session.frame_max()) {
        bytes = rest;
        while session.receive(frame, |_, _| ()).is_err() {
            // Full: something must be running, or the session has lost a request.
            let ticket = running.pop().expect("a full session has something running");
            session.finish(ticket);
            session.transmit(&mut out);
            events(&mut session, &mut running);
        }
        events(&mut session, &mut running);
        assert!(session.in_flight() <= REQUESTS);
        session.transmit(&mut out);
        // What runs ends at moments that the input chooses.
        if frame.get(5).is_some_and(|b| b & 1 == 0) && !running.is_empty() {
            session.finish(running.swap_remove(0));
            events(&mut session, &mut running);
        }
    }
    while let Some(ticket) = running.pop() {
        session.finish(ticket);
        events(&mut session, &mut running);
    }
    assert_eq!(session.in_flight(), 0, "whatever was sent, the last answer leaves nothing behind");
}

fn events(session: &mut Server<()>, running: &mut Vec<ninep::session::Ticket>) {
    while let Some(event) = session.next_event() {
        if let Event::Start { ticket, .. } = event {
            running.push(ticket);
        }
    }
}

/// Any bytes from a server leave the client's session sound: each request ends at most once.
pub fn client(mut bytes: &[u8]) {
    let mut session: Client = Client::new(4096, 16);
    let mut open = Vec::new();
    let mut n = 0u8;
    while let Ok(frame::Frame::Whole { frame, rest }) = frame::next(bytes, session.frame_max()) {
        bytes = rest;
        match session.receive(frame) {
            Ok(
                ClientEvent::Answer(ticket, _) | ClientEvent::Bad(ticket, _) | ClientEvent::Flushed(ticket),
            ) => {
                let at = open.iter().position(|t| *t == ticket).expect("only what is open ends");
                open.swap_remove(at);
            }
            Ok(_) => {}
            Err(_) => return,
        }
        n = n.wrapping_add(1);
        let fid = u32::from(n % 4);
        let names = [ninep::Name::DOTDOT];
        let t = match n % 5 {
            0 => Tmsg::Tread { fid, offset: 0, count: 100 },
            1 => Tmsg::Tclunk { fid },
            2 => Tmsg::Twalk { fid, newfid: fid + 1, wname: ninep::Names::new(&names).unwrap() },
            3 => Tmsg::Tstat { fid },
            _ => Tmsg::Topen { fid, mode: 0 },
        };
        if let Ok(ticket) = session.submit(&t) {
            open.push(ticket);
            if n.is_multiple_of(3) && session.flush(ticket) == Ok(true) {
                open.pop();
            }
        }
        session.sent(usize::MAX);
        assert!(session.in_flight() <= 16);
    }
}
