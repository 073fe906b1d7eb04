//! filer: an ordinary file server, written against the SDK's trait like any other. Nothing in it speaks of paging.
//!
//! Its files hold a pattern of bytes or what was written to them; a control file makes it slow, wrong or quiet.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{ORDWR, OREAD, OWRITE, QTDIR, QTFILE, Qid};
use portolan::abi::limit::PAGE;
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec;
use portolan::alloc::vec::Vec;
use portolan::fs::Stat;
use portolan::portal::{self, Limits, Portal};
use portolan::segment::{Access, Segment};
use portolan::served::{self, Ctx, Mode, Opened, Queue, Server, Sink, Source};
use portolan::{File, Mutex, Result, fs};

/// Its files; the place in the list is the qid's path.
const NAMES: &[&str] =
    &["/", "big", "short", "control", "gate", "fails", "store", "ctl", "prog", "vast", "raw"];
const SHORT: usize = 2;
const CONTROL: usize = 3;
const GATE: usize = 4;
const FAILS: usize = 5;
const STORE: usize = 6;
const CTL: usize = 7;
const PROG: usize = 8;
const VAST: usize = 9;
/// What `store` has here, never cached.
const RAW: usize = 10;

/// Bytes of the files that have a pattern.
pub(super) const BIG: usize = (1 << 20) + 777;

/// Bytes of `vast`, which has the pattern too.
pub(super) const LEN: usize = 80 << 20;

/// The pattern's byte at an offset.
pub(super) fn pattern(at: usize) -> u8 {
    (at ^ at >> 8 ^ at >> 16).wrapping_mul(37) as u8
}

struct Filer {
    pattern: Vec<u8>,
    program: Vec<u8>,
    store: Mutex<Vec<u8>>,
    vers: AtomicU32,
    /// Reads of files other than ctl.
    reads: AtomicU64,
    writes: AtomicU64,
    /// Readers of `gate` wait while this is 0.
    open: AtomicU32,
    /// Writes of `store` fail while this is not 0.
    refuse: AtomicU32,
    /// Writes of `store` wait while this is not 0.
    hold: AtomicU32,
    /// Another's file, in which the beginning of every write is noted.
    journal: Mutex<Option<Segment>>,
    queue: Queue,
}

impl Filer {
    fn bytes(&self, node: usize) -> &[u8] {
        if node == PROG { &self.program } else { &self.pattern }
    }

    fn qid(&self, node: usize) -> Qid {
        let vers = match node {
            CONTROL | CTL | RAW | 0 => 0,
            STORE => self.vers.load(Ordering::Relaxed),
            _ => 1,
        };
        Qid { kind: if node == 0 { QTDIR } else { QTFILE }, vers, path: node as u64 }
    }

    fn told(&self, ctx: &Ctx<'_>, text: &str) -> served::Result<()> {
        match text {
            "hold" => self.hold.store(1, Ordering::SeqCst),
            "open" => {
                self.hold.store(0, Ordering::SeqCst);
                self.open.store(1, Ordering::SeqCst);
                self.queue.wake(ctx.wake, u32::MAX);
            }
            "shut" => self.open.store(0, Ordering::SeqCst),
            "refuse" => self.refuse.store(1, Ordering::Relaxed),
            "accept" => self.refuse.store(0, Ordering::Relaxed),
            // As if somebody elsewhere had written the file.
            "change" => {
                self.store.lock().fill(b'*');
                self.vers.fetch_add(1, Ordering::Relaxed);
            }
            "shorter" => {
                self.store.lock().truncate(5000);
                self.vers.fetch_add(1, Ordering::Relaxed);
            }
            "journal" => *self.journal.lock() = None,
            _ => {
                let path = text.strip_prefix("journal ").ok_or(Known::BadCtl)?;
                let attach = |f: File| Segment::of_file(&f, Access::Write, 0, PAGE);
                *self.journal.lock() = File::open(path, ORDWR).and_then(attach).ok();
            }
        }
        Ok(())
    }
}

impl Server for Filer {
    type Node = usize;

    fn attach(&self, _: &Ctx<'_>, _: Option<&usize>, _: &str) -> served::Result<usize> {
        Ok(0)
    }

    fn qid(&self, node: &usize) -> Qid {
        Filer::qid(self, *node)
    }

    fn walk(&self, _: &Ctx<'_>, _: &usize, name: &str) -> served::Result<usize> {
        NAMES.iter().position(|&n| n == name).ok_or_else(|| Known::NotExist.into())
    }

    fn open(&self, _: &Ctx<'_>, node: &usize, mode: Mode) -> served::Result<Opened<usize>> {
        if mode.truncates() && *node == STORE {
            self.store.lock().clear();
            self.vers.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Opened { node: *node, qid: Filer::qid(self, *node), iounit: 0 })
    }

