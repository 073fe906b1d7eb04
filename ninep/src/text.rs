//! Messages as lines of text, in the manner of Plan 9's tracers and of 9pcon: written by `Display`, read by [`encode`].
//!
//! ```text
//! Tversion tag NOTAG msize 8216 version 9P2000
//! Twalk tag 1 fid 0 newfid 1 nwname 2 wname usr 'Ken''s files'
//! Twrite tag 3 fid 5 offset 0 count 5 data hello
//! Rwalk tag 1 nwqid 2 wqid 1,0,d 17,3,-
//! Twstat tag 9 fid 5 mode 0o644
//! ```
//!
//! A line is the message's name and then a key and a value for each field, all separated by blanks, in the order
//! in which the message has them. The tag comes first.
//!
//! - A number is decimal, `0x…`, `0o…`, or `NOFID`, `NOTAG` or `~0`, which all mean "every bit set".
//! - A string, a name or data is a bare word; or between single quotes, where `''` is a quote (as in rc); or `%` and
//!   hexadecimal digits, which can say any bytes, those that make a message invalid too.
//! - A qid is `path,vers,kind`, where kind is `-` or letters: `d` directory, `a` append-only, `l` exclusive, `m` mounted,
//!   `A` authentication, `t` temporary, `S` symbolic link, `L` link; or a number.
//! - `wname` and `wqid` are followed by all their elements. `nwname`, `nwqid` and the `count` of data may be left out;
//!   if they are there they must be right.
//! - The fields of a stat record stand in the line like the message's own. A field that is left out is "don't touch".
//!
//! A precision cuts long data: `{:.32}` shows its first 32 bytes and then `…`.

use crate::frame::{Message, build};
use crate::{Error, Names, Qid, Qids, Rmsg, Tag, Tmsg, Writer};
use core::fmt::{self, Display, Formatter, Write};

/// Takes the key and the value of each field of a message.
pub type Show<'s> = &'s mut dyn FnMut(&'static str, &dyn Display);

/// A message with its tag, to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Line<'m, M> {
    message: &'m M,
    tag: Tag,
}

impl<'m, M> Line<'m, M> {
    /// This message under this tag.
    pub const fn new(message: &'m M, tag: Tag) -> Self {
        Line { message, tag }
    }
}

impl<'a, M: Message<'a>> Display for Line<'_, M> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_message(self.message, Some(self.tag), f)
    }
}

/// Writes the message's line.
pub(crate) fn write_message<'a, M: Message<'a>>(
    m: &M,
    tag: Option<Tag>,
    f: &mut Formatter<'_>,
) -> fmt::Result {
    f.write_str(m.name())?;
    match tag {
        None => {}
        Some(crate::NOTAG) => f.write_str(" tag NOTAG")?,
        Some(tag) => write!(f, " tag {tag}")?,
    }
    write_fields(f, " ", &mut |show| m.show(show))
}

/// Writes keys and values, the first one after `before`.
pub(crate) fn write_fields(
    f: &mut Formatter<'_>,
    before: &'static str,
    fields: &mut dyn FnMut(Show<'_>),
) -> fmt::Result {
    let mut result = Ok(());
    let mut before = before;
    fields(&mut |key, value| {
        let mut write = || {
            f.write_str(before)?;
            f.write_str(key)?;
            f.write_char(' ')?;
            value.fmt(f)
        };
        if result.is_ok() {
            result = write();
        }
        before = " ";
    });
    result
}

/// A string or data, shown as a word that reads back the same.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let shown = f.precision().and_then(|n| self.0.get(..n)).unwrap_or(self.0);
        match core::str::from_utf8(shown) {
            Ok(s) if s.chars().all(|c| !c.is_control()) => write_word(s, f)?,
            _ => {
                f.write_char('%')?;
                shown.iter().try_for_each(|b| write!(f, "{b:02x}"))?;
            }
        }
        if shown.len() < self.0.len() { f.write_char('…') } else { Ok(()) }
    }
}

/// A string without control characters, quoted if it must be.
fn write_word(s: &str, f: &mut Formatter<'_>) -> fmt::Result {
    let bare =
        !s.is_empty() && !s.starts_with(['%', '#']) && !s.contains(|c: char| c.is_whitespace() || c == '\'');
    if bare {
        return f.write_str(s);
    }
    f.write_char('\'')?;
    for c in s.chars() {
        if c == '\'' {
            f.write_char('\'')?;
        }
        f.write_char(c)?;
    }
    f.write_char('\'')
}

impl Display for Names<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_list(self.iter().map(|n| Quoted(n.as_str().as_bytes())), f)
    }
}

