//! A sandbox's profile: what a program may name, a line each, and the tree of directories that leads there.
//!
//! ```text
//! # r or w, what the program may name, and where it stands for the program if not at the same path
//! r /bin
//! w /tmp/work /home
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Something that the program may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// May it be written?
    pub writable: bool,
    /// Its path outside.
    pub from: String,
    /// Its path inside.
    pub at: String,
}

/// Is it a path from the root whose elements are names, and not the root itself?
fn is_path(path: &str) -> bool {
    let mut names = path.split('/').skip(1).peekable();
    path.starts_with('/') && names.peek().is_some() && names.all(|n| !["", ".", ".."].contains(&n))
}

impl Entry {
    /// An entry; an error's words say what is wrong with the paths.
    pub fn new(writable: bool, from: &str, at: &str) -> Result<Entry, &'static str> {
        let (from, at) = (from.trim_end_matches('/'), at.trim_end_matches('/'));
        if !is_path(from) || !is_path(at) {
            return Err("not a clean path below /");
        }
        Ok(Entry { writable, from: from.to_string(), at: at.to_string() })
    }

    /// Does it give a network, which is what stands in /net?
    pub fn is_network(&self) -> bool {
        [&self.from, &self.at].iter().any(|p| *p == "/net" || p.starts_with("/net/"))
    }
}

/// Reads a profile; an error is the number of the line, from 1, and what is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Entry>, (usize, &'static str)> {
    let mut all = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split('#').next().unwrap_or("").split_whitespace().collect();
        let (kind, from, at) = match words[..] {
            [] => continue,
            [kind, from] => (kind, from, from),
            [kind, from, at] => (kind, from, at),
            _ => return Err((i + 1, "wants r or w, and one path or two")),
        };
        if kind != "r" && kind != "w" {
            return Err((i + 1, "begins with neither r nor w"));
        }
        all.push(Entry::new(kind == "w", from, at).map_err(|e| (i + 1, e))?);
    }
    Ok(all)
}

/// A file of the tree that leads to the entries: directories, and a place for each entry to be bound on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its last name; empty for the root.
    pub name: String,
    /// The directory that it is in; the root is its own.
    pub parent: usize,
    /// Is it a directory?
    pub dir: bool,
    /// Does an entry stand here? Then what is below it is no business of this tree.
    pub entry: bool,
}

/// The directories that lead to the entries. Node 0 is the root.
#[derive(Debug)]
pub struct Tree(Vec<Node>);

impl Tree {
    /// The tree for some paths, each with whether it is a directory.
    pub fn new<'a>(paths: impl IntoIterator<Item = (&'a str, bool)>) -> Tree {
        let mut tree = Tree(alloc::vec![Node { name: String::new(), parent: 0, dir: true, entry: false }]);
        for (path, dir) in paths {
            let mut at = 0;
            let mut names = path.split('/').skip(1).peekable();
            while let Some(name) = names.next() {
                let last = names.peek().is_none();
                at = tree.find(at, name).unwrap_or_else(|| {
                    let name = name.to_string();
                    tree.0.push(Node { name, parent: at, dir: !last || dir, entry: false });
                    tree.0.len() - 1
                });
            }
            if let Some(node) = tree.0.get_mut(at) {
                node.entry = true;
            }
        }
        tree
    }

    /// The node of a number.
    pub fn get(&self, node: usize) -> Option<&Node> {
        self.0.get(node)
    }

    /// The node of that name in a directory.
    pub fn find(&self, dir: usize, name: &str) -> Option<usize> {
        self.list(dir, 0).find(|(_, n)| n.name == name).map(|(i, _)| i)
    }

    /// A directory's nodes whose numbers are at least `from`.
    pub fn list(&self, dir: usize, from: usize) -> impl Iterator<Item = (usize, &Node)> {
        self.0.iter().enumerate().skip(from.max(1)).filter(move |(_, n)| n.parent == dir)
    }

    /// A node's path, with a `/` at its end for what is below it.
    pub fn path(&self, mut node: usize) -> String {
        let mut names = Vec::new();
        while let Some(n) = self.0.get(node).filter(|_| node != 0) {
            names.push(n.name.as_str());
            node = n.parent;
        }
        names.iter().rev().fold(String::from("/"), |path, name| path + name + "/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_a_line_for_each_entry() {
        let all = parse("# base\nr /bin\n\nw /tmp/work/ /home # mine\n").unwrap();
        assert_eq!(all[0], Entry::new(false, "/bin", "/bin").unwrap());
        assert_eq!(all[1], Entry::new(true, "/tmp/work", "/home").unwrap());
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn lines_that_could_lead_elsewhere_are_refused_with_their_number() {
        for wrong in ["r /", "x /a", "r a", "r /a/../b", "r /a b", "w", "r /a /b /c", "r /a//b", "r /./a"] {
            assert_eq!(parse(&alloc::format!("r /ok\n{wrong}\n")).map_err(|e| e.0), Err(2), "{wrong}");
        }
    }

    #[test]
    fn the_network_is_what_stands_in_net() {
        let is = |from, at| Entry::new(true, from, at).unwrap().is_network();
        assert!(is("/net", "/net") && is("/net/tcp", "/x") && is("/x", "/net"));
        assert!(!is("/network", "/n/net"));
    }

    #[test]
    fn the_tree_has_the_directories_on_the_way_and_no_others() {
        let tree = Tree::new([("/a/b/c", true), ("/a/f", false), ("/z", true)]);
        let names = |dir| tree.list(dir, 0).map(|(_, n)| n.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(0), ["a", "z"]);
        let a = tree.find(0, "a").unwrap();
        assert_eq!(names(a), ["b", "f"]);
        let f = tree.get(tree.find(a, "f").unwrap()).unwrap();
        assert!(!f.dir && f.entry && !tree.get(a).unwrap().entry);
        let c = tree.find(tree.find(a, "b").unwrap(), "c").unwrap();
        assert_eq!((tree.path(c), tree.path(0)), ("/a/b/c/".into(), "/".into()));
        assert_eq!(tree.find(0, ".."), None);
    }
}
