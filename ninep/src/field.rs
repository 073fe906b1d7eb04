//! What each kind of field in the tables does: decode, encode, appear in a text line, be read from one.

use crate::list::{get_qid, put_qid};
use crate::text::{Flawed, Quoted, Show, Words};
use crate::{Error, Name, Names, Qids, Reader, Writer};
use abi::file::Qid;

/// A field of a message.
pub trait Field<'a>: Sized {
    /// Reads it off the wire.
    fn get(r: &mut Reader<'a>) -> Result<Self, Error>;

    /// How many bytes it has on the wire.
    fn size(&self) -> usize;

    /// Writes it to the wire.
    fn put(&self, w: &mut Writer<'_>) -> Result<(), Error>;

    /// Shows each key and value by which a text line describes it.
    fn show(&self, key: &'static str, show: Show<'_>);

    /// Reads key and value of a text line and writes the field to the wire.
    fn read<'t>(key: &'static str, words: &mut Words<'t>, w: &mut Writer<'_>) -> Result<(), Flawed<'t>>;
}

macro_rules! numbers {
    ($($int:ident)*) => {$(
        impl Field<'_> for $int {
            fn get(r: &mut Reader<'_>) -> Result<Self, Error> {
                Ok($int::from_le_bytes(r.array()?))
            }
            fn size(&self) -> usize {
                size_of::<$int>()
            }
            fn put(&self, w: &mut Writer<'_>) -> Result<(), Error> {
                w.array(self.to_le_bytes())
            }
            fn show(&self, key: &'static str, show: Show<'_>) {
                match key {
                    "fid" | "newfid" | "afid" if u64::from(*self) == u64::from(crate::NOFID) => show(key, &"NOFID"),
                    // A mode of four bytes is a file's; of one, how to open it.
                    "perm" | "mode" if $int::BITS == 32 => show(key, &format_args!("{self:#o}")),
                    _ => show(key, self),
                }
            }
            fn read<'t>(key: &'static str, words: &mut Words<'t>, w: &mut Writer<'_>) -> Result<(), Flawed<'t>> {
                let n = words.key(key)?.number($int::BITS)?;
                let n = $int::try_from(n).unwrap_or($int::MAX);
                Ok(w.array(n.to_le_bytes())?)
            }
        }
    )*};
}

numbers!(u8 u16 u32 u64);

impl<'a> Field<'a> for &'a str {
    fn get(r: &mut Reader<'a>) -> Result<Self, Error> {
        r.string()
    }
    fn size(&self) -> usize {
        self.len().saturating_add(2)
    }
    fn put(&self, w: &mut Writer<'_>) -> Result<(), Error> {
        w.string(self)
    }
    fn show(&self, key: &'static str, show: Show<'_>) {
        show(key, &Quoted(self.as_bytes()));
    }
    fn read<'t>(key: &'static str, words: &mut Words<'t>, w: &mut Writer<'_>) -> Result<(), Flawed<'t>> {
        words.key(key)?.put_string(w)
    }
}

impl<'a> Field<'a> for Name<'a> {
    fn get(r: &mut Reader<'a>) -> Result<Self, Error> {
        Name::new(r.string()?)
    }
    fn size(&self) -> usize {
        self.as_str().size()
    }
    fn put(&self, w: &mut Writer<'_>) -> Result<(), Error> {
        w.string(self.as_str())
    }
    fn show(&self, key: &'static str, show: Show<'_>) {
        self.as_str().show(key, show);
    }
    fn read<'t>(key: &'static str, words: &mut Words<'t>, w: &mut Writer<'_>) -> Result<(), Flawed<'t>> {
        <&str>::read(key, words, w)
    }
}

