//! The portal form: the same messages as words in registers and bytes in a message page.
//!
//! [`abi::portal`] lays the form down. Here a message goes into it ([`request`], [`answer`]) and comes out of it
//! ([`tmsg`], [`rmsg`]); whatever can be said in one form can be said in the other, except that the page has to
//! hold all strings of a message ([`Error::Room`] otherwise), and that a payload is memory beside the message:
//! the functions take it as a slice but leave copying, lending and addresses to their callers.

use crate::list::put_page_qid;
use crate::{Error, Field, Names, Qid, Qids, Reader, Rmsg, Stat, Tag, Tmsg, Writer};
use abi::portal::{Answer, Request, op};

/// The answer to a request of this number.
const fn answer_to(op: u8) -> u8 {
    op.wrapping_add(1)
}

/// Two words of 32 bits in one of 64.
const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

/// The high word of 32 bits.
const fn high(w: u64) -> u32 {
    (w >> 32) as u32
}

/// A length as the head's count.
fn length(n: usize) -> Result<u32, Error> {
    u32::try_from(n).map_err(|_| Error::Count)
}

/// Puts a request into words and `page`. The data of a Twrite is the caller's to place, and so are the request's
/// session and addresses, which are 0.
pub fn request(tag: Tag, t: &Tmsg<'_>, page: &mut [u8]) -> Result<Request, Error> {
    let mut w = Writer::new(page);
    // What differs from message to message: head `a` and `count`, both fids, the offset's word.
    let (a, count, fid, fid2, offset) = match *t {
        Tmsg::Tversion { msize, version } => {
            w.string(version)?;
            (0, msize, 0, 0, 0)
        }
        Tmsg::Tauth { afid, uname, aname } => {
            w.string(uname)?;
            w.string(aname)?;
            (0, 0, afid, 0, 0)
        }
        Tmsg::Tattach { fid, afid, uname, aname } => {
            w.string(uname)?;
            w.string(aname)?;
            (0, 0, fid, afid, 0)
        }
        Tmsg::Tflush { oldtag } => (0, 0, 0, 0, u64::from(oldtag)),
        Tmsg::Twalk { fid, newfid, wname } => {
            wname.put(&mut w)?;
            (u8::try_from(wname.len()).map_err(|_| Error::Count)?, 0, fid, newfid, 0)
        }
        Tmsg::Topen { fid, mode } => (mode, 0, fid, 0, 0),
        Tmsg::Tcreate { fid, name, perm, mode } => {
            name.put(&mut w)?;
            (mode, perm, fid, 0, 0)
        }
        Tmsg::Tread { fid, offset, count } => (0, count, fid, 0, offset),
        Tmsg::Twrite { fid, offset, data } => (0, length(data.len())?, fid, 0, offset),
        Tmsg::Tclunk { fid } | Tmsg::Tremove { fid } | Tmsg::Tstat { fid } => (0, 0, fid, 0, 0),
        Tmsg::Twstat { fid, stat } => {
            stat.put_record(&mut w)?;
            (0, length(w.written())?, fid, 0, 0)
        }
    };
    let head = Request::make_head(t.op(), a, tag, count);
    Ok(Request { head, fids: pair(fid, fid2), offset, ..Request::default() })
}

/// The request in words and `page`; `payload` is the memory with the data of a Twrite.
pub fn tmsg<'a>(r: &Request, page: &'a [u8], payload: &'a [u8]) -> Result<(Tag, Tmsg<'a>), Error> {
    let mut p = Reader::new(page);
    let (fid, fid2, offset, count) = (r.fid(), r.fid2(), r.offset, r.count());
    let t = match r.op() {
        op::TVERSION => Tmsg::Tversion { msize: count, version: p.string()? },
        op::TAUTH => Tmsg::Tauth { afid: fid, uname: p.string()?, aname: p.string()? },
        op::TATTACH => Tmsg::Tattach { fid, afid: fid2, uname: p.string()?, aname: p.string()? },
        op::TFLUSH => Tmsg::Tflush { oldtag: Tag::try_from(offset).map_err(|_| Error::Count)? },
        op::TWALK => Tmsg::Twalk { fid, newfid: fid2, wname: names(r, page)? },
        op::TOPEN => Tmsg::Topen { fid, mode: r.a() },
        op::TCREATE => Tmsg::Tcreate { fid, name: Field::get(&mut p)?, perm: count, mode: r.a() },
        op::TREAD => Tmsg::Tread { fid, offset, count },
        op::TWRITE => Tmsg::Twrite { fid, offset, data: first(payload, count)? },
        op::TCLUNK => Tmsg::Tclunk { fid },
        op::TREMOVE => Tmsg::Tremove { fid },
        op::TSTAT => Tmsg::Tstat { fid },
        op::TWSTAT => Tmsg::Twstat { fid, stat: Stat::decode(first(page, count)?)? },
        other => return Err(Error::Type(other)),
    };
    Ok((r.tag(), t))
}

/// The names of a Twalk alone: what is walked most often goes without a [`Tmsg`].
pub fn names<'a>(r: &Request, page: &'a [u8]) -> Result<Names<'a>, Error> {
    Names::take(usize::from(r.a()), &mut Reader::new(page))
}

