//! [`Attributes`]: what Tgetattr tells of a file, as a qid and as a stat record.

use core::fmt::{self, Write};
use ninep::dialect::l::Rmsg;
use serve::Qid;

/// Mode and qid bits of 9P2000.u for what is neither a plain file nor a directory.
pub const DMSYMLINK: u32 = 0x0200_0000;
const DMDEVICE: u32 = 0x0080_0000;
const DMNAMEDPIPE: u32 = 0x0020_0000;
const DMSOCKET: u32 = 0x0010_0000;
/// Qid of a symbolic link.
pub const QTSYMLINK: u8 = 0x02;
/// Qid of a directory.
const QTDIR: u8 = 0x80;
const DMDIR: u32 = 0x8000_0000;

/// Linux's kinds of files, in a mode.
const KIND: u32 = 0o170_000;

/// The attributes that Tgetattr asks for: those that stat(2) has.
pub const ASKED: u64 = 0x7ff;

/// What a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A plain file.
    Plain,
    /// A symbolic link.
    Link,
    /// A pipe, socket or device, which can be seen but not opened.
    Special,
}

/// What a walk alone tells of a directory or link, whose pages nobody keeps: the host's qid will do. Of another file it
/// tells too little.
pub fn walked(qid: Qid) -> Option<(Kind, Qid)> {
    let kind = match qid.kind & (QTDIR | QTSYMLINK) {
        QTDIR => Kind::Dir,
        QTSYMLINK => Kind::Link,
        _ => return None,
    };
    Some((kind, Qid { kind: qid.kind & (QTDIR | QTSYMLINK), vers: qid.vers.max(1), path: qid.path }))
}

/// A file's attributes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attributes {
    /// The host's number of it.
    pub path: u64,
    /// The host's version of it, which is of whole seconds.
    pub version: u32,
    /// Linux's mode.
    pub mode: u32,
    /// Number of the owner.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Last access, in seconds since 1970.
    pub atime: u64,
    /// Last change of the contents: seconds, nanoseconds.
    pub mtime: [u64; 2],
    /// Last change of contents or attributes.
    pub ctime: [u64; 2],
}

impl Attributes {
    /// From an answer; `None` if it is another.
    pub fn new(r: &Rmsg<'_>) -> Option<Attributes> {
        let Rmsg::Rgetattr { qid, mode, uid, gid, size, .. } = *r else { return None };
        let Rmsg::Rgetattr { atime_sec: atime, mtime_sec, mtime_nsec, ctime_sec, ctime_nsec, .. } = *r else {
            return None;
        };
        let (mtime, ctime) = ([mtime_sec, mtime_nsec], [ctime_sec, ctime_nsec]);
        Some(Attributes { path: qid.path, version: qid.vers, mode, uid, gid, size, atime, mtime, ctime })
    }

    /// What the file is.
    pub const fn kind(&self) -> Kind {
        match self.mode & KIND {
            0o040_000 => Kind::Dir,
            0o100_000 => Kind::Plain,
            0o120_000 => Kind::Link,
            _ => Kind::Special,
        }
    }

    /// The qid. A file's version is made of the times, to the nanosecond, and the size: it is another when the file is
    /// another, and never 0.
    pub fn qid(&self) -> Qid {
        let kind = match self.kind() {
            Kind::Dir => QTDIR,
            Kind::Link => QTSYMLINK,
            Kind::Plain | Kind::Special => 0,
        };
        if let Some((_, qid)) = walked(Qid { kind, vers: self.version, path: self.path }) {
            return qid;
        }
        let [ms, mn] = self.mtime;
        let [cs, cn] = self.ctime;
        let mixed = [ms, mn, cs, cn, self.size]
            .iter()
            .fold(0u64, |sum, &n| (sum ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29));
        Qid { kind, vers: (mixed >> 32) as u32 | u32::from(mixed >> 32 == 0), path: self.path }
    }

    /// The mode of a stat record: permissions, and what the file is.
    pub const fn mode(&self) -> u32 {
        let kind = match self.mode & KIND {
            0o040_000 => DMDIR,
            0o120_000 => DMSYMLINK,
            0o140_000 => DMSOCKET,
            0o010_000 => DMNAMEDPIPE,
            0o100_000 => 0,
            _ => DMDEVICE,
        };
        kind | self.mode & 0o777
    }

    /// The length of a stat record.
    pub fn length(&self) -> u64 {
        if self.kind() == Kind::Dir { 0 } else { self.size }
    }
}

/// A number as a user's name.
#[derive(Debug, Default)]
pub struct Number {
    digits: [u8; 10],
    len: usize,
}

impl Number {
    /// The name.
    pub fn new(n: u32) -> Number {
        let mut number = Number::default();
        // Ten digits are enough for any.
        let _ = write!(number, "{n}");
        number
    }

    /// As text.
    pub fn text(&self) -> &str {
        self.digits.get(..self.len).and_then(|d| core::str::from_utf8(d).ok()).unwrap_or("")
    }
}

impl Write for Number {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = self.digits.get_mut(self.len..self.len + s.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(s.as_bytes());
        self.len += s.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Attributes = Attributes {
        path: 7,
        version: 9,
        mode: 0o100_644,
        uid: 0,
        gid: 0,
        size: 5,
        atime: 1,
        mtime: [1, 2],
        ctime: [3, 4],
    };

    #[test]
    fn a_version_changes_with_every_nanosecond_and_byte_and_is_never_0() {
        let vers = |f: Attributes| f.qid().vers;
        for other in [
            Attributes { mtime: [1, 3], ..FILE },
            Attributes { mtime: [2, 2], ..FILE },
            Attributes { ctime: [3, 5], ..FILE },
            Attributes { size: 6, ..FILE },
        ] {
            assert_ne!(vers(other), vers(FILE), "{other:?}");
        }
        assert_eq!(vers(Attributes { atime: 9, uid: 3, ..FILE }), vers(FILE));
        let nothing = Attributes { mtime: [0; 2], ctime: [0; 2], size: 0, ..FILE };
        assert_eq!(vers(nothing), 1);
    }

    #[test]
    fn kinds_show_in_the_mode_and_the_qid() {
        for (mode, shown, kind) in [
            (0o100_755, 0o755, 0),
            (0o104_755, 0o755, 0),
            (0o040_700, DMDIR | 0o700, QTDIR),
            (0o120_777, DMSYMLINK | 0o777, QTSYMLINK),
            (0o010_600, DMNAMEDPIPE | 0o600, 0),
            (0o140_600, DMSOCKET | 0o600, 0),
            (0o020_600, DMDEVICE | 0o600, 0),
        ] {
            let f = Attributes { mode, ..FILE };
            assert_eq!((f.mode(), f.qid().kind), (shown, kind), "{mode:o}");
        }
        assert_eq!(Attributes { mode: 0o040_700, version: 0, ..FILE }.qid().vers, 1);
        assert_eq!(Attributes { mode: 0o040_700, ..FILE }.length(), 0);
        assert_eq!(Number::new(u32::MAX).text(), "4294967295");
    }
}