impl<'a> Field<'a> for &'a [u8] {
    fn get(r: &mut Reader<'a>) -> Result<Self, Error> {
        let count = usize::try_from(u32::get(r)?).map_err(|_| Error::Count)?;
        r.take(count)
    }
    fn size(&self) -> usize {
        self.len().saturating_add(4)
    }
    fn put(&self, w: &mut Writer<'_>) -> Result<(), Error> {
        u32::try_from(self.len()).map_err(|_| Error::Count)?.put(w)?;
        w.bytes(self)
    }
    fn show(&self, key: &'static str, show: Show<'_>) {
        show("count", &self.len());
        show(key, &Quoted(self));
    }
    fn read<'t>(key: &'static str, words: &mut Words<'t>, w: &mut Writer<'_>) -> Result<(), Flawed<'t>> {
        let said = words.optional("count")?;
        let data = words.key(key)?;
        let size = w.reserve(4)?;
        let before = w.written();
        data.put_bytes(w)?;
        let len = u32::try_from(w.written().saturating_sub(before)).map_err(|_| Error::Count)?;
        size.copy_from_slice(&len.to_le_bytes());
        match said {
            Some(word) if word.number(u32::BITS)? != u64::from(len) => Err(word.flaw("the length of data")),
            _ => Ok(()),
        }
    }
}

impl Field<'_> for Qid {
    fn get(r: &mut Reader<'_>) -> Result<Self, Error> {
        get_qid(r)
    }
    fn size(&self) -> usize {
        crate::list::WIRE_QID
    }
    fn put(&self, w: &mut Writer<'_>) -> Result<(), Error> {
        put_qid(self, w)
    }
    fn show(&self, key: &'static str, show: Show<'_>) {
        show(key, &crate::text::QidText(*self));
    }
    fn read<'t>(key: &'static str, words: &mut Words<'t>, w: &mut Writer<'_>) -> Result<(), Flawed<'t>> {
        let qid = words.key(key)?.qid()?;
        Ok(put_qid(&qid, w)?)
    }
}

/// The `n` that stands before a list, and its list: `n[2] n*(…)`.
fn read_list<'t>(
    count_key: &'static str,
    key: &'static str,
    words: &mut Words<'t>,
    w: &mut Writer<'_>,
    mut each: impl FnMut(crate::text::Word<'t>, &mut Writer<'_>) -> Result<(), Flawed<'t>>,
) -> Result<(), Flawed<'t>> {
    let said = words.optional(count_key)?;
    let size = w.reserve(2)?;
    let mut n = 0u16;
    if words.skip(key) {
        while let Some(word) = words.next()? {
            each(word, w)?;
            n = n.checked_add(1).ok_or(Error::Count)?;
        }
    }
    size.copy_from_slice(&n.to_le_bytes());
    match said {
        Some(word) if word.number(u16::BITS)? != u64::from(n) => Err(word.flaw("the number of elements")),
        _ => Ok(()),
    }
}

fn put_count(n: usize, w: &mut Writer<'_>) -> Result<(), Error> {
    u16::try_from(n).map_err(|_| Error::Count)?.put(w)
}

impl<'a> Field<'a> for Names<'a> {
    fn get(r: &mut Reader<'a>) -> Result<Self, Error> {
        let n = u16::get(r)?;
        Names::take(usize::from(n), r)
    }
    fn size(&self) -> usize {
        Names::size(self).saturating_add(2)
    }
    fn put(&self, w: &mut Writer<'_>) -> Result<(), Error> {
        put_count(self.len(), w)?;
        Names::put(self, w)
    }
    fn show(&self, key: &'static str, show: Show<'_>) {
        show("nwname", &self.len());
        if !self.is_empty() {
            show(key, self);
        }
    }
    fn read<'t>(key: &'static str, words: &mut Words<'t>, w: &mut Writer<'_>) -> Result<(), Flawed<'t>> {
        read_list("nwname", key, words, w, |word, w| word.put_string(w))
    }
}

impl<'a> Field<'a> for Qids<'a> {
    fn get(r: &mut Reader<'a>) -> Result<Self, Error> {
        let n = u16::get(r)?;
        Qids::take(usize::from(n), r)
    }
    fn size(&self) -> usize {
        self.len().saturating_mul(crate::list::WIRE_QID).saturating_add(2)
    }
    fn put(&self, w: &mut Writer<'_>) -> Result<(), Error> {
        put_count(self.len(), w)?;
        self.iter().try_for_each(|q| put_qid(&q, w))
    }
    fn show(&self, key: &'static str, show: Show<'_>) {
        show("nwqid", &self.len());
        if !self.is_empty() {
            show(key, self);
        }
    }
    fn read<'t>(key: &'static str, words: &mut Words<'t>, w: &mut Writer<'_>) -> Result<(), Flawed<'t>> {
        read_list("nwqid", key, words, w, |word, w| Ok(put_qid(&word.qid()?, w)?))
    }
}
