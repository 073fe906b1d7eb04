//! Message by message the same bytes as another codec's: the crate `ninep` of crates.io.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::{Parts, Random};
use ninep::{Qid, Rmsg, Stat, Tmsg};
use other::sansio::protocol::{self, NineP, Rdata, Rmessage, SharedBuf, Tdata, Tmessage};
use other::sync::SyncNineP;

fn qid(q: Qid) -> protocol::Qid {
    protocol::Qid { ty: protocol::FileType::new(q.kind), version: q.vers, path: q.path }
}

/// Its record, and the size that it wants before it.
fn stat(s: &Stat<'_>) -> (u16, protocol::RawStat) {
    let size = s.size() as u16;
    let stat = protocol::RawStat {
        size: size - 2,
        ty: s.kind,
        dev: s.dev,
        qid: qid(s.qid),
        mode: s.mode,
        atime: s.atime,
        mtime: s.mtime,
        length: s.length,
        name: s.name.into(),
        uid: s.uid.into(),
        gid: s.gid.into(),
        muid: s.muid.into(),
    };
    (size, stat)
}

fn request(t: &Tmsg<'_>) -> Tdata {
    match *t {
        Tmsg::Tversion { msize, version } => Tdata::version(msize, version),
        Tmsg::Tauth { afid, uname, aname } => Tdata::auth(afid, uname, aname),
        Tmsg::Tattach { fid, afid, uname, aname } => Tdata::attach(fid, afid, uname, aname),
        Tmsg::Tflush { oldtag } => Tdata::flush(oldtag),
        Tmsg::Twalk { fid, newfid, wname } => {
            Tdata::walk(fid, newfid, wname.iter().map(|n| n.as_str().to_string()).collect::<Vec<_>>())
        }
        Tmsg::Topen { fid, mode } => Tdata::open(fid, mode),
        Tmsg::Tcreate { fid, name, perm, mode } => Tdata::create(fid, name.as_str(), perm, mode),
        Tmsg::Tread { fid, offset, count } => Tdata::read(fid, offset, count),
        Tmsg::Twrite { fid, offset, data } => Tdata::write(fid, offset, data.to_vec()),
        Tmsg::Tclunk { fid } => Tdata::clunk(fid),
        Tmsg::Tremove { fid } => Tdata::remove(fid),
        Tmsg::Tstat { fid } => Tdata::stat(fid),
        Tmsg::Twstat { fid, stat: ref s } => {
            let (size, s) = stat(s);
            Tdata::wstat(fid, size, s)
        }
    }
}

fn answer(r: &Rmsg<'_>) -> Rdata {
    match *r {
        Rmsg::Rversion { msize, version } => Rdata::version(msize, version),
        Rmsg::Rauth { aqid } => Rdata::auth(qid(aqid)),
        Rmsg::Rattach { qid: q } => Rdata::attach(qid(q)),
        Rmsg::Rerror { ename } => Rdata::error(ename),
        Rmsg::Rflush {} => Rdata::flush(),
        Rmsg::Rwalk { wqid } => Rdata::walk(wqid.iter().map(qid).collect::<Vec<_>>()),
        Rmsg::Ropen { qid: q, iounit } => Rdata::open(qid(q), iounit),
        Rmsg::Rcreate { qid: q, iounit } => Rdata::create(qid(q), iounit),
        Rmsg::Rread { data } => Rdata::read(data.to_vec()),
        Rmsg::Rwrite { count } => Rdata::write(count),
        Rmsg::Rclunk {} => Rdata::clunk(),
        Rmsg::Rremove {} => Rdata::remove(),
        Rmsg::Rstat { stat: ref s } => {
            let (size, s) = stat(s);
            Rdata::stat(size, s)
        }
        Rmsg::Rwstat {} => Rdata::wstat(),
    }
}

/// Reads what the other codec makes of bytes.
fn read<M: NineP>(bytes: &[u8]) -> M {
    M::read_from(1 << 20, &SharedBuf::default(), &mut &bytes[..]).expect("the other codec reads it")
}

#[test]
fn both_codecs_write_and_read_the_same_bytes() {
    let mut room = vec![0; 4096];
    for seed in 0..2000 {
        let mut r = Random::new(seed);
        let parts = Parts::new(&mut r);
        let tag = r.next() as u16;
        for which in 0..Tmsg::ALL.len() {
            parts.request(which, |t| {
                let theirs = Tmessage::new(tag, request(&t));
                let n = t.encode(tag, &mut room).unwrap();
                assert_eq!(read::<Tmessage>(&room[..n]), theirs);
                let bytes = theirs.write_9p_bytes().unwrap();
                assert_eq!(bytes, room[..n]);
                assert_eq!(Tmsg::decode(&bytes), Ok((tag, t)));
            });
        }
        for which in 0..Rmsg::ALL.len() {
            let ours = parts.answer(which);
            let theirs = Rmessage::new(tag, answer(&ours));
            let n = ours.encode(tag, &mut room).unwrap();
            assert_eq!(read::<Rmessage>(&room[..n]), theirs);
            let bytes = theirs.write_9p_bytes().unwrap();
            assert_eq!(bytes, room[..n]);
            assert_eq!(Rmsg::decode(&bytes), Ok((tag, ours)));
        }
    }
}
