//! What the tests share: a ramfs behind each front, spoken to in messages.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use abi::portal::{RWAIT, op};
use net9::{Limits, Service, Stream};
use ninep::{NOFID, Name, Names, Qid, Rmsg, Tmsg};
use ramfs::{Group, Options, Ramfs};
use serve::portal::Portal;
use serve::wire::Connection;
use serve::{Engine, Held, NoWake};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// Random numbers, the same for the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

pub fn options() -> Options {
    Options {
        size: 64 << 20,
        quota: 48 << 20,
        owner: "adm".into(),
        root_mode: 0o777,
        groups: vec![
            Group::parse("sys:ken:rob,glenda").unwrap(),
            Group::parse("lab::rob").unwrap(),
            Group::parse("chess:ken:").unwrap(),
        ],
        open: true,
        posix: false,
        now: || 1_000_000,
        key: (1, 2),
    }
}

/// A way to a server: a request's frame in, the answer's frame out.
pub trait Front {
    fn call(&mut self, frame: &[u8]) -> Vec<u8>;
}

/// Straight to the portal's front, as the kernel would.
pub struct PortalFront {
    pub portal: Portal<Ramfs>,
    held: Held,
}

impl PortalFront {
    pub fn new(options: &Options) -> Self {
        PortalFront { portal: Portal::new(Ramfs::new(options).unwrap()).unwrap(), held: Held::Nothing }
    }
}

impl Front for PortalFront {
    fn call(&mut self, frame: &[u8]) -> Vec<u8> {
        let (tag, t) = Tmsg::decode(frame).unwrap();
        let mut page = vec![0; 4096];
        let mut request = ninep::portal::request(tag, &t, &mut page).unwrap();
        request.session = 7;
        let mut window = vec![0; 1 << 15];
        if let Tmsg::Twrite { data, .. } = t {
            window[..data.len()].copy_from_slice(data);
        }
        let a = self.portal.call(&request, &mut page, &mut window, &mut self.held, &NoWake);
        assert_ne!(a.op(), RWAIT);
        let data = if a.op() == op::TREAD + 1 && a.w1 != 0 {
            let held = match &self.held {
                Held::Page(page) => &page[..],
                Held::Text(text) => &text[..],
                Held::Nothing => &serve::ZERO_PAGE[..],
            };
            &held[(a.w1 - held.as_ptr() as u64) as usize..]
        } else {
            &window
        };
        let r = ninep::portal::rmsg(&a, &page, data).unwrap();
        r.answers(&t).unwrap();
        let mut out = vec![0; (1 << 15) + 24];
        let len = r.encode(tag, &mut out).unwrap();
        out.truncate(len);
        out
    }
}

/// A connection in memory.
pub struct WireFront {
    pub engine: std::sync::Arc<Engine<Ramfs>>,
    pub connection: Connection<Ramfs>,
}

impl WireFront {
    pub fn new(options: &Options) -> Self {
        let engine = std::sync::Arc::new(Engine::new(Ramfs::new(options).unwrap()));
        Self::over(engine, 1)
    }
    pub fn over(engine: std::sync::Arc<Engine<Ramfs>>, number: u64) -> Self {
        WireFront { engine, connection: Connection::new(number).unwrap() }
    }
}

impl Front for WireFront {
    fn call(&mut self, frame: &[u8]) -> Vec<u8> {
        self.connection.receive(frame).unwrap();
        while self.connection.run(&self.engine, &NoWake).unwrap() {}
        std::mem::take(self.connection.output())
    }
}

impl Drop for WireFront {
    fn drop(&mut self) {
        self.connection.end(&self.engine, &NoWake);
    }
}

/// A connection by a socket.
pub struct SocketFront {
    pub service: std::sync::Arc<Service<Ramfs>>,
    pub stream: UnixStream,
}

impl SocketFront {
    pub fn new(options: &Options) -> Self {
        Self::over(Service::new(Ramfs::new(options).unwrap(), Limits::default()))
    }
    pub fn over(service: std::sync::Arc<Service<Ramfs>>) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        service.begin(Stream::Unix(theirs)).unwrap();
        SocketFront { service, stream: ours }
    }
    pub fn read_frame(&mut self) -> Vec<u8> {
        let mut frame = vec![0; 4];
        self.stream.read_exact(&mut frame).unwrap();
        let len = u32::from_le_bytes(frame[..4].try_into().unwrap()) as usize;
        frame.resize(len, 0);
        self.stream.read_exact(&mut frame[4..]).unwrap();
        frame
    }
}

impl Front for SocketFront {
    fn call(&mut self, frame: &[u8]) -> Vec<u8> {
        self.stream.write_all(frame).unwrap();
        self.read_frame()
    }
}

/// A client of any front.
pub struct Client<F: Front> {
    pub front: F,
    answer: Vec<u8>,
}

pub type Answer<T> = Result<T, String>;

impl<F: Front> Client<F> {
    /// Agrees on a version.
    pub fn new(front: F) -> Self {
        let mut c = Client { front, answer: Vec::new() };
        c.rpc(&Tmsg::Tversion { msize: 1 << 20, version: "9P2000" }).unwrap();
        c
    }

