//! What may happen to a message on its way: delay, truncation, corruption, loss, another order.
//!
//! [`Trouble`] says how much of it; a [`Line`] is one direction of one connection and applies it, the same way for the
//! same seed. Only replies that don't depend on each other change places: [`Requests`] remembers which fids each tag was
//! about, and neither a flush nor a version is overtaken.

use std::collections::BTreeMap;
use std::time::Duration;

/// How much trouble.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// Each message arrives so much later.
    pub delay: Duration,
    /// The message of this number, from 1, is cut in its middle, and the connection ends there. 0: none is.
    pub truncate: u64,
    /// How probable it is that a message has one bit flipped.
    pub corrupt: f64,
    /// How probable it is that a message is lost.
    pub drop: f64,
    /// Do independent replies change places?
    pub reorder: bool,
    /// Makes it the same every time.
    pub seed: u64,
    /// Do requests suffer?
    pub requests: bool,
    /// Do replies suffer?
    pub replies: bool,
}

impl Default for Trouble {
    fn default() -> Trouble {
        Trouble {
            delay: Duration::ZERO,
            truncate: 0,
            corrupt: 0.0,
            drop: 0.0,
            reorder: false,
            seed: 1,
            requests: true,
            replies: true,
        }
    }
}

/// Numbers that look random (the finaliser of splitmix64 over a counter).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.number() % n as u64) as usize
    }
    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        ((self.number() >> 11) as f64) < probability * (1u64 << 53) as f64
    }
}

/// Which way a message goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// From the client to the server.
    Request,
    /// From the server to the client.
    Reply,
}

/// What becomes of a message.
#[derive(PartialEq, Eq, Debug)]
pub enum Fate {
    /// It goes on, perhaps changed.
    Pass(Vec<u8>),
    /// It is lost.
    Lost,
    /// This much of it goes on, and then the connection ends.
    Last(Vec<u8>),
}

/// One direction of a connection.
#[derive(Debug)]
pub struct Line {
    trouble: Trouble,
    suffers: bool,
    random: Random,
    passed: u64,
}

impl Line {
    /// A line; `number` tells connections apart, so that each has its own luck.
    pub fn new(trouble: &Trouble, way: Way, number: u64) -> Line {
        let salt = number * 2 + u64::from(way == Way::Reply);
        Line {
            suffers: if way == Way::Request { trouble.requests } else { trouble.replies },
            random: Random::new(trouble.seed ^ salt.wrapping_mul(0x5851_f42d_4c95_7f2d)),
            trouble: trouble.clone(),
            passed: 0,
        }
    }

    /// Decides over one whole message.
    pub fn decide(&mut self, mut message: Vec<u8>) -> Fate {
        self.passed += 1;
        if !self.suffers {
            return Fate::Pass(message);
        }
        if self.trouble.truncate == self.passed {
            message.truncate(message.len() / 2);
            return Fate::Last(message);
        }
        if self.random.chance(self.trouble.drop) {
            return Fate::Lost;
        }
        if !message.is_empty() && self.random.chance(self.trouble.corrupt) {
            let (at, bit) = (self.random.below(message.len()), self.random.below(8));
            message[at] ^= 1 << bit;
        }
        Fate::Pass(message)
    }

    /// How long a message is kept.
    pub fn delay(&self) -> Duration {
        if self.suffers { self.trouble.delay } else { Duration::ZERO }
    }

    /// Does this line change the order?
    pub fn reorders(&self) -> bool {
        self.suffers && self.trouble.reorder
    }

    /// Puts replies in another order that the client could have seen as well.
    pub fn shuffle(&mut self, replies: Vec<Vec<u8>>, requests: &mut Requests) -> Vec<Vec<u8>> {
        let mut left: Vec<(Vec<u8>, Subject)> = replies
            .into_iter()
            .map(|r| {
                let s = requests.settle(&r);
                (r, s)
            })
            .collect();
        let mut out = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let free: Vec<usize> =
                (0..left.len()).filter(|&i| left[..i].iter().all(|(_, s)| !s.meets(&left[i].1))).collect();
            let at = free[self.random.below(free.len())];
            out.push(left.remove(at).0);
        }
        out
    }
}

/// What a transaction is about.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Subject {
    /// These fids.
    Fids(Vec<u32>),
    /// Everything: a version, a flush, or what is not known.
    All,
}

