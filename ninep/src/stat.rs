//! Stat records: what stat(5) says of a file, and what directories are made of.

use crate::table::{field_type, record};
use crate::{Error, Name, Reader, Writer};

record! {
    /// A file's attributes (stat(5)).
    pub struct Stat<'a>;
    /// The manual's `type`: for the kernel's use.
    kind[2];
    /// For the kernel's use.
    dev[4];
    /// The server's name of the file.
    qid[13];
    /// Permissions and flags.
    mode[4];
    /// Last access, in seconds since 1970.
    atime[4];
    /// Last change of the contents, in seconds since 1970.
    mtime[4];
    /// Length of the file in bytes; 0 for directories.
    length[8];
    /// Last element of the path; `/` for a root.
    name[s];
    /// Owner.
    uid[s];
    /// Group.
    gid[s];
    /// Who changed it last.
    muid[s];
}

/// The record of a Twstat that changes nothing (and asks, by that, for a sync).
pub const NOCHANGE: Stat<'static> = Stat::NOCHANGE;

/// The records in what was read from a directory.
#[derive(Clone, Debug)]
pub struct Stats<'a>(Reader<'a>);

impl<'a> Stats<'a> {
    /// Reads the records in `data`, which must be whole.
    pub const fn new(data: &'a [u8]) -> Self {
        Stats(Reader::new(data))
    }
}

impl<'a> Iterator for Stats<'a> {
    type Item = Result<Stat<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.rest().is_empty() {
            return None;
        }
        let stat = Stat::get_record(&mut self.0);
        if stat.is_err() {
            self.0 = Reader::new(&[]);
        }
        Some(stat)
    }
}

/// A record's name is a name, or not to be touched, or that of a root.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name == "/" { Ok(()) } else { Name::new(name).map(drop) }
}

/// Inside a record nothing is missing but by a wrong size.
pub(crate) fn short_is_stat(e: Error) -> Error {
    if e == Error::Short { Error::Stat } else { e }
}

/// Fills in the size of what has been written since `before`.
pub(crate) fn put_size(size: &mut [u8], before: usize, w: &Writer<'_>) -> Result<(), Error> {
    let n = u16::try_from(w.written().saturating_sub(before)).map_err(|_| Error::Count)?;
    size.copy_from_slice(&n.to_le_bytes());
    Ok(())
}
