//! A mailbox against a model: random sends, reads, replies, closings and changes of who may send.

use super::*;
use abi::error::Error;
use std::collections::VecDeque;

/// What a sender's open file ought to know.
#[derive(Default)]
struct Sender {
    /// Messages of it that wait in the queue or are read and not answered.
    waiting: u32,
    replies: VecDeque<u64>,
    closed: bool,
}

struct World {
    mailbox: Ref<Mailbox>,
    reader: Ref<Side>,
    sides: Vec<Ref<Side>>,
    user: Ref<Bytes>,
    // The model.
    queue: VecDeque<(usize, u64)>,
    senders: Vec<Sender>,
    last: Option<usize>,
    /// 0 closed, 1 open, else from that process.
    mode: u32,
    next: u64,
}

const SENDERS: usize = 5;

fn letter(from: Option<Ref<Side>>, pid: u32, user: &Ref<Bytes>, number: u64, len: usize) -> Ref<Letter> {
    let mut bytes = vec![0; len.max(8)];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Letter::new(from, pid, user.clone(), Bytes::new(&bytes).unwrap().into()).unwrap()
}

fn number(letter: &Ref<Letter>) -> u64 {
    u64::from_le_bytes(letter.parcel.bytes()[..8].try_into().unwrap())
}

impl World {
    fn new() -> World {
        let mailbox = Mailbox::new(1).unwrap();
        World {
            reader: Side::new(mailbox.clone(), true).unwrap(),
            sides: (0..SENDERS).map(|_| Side::new(mailbox.clone(), false).unwrap()).collect(),
            mailbox,
            user: Ref::new(Bytes::new(b"glenda").unwrap()).unwrap(),
            queue: VecDeque::new(),
            senders: (0..SENDERS).map(|_| Sender::default()).collect(),
            last: None,
            mode: 0,
            next: 1,
        }
    }

    fn send(&mut self, who: usize, len: usize) {
        let pid = who as u32 + 10;
        let l = letter(Some(self.sides[who].clone()), pid, &self.user, self.next, len);
        let len = l.parcel.size();
        self.sides[who].expect();
        let mut l = Some(l);
        let r = self.mailbox.put(&mut l).map(|()| l.take());
        let admitted = self.mode == 1 || self.mode == pid;
        let bytes: usize = self.queue.iter().map(|q| self.len_of(q.1)).sum();
        let room = self.queue.is_empty() || self.queue.len() < MAIL && bytes + len <= MAIL_BYTES;
        match r {
            Ok(None) => {
                assert!(admitted && room);
                self.queue.push_back((who, self.next | (len as u64) << 32));
                self.senders[who].waiting += 1;
            }
            Ok(Some(back)) => {
                assert!(admitted && !room);
                drop(back);
                self.sides[who].settle();
            }
            Err(e) => {
                assert!(!admitted && e == Error::NoMail.into());
                self.sides[who].settle();
            }
        }
        self.next += 1;
    }

    fn len_of(&self, tagged: u64) -> usize {
        (tagged >> 32) as usize
    }

    fn read(&mut self) {
        let (got, over) = self.mailbox.take();
        assert_eq!(over, self.mode == 0);
        let want = self.queue.pop_front();
        assert_eq!(got.as_ref().map(number), want.map(|w| w.1 & 0xffff_ffff), "order");
        let Some(got) = got else { return };
        assert_eq!(got.pid, want.unwrap().0 as u32 + 10, "the sender");
        self.reader.took(&got);
        if let Some(last) = self.last.replace(want.unwrap().0) {
            self.senders[last].waiting -= 1;
        }
    }

    fn answer(&mut self) {
        let to = self.reader.whom();
        assert_eq!(to.is_some(), self.last.is_some());
        let (Some(to), Some(who)) = (to, self.last.take()) else { return };
        assert!(Ref::same(&to, &self.sides[who]), "the reply goes to the sender of the message read last");
        let r = to.answer(&mut Some(letter(None, 1, &self.user, self.next, 8)));
        let s = &mut self.senders[who];
        s.waiting -= 1;
        match (s.closed, s.replies.len() >= MAIL) {
            (true, _) => assert_eq!(r, Err(Error::Hungup.into())),
            (false, true) => assert_eq!(r, Err(Error::Full.into())),
            (false, false) => {
                r.unwrap();
                s.replies.push_back(self.next);
            }
        }
        self.next += 1;
    }

    fn check(&self) {
        let (length, open) = self.mailbox.look();
        assert_eq!((length as usize, open), (self.queue.len(), self.mode != 0));
        for (side, s) in self.sides.iter().zip(&self.senders) {
            let state = side.state.lock();
            assert_eq!(state.waiting, s.waiting, "a sender waits for nothing, or too early for nothing more");
            assert_eq!(Side::waits(&state), s.replies.is_empty() && s.waiting != 0);
        }
    }
}

#[test]
fn mailboxes_do_as_the_model_says() {
    let before = counters::LETTERS.get();
    let mut w = World::new();
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut below = |n: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % n as u64) as usize
    };
    for _ in 0..30_000 {
        let who = below(SENDERS);
        match below(12) {
            0..4 => w.send(who, if below(8) == 0 { 20_000 } else { below(100) }),
            4..7 => w.read(),
            7..9 => w.answer(),
            9 => {
                let got = w.sides[who].next();
                assert_eq!(got.as_ref().map(number), w.senders[who].replies.pop_front());
            }
            10 if below(4) == 0 => {
                w.mode = [0, 1, 1, 10 + who as u32][below(4)];
                w.mailbox.set_mode(match w.mode {
                    0 => Mode::Closed,
                    1 => Mode::Open,
                    one => Mode::From(one),
                });
            }
            11 if below(16) == 0 => {
                // Closed; another file of the same number comes later in its place.
                w.sides[who].close();
                w.senders[who].closed = true;
                w.senders[who].replies.clear();
            }
            _ => {}
        }
        w.check();
        if w.senders.iter().all(|s| s.closed) {
            w.mailbox.end();
            w = World::new();
        }
    }
    let user = w.user.clone();
    w.mailbox.end();
    assert_eq!(w.mailbox.put(&mut Some(letter(None, 10, &user, 1, 8))), Err(Error::Died.into()));
    drop(w);
    assert_eq!(counters::LETTERS.get(), before, "a letter was kept");
}
