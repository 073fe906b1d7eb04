//! Writes newc cpio archives: the boot archive of the machine, and the initial root of the Linux that tests mount with.
//!
//! The format is 110 bytes of hexadecimal ASCII, a name and the contents, each padded to four bytes. Entries are sorted and
//! carry no time or owner, so the same files give the same archive.

use std::collections::BTreeMap;

/// What stands at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Entry {
    Folder,
    File {
        mode: u32,
        data: Vec<u8>,
    },
    Link(String),
    /// The file of another name of the archive.
    Same(String),
}

/// An archive being put together.
#[derive(Clone, Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

impl Archive {
    /// Adds a file, and the folders above it. `mode` is the nine permission bits.
    pub fn file(&mut self, path: &str, mode: u32, data: Vec<u8>) {
        self.folders_above(path);
        self.entries.insert(trimmed(path), Entry::File { mode, data });
    }

    /// Adds to the end of a file, if it is there.
    pub fn append(&mut self, path: &str, more: &[u8]) {
        if let Some(Entry::File { data, .. }) = self.entries.get_mut(&trimmed(path)) {
            data.extend(more);
        }
    }

    /// Adds a folder, and those above it.
    pub fn folder(&mut self, path: &str) {
        self.folders_above(path);
        self.entries.insert(trimmed(path), Entry::Folder);
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, to: &str) {
        self.folders_above(path);
        self.entries.insert(trimmed(path), Entry::Link(to.into()));
    }

    /// Adds one file under several names, as hard links.
    pub fn same(&mut self, paths: &[String], mode: u32, data: Vec<u8>) {
        // The data comes with the last name, and entries are in the order of names.
        let Some(last) = paths.iter().max() else { return };
        for path in paths.iter().filter(|p| *p != last) {
            self.folders_above(path);
            self.entries.insert(trimmed(path), Entry::Same(trimmed(last)));
        }
        self.file(last, mode, data);
    }

    /// Whether something stands at the path.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.entries.contains_key(&trimmed(path))
    }

    fn folders_above(&mut self, path: &str) {
        let path = trimmed(path);
        for (at, _) in path.match_indices('/') {
            self.entries.entry(path[..at].to_string()).or_insert(Entry::Folder);
        }
    }

    /// The bytes of the archive.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let number = |path: &String| self.entries.range(..=path.clone()).count();
        for (path, entry) in &self.entries {
            match entry {
                Entry::Folder => put(&mut out, number(path), path, 0o040_755, &[]),
                Entry::File { mode, data } => put(&mut out, number(path), path, 0o100_000 | mode, data),
                Entry::Link(to) => put(&mut out, number(path), path, 0o120_777, to.as_bytes()),
                Entry::Same(as_file) => {
                    let Some(Entry::File { mode, .. }) = self.entries.get(as_file) else { continue };
                    put(&mut out, number(as_file), path, 0o100_000 | mode, &[]);
                }
            }
        }
        put(&mut out, 0, "TRAILER!!!", 0, &[]);
        out
    }
}

fn trimmed(path: &str) -> String {
    path.trim_matches('/').to_string()
}

fn put(out: &mut Vec<u8>, number: usize, path: &str, mode: u32, data: &[u8]) {
    let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
    let (mode, size, name) = (mode as usize, data.len(), path.len() + 1);
    // inode, mode, uid, gid, links, mtime, size, four device numbers, the name's length, a checksum that newc leaves at 0
    let fields = [number, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name, 0];
    out.extend_from_slice(b"070701");
    fields.iter().for_each(|field| out.extend_from_slice(format!("{field:08x}").as_bytes()));
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(data);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_headers_names_and_padding() {
        let mut archive = Archive::default();
        archive.file("/bin/rc", 0o755, b"abcde".to_vec());
        assert!(archive.has("bin") && archive.has("/bin/rc") && !archive.has("rc"));
        let bytes = archive.bytes();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(text.matches("070701").count(), 3, "a folder, a file and the trailer");
        let file = text.find("bin/rc").unwrap();
        assert_eq!(&text[file - 110 + 14..file - 110 + 22], "000081ed");
        assert_eq!(&text[file - 110 + 54..file - 110 + 62], "00000005");
        // 110 bytes of header and 7 of name are padded to 120, the contents to 8.
        assert_eq!(&text.as_bytes()[file..file + 7], b"bin/rc\0");
        assert_eq!(&text.as_bytes()[file + 10..file + 24], b"abcde\0\0\x00070701");
    }

    #[test]
    fn names_of_one_file_share_its_number_and_its_data_comes_last() {
        let mut archive = Archive::default();
        archive.same(&["b".into(), "c".into(), "a".into()], 0o755, b"data".to_vec());
        let text = String::from_utf8(archive.bytes()).unwrap();
        let members: Vec<&str> = text.split("070701").skip(1).collect();
        let number = |i: usize| &members[i][..8];
        assert_eq!((number(0), number(1)), (number(2), number(2)));
        assert!(members[2].contains("data") && !members[0].contains("data") && !members[1].contains("data"));
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let make = |names: [&str; 2]| {
            let mut archive = Archive::default();
            names.iter().for_each(|n| archive.file(n, 0o644, n.as_bytes().to_vec()));
            archive.bytes()
        };
        let mut other = Archive::default();
        other.file("b", 0o644, b"b".to_vec());
        other.file("a", 0o644, b"a".to_vec());
        assert_eq!(make(["a", "b"]), other.bytes());
    }
}
