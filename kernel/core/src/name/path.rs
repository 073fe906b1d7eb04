//! Names as text: cleaning, splitting, and the paths that files remember.
//!
//! `..` is lexical, as in Pike's "Lexical File Names in Plan 9": a path is cleaned before it is walked, so `..` leads
//! back the way the name came, across whatever is mounted. A relative path that climbs above its start continues from
//! the text of the working directory's own path. Why the text alone decides: doc/decisions/lexical-names.md.

use crate::base::{Bytes, copy};
use crate::msg::Result;
use abi::error::Error;
use abi::limit;

/// A cleaned absolute path: a root and the elements below it, each after a `/`.
///
/// The root is empty for the namespace's own and `#name` for a tree of the kernel.
#[derive(Debug, PartialEq, Eq)]
pub struct Path {
    text: Bytes,
    /// Length of the root's part.
    root: usize,
}

/// Is this a name that a path element can have? Other names never reach a server.
pub(crate) fn check(name: &[u8]) -> Result<()> {
    if name.len() > limit::NAME {
        return Err(Error::NameTooLong.into());
    }
    let text = core::str::from_utf8(name).map_err(|_| Error::BadName)?;
    if text.chars().any(|c| c < ' ' || c == '\u{7f}') {
        return Err(Error::BadName.into());
    }
    Ok(())
}

/// The elements of a path's text that are not empty and not `.`.
fn elements(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b'/').filter(|e| !e.is_empty() && *e != b".")
}

/// The first element of a cleaned path's text, or of what is left of one, and what is after it.
pub(super) fn first(text: &[u8]) -> Option<(&[u8], &[u8])> {
    // Not `strip_prefix`, which calls to compare the one byte.
    let [b'/', text @ ..] = text else { return None };
    text.split_at_checked(text.iter().position(|&b| b == b'/').unwrap_or(text.len()))
}

/// Is this the text of a path already: short, absolute, of ASCII, with nothing to be cleaned? Others may be, too.
fn is_plain(text: &[u8]) -> bool {
    let mut last = 0;
    for &b in text {
        // Letters and digits are above the slash.
        if b > b'~' || b <= b'/' && (b < b'!' || last == b'/' && b >= b'.') {
            return false;
        }
        last = b;
    }
    text.first() == Some(&b'/') && last != b'/' && text.len() <= limit::NAME
}

impl Path {
    /// The root of the namespace.
    pub fn root() -> Result<Path> {
        Ok(Path { text: Bytes::new(b"")?, root: 0 })
    }

    /// The root of a tree of the kernel.
    pub fn of_tree(name: &[u8]) -> Result<Path> {
        let text = Bytes::joined(&[b"#", name])?;
        Ok(Path { root: text.len(), text })
    }

    /// As [`Path::resolve`]. Most texts become the path as they are.
    pub fn of(dot: &Path, text: Bytes) -> Result<Path> {
        if is_plain(&text) { Ok(Path { text, root: 0 }) } else { Path::resolve(dot, &text) }
    }

    /// The path that `text` names from a working directory. `..` never leads above the root.
    pub fn resolve(dot: &Path, text: &[u8]) -> Result<Path> {
        if text.len() > limit::PATH {
            return Err(Error::NameTooLong.into());
        }
        let (root, start, rest): (&[u8], &[u8], &[u8]) = if text.first() == Some(&b'#') {
            let end = text.iter().position(|&b| b == b'/').unwrap_or(text.len());
            (text.get(..end).unwrap_or(text), b"", text.get(end..).unwrap_or(b""))
        } else if text.first() == Some(&b'/') {
            (b"", b"", text)
        } else {
            (dot.root_text(), dot.below(), text)
        };
        let room = root.len().saturating_add(start.len()).saturating_add(rest.len()).saturating_add(1);
        if room > limit::PATH.saturating_mul(2) {
            return Err(Error::NameTooLong.into());
        }
        let mut out = Builder { bytes: Bytes::zeroed(room)?, len: 0 };
        out.put(root);
        out.put(start);
        let mut depth = 0usize;
        for e in elements(rest) {
            depth = depth.saturating_add(1);
            if depth > limit::DEPTH {
                return Err(Error::NameTooLong.into());
            }
            if e == b".." {
                out.up(root.len());
            } else {
                check(e)?;
                out.put(b"/");
                out.put(e);
            }
        }
        let text = out.bytes.get(..out.len).unwrap_or(&[]);
        Ok(Path { text: Bytes::new(text)?, root: root.len() })
    }

    fn root_text(&self) -> &[u8] {
        self.text.get(..self.root).unwrap_or(&[])
    }