/// The answer to a Twalk.
pub fn walked(qids: &Qids<'_>, page: &mut [u8]) -> Result<Answer, Error> {
    let mut w = Writer::new(page);
    qids.iter().try_for_each(|q| put_page_qid(&q, &mut w))?;
    let count = u8::try_from(qids.len()).map_err(|_| Error::Count)?;
    Ok(Answer { head: Answer::make_head(answer_to(op::TWALK), count, 0), ..Answer::default() })
}

/// The first `count` bytes.
fn first(bytes: &[u8], count: u32) -> Result<&[u8], Error> {
    let count = usize::try_from(count).map_err(|_| Error::Count)?;
    bytes.get(..count).ok_or(Error::Short)
}

/// Puts an answer into words and `page`. The data of an Rread is the caller's to place: at the request's payload, or
/// elsewhere with its address in the answer's `w1`.
pub fn answer(r: &Rmsg<'_>, page: &mut [u8]) -> Result<Answer, Error> {
    let mut w = Writer::new(page);
    let (a, count, w1, w2) = match *r {
        Rmsg::Rversion { msize, version } => {
            w.string(version)?;
            (0, msize, 0, 0)
        }
        Rmsg::Rauth { aqid: qid } | Rmsg::Rattach { qid } => (qid.kind, 0, qid.path, pair(qid.vers, 0)),
        Rmsg::Ropen { qid, iounit } | Rmsg::Rcreate { qid, iounit } => {
            (qid.kind, 0, qid.path, pair(qid.vers, iounit))
        }
        Rmsg::Rerror { ename } => match abi::error::Error::from_text(ename) {
            Some(e) => ((e as u8).wrapping_add(1), 0, 0, 0),
            None => {
                w.bytes(ename.as_bytes())?;
                (0, length(ename.len())?, 0, 0)
            }
        },
        Rmsg::Rwalk { wqid } => return walked(&wqid, page),
        Rmsg::Rread { data } => (abi::portal::Term::Copy as u8, length(data.len())?, 0, 0),
        Rmsg::Rwrite { count } => (0, count, 0, 0),
        Rmsg::Rstat { stat } => {
            stat.put_record(&mut w)?;
            (0, length(w.written())?, 0, 0)
        }
        Rmsg::Rflush {} | Rmsg::Rclunk {} | Rmsg::Rremove {} | Rmsg::Rwstat {} => (0, 0, 0, 0),
    };
    Ok(Answer { head: Answer::make_head(r.op(), a, count), w1, w2, w3: 0 })
}

/// The answer in words and `page`. `data` is the memory that `w1` leads to if it is not 0, otherwise the request's payload.
pub fn rmsg<'a>(a: &Answer, page: &'a [u8], data: &'a [u8]) -> Result<Rmsg<'a>, Error> {
    const RVERSION: u8 = answer_to(op::TVERSION);
    const RAUTH: u8 = answer_to(op::TAUTH);
    const RATTACH: u8 = answer_to(op::TATTACH);
    const RFLUSH: u8 = answer_to(op::TFLUSH);
    const RWALK: u8 = answer_to(op::TWALK);
    const ROPEN: u8 = answer_to(op::TOPEN);
    const RCREATE: u8 = answer_to(op::TCREATE);
    const RREAD: u8 = answer_to(op::TREAD);
    const RWRITE: u8 = answer_to(op::TWRITE);
    const RCLUNK: u8 = answer_to(op::TCLUNK);
    const RREMOVE: u8 = answer_to(op::TREMOVE);
    const RSTAT: u8 = answer_to(op::TSTAT);
    const RWSTAT: u8 = answer_to(op::TWSTAT);
    let qid = || Qid { kind: a.a(), vers: a.w2 as u32, path: a.w1 };
    let elsewhere = if a.w1 == 0 { page } else { data };
    let mut p = Reader::new(page);
    Ok(match a.op() {
        RVERSION => Rmsg::Rversion { msize: a.count(), version: p.string()? },
        RAUTH => Rmsg::Rauth { aqid: qid() },
        RATTACH => Rmsg::Rattach { qid: qid() },
        op::RERROR => Rmsg::Rerror { ename: words(a, elsewhere)? },
        RFLUSH => Rmsg::Rflush {},
        RWALK => Rmsg::Rwalk { wqid: Qids::take_page(usize::from(a.a()), &mut p)? },
        ROPEN => Rmsg::Ropen { qid: qid(), iounit: high(a.w2) },
        RCREATE => Rmsg::Rcreate { qid: qid(), iounit: high(a.w2) },
        RREAD => Rmsg::Rread { data: first(data, a.count())? },
        RWRITE => Rmsg::Rwrite { count: a.count() },
        RCLUNK => Rmsg::Rclunk {},
        RREMOVE => Rmsg::Rremove {},
        RSTAT => Rmsg::Rstat { stat: Stat::decode(first(elsewhere, a.count())?)? },
        RWSTAT => Rmsg::Rwstat {},
        other => return Err(Error::Type(other)),
    })
}

/// The words of an Rerror: those of a known error, or those at hand.
fn words<'a>(a: &Answer, elsewhere: &'a [u8]) -> Result<&'a str, Error> {
    if let Some(code) = a.a().checked_sub(1) {
        return abi::error::Error::from_code(code).map(abi::error::Error::text).ok_or(Error::Answer);
    }
    let words = core::str::from_utf8(first(elsewhere, a.count())?).map_err(|_| Error::String)?;
    if words.contains('\0') { Err(Error::String) } else { Ok(words) }
}
