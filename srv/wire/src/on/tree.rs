//! [`Far`]: the server. A node is a fid of the wire's; everything else is the other end's to know.

use super::link::Link;
use ninep::{Name, Names, Rmsg, Stats, Tmsg};
use portolan::Mutex;
use portolan::alloc::vec::Vec;
use portolan::fs::Stat;
use serve::{Ctx, Error, Listing, Mode, Opened, Qid, Result, Server, Sink, Source};
use sync::Shared;

/// A fid of the wire. Dropping it lets go of the file.
struct Fid {
    link: &'static Link,
    number: u32,
    /// Of an open directory: the records that were read last, and from where. Whose reader goes on inside them is not
    /// asked for them again, since a directory may only be read on from where a read has ended.
    records: Mutex<(u64, Vec<u8>)>,
}

impl Fid {
    fn new(link: &'static Link, number: u32) -> Result<Shared<Fid>> {
        Ok(Shared::try_new(Fid { link, number, records: Mutex::new((0, Vec::new())) })?)
    }
}

impl Drop for Fid {
    fn drop(&mut self) {
        self.link.tell(&Tmsg::Tclunk { fid: self.number });
    }
}

/// What a fid of a client names.
#[derive(Clone)]
pub(super) struct Node {
    fid: Shared<Fid>,
    qid: Qid,
}

/// The server.
pub(super) struct Far {
    link: &'static Link,
}

impl Far {
    /// What the other end serves.
    pub(super) fn new(link: &'static Link) -> Far {
        Far { link }
    }

    /// Walks to a file of a directory, or with no name to the same file: a fid's number, and the file's qid.
    fn walked(&self, from: &Node, name: Option<&str>) -> Result<(u32, Qid)> {
        let list = [Name::new(name.unwrap_or(".")).map_err(|_| Error::NotExist)?];
        let list = if name.is_some() { &list[..] } else { &[] };
        let wname = Names::new(list).map_err(|_| Error::NotExist)?;
        let newfid = self.link.fid()?;
        let t = Tmsg::Twalk { fid: from.fid.number, newfid, wname };
        let qid = self.link.ask(&t, |r| match r {
            Rmsg::Rwalk { wqid } => Some(wqid.iter().last()),
            _ => None,
        })?;
        Ok((newfid, qid.unwrap_or(from.qid)))
    }

    /// The same as a node.
    fn step(&self, from: &Node, name: Option<&str>) -> Result<Node> {
        let (number, qid) = self.walked(from, name)?;
        Ok(Node { fid: Fid::new(self.link, number)?, qid })
    }

    /// Reads of a file or directory what one message brings.
    fn piece<T>(&self, node: &Node, offset: u64, most: usize, take: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let t = Tmsg::Tread { fid: node.fid.number, offset, count: most.min(self.link.room()) as u32 };
        self.link.ask(&t, |r| match r {
            Rmsg::Rread { data } => Some(take(data)),
            _ => None,
        })
    }
}

impl Server for Far {
    type Node = Node;

    fn attach(&self, cx: &Ctx<'_>, _: Option<&Node>, aname: &str) -> Result<Node> {
        let fid = self.link.fid()?;
        let t = Tmsg::Tattach { fid, afid: ninep::NOFID, uname: cx.user, aname };
        let qid = self.link.ask(&t, |r| match *r {
            Rmsg::Rattach { qid } => Some(qid),
            _ => None,
        })?;
        Ok(Node { fid: Fid::new(self.link, fid)?, qid })
    }

    fn qid(&self, node: &Node) -> Qid {
        node.qid
    }

    fn walk(&self, _: &Ctx<'_>, from: &Node, name: &str) -> Result<Node> {
        self.step(from, Some(name))
    }

    fn open(&self, _: &Ctx<'_>, node: &Node, mode: Mode) -> Result<Opened<Node>> {
        let open = self.step(node, None)?;
        let t = Tmsg::Topen { fid: open.fid.number, mode: mode.byte() };
        let (qid, iounit) = self.link.ask(&t, |r| match *r {
            Rmsg::Ropen { qid, iounit } => Some((qid, iounit)),
            _ => None,
        })?;
        Ok(Opened { node: Node { qid, ..open }, qid, iounit })
    }

