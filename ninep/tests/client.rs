//! The client's session: one rule a test, in lines of text.
#![cfg(feature = "alloc")]
#![expect(clippy::unwrap_used, reason = "tests")]

use abi::error::Error as Reason;
use ninep::session::{Client, ClientEvent, ClientTicket};
use ninep::{Error, Name, Names, Tmsg, frame, text};

/// What the session sends, in lines.
fn output(c: &mut Client) -> Vec<String> {
    let mut lines = Vec::new();
    let bytes = c.output().to_vec();
    let mut bytes = &bytes[..];
    while let Ok(frame::Frame::Whole { frame, rest }) = frame::next(bytes, 8192) {
        let (tag, t) = Tmsg::decode(frame).unwrap();
        lines.push(t.line(tag).to_string());
        bytes = rest;
    }
    c.sent(usize::MAX);
    lines
}

/// What the session makes of an answer.
fn hear(c: &mut Client, line: &str) -> Result<String, Error> {
    let mut room = [0; 256];
    let n = text::encode(line, &mut room).unwrap();
    c.receive(&room[..n]).map(|event| match event {
        ClientEvent::Answer(_, r) => r.to_string(),
        ClientEvent::Flushed(_) => "flushed".into(),
        ClientEvent::Bad(_, e) => e.to_string(),
        other => format!("{other:?}"),
    })
}

fn ready(version: &str) -> Client {
    let mut c: Client = Client::new(8192, 4);
    assert_eq!(output(&mut c), ["Tversion tag NOTAG msize 8192 version 9P2000.order"]);
    let answer = format!("Rversion tag NOTAG msize 4096 version {version}");
    assert_eq!(hear(&mut c, &answer), Ok("Ready".into()));
    c
}

fn walk(c: &mut Client, fid: u32, newfid: u32) -> ClientTicket {
    let names = [Name::DOTDOT];
    c.submit(&Tmsg::Twalk { fid, newfid, wname: Names::new(&names).unwrap() }).unwrap()
}

#[test]
fn the_version_is_asked_again_without_its_suffix() {
    let mut c: Client = Client::new(8192, 4);
    assert_eq!(c.submit(&Tmsg::Tclunk { fid: 0 }), Err(Reason::NoVersion));
    output(&mut c);
    assert_eq!(hear(&mut c, "Rversion tag NOTAG msize 8192 version unknown"), Ok("Nothing".into()));
    assert_eq!(output(&mut c), ["Tversion tag NOTAG msize 8192 version 9P2000"]);
    assert_eq!(hear(&mut c, "Rversion tag NOTAG msize 300 version 9P2000"), Ok("Ready".into()));
    assert_eq!((c.msize(), c.is_ordered()), (300, false));
}

#[test]
fn a_server_that_speaks_nothing_known_is_refused() {
    for last in [
        "Rversion tag NOTAG msize 8192 version unknown",
        "Rversion tag NOTAG msize 8193 version 9P2000",
        "Rversion tag NOTAG msize 255 version 9P2000",
        "Rversion tag NOTAG msize 8192 version 9P2000.order",
        "Rerror tag NOTAG ename no",
    ] {
        let mut c: Client = Client::new(8192, 4);
        hear(&mut c, "Rerror tag NOTAG ename what").unwrap();
        assert_eq!(hear(&mut c, last), Ok("Refused".into()), "{last}");
        assert!(!c.is_ready());
    }
}

#[test]
fn dependent_requests_are_sent_together_only_where_order_is_kept() {
    let mut c = ready("9P2000.order");
    walk(&mut c, 0, 1);
    c.submit(&Tmsg::Topen { fid: 1, mode: 0 }).unwrap();
    assert_eq!(output(&mut c).len(), 2);

    let mut c = ready("9P2000");
    walk(&mut c, 0, 1);
    c.submit(&Tmsg::Topen { fid: 1, mode: 0 }).unwrap();
    c.submit(&Tmsg::Tstat { fid: 0 }).unwrap();
    assert_eq!(output(&mut c), ["Twalk tag 0 fid 0 newfid 1 nwname 1 wname ..", "Tstat tag 2 fid 0"]);
    hear(&mut c, "Rwalk tag 0 wqid 1,0,-").unwrap();
    assert_eq!(output(&mut c), ["Topen tag 1 fid 1 mode 0"]);
}

