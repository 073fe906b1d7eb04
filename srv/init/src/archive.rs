//! The boot archive: a cpio archive in the format `newc`, as `cpio -H newc` and `bsdtar` read and write it.
//!
//! A member is a header of 110 characters (the magic `070701` or `070702`, then thirteen numbers of eight hex digits),
//! its name with a NUL, and its data, each padded to four bytes. Members that share an inode number are one file; its
//! data comes with the last of them. The archive may be cut at any byte: what is whole before the cut is served.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

const HEADER: usize = 110;
/// The format's bits of a directory in `mode`.
const DIRECTORY: u32 = 0o40000;
const KIND: u32 = 0o170000;

/// A file or a directory of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Last element of the path; empty for the root.
    pub name: String,
    /// The directory that it is in; the root is its own.
    pub parent: usize,
    /// Is it a directory?
    pub dir: bool,
    /// Permission bits.
    pub perm: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Where the data lies in the archive; empty for directories.
    pub data: Range<usize>,
    /// The number of the first of its names, which are one file.
    pub file: usize,
}

/// The table of an archive's contents. Entry 0 is the root.
#[derive(Clone, Debug)]
pub struct Archive {
    entries: Vec<Entry>,
    /// By directory and name.
    index: BTreeMap<(usize, String), usize>,
    /// Did the archive end as it should, with its trailer?
    pub complete: bool,
}

fn hex(field: &[u8]) -> Option<u32> {
    u32::from_str_radix(core::str::from_utf8(field).ok()?, 16).ok()
}

const fn padded(n: usize) -> Option<usize> {
    n.checked_next_multiple_of(4)
}

struct Member<'a> {
    ino: u32,
    mode: u32,
    mtime: u32,
    name: &'a str,
    data: Range<usize>,
    next: usize,
}

fn member(bytes: &[u8], at: usize) -> Option<Member<'_>> {
    let header = bytes.get(at..at.checked_add(HEADER)?)?;
    if !matches!(header.get(..6)?, b"070701" | b"070702") {
        return None;
    }
    let field = |i: usize| hex(header.get(6 + 8 * i..14 + 8 * i)?);
    let (size, namesize) = (field(6)? as usize, field(11)? as usize);
    let name_at = at + HEADER;
    let name = bytes.get(name_at..name_at.checked_add(namesize.checked_sub(1)?)?)?;
    let start = padded(name_at.checked_add(namesize)?)?;
    let end = start.checked_add(size)?;
    bytes.get(start..end)?;
    Some(Member {
        ino: field(0)?,
        mode: field(1)?,
        mtime: field(5)?,
        name: core::str::from_utf8(name).ok()?,
        data: start..end,
        next: padded(end)?,
    })
}

impl Archive {
    /// Reads the table of contents.
    pub fn read(bytes: &[u8]) -> Archive {
        let root =
            Entry { name: String::new(), parent: 0, dir: true, perm: 0o555, mtime: 0, data: 0..0, file: 0 };
        let mut a = Archive { entries: alloc::vec![root], index: BTreeMap::new(), complete: false };
        // Files of several names whose data is still to come, by inode.
        let mut linked: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut at = 0;
        while let Some(m) = member(bytes, at) {
            at = m.next;
            if m.name == "TRAILER!!!" {
                a.complete = true;
                break;
            }
            let Some(i) = a.add(&m) else { continue };
            if m.mode & KIND != DIRECTORY && m.ino != 0 {
                let names = linked.entry(m.ino).or_default();
                names.push(i);
                let first = names.first().copied().unwrap_or(i);
                for &n in names.iter() {
                    if let Some(e) = a.entries.get_mut(n) {
                        e.file = first;
                        e.data = if m.data.is_empty() { e.data.clone() } else { m.data.clone() };
                    }
                }
            }
        }
        a
    }

    /// Adds a member with the directories above it; names that no path can have are left out.
    fn add(&mut self, m: &Member<'_>) -> Option<usize> {
        let mut dir = 0;
        let mut parts = m.name.split('/').filter(|p| !p.is_empty() && *p != ".").peekable();
        while let Some(name) = parts.next() {
            if name == ".." || name.len() > abi::limit::NAME {
                return None;
            }
            let last = parts.peek().is_none();
            let is_dir = !last || m.mode & KIND == DIRECTORY;
            let i = match self.find(dir, name) {
                Some(i) => i,
                None => self.insert(dir, name),
            };
            let e = self.entries.get_mut(i)?;
            if last {
                e.dir = is_dir;
                e.perm = m.mode & 0o777;
                e.mtime = m.mtime;
                e.data = if is_dir { 0..0 } else { m.data.clone() };
            } else if !e.dir {
                return None;
            }
            dir = i;
        }
        Some(dir)
    }

