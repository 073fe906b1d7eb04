//! Both sessions against models, under random requests, orders of answers and storms of flushes.
#![cfg(feature = "alloc")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use abi::error::Error as Reason;
use common::Random;
use ninep::session::{Client, ClientEvent, ClientTicket, Event, Limits, Server, Ticket};
use ninep::{Fid, Name, Names, Rmsg, Tag, Tmsg, frame};
use std::collections::{HashMap, HashSet};

/// The rules of order, as plain as can be: a list of what is in flight, in the order of arrival.
#[derive(Default)]
struct Model(Vec<InFlight>);

struct InFlight {
    tag: Tag,
    /// Fids with whether they are changed; used ones go when they are released.
    touches: Vec<(Fid, bool)>,
    started: Option<Ticket>,
    flushes: Vec<Tag>,
}

impl Model {
    fn at(&self, tag: Tag) -> Option<usize> {
        self.0.iter().position(|r| r.tag == tag)
    }

    fn has_tag(&self, tag: Tag) -> bool {
        self.0.iter().any(|r| r.tag == tag || r.flushes.contains(&tag))
    }

    /// May the request at this place start?
    fn may_start(&self, at: usize) -> bool {
        self.0[..at].iter().all(|before| {
            before.touches.iter().all(|(fid, changed)| {
                self.0[at].touches.iter().all(|(other, change)| fid != other || !(*changed || *change))
            })
        })
    }
}

/// What requests do to fids, by the table of the manual and not by the code under test.
fn request(r: &mut Random, names: &[Name<'static>]) -> (Tmsg<'static>, Vec<(Fid, bool)>) {
    let (fid, other) = (r.below(4) as Fid, r.below(4) as Fid);
    let names: &'static [Name<'static>] = names.to_vec().leak();
    match r.below(10) {
        0 => (Tmsg::Tattach { fid, afid: ninep::NOFID, uname: "u", aname: "" }, vec![(fid, true)]),
        1 => (Tmsg::Tauth { afid: fid, uname: "u", aname: "" }, vec![(fid, true)]),
        2 | 3 if fid != other => {
            let wname = Names::new(names).unwrap();
            (Tmsg::Twalk { fid, newfid: other, wname }, vec![(fid, false), (other, true)])
        }
        2 | 3 => (Tmsg::Twalk { fid, newfid: fid, wname: Names::NONE }, vec![(fid, true)]),
        4 => (Tmsg::Topen { fid, mode: 0 }, vec![(fid, true)]),
        5 => (Tmsg::Tclunk { fid }, vec![(fid, true)]),
        6 => (Tmsg::Tremove { fid }, vec![(fid, true)]),
        7 => (Tmsg::Tstat { fid }, vec![(fid, false)]),
        8 => (Tmsg::Twrite { fid, offset: 0, data: b"x" }, vec![(fid, false)]),
        _ => (Tmsg::Tread { fid, offset: 0, count: 1 }, vec![(fid, false)]),
    }
}

/// The server's session with what it should do.
struct Checked {
    session: Server<Tag>,
    model: Model,
    /// The session's own answers that should come next.
    own: Vec<String>,
    /// Tickets of sessions that a version ended.
    old: Vec<Ticket>,
}

impl Checked {
    const REQUESTS: usize = 12;

    fn new() -> Self {
        let session = Server::new(Limits { msize: 4096, requests: Self::REQUESTS });
        let mut checked = Checked { session, model: Model::default(), own: Vec::new(), old: Vec::new() };
        checked.version();
        checked
    }

    fn send(&mut self, tag: Tag, t: &Tmsg<'_>) -> Result<(), Reason> {
        let mut room = [0; 4096];
        let n = t.encode(tag, &mut room).unwrap();
        self.session.receive(&room[..n], |_, _| tag)
    }

    fn version(&mut self) {
        self.old.extend(self.model.0.drain(..).filter_map(|r| r.started));
        self.send(ninep::NOTAG, &Tmsg::Tversion { msize: 4096, version: "9P2000" }).unwrap();
        assert_eq!(self.session.next_event(), Some(Event::Reset));
        self.own = vec!["Rversion tag NOTAG msize 4096 version 9P2000".into()];
    }

    fn request(&mut self, r: &mut Random) {
        let (t, touches) = request(r, &[Name::DOTDOT]);
        let tag = r.below(20) as Tag;
        let full = self.model.0.len() >= Self::REQUESTS;
        let answer = self.send(tag, &t);
        if self.model.has_tag(tag) {
            self.own.push(format!("Rerror tag {tag} ename 'tag already in use'"));
        } else if full {
            assert_eq!(answer, Err(Reason::Full));
        } else {
            self.model.0.push(InFlight { tag, touches, started: None, flushes: Vec::new() });
        }
    }