    /// Sends a request: the answer, or the words of an Rerror.
    pub fn rpc(&mut self, t: &Tmsg<'_>) -> Answer<Rmsg<'_>> {
        let tag = if matches!(t, Tmsg::Tversion { .. }) { ninep::NOTAG } else { 1 };
        self.answer = self.front.call(&frame(tag, t));
        match Rmsg::decode(&self.answer).unwrap() {
            (_, Rmsg::Rerror { ename }) => Err(ename.into()),
            (_, r) => {
                r.answers(t).unwrap();
                Ok(r)
            }
        }
    }

    pub fn attach(&mut self, fid: u32, uname: &str) -> Answer<Qid> {
        match self.rpc(&Tmsg::Tattach { fid, afid: NOFID, uname, aname: "" })? {
            Rmsg::Rattach { qid } => Ok(qid),
            r => panic!("{r}"),
        }
    }

    /// How many names were walked.
    pub fn walk(&mut self, fid: u32, newfid: u32, names: &[&str]) -> Answer<usize> {
        let names: Vec<_> = names.iter().map(|n| Name::new(n).unwrap()).collect();
        match self.rpc(&Tmsg::Twalk { fid, newfid, wname: Names::new(&names).unwrap() })? {
            Rmsg::Rwalk { wqid } => Ok(wqid.len()),
            r => panic!("{r}"),
        }
    }

    pub fn open(&mut self, fid: u32, mode: u8) -> Answer<Qid> {
        match self.rpc(&Tmsg::Topen { fid, mode })? {
            Rmsg::Ropen { qid, .. } => Ok(qid),
            r => panic!("{r}"),
        }
    }

    pub fn create(&mut self, fid: u32, name: &str, perm: u32, mode: u8) -> Answer<Qid> {
        let name = Name::new(name).unwrap();
        match self.rpc(&Tmsg::Tcreate { fid, name, perm, mode })? {
            Rmsg::Rcreate { qid, .. } => Ok(qid),
            r => panic!("{r}"),
        }
    }

    /// Makes a file in the directory of `dir`, open as `fid`.
    pub fn make(&mut self, dir: u32, fid: u32, name: &str, perm: u32, mode: u8) -> Answer<Qid> {
        self.walk(dir, fid, &[])?;
        let made = self.create(fid, name, perm, mode);
        if made.is_err() {
            self.clunk(fid)?;
        }
        made
    }

    pub fn read(&mut self, fid: u32, offset: u64, count: u32) -> Answer<Vec<u8>> {
        match self.rpc(&Tmsg::Tread { fid, offset, count })? {
            Rmsg::Rread { data } => Ok(data.to_vec()),
            r => panic!("{r}"),
        }
    }

    pub fn write(&mut self, fid: u32, offset: u64, data: &[u8]) -> Answer<u32> {
        match self.rpc(&Tmsg::Twrite { fid, offset, data })? {
            Rmsg::Rwrite { count } => Ok(count),
            r => panic!("{r}"),
        }
    }

    pub fn clunk(&mut self, fid: u32) -> Answer<()> {
        self.rpc(&Tmsg::Tclunk { fid }).map(drop)
    }

    pub fn remove(&mut self, fid: u32) -> Answer<()> {
        self.rpc(&Tmsg::Tremove { fid }).map(drop)
    }

    /// The attributes, and the name by itself.
    pub fn stat(&mut self, fid: u32) -> Answer<Stat> {
        match self.rpc(&Tmsg::Tstat { fid })? {
            Rmsg::Rstat { stat } => Ok(Stat::from(&stat)),
            r => panic!("{r}"),
        }
    }

    pub fn wstat(&mut self, fid: u32, stat: &ninep::Stat<'_>) -> Answer<()> {
        self.rpc(&Tmsg::Twstat { fid, stat: *stat }).map(drop)
    }

    /// The names in an open directory.
    pub fn names(&mut self, fid: u32, count: u32) -> Vec<String> {
        let (mut offset, mut names) = (0, Vec::new());
        loop {
            let data = self.read(fid, offset, count).unwrap();
            if data.is_empty() {
                return names;
            }
            offset += data.len() as u64;
            names.extend(ninep::Stats::new(&data).map(|s| s.unwrap().name.to_string()));
        }
    }
}

/// A stat record of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stat {
    pub qid: Qid,
    pub mode: u32,
    pub mtime: u32,
    pub length: u64,
    pub name: String,
    pub uid: String,
    pub gid: String,
    pub muid: String,
}

impl From<&ninep::Stat<'_>> for Stat {
    fn from(s: &ninep::Stat<'_>) -> Stat {
        Stat {
            qid: s.qid,
            mode: s.mode,
            mtime: s.mtime,
            length: s.length,
            name: s.name.into(),
            uid: s.uid.into(),
            gid: s.gid.into(),
            muid: s.muid.into(),
        }
    }
}

/// A message as bytes.
pub fn frame(tag: u16, t: &Tmsg<'_>) -> Vec<u8> {
    let data = if let Tmsg::Twrite { data, .. } = t { data.len() } else { 0 };
    let mut out = vec![0; data + 8192];
    let len = t.encode(tag, &mut out).unwrap();
    out.truncate(len);
    out
}