#[test]
fn a_flushed_request_keeps_tag_and_fid_until_rflush() {
    let mut c = ready("9P2000.order");
    let (root, fid) = (c.fid().unwrap(), c.fid().unwrap());
    let ticket = walk(&mut c, root, fid);
    assert_eq!(c.flush(ticket), Ok(false));
    assert_eq!(c.flush(ticket), Ok(false), "one flush is enough");
    assert_eq!(output(&mut c), ["Twalk tag 0 fid 0 newfid 1 nwname 1 wname ..", "Tflush tag 1 oldtag 0"]);
    // It was answered before: the answer counts, but nothing is reused before the Rflush.
    assert_eq!(hear(&mut c, "Rerror tag 0 ename no"), Ok("Rerror ename no".into()));
    assert_ne!(c.fid(), Some(fid));
    assert_eq!(hear(&mut c, "Rflush tag 1"), Ok("Nothing".into()));
    assert_eq!((c.fid(), c.in_flight()), (Some(fid), 0));

    let other = walk(&mut c, root, fid);
    c.flush(other).unwrap();
    assert_eq!(hear(&mut c, "Rflush tag 3"), Ok("flushed".into()));
    assert_eq!(c.fid(), Some(fid), "the walk never was");
    assert_eq!(hear(&mut c, "Rwalk tag 2 wqid 1,0,-"), Err(Error::Answer), "an answer after its Rflush");
}

#[test]
fn what_was_never_sent_is_taken_back_at_once() {
    let mut c = ready("9P2000");
    let (root, fid) = (c.fid().unwrap(), c.fid().unwrap());
    c.submit(&Tmsg::Topen { fid: root, mode: 0 }).unwrap();
    let held = walk(&mut c, root, fid);
    assert_eq!(c.flush(held), Ok(true));
    assert_eq!(c.fid(), Some(fid));
    hear(&mut c, "Ropen tag 0 qid 1,0,d iounit 0").unwrap();
    assert_eq!(output(&mut c), ["Topen tag 0 fid 0 mode 0"]);
    assert_eq!(c.in_flight(), 0);
}

#[test]
fn fids_come_back_when_an_answer_ends_them() {
    let mut c = ready("9P2000.order");
    let (root, fid) = (c.fid().unwrap(), c.fid().unwrap());
    let names = [Name::DOTDOT, Name::DOTDOT];
    c.submit(&Tmsg::Twalk { fid: root, newfid: fid, wname: Names::new(&names).unwrap() }).unwrap();
    hear(&mut c, "Rwalk tag 0 wqid 1,0,d").unwrap();
    assert_eq!(c.fid(), Some(fid), "a partial walk makes no fid");
    walk(&mut c, root, fid);
    hear(&mut c, "Rwalk tag 1 wqid 1,0,d").unwrap();
    assert_ne!(c.fid(), Some(fid), "a whole one does");
    c.submit(&Tmsg::Tremove { fid }).unwrap();
    hear(&mut c, "Rerror tag 2 ename 'permission denied'").unwrap();
    assert_eq!(c.fid(), Some(fid), "a remove frees it even if it fails");
}

#[test]
fn a_fid_is_not_reused_while_requests_behind_its_failed_walk_are_in_flight() {
    let mut c = ready("9P2000.order");
    let (root, fid) = (c.fid().unwrap(), c.fid().unwrap());
    walk(&mut c, root, fid);
    c.submit(&Tmsg::Topen { fid, mode: 0 }).unwrap();
    c.submit(&Tmsg::Tclunk { fid }).unwrap();
    hear(&mut c, "Rerror tag 0 ename no").unwrap();
    assert_ne!(c.fid(), Some(fid));
    hear(&mut c, "Rerror tag 1 ename 'unknown fid'").unwrap();
    assert_ne!(c.fid(), Some(fid));
    hear(&mut c, "Rerror tag 2 ename 'unknown fid'").unwrap();
    assert_eq!(c.fid(), Some(fid), "and then once only");
    assert_ne!(c.fid(), Some(fid));
}