    fn read(&self, _: &Ctx<'_>, node: &usize, offset: u64, sink: &mut Sink<'_>) -> served::Result<()> {
        if *node != CTL {
            self.reads.fetch_add(1, Ordering::Relaxed);
        }
        match *node {
            CTL => {
                let text = format!(
                    "reads {}\nwrites {}\n",
                    self.reads.load(Ordering::Relaxed),
                    self.writes.load(Ordering::Relaxed)
                );
                sink.part(text.as_bytes(), offset)
            }
            GATE => {
                let seq = self.queue.seq();
                if self.open.load(Ordering::SeqCst) == 0 {
                    return Err(self.queue.wait(seq));
                }
                sink.part(&self.pattern, offset)
            }
            FAILS => Err(Known::Io.into()),
            STORE | RAW => sink.part(&self.store.lock(), offset),
            SHORT => {
                let at = usize::try_from(offset).unwrap_or(usize::MAX).min(BIG);
                sink.bytes(&self.pattern[at..BIG.min(at + 1000)])
            }
            // Made on the way: memory has no room for it.
            VAST => {
                let mut at = usize::try_from(offset).unwrap_or(usize::MAX).min(LEN);
                while at < LEN && sink.left() > 0 {
                    let n = (256 - at % 256).min(LEN - at);
                    let high = (at >> 8 ^ at >> 16) as u8;
                    let mut b = [0; 256];
                    for (i, to) in b[..n].iter_mut().enumerate() {
                        *to = ((at + i) as u8 ^ high).wrapping_mul(37);
                    }
                    sink.bytes(&b[..n])?;
                    at += n;
                }
                Ok(())
            }
            n => sink.part(self.bytes(n), offset),
        }
    }

    fn write(&self, ctx: &Ctx<'_>, node: &usize, offset: u64, from: &mut Source<'_>) -> served::Result<u32> {
        let mut data = vec![0; from.left()];
        from.take(&mut data)?;
        match *node {
            CTL => self.told(ctx, core::str::from_utf8(&data).unwrap_or(""))?,
            STORE if self.hold.load(Ordering::SeqCst) != 0 => {
                let seq = self.queue.seq();
                if self.hold.load(Ordering::SeqCst) != 0 {
                    return Err(self.queue.wait(seq));
                }
                return Err(Known::Interrupted.into());
            }
            STORE if self.refuse.load(Ordering::Relaxed) != 0 => return Err(Known::NoSpace.into()),
            STORE => {
                self.writes.fetch_add(1, Ordering::Relaxed);
                let (mut store, at) = (self.store.lock(), offset as usize);
                let end = at + data.len();
                if end > store.len() {
                    store.resize(end, 0);
                }
                store[at..end].copy_from_slice(&data);
                if let (Some(journal), Some(note)) = (&*self.journal.lock(), data.get(..2)) {
                    let _ = journal.write(0, note);
                }
                self.vers.fetch_add(1, Ordering::Relaxed);
            }
            _ => return Err(Known::Perm.into()),
        }
        Ok(data.len() as u32)
    }

    fn stat(
        &self,
        _: &Ctx<'_>,
        node: &usize,
        out: &mut dyn FnMut(&Stat<'_>) -> served::Result<()>,
    ) -> served::Result<()> {
        let length = match *node {
            STORE | RAW => self.store.lock().len(),
            0 | CTL => 0,
            VAST => LEN,
            n => self.bytes(n).len(),
        };
        out(&Stat {
            qid: Filer::qid(self, *node),
            mode: 0o777,
            length: length as u64,
            name: NAMES[*node],
            uid: "sys",
            gid: "sys",
            muid: "sys",
            atime: 0,
            mtime: 0,
            kind: 0,
            dev: 0,
        })
    }

    fn wstat(&self, _: &Ctx<'_>, _: &usize, _: &Stat<'_>) -> served::Result<()> {
        Ok(())
    }
}

/// The program that is running, which is the only one in the archive.
pub(super) fn program() -> Result<Vec<u8>> {
    let all = fs::read("#root/archive")?;
    let number = |at: usize| {
        let digits = all.get(at..at + 8).and_then(|d| core::str::from_utf8(d).ok()).unwrap_or("");
        usize::from_str_radix(digits, 16).unwrap_or(0)
    };
    // cpio(5), the new format: lengths of contents and name at 54 and 94, the name at 110, all padded to four.
    let from = (110 + number(94)).next_multiple_of(4);
    Ok(all.get(from..from + number(54)).unwrap_or_default().to_vec())
}

fn serve(name: &str) -> Result<Portal> {
    let portal = stay()?;
    portal.post(name)?;
    Ok(portal)
}

/// A portal before a filer in this process, which is wired from then on.
pub(super) fn stay() -> Result<Portal> {
    let filer = Filer {
        pattern: (0..BIG).map(pattern).collect(),
        program: program()?,
        store: Mutex::new(vec![b'.'; 300_000]),
        vers: AtomicU32::new(1),
        reads: AtomicU64::new(0),
        writes: AtomicU64::new(0),
        open: AtomicU32::new(0),
        hold: AtomicU32::new(0),
        journal: Mutex::new(None),
        refuse: AtomicU32::new(0),
        queue: Queue::new(1),
    };
    let (portal, _) = served::serve(filer, &Limits { activations: 8, flags: 0, stack: 0, reserved: 0 })?;
    Ok(portal)
}

/// Starts a filer and mounts it: its process.
pub(super) fn mounted(name: &str, at: &str) -> Result<u32> {
    let pid = portal::in_background(|| serve(name))?;
    let server = File::open(format!("/srv/{name}"), ORDWR)?;
    fs::mount(&server, at, 0, "")?;
    Ok(pid)
}

/// Tells it something.
pub(super) fn tell(at: &str, words: &str) -> Result<()> {
    File::open(format!("{at}/ctl"), OWRITE)?.write_all(words.as_bytes())
}

/// How many reads or writes it has seen.
pub(super) fn seen(at: &str, what: &str) -> Result<u64> {
    let all = String::from_utf8_lossy(&File::open(format!("{at}/ctl"), OREAD)?.read_all()?).into_owned();
    let line = all.lines().find_map(|l| l.strip_prefix(what)?.trim().parse().ok());
    line.ok_or_else(|| portolan::Error::new("no such count"))
}