impl Display for Qids<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_list(self.iter().map(QidText), f)
    }
}

fn write_list<T: Display>(items: impl Iterator<Item = T>, f: &mut Formatter<'_>) -> fmt::Result {
    for (i, item) in items.enumerate() {
        if i > 0 {
            f.write_char(' ')?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

/// A qid, shown as `path,vers,kind`.
#[derive(Clone, Copy, Debug)]
pub struct QidText(pub Qid);

/// The bits of a qid's kind, highest first.
const KINDS: [char; 8] = ['d', 'a', 'l', 'm', 'A', 't', 'S', 'L'];

impl Display for QidText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Qid { kind, vers, path } = self.0;
        write!(f, "{path},{vers},")?;
        if kind == 0 {
            return f.write_char('-');
        }
        let bits = core::iter::successors(Some(0x80u8), |b| Some(b >> 1));
        bits.zip(KINDS).filter(|(bit, _)| kind & bit != 0).try_for_each(|(_, c)| f.write_char(c))
    }
}

/// Why a line is no message: what was found and what should have been there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flawed<'t> {
    /// A word is not what should stand in its place.
    Word {
        /// The word; empty if the line ends there.
        found: &'t str,
        /// What should have been there.
        want: &'static str,
    },
    /// The message can't be said, or has no room.
    Message(Error),
}

impl From<Error> for Flawed<'_> {
    fn from(e: Error) -> Self {
        Flawed::Message(e)
    }
}

impl Display for Flawed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Flawed::Word { found: "", want } => write!(f, "expected {want} at the end of the line"),
            Flawed::Word { found, want } => write!(f, "expected {want}, found {found}"),
            Flawed::Message(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for Flawed<'_> {}

/// The words of a line that are still to be read.
#[derive(Clone, Debug)]
pub struct Words<'t>(&'t str);

impl<'t> Words<'t> {
    /// The words of this line.
    pub const fn new(line: &'t str) -> Self {
        Words(line)
    }

    /// The next word.
    #[expect(
        clippy::should_implement_trait,
        reason = "an open quote is an error, which an iterator can't say well"
    )]
    pub fn next(&mut self) -> Result<Option<Word<'t>>, Flawed<'t>> {
        let line = self.0.trim_start();
        if line.is_empty() {
            return Ok(None);
        }
        let end = if line.starts_with('\'') { quoted_end(line)? } else { line.find(char::is_whitespace) };
        let (word, rest) = line.split_at_checked(end.unwrap_or(line.len())).unwrap_or((line, ""));
        self.0 = rest;
        Ok(Some(Word(word)))
    }

    /// Is the next word this key?
    pub fn at(&self, key: &str) -> bool {
        matches!(self.clone().next(), Ok(Some(Word(w))) if w == key)
    }

    /// Reads the key, if it is next.
    pub fn skip(&mut self, key: &str) -> bool {
        self.at(key) && self.next().is_ok()
    }

    /// Reads the key and gives its value.
    pub fn key(&mut self, key: &'static str) -> Result<Word<'t>, Flawed<'t>> {
        let found = self.next()?;
        match found {
            Some(Word(w)) if w == key => self.next()?.ok_or(Flawed::Word { found: "", want: "a value" }),
            _ => Err(Flawed::Word { found: found.map_or("", |w| w.0), want: key }),
        }
    }

    /// Reads the key and gives its value, if the key is next.
    pub fn optional(&mut self, key: &'static str) -> Result<Option<Word<'t>>, Flawed<'t>> {
        if self.at(key) { self.key(key).map(Some) } else { Ok(None) }
    }

    /// Fails unless all words have been read.
    pub fn end(&mut self) -> Result<(), Flawed<'t>> {
        match self.next()? {
            None => Ok(()),
            Some(w) => Err(w.flaw("the end of the line")),
        }
    }
}

/// Where the quoted word at the start of a line ends: after a quote that no quote follows.
fn quoted_end(line: &str) -> Result<Option<usize>, Flawed<'_>> {
    let mut quotes = line.char_indices().skip(1).filter(|c| c.1 == '\'').map(|c| c.0).peekable();
    while let Some(at) = quotes.next() {
        if quotes.next_if_eq(&at.saturating_add(1)).is_none() {
            return Ok(Some(at.saturating_add(1)));
        }
    }
    Err(Flawed::Word { found: line, want: "a closing quote" })
}

/// A word of a line, as it stands there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word<'t>(pub &'t str);

