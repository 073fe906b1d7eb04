//! Messages in a stream of bytes: `size[4] type[1] tag[2]` and a body.
//!
//! [`next`] cuts the first frame off what has arrived or tells how much is missing; [`decode`] and [`encode`] turn
//! a frame into a message of any table and back.

use crate::text::{Flawed, Show, Words};
use crate::{Bad, Error, HEAD, Reader, Tag, Writer};

/// What stands at the start of the bytes that have arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame<'a> {
    /// No whole message yet: at least so many more bytes are needed.
    Missing(usize),
    /// A message, and what follows it.
    Whole {
        /// The message's bytes, its size included.
        frame: &'a [u8],
        /// The bytes after it.
        rest: &'a [u8],
    },
}

/// Looks for a message of at most `msize` bytes. An error means that the stream can't be followed any further.
pub fn next(bytes: &[u8], msize: u32) -> Result<Frame<'_>, Error> {
    let Some((size, _)) = bytes.split_first_chunk::<4>() else {
        return Ok(Frame::Missing(HEAD.saturating_sub(bytes.len())));
    };
    let size = u32::from_le_bytes(*size);
    let len = usize::try_from(size).map_err(|_| Error::Size(size))?;
    if len < HEAD || size > msize {
        return Err(Error::Size(size));
    }
    Ok(match bytes.split_at_checked(len) {
        Some((frame, rest)) => Frame::Whole { frame, rest },
        None => Frame::Missing(len.saturating_sub(bytes.len())),
    })
}

/// What a table makes of each of its enums; use the functions of the same names on the enums.
pub trait Message<'a>: Sized {
    /// The message's number.
    fn op(&self) -> u8;
    /// The message's name.
    fn name(&self) -> &'static str;
    /// Reads the body of a message of this number.
    fn get(op: u8, r: &mut Reader<'a>) -> Result<Self, Error>;
    /// How many bytes the whole message has.
    fn size(&self) -> usize;
    /// Writes the body.
    fn put(&self, w: &mut Writer<'_>) -> Result<(), Error>;
    /// Shows every field: its key and its value as they stand in a line of text.
    fn show(&self, show: Show<'_>);
    /// Reads the fields of a line of text and writes the body.
    fn read<'t>(op: u8, words: &mut Words<'t>, w: &mut Writer<'_>) -> Result<(), Flawed<'t>>;
    /// The number of the message of this name.
    fn number(name: &str) -> Option<u8>;
}

/// Type and tag of a frame, and its body.
pub fn head(frame: &[u8]) -> Result<(u8, Tag, Reader<'_>), Bad> {
    let mut r = Reader::new(frame);
    let mut parts = || Ok((u32::from_le_bytes(r.array()?), r.array::<1>()?, Tag::from_le_bytes(r.array()?)));
    let (size, [op], tag) = parts().map_err(Bad::untagged)?;
    if usize::try_from(size) != Ok(frame.len()) {
        return Err(Bad { tag, error: Error::Size(size) });
    }
    Ok((op, tag, r))
}

/// Reads a message that is exactly `frame`.
pub fn decode<'a, M: Message<'a>>(frame: &'a [u8]) -> Result<(Tag, M), Bad> {
    let (op, tag, mut r) = head(frame)?;
    let whole = M::get(op, &mut r).and_then(|m| r.end().map(|()| m));
    whole.map(|m| (tag, m)).map_err(|error| Bad { tag, error })
}

/// Writes a whole message into `room`: how many bytes it has.
pub fn encode<'a, M: Message<'a>>(m: &M, tag: Tag, room: &mut [u8]) -> Result<usize, Error> {
    build(m.op(), tag, room, |w| m.put(w))
}

/// Writes a message whose body `body` writes: how many bytes it has.
pub(crate) fn build<E: From<Error>>(
    op: u8,
    tag: Tag,
    room: &mut [u8],
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), E>,
) -> Result<usize, E> {
    let mut w = Writer::new(room);
    let size = w.reserve(4)?;
    w.array([op])?;
    w.array(tag.to_le_bytes())?;
    body(&mut w)?;
    let len = u32::try_from(w.written()).map_err(|_| Error::Count)?;
    size.copy_from_slice(&len.to_le_bytes());
    Ok(w.written())
}

/// Bytes of an Rread before its data.
pub const RREAD: usize = HEAD + 4;

/// Writes an Rread whose data `fill` puts in place, without a copy: how many bytes the message has. `fill` gets
/// room for at most `count` bytes and says how many it used; more than the room counts as all of it.
pub fn encode_read<E: From<Error>>(
    tag: Tag,
    count: u32,
    room: &mut [u8],
    fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
) -> Result<usize, E> {
    let (head, data) = room.split_first_chunk_mut::<RREAD>().ok_or(Error::Room)?;
    let most = usize::try_from(count).unwrap_or(usize::MAX).min(data.len());
    let data = data.get_mut(..most).unwrap_or_default();
    let n = fill(data)?.min(most);
    let len = n.saturating_add(RREAD);
    let mut w = Writer::new(head);
    w.array(u32::try_from(len).map_err(|_| Error::Count)?.to_le_bytes())?;
    w.array([abi::portal::op::TREAD.saturating_add(1)])?;
    w.array(tag.to_le_bytes())?;
    w.array(u32::try_from(n).map_err(|_| Error::Count)?.to_le_bytes())?;
    Ok(len)
}