    fn flush(&mut self, r: &mut Random) {
        let (tag, oldtag) = (r.below(40) as Tag, r.below(40) as Tag);
        let waiting: usize = self.model.0.iter().map(|r| r.flushes.len()).sum();
        let answer = self.send(tag, &Tmsg::Tflush { oldtag });
        if self.model.has_tag(tag) {
            self.own.push(format!("Rerror tag {tag} ename 'tag already in use'"));
            return;
        }
        match self.model.at(oldtag) {
            Some(at) if self.model.0[at].started.is_some() => {
                if waiting >= Self::REQUESTS {
                    assert_eq!(answer, Err(Reason::Full));
                    return;
                }
                self.model.0[at].flushes.push(tag);
                return;
            }
            Some(at) => drop(self.model.0.remove(at)),
            None => self.model.0.iter_mut().for_each(|r| r.flushes.retain(|t| *t != oldtag)),
        }
        self.own.push(format!("Rflush tag {tag}"));
    }

    /// What starts must be allowed to, and what is allowed to must start.
    fn events(&mut self) {
        while let Some(event) = self.session.next_event() {
            match event {
                Event::Start { ticket, kept } => {
                    let at = self.model.at(kept).expect("only what is in flight starts");
                    assert!(self.model.may_start(at), "started too early");
                    assert_eq!(self.model.0[at].started.replace(ticket), None, "started twice");
                }
                Event::Interrupt(ticket) => {
                    let target = self.model.0.iter().find(|r| r.started == Some(ticket));
                    assert!(target.is_some(), "interrupted what does not run");
                }
                Event::Reset => panic!("a reset that no version asked for"),
            }
        }
        for at in 0..self.model.0.len() {
            assert!(self.model.0[at].started.is_some() || !self.model.may_start(at), "forgotten");
        }
    }

    /// Ends, or releases, something that runs.
    fn end(&mut self, r: &mut Random) {
        if let Some(ticket) = self.old.pop() {
            assert_eq!(self.session.finish(ticket), None, "an answer from before the reset");
        }
        let running: Vec<_> =
            (0..self.model.0.len()).filter(|at| self.model.0[*at].started.is_some()).collect();
        if running.is_empty() {
            return;
        }
        let at = running[r.below(running.len())];
        let ticket = self.model.0[at].started.unwrap();
        match r.below(4) {
            0 => {
                self.session.release(ticket);
                self.model.0[at].touches.retain(|t| t.1);
                return;
            }
            1 => {
                let flushed = !self.model.0[at].flushes.is_empty();
                assert_eq!(self.session.abandon(ticket), flushed);
                if !flushed {
                    return;
                }
            }
            _ => assert_eq!(self.session.finish(ticket), Some(self.model.0[at].tag)),
        }
        let ended = self.model.0.remove(at);
        self.own.extend(ended.flushes.iter().map(|tag| format!("Rflush tag {tag}")));
    }

    fn transmit(&mut self) {
        let mut room = [0; 4096];
        let n = self.session.transmit(&mut room);
        assert_eq!(lines(&room[..n]), std::mem::take(&mut self.own));
    }
}

/// The answers in bytes.
fn lines(mut bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while let Ok(frame::Frame::Whole { frame, rest }) = frame::next(bytes, 4096) {
        let (tag, r) = Rmsg::decode(frame).unwrap();
        lines.push(r.line(tag).to_string());
        bytes = rest;
    }
    assert!(bytes.is_empty());
    lines
}

#[test]
fn a_server_session_does_what_the_model_does() {
    for seed in 0..300 {
        let r = &mut Random::new(seed);
        let mut checked = Checked::new();
        // A storm of flushes, a flood of requests, or a bit of all.
        let (flushes, ends) = [(2, 4), (10, 6), (5, 2)][r.below(3)];
        for _ in 0..400 {
            match r.below(12) {
                _ if r.chance(150) => checked.version(),
                n if n < ends => checked.end(r),
                _ if r.chance(flushes) => checked.flush(r),
                _ => checked.request(r),
            }
            checked.events();
            checked.transmit();
            assert_eq!(checked.session.in_flight(), checked.model.0.len());
        }
    }
}

/// A server of files that are all the same: it knows which fids are there, and that a read of offset `n` is `n`.
struct Files {
    session: Server<Vec<u8>>,
    running: Vec<(Ticket, Vec<u8>)>,
    fids: HashSet<Fid>,
    ordered: bool,
    out: Vec<u8>,
}

