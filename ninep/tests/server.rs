//! The server's session: one rule a test, in lines of text.
#![cfg(feature = "alloc")]
#![expect(clippy::unwrap_used, reason = "tests")]

use abi::error::Error as Reason;
use ninep::session::{Event, Limits, Server, Ticket};
use ninep::{Rmsg, Tmsg, frame, text};

/// A session that talks in lines.
struct Talk(Server<Vec<u8>>);

impl Talk {
    fn new() -> Self {
        Talk(Server::new(Limits { msize: 8192, requests: 8 }))
    }

    fn ready() -> Self {
        let mut t = Self::new();
        t.say("Tversion tag NOTAG msize 8192 version 9P2000.order").unwrap();
        assert_eq!(t.events(), ["reset"]);
        assert_eq!(t.own(), ["Rversion tag NOTAG msize 8192 version 9P2000.order"]);
        t
    }

    fn say(&mut self, line: &str) -> Result<(), Reason> {
        let mut room = [0; 256];
        let n = text::encode(line, &mut room).unwrap();
        self.0.receive(&room[..n], |f, _| f.to_vec())
    }

    /// Says lines and tells which tags start.
    fn starts(&mut self, lines: &[&str]) -> Vec<u16> {
        lines.iter().for_each(|l| self.say(l).unwrap());
        self.tickets().into_iter().map(|(tag, _)| tag).collect()
    }

    fn tickets(&mut self) -> Vec<(u16, Ticket)> {
        let mut tickets = Vec::new();
        while let Some(e) = self.0.next_event() {
            let Event::Start { ticket, kept } = e else { panic!("{e:?}") };
            tickets.push((Tmsg::decode(&kept).unwrap().0, ticket));
        }
        tickets
    }

    fn events(&mut self) -> Vec<String> {
        let name = |e: Event<Vec<u8>>| match e {
            Event::Reset => "reset".to_string(),
            Event::Interrupt(_) => "interrupt".to_string(),
            Event::Start { kept, .. } => {
                let (tag, t) = Tmsg::decode(&kept).unwrap();
                t.line(tag).to_string()
            }
        };
        std::iter::from_fn(|| self.0.next_event()).map(name).collect()
    }

    /// What the session answers by itself.
    fn own(&mut self) -> Vec<String> {
        let mut room = [0; 4096];
        let n = self.0.transmit(&mut room);
        let (mut bytes, mut lines) = (&room[..n], Vec::new());
        while let Ok(frame::Frame::Whole { frame, rest }) = frame::next(bytes, 8192) {
            let (tag, r) = Rmsg::decode(frame).unwrap();
            lines.push(r.line(tag).to_string());
            bytes = rest;
        }
        lines
    }
}

#[test]
fn nothing_goes_before_the_version() {
    let mut t = Talk::new();
    t.say("Tclunk tag 1 fid 1").unwrap();
    assert_eq!(t.own(), ["Rerror tag 1 ename 'version comes first'"]);
    t.say("Tversion tag NOTAG msize 8192 version 8P").unwrap();
    assert_eq!(t.own(), ["Rversion tag NOTAG msize 8192 version unknown"]);
    t.say("Tclunk tag 1 fid 1").unwrap();
    assert_eq!(t.own(), ["Rerror tag 1 ename 'version comes first'"]);
}

#[test]
fn msize_is_the_lesser_one_and_not_absurd() {
    let mut t = Talk::new();
    for (asked, answer) in [
        (u32::MAX, "Rversion tag NOTAG msize 8192 version 9P2000"),
        (1000, "Rversion tag NOTAG msize 1000 version 9P2000"),
        (256, "Rversion tag NOTAG msize 256 version 9P2000"),
        (255, "Rerror tag NOTAG ename 'message size too small'"),
        (0, "Rerror tag NOTAG ename 'message size too small'"),
    ] {
        t.say(&format!("Tversion tag NOTAG msize {asked} version 9P2000")).unwrap();
        assert_eq!(t.own(), [answer]);
        assert_eq!(t.0.frame_max(), if asked < 256 { 8192 } else { asked.min(8192) });
    }
}

#[test]
fn a_new_version_ends_everything() {
    let mut t = Talk::ready();
    t.say("Tread tag 1 fid 1 offset 0 count 1").unwrap();
    let (_, old) = t.tickets()[0];
    t.say("Tclunk tag 2 fid 1").unwrap();
    t.say("Tflush tag 3 oldtag 1").unwrap();
    t.say("Tversion tag NOTAG msize 8192 version 9P2000").unwrap();
    assert_eq!(t.events(), ["reset"]);
    assert_eq!(t.own(), ["Rversion tag NOTAG msize 8192 version 9P2000"]);
    assert_eq!(t.starts(&["Tclunk tag 1 fid 1"]), [1], "tag 1 is free, and nothing of before holds fid 1");
    assert_eq!(t.0.finish(old), None, "the answer to what ran before must not be sent");
    assert_eq!(t.0.in_flight(), 1);
}

#[test]
fn what_names_a_fid_waits_for_what_changes_it() {
    let mut t = Talk::ready();
    let batch = [
        "Twalk tag 1 fid 0 newfid 5 wname a",
        "Topen tag 2 fid 5 mode 0",
        "Tread tag 3 fid 5 offset 0 count 1",
        "Tread tag 4 fid 5 offset 1 count 1",
        "Tclunk tag 5 fid 5",
        "Twalk tag 6 fid 0 newfid 5 wname b",
        "Tstat tag 7 fid 0",
    ];
    batch.iter().for_each(|l| t.say(l).unwrap());
    for round in [&[1, 7][..], &[2], &[3, 4], &[5], &[6]] {
        let tickets = t.tickets();
        assert_eq!(tickets.iter().map(|t| t.0).collect::<Vec<_>>(), round);
        for (tag, ticket) in tickets {
            assert_eq!(t.0.finish(ticket), Some(tag));
        }
    }
    assert_eq!(t.0.in_flight(), 0);
}

