//! What the tests share: seeded random numbers, and random valid messages.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(unreachable_pub, reason = "a module of several crates")]

use ninep::{Name, Names, Qid, Qids, Rmsg, Stat, Tmsg};

/// A small generator (xorshift*), the same everywhere for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.next() >> 32) as usize) % n
    }

    pub fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    /// A number that is often at an edge.
    pub fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => u64::MAX,
            2 => self.below(16) as u64,
            _ => self.next() >> self.below(64),
        }
    }

    fn text(&mut self, most: usize, alphabet: &[&str]) -> String {
        let len = self.below(most + 1);
        (0..len).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }
}

/// What messages are made of.
#[derive(Debug)]
pub struct Parts {
    n: [u64; 8],
    qids: Vec<Qid>,
    text: [String; 4],
    names: Vec<String>,
    data: Vec<u8>,
}

impl Parts {
    pub fn new(r: &mut Random) -> Self {
        const TEXT: &[&str] = &["a", "Z", "7", " ", "'", "%", "#", "/", "é", "水", "\n", "\u{85}", "🦀"];
        const NAME: &[&str] = &["a", "Z", "7", " ", "'", "%", "#", ".", "é", "水", "\u{1}", "🦀"];
        let name = |r: &mut Random| format!("{}{}", NAME[r.below(NAME.len())], r.text(9, NAME));
        let qid =
            |r: &mut Random| Qid { kind: r.next() as u8 & 0xec, vers: r.number() as u32, path: r.number() };
        let len = r.below(9);
        Parts {
            n: std::array::from_fn(|_| r.number()),
            qids: (0..17).map(|_| qid(r)).collect(),
            text: std::array::from_fn(|_| r.text(9, TEXT)),
            names: (0..16).map(|_| name(r)).collect(),
            data: (0..len * len).map(|_| r.next() as u8).collect(),
        }
    }

    fn text(&self, i: usize) -> &str {
        &self.text[i]
    }

    fn stat(&self) -> Stat<'_> {
        let n = self.n;
        let name = match n[7] % 3 {
            0 => "",
            1 => "/",
            _ => &self.names[0],
        };
        Stat {
            kind: n[2] as u16,
            dev: n[3] as u32,
            qid: self.qids[0],
            mode: n[4] as u32,
            atime: n[5] as u32,
            mtime: n[6] as u32,
            length: n[7],
            name,
            uid: self.text(1),
            gid: self.text(2),
            muid: self.text(3),
        }
    }

    /// The request number `which` made of these parts.
    pub fn request<R>(&self, which: usize, then: impl FnOnce(Tmsg<'_>) -> R) -> R {
        let (fid, newfid, n32, n64) = (self.n[0] as u32, self.n[1] as u32, self.n[2] as u32, self.n[3]);
        let mode = self.n[4] as u8;
        let names: Vec<_> = self.names.iter().map(|n| Name::new(n).expect("a name")).collect();
        then(match Tmsg::ALL[which % Tmsg::ALL.len()].0 {
            "Tversion" => Tmsg::Tversion { msize: n32, version: self.text(0) },
            "Tauth" => Tmsg::Tauth { afid: fid, uname: self.text(0), aname: self.text(1) },
            "Tattach" => Tmsg::Tattach { fid, afid: newfid, uname: self.text(0), aname: self.text(1) },
            "Tflush" => Tmsg::Tflush { oldtag: n32 as u16 },
            "Twalk" => {
                let wname = Names::new(&names[..self.n[5] as usize % 17]).expect("at most 16");
                Tmsg::Twalk { fid, newfid, wname }
            }
            "Topen" => Tmsg::Topen { fid, mode },
            "Tcreate" => Tmsg::Tcreate { fid, name: names[0], perm: n32, mode },
            "Tread" => Tmsg::Tread { fid, offset: n64, count: n32 },
            "Twrite" => Tmsg::Twrite { fid, offset: n64, data: &self.data },
            "Tclunk" => Tmsg::Tclunk { fid },
            "Tremove" => Tmsg::Tremove { fid },
            "Tstat" => Tmsg::Tstat { fid },
            "Twstat" => Tmsg::Twstat { fid, stat: self.stat() },
            other => unreachable!("{other}"),
        })
    }

    /// The answer number `which` made of these parts.
    pub fn answer(&self, which: usize) -> Rmsg<'_> {
        let (qid, n32) = (self.qids[0], self.n[2] as u32);
        match Rmsg::ALL[which % Rmsg::ALL.len()].0 {
            "Rversion" => Rmsg::Rversion { msize: n32, version: self.text(0) },
            "Rauth" => Rmsg::Rauth { aqid: qid },
            "Rattach" => Rmsg::Rattach { qid },
            "Rerror" => Rmsg::Rerror { ename: self.text(0) },
            "Rflush" => Rmsg::Rflush {},
            "Rwalk" => {
                Rmsg::Rwalk { wqid: Qids::new(&self.qids[..self.n[5] as usize % 17]).expect("at most 16") }
            }
            "Ropen" => Rmsg::Ropen { qid, iounit: n32 },
            "Rcreate" => Rmsg::Rcreate { qid, iounit: n32 },
            "Rread" => Rmsg::Rread { data: &self.data },
            "Rwrite" => Rmsg::Rwrite { count: n32 },
            "Rclunk" => Rmsg::Rclunk {},
            "Rremove" => Rmsg::Rremove {},
            "Rstat" => Rmsg::Rstat { stat: self.stat() },
            "Rwstat" => Rmsg::Rwstat {},
            other => unreachable!("{other}"),
        }
    }

    /// The bytes of request or answer number `which` under this tag.
    pub fn bytes(&self, which: usize, tag: u16) -> Vec<u8> {
        let mut room = vec![0; 4096];
        let n = match which.checked_sub(Tmsg::ALL.len()) {
            None => self.request(which, |t| t.encode(tag, &mut room)),
            Some(which) => self.answer(which).encode(tag, &mut room),
        };
        room.truncate(n.expect("it fits"));
        room
    }
}

/// How many requests and answers there are.
pub fn messages() -> usize {
    Tmsg::ALL.len() + Rmsg::ALL.len()
}