    /// The tree of the kernel that it begins in: the name after the `#`.
    pub fn tree(&self) -> Option<&[u8]> {
        match self.root_text() {
            [b'#', name @ ..] => Some(name),
            _ => None,
        }
    }

    /// The text below the root.
    pub fn below(&self) -> &[u8] {
        self.text.get(self.root..).unwrap_or(&[])
    }

    /// The last element; `/` for a root.
    pub fn last(&self) -> &[u8] {
        self.below().rsplit(|&b| b == b'/').next().filter(|n| !n.is_empty()).unwrap_or(b"/")
    }

    /// As a user reads it.
    pub fn text(&self) -> &[u8] {
        if self.text.is_empty() { b"/" } else { &self.text }
    }

    /// The path without its last element, and that element; `None` for a root.
    pub fn split(&self) -> Option<(&[u8], &[u8])> {
        let below = self.below();
        let at = below.iter().rposition(|&b| b == b'/')?;
        Some((below.get(..at)?, below.get(at.saturating_add(1)..)?))
    }

    /// A copy.
    pub fn copy(&self) -> Result<Path> {
        Ok(Path { text: Bytes::new(&self.text)?, root: self.root })
    }

    /// The same path with its last element changed.
    pub fn renamed(&self, name: &[u8]) -> Result<Path> {
        let at = self.text.iter().rposition(|&b| b == b'/').map_or(self.text.len(), |i| i.saturating_add(1));
        Ok(Path { text: Bytes::joined(&[self.text.get(..at).unwrap_or(&[]), name])?, root: self.root })
    }
}

struct Builder {
    bytes: Bytes,
    len: usize,
}

impl Builder {
    fn put(&mut self, part: &[u8]) {
        let end = self.len.saturating_add(part.len());
        if let Some(to) = self.bytes.get_mut(self.len..end) {
            copy(part, to);
            self.len = end;
        }
    }

    /// Takes the last element back, down to the root's part.
    fn up(&mut self, root: usize) {
        let below = self.bytes.get(root..self.len).unwrap_or(&[]);
        let at = below.iter().rposition(|&b| b == b'/').unwrap_or(0);
        self.len = root.saturating_add(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(dot: &str, text: &str) -> Result<String> {
        let dot = Path::resolve(&Path::root().unwrap(), dot.as_bytes()).unwrap();
        Path::resolve(&dot, text.as_bytes()).map(|p| String::from_utf8(p.text().to_vec()).unwrap())
    }

    #[test]
    fn paths_are_cleaned_and_dot_dot_goes_back_the_way_it_came() {
        for (dot, text, want) in [
            ("/", "", "/"),
            ("/", ".", "/"),
            ("/a/b", "c", "/a/b/c"),
            ("/a/b", "../c", "/a/c"),
            ("/a/b", "../../../..", "/"),
            ("/a/b", "/x//y/./z/", "/x/y/z"),
            ("/a/b", "x/../y", "/a/b/y"),
            ("/a", "#srv", "#srv"),
            ("/a", "#srv/x/../../y", "#srv/y"),
            ("#proc/1", "..", "#proc"),
            ("#proc/1", "../../..", "#proc"),
            ("#proc/1", "/tmp", "/tmp"),
        ] {
            assert_eq!(from(dot, text).unwrap(), want, "{text} from {dot}");
        }
    }

    #[test]
    fn names_that_no_file_can_have_are_refused() {
        assert!(from("/", "a\u{1}b").is_err());
        assert!(from("/", "\u{7f}").is_err());
        assert!(Path::resolve(&Path::root().unwrap(), b"\xff").is_err());
        assert!(from("/", &"n".repeat(limit::NAME)).is_ok());
        assert!(from("/", &"n".repeat(limit::NAME + 1)).is_err());
        assert!(from("/", &"n/".repeat(limit::DEPTH)).is_ok());
        assert!(from("/", &"n/".repeat(limit::DEPTH + 1)).is_err());
        assert!(from("/", &"/".repeat(limit::PATH + 1)).is_err());
    }

    #[test]
    fn a_path_knows_its_parts() {
        let p = Path::resolve(&Path::root().unwrap(), b"#srv/a/b").unwrap();
        assert_eq!((p.tree(), p.below(), p.last()), (Some(&b"srv"[..]), &b"/a/b"[..], &b"b"[..]));
        assert_eq!(p.split(), Some((&b"/a"[..], &b"b"[..])));
        assert_eq!(p.renamed(b"c").unwrap().text(), b"#srv/a/c");
        assert_eq!(Path::root().unwrap().split(), None);
        assert_eq!(Path::root().unwrap().last(), b"/");
    }
}