impl Files {
    fn new(ordered: bool) -> Self {
        let session = Server::new(Limits { msize: 4096, requests: 64 });
        Files { session, running: Vec::new(), fids: HashSet::from([0]), ordered, out: Vec::new() }
    }

    fn receive(&mut self, bytes: &mut Vec<u8>) {
        while let Ok(frame::Frame::Whole { frame, rest }) = frame::next(bytes, self.session.frame_max()) {
            let (tag, t) = Tmsg::decode(frame).unwrap();
            // A server of the old kind: the suffix means nothing to it.
            if let (Tmsg::Tversion { msize, .. }, false) = (t, self.ordered) {
                let mut room = [0; 64];
                let n = Tmsg::Tversion { msize, version: "9P2000" }.encode(tag, &mut room).unwrap();
                self.session.receive(&room[..n], |f, _| f.to_vec()).unwrap();
            } else {
                self.session.receive(frame, |f, _| f.to_vec()).unwrap();
            }
            let rest = rest.to_vec();
            *bytes = rest;
        }
        self.act();
    }

    fn act(&mut self) {
        while let Some(event) = self.session.next_event() {
            if let Event::Start { ticket, kept } = event {
                self.running.push((ticket, kept));
            }
        }
        let mut room = [0; 4096];
        let n = self.session.transmit(&mut room);
        self.out.extend(&room[..n]);
    }

    /// Ends something that runs, whichever.
    fn end(&mut self, r: &mut Random) {
        if self.running.is_empty() {
            return;
        }
        let (ticket, kept) = self.running.swap_remove(r.below(self.running.len()));
        if r.chance(3) && self.session.abandon(ticket) {
            return self.act();
        }
        let tag = self.session.finish(ticket).unwrap();
        let (_, t) = Tmsg::decode(&kept).unwrap();
        let mut room = [0; 256];
        let n = match t {
            Tmsg::Twalk { newfid, wname, .. } if !wname.is_empty() => {
                assert!(self.fids.insert(newfid), "fid {newfid} was in use");
                Rmsg::Rwalk { wqid: ninep::Qids::new(&[ninep::Qid { kind: 0, vers: 0, path: 0 }]).unwrap() }
                    .encode(tag, &mut room)
            }
            Tmsg::Twalk { .. } => Rmsg::error(abi::error::Error::NotExist).encode(tag, &mut room),
            Tmsg::Tread { fid, offset, .. } if self.fids.contains(&fid) => {
                Rmsg::Rread { data: &offset.to_le_bytes() }.encode(tag, &mut room)
            }
            Tmsg::Tclunk { fid } if self.fids.remove(&fid) => Rmsg::Rclunk {}.encode(tag, &mut room),
            // Behind a walk that failed, or out of order, which the user will notice.
            Tmsg::Tread { .. } | Tmsg::Tclunk { .. } => {
                Rmsg::error(abi::error::Error::UnknownFid).encode(tag, &mut room)
            }
            other => panic!("{other}: nobody sends that"),
        };
        self.out.extend(&room[..n.unwrap()]);
        self.act();
    }
}

/// A request that the client waits for.
enum Waits {
    Walk(Fid, bool),
    Read(u64),
    Clunk(Fid),
    /// Something behind a walk that fails.
    Doomed,
}

/// The client's side: chains of walk, reads and clunk on fids of the session's.
struct User {
    session: Client,
    open: HashMap<ClientTicket, Waits>,
    /// Fids that were walked to, as far as the client knows.
    fids: Vec<Fid>,
    next_offset: u64,
    answers: usize,
    flushed: usize,
}

impl User {
    fn submit(&mut self, t: &Tmsg<'_>, waits: Waits) {
        if let Ok(ticket) = self.session.submit(t) {
            self.open.insert(ticket, waits);
        } else if let Waits::Walk(fid, _) = waits {
            self.session.forget(fid);
        } else if let Waits::Clunk(fid) = waits {
            self.fids.push(fid);
        }
    }

