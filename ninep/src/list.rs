//! The lists inside messages: names of a Twalk, qids of an Rwalk; and the name itself.
//!
//! A list is a view of what it came from (wire bytes, a message page) or of a slice that a caller made; it is
//! checked where it is made and yields its elements by decoding them again.

use crate::{Error, Reader, Writer};
use abi::{file::Qid, limit};
use core::fmt;

/// The name of one path element: UTF-8, not empty, neither NUL nor slash in it. `.` and `..` are names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    /// The name `..`.
    pub const DOTDOT: Name<'static> = Name("..");

    /// A name, if it is one.
    pub fn new(s: &'a str) -> Result<Self, Error> {
        if s.is_empty() || s.bytes().any(|b| b == 0 || b == b'/') { Err(Error::Name) } else { Ok(Name(s)) }
    }

    /// The characters of the name.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Has it only the characters that intro(5) allows in the name of a new file: none of 00 to 1F and 80 to 9F?
    pub fn is_printable(self) -> bool {
        !self.0.chars().any(|c| c < '\u{20}' || ('\u{80}'..'\u{a0}').contains(&c))
    }
}

/// Are these bytes a name? One pass over them, since walks are frequent; most names are ASCII.
fn check(bytes: &[u8]) -> Result<(), Error> {
    let (mut all, mut nul, mut slash) = (0, false, bytes.is_empty());
    for b in bytes {
        all |= *b;
        nul |= *b == 0;
        slash |= *b == b'/';
    }
    if nul || (!all.is_ascii() && core::str::from_utf8(bytes).is_err()) {
        Err(Error::String)
    } else if slash {
        Err(Error::Name)
    } else {
        Ok(())
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

/// The names of a Twalk: at most [`limit::WALK`].
#[derive(Clone, Copy)]
pub struct Names<'a>(NameForm<'a>);

#[derive(Clone, Copy)]
enum NameForm<'a> {
    /// So many strings, one after the other.
    Wire(usize, &'a [u8]),
    List(&'a [Name<'a>]),
}

impl<'a> Names<'a> {
    /// No name: what a walk that clones has.
    pub const NONE: Names<'static> = Names(NameForm::List(&[]));

    /// These names.
    pub const fn new(list: &'a [Name<'a>]) -> Result<Self, Error> {
        if list.len() > limit::WALK { Err(Error::Count) } else { Ok(Names(NameForm::List(list))) }
    }

    /// The next `count` strings of a message.
    pub(crate) fn take(count: usize, r: &mut Reader<'a>) -> Result<Self, Error> {
        if count > limit::WALK {
            return Err(Error::Count);
        }
        let start = r.rest();
        let mut len = 0usize;
        for _ in 0..count {
            let size = u16::from_le_bytes(r.array()?);
            let name = r.take(usize::from(size))?;
            check(name)?;
            len = len.saturating_add(2).saturating_add(name.len());
        }
        Ok(Names(NameForm::Wire(count, start.get(..len).unwrap_or_default())))
    }

    /// The strings without their number.
    pub(crate) fn put(&self, w: &mut Writer<'_>) -> Result<(), Error> {
        match self.0 {
            NameForm::Wire(_, bytes) => w.bytes(bytes),
            NameForm::List(list) => list.iter().try_for_each(|n| w.string(n.0)),
        }
    }

    /// Bytes of the strings.
    pub(crate) fn size(&self) -> usize {
        match self.0 {
            NameForm::Wire(_, bytes) => bytes.len(),
            NameForm::List(list) => {
                list.iter().fold(0, |n, name| name.0.len().saturating_add(2).saturating_add(n))
            }
        }
    }

    /// How many.
    pub const fn len(&self) -> usize {
        match self.0 {
            NameForm::Wire(n, _) => n,
            NameForm::List(list) => list.len(),
        }
    }

    /// Is there none?
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names in order.
    pub fn iter(&self) -> impl Iterator<Item = Name<'a>> + Clone + use<'a> {
        let (bytes, list): (&[u8], &[Name<'_>]) = match self.0 {
            NameForm::Wire(_, bytes) => (bytes, &[]),
            NameForm::List(list) => (&[], list),
        };
        let mut r = Reader::new(bytes);
        core::iter::from_fn(move || r.string().ok().map(Name)).chain(list.iter().copied())
    }
}