#[test]
fn nonsense_is_a_bad_reply_and_harms_only_its_request() {
    let mut c = ready("9P2000.order");
    c.submit(&Tmsg::Tread { fid: 0, offset: 0, count: 3 }).unwrap();
    c.submit(&Tmsg::Tread { fid: 0, offset: 0, count: 3 }).unwrap();
    c.submit(&Tmsg::Twrite { fid: 0, offset: 0, data: b"abc" }).unwrap();
    walk(&mut c, 0, 1);
    assert_eq!(c.submit(&Tmsg::Tstat { fid: 0 }), Err(Reason::Full));
    let bad = Ok("answer does not fit the request".to_string());
    assert_eq!(hear(&mut c, "Rread tag 0 data four"), bad);
    assert_eq!(hear(&mut c, "Rread tag 1 data abc"), Ok("Rread count 3 data abc".into()));
    assert_eq!(hear(&mut c, "Rwrite tag 2 count 4"), bad);
    assert_eq!(hear(&mut c, "Rwalk tag 3 wqid 1,0,d 2,0,d"), bad);
    assert_eq!(hear(&mut c, "Rclunk tag 3"), Err(Error::Answer), "nobody asked");
}

#[test]
fn a_request_larger_than_agreed_is_not_sent() {
    let mut c = ready("9P2000");
    let data = vec![0; 4096 - 23];
    assert!(c.submit(&Tmsg::Twrite { fid: 0, offset: 0, data: &data }).is_ok());
    let data = vec![0; 4096 - 22];
    assert_eq!(c.submit(&Tmsg::Twrite { fid: 0, offset: 0, data: &data }), Err(Reason::ShortBuffer));
}

#[test]
fn other_dialects_are_spoken_to_their_servers() {
    use ninep::dialect::l;
    let mut c = Client::<l::Dialect>::new(8192, 4);
    let mut room = [0; 256];
    let n = Tmsg::Tversion { msize: 8192, version: "9P2000.L" }.encode(ninep::NOTAG, &mut room).unwrap();
    assert_eq!(c.output(), &room[..n]);
    c.sent(n);
    let n = text::encode("Rversion tag NOTAG msize 8192 version 9P2000.L", &mut room).unwrap();
    assert_eq!(c.receive(&room[..n]), Ok(ClientEvent::Ready));

    let fid = c.fid().unwrap();
    let attach = l::Tmsg::Tattach { fid, afid: ninep::NOFID, uname: "", aname: "/", n_uname: 0 };
    let ticket = c.submit(&attach).unwrap();
    c.submit(&l::Tmsg::Tgetattr { fid, request_mask: 1 }).unwrap();
    assert_eq!(c.output().len(), attach.size(), "the second waits for the first");
    let n = l::Rmsg::Rlerror { ecode: 13 }.encode(0, &mut room).unwrap();
    assert_eq!(c.receive(&room[..n]), Ok(ClientEvent::Answer(ticket, l::Rmsg::Rlerror { ecode: 13 })));
    let n = l::Rmsg::Rlerror { ecode: 9 }.encode(1, &mut room).unwrap();
    c.receive(&room[..n]).unwrap();
    assert_eq!(c.fid(), Some(fid), "the attach failed");

    // One that speaks something else is refused, and so is one whose error is of the dialect.
    for answer in ["Rversion tag NOTAG msize 8192 version 9P2000", "Rerror tag NOTAG ename no"] {
        let mut c = Client::<l::Dialect>::new(8192, 4);
        let n = text::encode(answer, &mut room).unwrap();
        assert_eq!(c.receive(&room[..n]), Ok(ClientEvent::Refused));
    }
    let mut c = Client::<l::Dialect>::new(8192, 4);
    let n = l::Rmsg::Rlerror { ecode: 13 }.encode(ninep::NOTAG, &mut room).unwrap();
    assert_eq!(c.receive(&room[..n]), Ok(ClientEvent::Refused));
}