#[test]
fn a_released_use_holds_up_nobody() {
    let mut t = Talk::ready();
    t.say("Tread tag 1 fid 5 offset 0 count 1").unwrap();
    let (_, read) = t.tickets()[0];
    assert_eq!(t.starts(&["Tclunk tag 2 fid 5"]), []);
    t.0.release(read);
    assert_eq!(t.starts(&[]), [2]);
    assert_eq!(t.0.finish(read), Some(1));
}

#[test]
fn a_tag_in_use_is_refused_and_its_owner_goes_on() {
    let mut t = Talk::ready();
    t.say("Tread tag 1 fid 5 offset 0 count 1").unwrap();
    let (_, read) = t.tickets()[0];
    t.say("Tstat tag 1 fid 5").unwrap();
    assert_eq!(t.own(), ["Rerror tag 1 ename 'tag already in use'"]);
    t.say("Tflush tag 1 oldtag 1").unwrap();
    assert_eq!(t.own(), ["Rerror tag 1 ename 'tag already in use'"]);
    assert_eq!(t.events(), [""; 0]);
    assert_eq!(t.0.finish(read), Some(1));
}

#[test]
fn a_flush_of_what_runs_waits_for_its_answer() {
    let mut t = Talk::ready();
    t.say("Tread tag 1 fid 5 offset 0 count 1").unwrap();
    let (_, read) = t.tickets()[0];
    for tag in 2..5 {
        t.say(&format!("Tflush tag {tag} oldtag 1")).unwrap();
    }
    assert_eq!(t.events(), ["interrupt"], "once");
    assert_eq!(t.own(), [""; 0]);
    t.say("Tflush tag 9 oldtag 3").unwrap();
    assert_eq!(t.own(), ["Rflush tag 9"], "a flush of a flush takes that back");
    assert_eq!(t.0.finish(read), Some(1));
    assert_eq!(t.own(), ["Rflush tag 2", "Rflush tag 4"], "in their order");
    assert_eq!(t.starts(&["Tstat tag 1 fid 5", "Tstat tag 2 fid 5", "Tstat tag 3 fid 5"]), [1, 2, 3]);
}

#[test]
fn a_flushed_request_may_end_without_an_answer() {
    let mut t = Talk::ready();
    t.say("Tread tag 1 fid 5 offset 0 count 1").unwrap();
    let (_, read) = t.tickets()[0];
    assert!(!t.0.abandon(read), "nobody has flushed it");
    t.say("Tflush tag 2 oldtag 1").unwrap();
    assert!(t.0.abandon(read));
    assert_eq!(t.own(), ["Rflush tag 2"]);
    assert_eq!(t.0.in_flight(), 0);
}

#[test]
fn a_flush_of_what_waits_or_is_unknown_is_answered_at_once() {
    let mut t = Talk::ready();
    t.say("Topen tag 1 fid 5 mode 0").unwrap();
    let (_, open) = t.tickets()[0];
    let lines =
        ["Tclunk tag 2 fid 5", "Tstat tag 3 fid 5", "Tflush tag 4 oldtag 2", "Tflush tag 5 oldtag 77"];
    assert_eq!(t.starts(&lines), []);
    assert_eq!(t.own(), ["Rflush tag 4", "Rflush tag 5"]);
    t.say("Tflush tag 6 oldtag 6").unwrap();
    assert_eq!(t.own(), ["Rflush tag 6"]);
    t.0.finish(open);
    assert_eq!(t.starts(&[]), [3], "the flushed clunk never happens");
}

#[test]
fn limits_hold_and_leave_room_for_flushes() {
    let mut t = Talk::ready();
    for tag in 0..8 {
        t.say(&format!("Tstat tag {tag} fid 5")).unwrap();
    }
    assert_eq!(t.say("Tstat tag 8 fid 5"), Err(Reason::Full));
    let tickets = t.tickets();
    for tag in 100..108 {
        t.say(&format!("Tflush tag {tag} oldtag 3")).unwrap();
    }
    assert_eq!(t.say("Tflush tag 108 oldtag 3"), Err(Reason::Full));
    t.0.finish(tickets[3].1);
    assert_eq!(t.own().len(), 8);
    t.say("Tstat tag 8 fid 5").unwrap();
}

#[test]
fn bad_messages_are_answered_under_their_tag() {
    let mut t = Talk::ready();
    t.say("Twalk tag 7 fid 0 newfid 1 wname a/b").unwrap();
    t.say("Rclunk tag 8").unwrap();
    t.say("Tclunk tag NOTAG fid 1").unwrap();
    t.0.receive(&[9, 0, 0, 0, 120, 9, 0, 1, 0], |f, _| f.to_vec()).unwrap();
    assert_eq!(
        t.own(),
        [
            "Rerror tag 7 ename 'bad character in file name'",
            "Rerror tag 8 ename 'bad message'",
            "Rerror tag NOTAG ename 'bad message'",
            "Rerror tag 9 ename 'bad message'",
        ]
    );
}