impl Subject {
    fn meets(&self, other: &Subject) -> bool {
        match (self, other) {
            (Subject::Fids(a), Subject::Fids(b)) => a.iter().any(|fid| b.contains(fid)),
            _ => true,
        }
    }
}

/// The requests of a connection that are not yet answered.
#[derive(Debug, Default)]
pub struct Requests(BTreeMap<u16, Subject>);

/// Most requests remembered; beyond it a reply is taken to depend on everything.
const REMEMBERED: usize = 1 << 16;

impl Requests {
    /// Notes a request.
    pub fn note(&mut self, message: &[u8]) {
        let Some(tag) = tag(message) else { return };
        let word = |at: usize| message.get(at..at + 4)?.first_chunk().copied().map(u32::from_le_bytes);
        let fids = match message[4] {
            100 | 108 => None,
            104 | 110 => word(7).zip(word(11)).map(|(a, b)| vec![a, b]),
            _ => word(7).map(|fid| vec![fid]),
        };
        if self.0.len() < REMEMBERED {
            self.0.insert(tag, fids.map_or(Subject::All, Subject::Fids));
        }
    }

    fn settle(&mut self, reply: &[u8]) -> Subject {
        tag(reply).and_then(|tag| self.0.remove(&tag)).unwrap_or(Subject::All)
    }
}

fn tag(message: &[u8]) -> Option<u16> {
    message.get(5..7)?.first_chunk().copied().map(u16::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clunk(tag: u8, fid: u8) -> Vec<u8> {
        vec![11, 0, 0, 0, 120, tag, 0, fid, 0, 0, 0]
    }
    fn reply(number: u8, tag: u8) -> Vec<u8> {
        vec![7, 0, 0, 0, number, tag, 0]
    }

    #[test]
    fn without_trouble_everything_passes() {
        let mut line = Line::new(&Trouble::default(), Way::Reply, 1);
        for tag in 0..100 {
            assert_eq!(line.decide(clunk(tag, 1)), Fate::Pass(clunk(tag, 1)));
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_trouble_at_about_the_asked_rate() {
        let trouble = Trouble { drop: 0.25, corrupt: 0.25, seed: 9, ..Trouble::default() };
        let run = || {
            let mut line = Line::new(&trouble, Way::Request, 3);
            (0..1000).map(|_| line.decide(clunk(1, 1))).collect::<Vec<_>>()
        };
        let fates = run();
        assert_eq!(fates, run());
        let lost = fates.iter().filter(|f| **f == Fate::Lost).count();
        let whole = fates.iter().filter(|f| **f == Fate::Pass(clunk(1, 1))).count();
        assert!((180..320).contains(&lost), "{lost}");
        assert!((480..650).contains(&whole), "{whole}");
    }

    #[test]
    fn the_nth_message_is_cut_and_is_the_last() {
        let mut line = Line::new(&Trouble { truncate: 2, ..Trouble::default() }, Way::Request, 1);
        assert_eq!(line.decide(clunk(1, 1)), Fate::Pass(clunk(1, 1)));
        assert_eq!(line.decide(clunk(1, 1)), Fate::Last(clunk(1, 1)[..5].into()));
    }

    #[test]
    fn independent_replies_change_places_and_no_others() {
        let trouble = Trouble { reorder: true, ..Trouble::default() };
        let mut line = Line::new(&trouble, Way::Reply, 1);
        let mut moved = 0;
        for _ in 0..200 {
            let mut requests = Requests::default();
            for tag in 1..=4 {
                requests.note(&clunk(tag, if tag == 2 { 1 } else { tag }));
            }
            requests.note(&[9, 0, 0, 0, 108, 5, 0, 3, 0]);
            let replies: Vec<Vec<u8>> =
                [(121, 1), (121, 2), (121, 3), (109, 5), (121, 4)].map(|(n, t)| reply(n, t)).into();
            let out = line.shuffle(replies.clone(), &mut requests);
            let place = |tag: u8| out.iter().position(|r| r[5] == tag).unwrap();
            assert!(place(1) < place(2), "one fid's replies keep their order");
            assert_eq!((place(5), place(4)), (3, 4), "nothing passes a flush");
            moved += usize::from(out != replies);
        }
        assert!(moved > 50, "{moved}");
    }
}