impl<'t> Word<'t> {
    /// The complaint that something else should stand here.
    pub const fn flaw(self, want: &'static str) -> Flawed<'t> {
        Flawed::Word { found: self.0, want }
    }

    /// A number of at most so many bits.
    pub fn number(self, bits: u32) -> Result<u64, Flawed<'t>> {
        let most = u64::MAX.checked_shr(u64::BITS.saturating_sub(bits)).unwrap_or(0);
        let n = match self.0 {
            "NOFID" | "NOTAG" | "~0" => Some(most),
            s => match (s.strip_prefix("0x"), s.strip_prefix("0o")) {
                (Some(hex), _) => u64::from_str_radix(hex, 16).ok(),
                (_, Some(octal)) => u64::from_str_radix(octal, 8).ok(),
                _ => s.parse().ok(),
            },
        };
        n.filter(|n| *n <= most).ok_or(self.flaw("a number that fits its field"))
    }

    /// A qid.
    pub fn qid(self) -> Result<Qid, Flawed<'t>> {
        let flaw = self.flaw("a qid: path,vers,kind");
        let mut parts = self.0.splitn(3, ',').map(Word);
        let (Some(path), Some(vers), Some(kind)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(flaw);
        };
        let letters = kind.0.chars().try_fold(0u8, |bits, c| {
            let at = KINDS.iter().position(|k| *k == c)?;
            Some(bits | 0x80u8.checked_shr(u32::try_from(at).ok()?)?)
        });
        let kind = match (kind.0, letters) {
            ("-", _) => 0,
            ("", _) => return Err(flaw),
            (_, Some(bits)) => bits,
            _ => u8::try_from(kind.number(u8::BITS)?).unwrap_or(u8::MAX),
        };
        let vers = u32::try_from(vers.number(u32::BITS)?).unwrap_or(u32::MAX);
        Ok(Qid { kind, vers, path: path.number(u64::BITS)? })
    }

    /// Writes the bytes that the word stands for.
    pub fn put_bytes(self, w: &mut Writer<'_>) -> Result<(), Flawed<'t>> {
        if let Some(quoted) = self.0.strip_prefix('\'').and_then(|s| s.strip_suffix('\'')) {
            let mut parts = quoted.split("''");
            w.bytes(parts.next().unwrap_or_default().as_bytes())?;
            return Ok(parts.try_for_each(|part| w.bytes(b"'").and_then(|()| w.bytes(part.as_bytes())))?);
        }
        let Some(hex) = self.0.strip_prefix('%') else { return Ok(w.bytes(self.0.as_bytes())?) };
        let (pairs, odd) = hex.as_bytes().as_chunks::<2>();
        if !odd.is_empty() {
            return Err(self.flaw("an even number of hexadecimal digits"));
        }
        for pair in pairs {
            let digits = pair.map(|d| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok()));
            let [Some(high), Some(low)] = digits else { return Err(self.flaw("hexadecimal digits")) };
            w.array([high << 4 | low])?;
        }
        Ok(())
    }

    /// Writes the string that the word stands for, its length first; its bytes are not checked.
    pub fn put_string(self, w: &mut Writer<'_>) -> Result<(), Flawed<'t>> {
        let size = w.reserve(2)?;
        let before = w.written();
        self.put_bytes(w)?;
        let len = u16::try_from(w.written().saturating_sub(before)).map_err(|_| Error::Count)?;
        size.copy_from_slice(&len.to_le_bytes());
        Ok(())
    }
}

/// Writes the message of a line of text, of either direction, into `room`: how many bytes it has.
///
/// The bytes are what the line says even where no valid message has them (a NUL in a name, a seventeenth name), so
/// that a test can say such things.
pub fn encode<'t>(line: &'t str, room: &mut [u8]) -> Result<usize, Flawed<'t>> {
    if line.trim_start().starts_with('R') {
        encode_as::<Rmsg<'_>>(line, room)
    } else {
        encode_as::<Tmsg<'_>>(line, room)
    }
}

/// Writes the message of a line of text of this table into `room`: how many bytes it has.
pub fn encode_as<'a, 't, M: Message<'a>>(line: &'t str, room: &mut [u8]) -> Result<usize, Flawed<'t>> {
    let mut words = Words::new(line);
    let name = words.next()?.unwrap_or(Word(""));
    let op = M::number(name.0).ok_or(name.flaw("the name of a message"))?;
    let tag = words.key("tag")?.number(Tag::BITS)?;
    build(op, Tag::try_from(tag).unwrap_or(crate::NOTAG), room, |w| {
        M::read(op, &mut words, w)?;
        words.end()
    })
}