impl PartialEq for Names<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Names<'_> {}

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The qids of an Rwalk: at most [`limit::WALK`].
#[derive(Clone, Copy)]
pub struct Qids<'a>(QidForm<'a>);

#[derive(Clone, Copy)]
enum QidForm<'a> {
    /// 13 bytes each, as on a wire.
    Wire(&'a [u8]),
    /// 16 bytes each, as in a message page.
    Page(&'a [u8]),
    List(&'a [Qid]),
}

/// Bytes of a qid on a wire and in a message page.
pub(crate) const WIRE_QID: usize = 13;
pub(crate) const PAGE_QID: usize = 16;

impl<'a> Qids<'a> {
    /// No qid: the answer to a walk that clones.
    pub const NONE: Qids<'static> = Qids(QidForm::List(&[]));

    /// These qids.
    pub const fn new(list: &'a [Qid]) -> Result<Self, Error> {
        if list.len() > limit::WALK { Err(Error::Count) } else { Ok(Qids(QidForm::List(list))) }
    }

    /// The next `count` qids of a message.
    pub(crate) fn take(count: usize, r: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Qids(QidForm::Wire(Self::bytes(count, WIRE_QID, r)?)))
    }

    /// The next `count` qids of a message page.
    pub(crate) fn take_page(count: usize, r: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Qids(QidForm::Page(Self::bytes(count, PAGE_QID, r)?)))
    }

    fn bytes(count: usize, each: usize, r: &mut Reader<'a>) -> Result<&'a [u8], Error> {
        if count > limit::WALK {
            return Err(Error::Count);
        }
        r.take(count.saturating_mul(each))
    }

    /// How many.
    pub const fn len(&self) -> usize {
        match self.0 {
            QidForm::Wire(b) => b.len() / WIRE_QID,
            QidForm::Page(b) => b.len() / PAGE_QID,
            QidForm::List(list) => list.len(),
        }
    }

    /// Is there none?
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The qids in order.
    pub fn iter(&self) -> impl Iterator<Item = Qid> + Clone + use<'a> {
        let (wire, page, list): (&[u8], &[u8], &[Qid]) = match self.0 {
            QidForm::Wire(b) => (b, &[], &[]),
            QidForm::Page(b) => (&[], b, &[]),
            QidForm::List(list) => (&[], &[], list),
        };
        let (mut wire, mut page) = (Reader::new(wire), Reader::new(page));
        core::iter::from_fn(move || get_qid(&mut wire).ok())
            .chain(core::iter::from_fn(move || get_page_qid(&mut page).ok()))
            .chain(list.iter().copied())
    }
}

impl PartialEq for Qids<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Qids<'_> {}

impl fmt::Debug for Qids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A qid in 13 bytes.
pub(crate) fn get_qid(r: &mut Reader<'_>) -> Result<Qid, Error> {
    let [kind] = r.array()?;
    Ok(Qid { kind, vers: u32::from_le_bytes(r.array()?), path: u64::from_le_bytes(r.array()?) })
}

/// A qid in 13 bytes.
pub(crate) fn put_qid(q: &Qid, w: &mut Writer<'_>) -> Result<(), Error> {
    w.array([q.kind])?;
    w.array(q.vers.to_le_bytes())?;
    w.array(q.path.to_le_bytes())
}

/// A qid in 16 bytes: the layout that `repr(C)` gives the type.
fn get_page_qid(r: &mut Reader<'_>) -> Result<Qid, Error> {
    let [kind, _, _, _] = r.array()?;
    Ok(Qid { kind, vers: u32::from_le_bytes(r.array()?), path: u64::from_le_bytes(r.array()?) })
}

/// A qid in 16 bytes.
pub(crate) fn put_page_qid(q: &Qid, w: &mut Writer<'_>) -> Result<(), Error> {
    w.array([q.kind, 0, 0, 0])?;
    w.array(q.vers.to_le_bytes())?;
    w.array(q.path.to_le_bytes())
}

const _: () = assert!(size_of::<Qid>() == PAGE_QID && core::mem::offset_of!(Qid, vers) == 4);