    fn create(&self, _: &Ctx<'_>, dir: &Node, name: &str, perm: u32, mode: Mode) -> Result<Opened<Node>> {
        let new = self.step(dir, None)?;
        let name = Name::new(name).map_err(|_| Error::BadName)?;
        let t = Tmsg::Tcreate { fid: new.fid.number, name, perm, mode: mode.byte() };
        let (qid, iounit) = self.link.ask(&t, |r| match *r {
            Rmsg::Rcreate { qid, iounit } => Some((qid, iounit)),
            _ => None,
        })?;
        Ok(Opened { node: Node { qid, ..new }, qid, iounit })
    }

    fn read(&self, _: &Ctx<'_>, node: &Node, mut offset: u64, sink: &mut Sink<'_>) -> Result<()> {
        while sink.left() > 0 {
            let most = sink.left();
            let n = self.piece(node, offset, most, |data| sink.bytes(data).map(|()| data.len()))??;
            offset += n as u64;
            // A short answer is the end, or all that there is now.
            if n < most.min(self.link.room()) {
                break;
            }
        }
        Ok(())
    }

    fn list(&self, _: &Ctx<'_>, dir: &Node, from: u64, out: &mut Listing<'_, '_>) -> Result<()> {
        let mut records = dir.fid.records.lock();
        let mut place = from;
        loop {
            let (start, bytes) = &mut *records;
            let inside = place.checked_sub(*start).and_then(|skip| bytes.get(skip as usize..));
            let Some(rest) = inside.filter(|rest| !rest.is_empty()) else {
                let room = self.link.room();
                bytes.clear();
                *start = place;
                self.piece(dir, place, room, |data| {
                    bytes.try_reserve(data.len()).map(|()| bytes.extend_from_slice(data))
                })??;
                if bytes.is_empty() {
                    return Ok(());
                }
                continue;
            };
            let stat = Stats::new(rest).next().and_then(|s| s.ok()).ok_or(Error::BadStat)?;
            // A record begins with its length, which does not count itself.
            let len = rest.first_chunk::<2>().map_or(0, |b| 2 + u64::from(u16::from_le_bytes(*b)));
            place += len;
            if !out.entry(&stat, place)? {
                return Ok(());
            }
        }
    }

    fn write(&self, _: &Ctx<'_>, node: &Node, offset: u64, source: &mut Source<'_>) -> Result<u32> {
        let mut done = 0;
        let mut data = Vec::new();
        while source.left() > 0 {
            let len = source.left().min(self.link.room());
            data.clear();
            data.try_reserve(len)?;
            data.resize(len, 0);
            source.take(&mut data)?;
            let t = Tmsg::Twrite { fid: node.fid.number, offset: offset + u64::from(done), data: &data };
            let written = self.link.ask(&t, |r| match *r {
                Rmsg::Rwrite { count } => Some(count),
                _ => None,
            });
            match written {
                Ok(count) if count as usize == len => done += count,
                Ok(count) => return Ok(done + count),
                // What was written before counts; the next write meets the error.
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn remove(&self, _: &Ctx<'_>, node: &Node) -> Result<()> {
        // The message ends its fid, and the node's may be used further.
        let (fid, _) = self.walked(node, None)?;
        self.link.ask(&Tmsg::Tremove { fid }, |r| matches!(r, Rmsg::Rremove {}).then_some(()))
    }

    fn stat(&self, _: &Ctx<'_>, node: &Node, out: &mut dyn FnMut(&Stat<'_>) -> Result<()>) -> Result<()> {
        self.link.ask(&Tmsg::Tstat { fid: node.fid.number }, |r| match r {
            Rmsg::Rstat { stat } => Some(out(stat)),
            _ => None,
        })?
    }

    fn wstat(&self, _: &Ctx<'_>, node: &Node, new: &Stat<'_>) -> Result<()> {
        let t = Tmsg::Twstat { fid: node.fid.number, stat: *new };
        self.link.ask(&t, |r| matches!(r, Rmsg::Rwstat {}).then_some(()))
    }
}