    fn act(&mut self, r: &mut Random) {
        let pipelined = self.session.is_ordered() || r.chance(2);
        match r.below(6) {
            0 | 1 => {
                let Some(newfid) = self.session.fid() else { return };
                let good = !r.chance(4);
                let names = [Name::DOTDOT];
                let wname = if good { Names::new(&names).unwrap() } else { Names::NONE };
                self.submit(&Tmsg::Twalk { fid: 0, newfid, wname }, Waits::Walk(newfid, good));
                if !good && pipelined {
                    self.submit(&Tmsg::Tread { fid: newfid, offset: 0, count: 8 }, Waits::Doomed);
                    self.submit(&Tmsg::Tclunk { fid: newfid }, Waits::Doomed);
                } else if pipelined {
                    let offset = self.next_offset;
                    self.next_offset += 1;
                    self.submit(&Tmsg::Tread { fid: newfid, offset, count: 8 }, Waits::Read(offset));
                }
            }
            2 | 3 if !self.fids.is_empty() => {
                let fid = self.fids[r.below(self.fids.len())];
                let offset = self.next_offset;
                self.next_offset += 1;
                self.submit(&Tmsg::Tread { fid, offset, count: 8 }, Waits::Read(offset));
            }
            4 if !self.fids.is_empty() => {
                let fid = self.fids.swap_remove(r.below(self.fids.len()));
                self.submit(&Tmsg::Tclunk { fid }, Waits::Clunk(fid));
            }
            _ => {
                // Only reads: a flushed walk that a read depends on makes that read fail, rightly.
                let reads = self.open.iter().filter(|(_, w)| matches!(w, Waits::Read(_)));
                let mut reads: Vec<_> = reads.map(|(t, _)| *t).collect();
                reads.sort();
                if let Some(ticket) = reads.get(r.below(reads.len().max(1)))
                    && self.session.flush(*ticket).unwrap()
                {
                    self.open.remove(ticket);
                    self.flushed += 1;
                }
            }
        }
    }

    fn receive(&mut self, bytes: &mut Vec<u8>) {
        while let Ok(frame::Frame::Whole { frame, rest }) = frame::next(bytes, self.session.frame_max()) {
            match self.session.receive(frame).unwrap() {
                ClientEvent::Answer(ticket, answer) => {
                    self.answers += 1;
                    match (self.open.remove(&ticket).expect("answered twice"), answer) {
                        (Waits::Walk(fid, true), Rmsg::Rwalk { .. }) => self.fids.push(fid),
                        (Waits::Walk(_, false) | Waits::Doomed, Rmsg::Rerror { .. })
                        | (Waits::Clunk(_), Rmsg::Rclunk {}) => {}
                        (Waits::Read(offset), Rmsg::Rread { data }) => {
                            assert_eq!(data, offset.to_le_bytes(), "another's answer")
                        }
                        (_, answer) => panic!("{answer}"),
                    }
                }
                ClientEvent::Flushed(ticket) => {
                    self.open.remove(&ticket).expect("flushed what had ended");
                    self.flushed += 1;
                }
                ClientEvent::Ready | ClientEvent::Nothing => {}
                ClientEvent::Bad(_, e) => panic!("{e}"),
                ClientEvent::Refused => panic!("refused"),
            }
            let rest = rest.to_vec();
            *bytes = rest;
        }
    }
}

/// Both sessions with an unsteady wire between them.
fn converse(seed: u64, ordered: bool) -> (usize, usize) {
    let r = &mut Random::new(seed);
    let mut server = Files::new(ordered);
    let mut user = User {
        session: Client::new(4096, 24),
        open: HashMap::new(),
        fids: Vec::new(),
        next_offset: 0,
        answers: 0,
        flushed: 0,
    };
    assert_eq!(user.session.fid(), Some(0), "the root, which the server has from the start");
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for round in 0.. {
        match r.below(4) {
            0 if round < 600 && user.session.is_ready() => user.act(r),
            1 => server.end(r),
            2 => {
                let n = r.below(user.session.output().len() + 1);
                up.extend(&user.session.output()[..n]);
                user.session.sent(n);
                server.receive(&mut up);
            }
            _ => {
                let n = r.below(server.out.len() + 1);
                down.extend(server.out.drain(..n));
                user.receive(&mut down);
            }
        }
        if round > 600 && user.session.in_flight() == 0 {
            break;
        }
        assert!(round < 100_000, "{} requests never end", user.session.in_flight());
    }
    assert_eq!(user.session.is_ordered(), ordered);
    assert!(user.open.is_empty(), "a request that nobody answered");
    assert_eq!(server.session.in_flight(), 0);
    (user.answers, user.flushed)
}

#[test]
fn a_client_gets_its_own_answers_from_either_kind_of_server() {
    for ordered in [true, false] {
        let (mut answers, mut flushed) = (0, 0);
        for seed in 0..200 {
            let (a, f) = converse(seed, ordered);
            answers += a;
            flushed += f;
        }
        assert!(answers > 5000 && flushed > 200, "{answers} answers, {flushed} flushed");
    }
}