    fn insert(&mut self, parent: usize, name: &str) -> usize {
        let i = self.entries.len();
        self.entries.push(Entry {
            name: String::from(name),
            parent,
            dir: true,
            perm: 0o555,
            mtime: 0,
            data: 0..0,
            file: i,
        });
        self.index.insert((parent, String::from(name)), i);
        i
    }

    /// The entry of that number.
    pub fn get(&self, i: usize) -> Option<&Entry> {
        self.entries.get(i)
    }

    /// The entry of that name in a directory.
    pub fn find(&self, dir: usize, name: &str) -> Option<usize> {
        self.index.get(&(dir, String::from(name))).copied()
    }

    /// The entries of a directory whose numbers are at least `from`, in order.
    pub fn list(&self, dir: usize, from: usize) -> impl Iterator<Item = (usize, &Entry)> {
        self.entries.iter().enumerate().skip(from.max(1)).filter(move |(_, e)| e.parent == dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec;

    /// A member as `cpio -H newc` writes it.
    fn put(out: &mut Vec<u8>, ino: u32, mode: u32, name: &str, data: &[u8]) {
        let f = [ino, mode, 0, 0, 1, 7, data.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        out.extend(b"070701");
        f.iter().for_each(|v| out.extend(format!("{v:08x}").bytes()));
        out.extend(name.bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(data);
        out.resize(out.len().next_multiple_of(4), 0);
    }

    fn sample() -> Vec<u8> {
        let mut a = Vec::new();
        put(&mut a, 1, 0o40755, ".", b"");
        put(&mut a, 2, 0o100644, "./lib/words", b"one two");
        put(&mut a, 3, 0o100755, "bin/ls", b"");
        put(&mut a, 3, 0o100755, "bin/cat", b"program");
        put(&mut a, 4, 0o100644, "../escape", b"no");
        put(&mut a, 0, 0, "TRAILER!!!", b"");
        a
    }

    fn path(a: &Archive, p: &str) -> Option<usize> {
        p.split('/').try_fold(0, |dir, name| a.find(dir, name))
    }

    #[test]
    fn members_become_a_tree_with_the_directories_between() {
        let bytes = sample();
        let a = Archive::read(&bytes);
        assert!(a.complete);
        let words = a.get(path(&a, "lib/words").unwrap()).unwrap();
        assert_eq!(&bytes[words.data.clone()], b"one two");
        assert_eq!((words.perm, words.mtime, words.dir), (0o644, 7, false));
        assert!(a.get(path(&a, "lib").unwrap()).unwrap().dir);
        assert_eq!(path(&a, "escape"), None);
        assert_eq!(a.list(0, 0).map(|(_, e)| &e.name[..]).collect::<Vec<_>>(), ["lib", "bin"]);
    }

    #[test]
    fn names_of_one_inode_share_the_data() {
        let bytes = sample();
        let a = Archive::read(&bytes);
        let files = ["bin/ls", "bin/cat"].map(|name| a.get(path(&a, name).unwrap()).unwrap());
        assert!(files.iter().all(|f| &bytes[f.data.clone()] == b"program"));
        assert_eq!(files[0].file, files[1].file);
        assert_ne!(files[0].file, a.get(path(&a, "lib/words").unwrap()).unwrap().file);
    }

    #[test]
    fn an_archive_cut_anywhere_serves_what_is_whole() {
        let bytes = sample();
        let mut most = 0;
        for cut in 0..bytes.len() {
            let a = Archive::read(&bytes[..cut]);
            for i in 0.. {
                let Some(e) = a.get(i) else { break };
                assert!(e.data.end <= cut);
                most = most.max(i);
            }
            assert!(!a.complete || cut + 4 > bytes.len(), "cut at {cut}");
        }
        assert!(most >= 4);
    }

    #[test]
    fn nonsense_is_an_empty_archive() {
        for b in [vec![], vec![0; 200], b"070701zzzz".repeat(20)] {
            let a = Archive::read(&b);
            assert_eq!(a.list(0, 0).count(), 0);
        }
        let mut huge = Vec::new();
        put(&mut huge, 1, 0o100644, "x", b"");
        huge[94..102].copy_from_slice(b"ffffffff");
        assert_eq!(Archive::read(&huge).list(0, 0).count(), 0);
    }
}
