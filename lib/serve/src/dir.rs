//! [`Listing`]: how a directory's entries become the bytes of a read, whole records only (read(5)).

use crate::{Fail, Result, Sink};
use abi::error::Error;
use abi::limit;
use ninep::Stat;

/// Takes the entries of a directory until the reader's buffer is full.
pub struct Listing<'s, 'a> {
    sink: &'s mut Sink<'a>,
    place: u64,
    taken: u32,
    full: bool,
}

impl<'s, 'a> Listing<'s, 'a> {
    pub(crate) fn new(sink: &'s mut Sink<'a>, from: u64) -> Self {
        Listing { sink, place: from, taken: 0, full: false }
    }

    /// Offers an entry, and the place that is after it. `false`: the buffer is full, this one is for the next read.
    pub fn entry(&mut self, stat: &Stat<'_>, next: u64) -> Result<bool> {
        let mut record = [0; limit::STAT];
        let len = stat.encode(&mut record).map_err(|_| Error::BadStat)?;
        if self.full || len > self.sink.left() {
            self.full = true;
            return Ok(false);
        }
        self.sink.bytes(record.get(..len).unwrap_or_default())?;
        self.place = next;
        self.taken += 1;
        Ok(true)
    }

    /// The place after the last entry taken.
    pub(crate) fn finish(self) -> Result<u64> {
        if self.full && self.taken == 0 {
            // An empty answer would say that the directory ends here.
            return Err(Fail::Error(Error::ShortBuffer));
        }
        Ok(self.place)
    }
}
