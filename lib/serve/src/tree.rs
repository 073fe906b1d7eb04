//! [`Tree`]: a ready server for trees that only the server's program changes: files with fixed contents, and files whose
//! contents are made when they are opened.
//!
//! What a made file says is fixed by its open, so a reader who takes it in pieces gets one whole; its qid.vers is
//! 0, since nobody may cache it.

use crate::{Ctx, Error, Listing, Mode, Opened, Result, Server, Sink, perm};
use abi::file::{DMDIR, DMEXEC, QTDIR, QTFILE, Qid};
use alloc::string::String;
use alloc::vec::Vec;
use ninep::Stat;
use sync::Shared;

/// Makes a file's contents from the program's state.
pub type Make<T> = fn(&T, &Ctx<'_>) -> Result<Vec<u8>>;

enum Content<T> {
    Dir,
    Fixed(&'static [u8]),
    Made(Make<T>),
}

struct File<T> {
    name: &'static str,
    parent: usize,
    mode: u32,
    content: Content<T>,
}

/// A directory of a tree that is being built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dir(usize);

/// The tree, and the state that its made files speak of. Built before it is served, and never changed after.
pub struct Tree<T> {
    state: T,
    owner: String,
    /// Each after its parent; the root is the first.
    files: Vec<File<T>>,
}

/// A file of a tree, and its contents if they were made.
#[derive(Clone)]
pub struct Node {
    index: usize,
    text: Option<Shared<Vec<u8>>>,
}

impl<T> Tree<T> {
    /// A tree of one empty directory.
    pub fn new(owner: &str, state: T) -> Result<Tree<T>> {
        let mut name = String::new();
        name.try_reserve_exact(owner.len())?;
        name.push_str(owner);
        let mut tree = Tree { state, owner: name, files: Vec::new() };
        tree.add(Dir(0), "/", DMDIR | 0o555, Content::Dir)?;
        Ok(tree)
    }

    /// The root.
    pub const fn root(&self) -> Dir {
        Dir(0)
    }

    /// The state.
    pub const fn state(&self) -> &T {
        &self.state
    }

    fn add(&mut self, parent: Dir, name: &'static str, mode: u32, content: Content<T>) -> Result<usize> {
        self.files.try_reserve(1)?;
        self.files.push(File { name, parent: parent.0, mode, content });
        Ok(self.files.len() - 1)
    }

    /// Adds a directory.
    pub fn dir(&mut self, parent: Dir, name: &'static str) -> Result<Dir> {
        self.add(parent, name, DMDIR | 0o555, Content::Dir).map(Dir)
    }

    /// Adds a file with fixed contents.
    pub fn fixed(
        &mut self,
        parent: Dir,
        name: &'static str,
        mode: u32,
        contents: &'static [u8],
    ) -> Result<()> {
        self.add(parent, name, mode & 0o555, Content::Fixed(contents)).map(drop)
    }

    /// Adds a file that is made when it is opened.
    pub fn made(&mut self, parent: Dir, name: &'static str, mode: u32, make: Make<T>) -> Result<()> {
        self.add(parent, name, mode & 0o555, Content::Made(make)).map(drop)
    }

    fn file(&self, index: usize) -> Result<&File<T>> {
        self.files.get(index).ok_or(Error::NotExist.into())
    }

    fn children(&self, dir: usize) -> impl Iterator<Item = (usize, &File<T>)> {
        self.files.iter().enumerate().skip(1).filter(move |(_, f)| f.parent == dir)
    }

    fn check(&self, cx: &Ctx<'_>, file: &File<T>, want: u32) -> Result<()> {
        let owner = cx.user == self.owner;
        let class = perm::Class { owner, group: owner };
        if perm::allows(file.mode, class, want) { Ok(()) } else { Err(Error::Perm.into()) }
    }

    fn qid_of(index: usize, file: &File<T>) -> Qid {
        let (kind, vers) = match file.content {
            Content::Dir => (QTDIR, 1),
            Content::Fixed(_) => (QTFILE, 1),
            Content::Made(_) => (QTFILE, 0),
        };
        Qid { kind, vers, path: index as u64 }
    }

    fn record<'a>(&'a self, index: usize, file: &'a File<T>) -> Stat<'a> {
        let length = if let Content::Fixed(bytes) = file.content { bytes.len() as u64 } else { 0 };
        Stat {
            kind: 0,
            dev: 0,
            qid: Self::qid_of(index, file),
            mode: file.mode,
            atime: 0,
            mtime: 0,
            length,
            name: file.name,
            uid: &self.owner,
            gid: &self.owner,
            muid: &self.owner,
        }
    }
}

impl<T: Send + Sync> Server for Tree<T> {
    type Node = Node;

    fn attach(&self, _: &Ctx<'_>, _: Option<&Node>, aname: &str) -> Result<Node> {
        if aname.is_empty() || aname == "/" {
            Ok(Node { index: 0, text: None })
        } else {
            Err(Error::NotExist.into())
        }
    }

    fn qid(&self, node: &Node) -> Qid {
        self.file(node.index).map(|f| Self::qid_of(node.index, f)).unwrap_or_default()
    }

    fn walk(&self, cx: &Ctx<'_>, node: &Node, name: &str) -> Result<Node> {
        let dir = self.file(node.index)?;
        if name == ".." {
            return Ok(Node { index: dir.parent, text: None });
        }
        self.check(cx, dir, DMEXEC)?;
        let found = self.children(node.index).find(|(_, f)| f.name == name);
        let (index, _) = found.ok_or(Error::NotExist)?;
        Ok(Node { index, text: None })
    }

    fn open(&self, cx: &Ctx<'_>, node: &Node, mode: Mode) -> Result<Opened<Node>> {
        let file = self.file(node.index)?;
        if mode.writes() || mode.truncates() || mode.removes() {
            return Err(Error::ReadOnly.into());
        }
        self.check(cx, file, perm::needed(mode))?;
        let text = match file.content {
            Content::Made(make) => Some(Shared::try_new(make(&self.state, cx)?)?),
            _ => None,
        };
        let qid = Self::qid_of(node.index, file);
        Ok(Opened { node: Node { index: node.index, text }, qid, iounit: 0 })
    }

    fn read(&self, _: &Ctx<'_>, node: &Node, offset: u64, sink: &mut Sink<'_>) -> Result<()> {
        if let Some(text) = &node.text {
            return sink.text(text, offset);
        }
        let Content::Fixed(bytes) = self.file(node.index)?.content else { return Ok(()) };
        let at = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        sink.fixed(bytes.get(at..).unwrap_or_default())
    }

    fn list(&self, _: &Ctx<'_>, dir: &Node, from: u64, out: &mut Listing<'_, '_>) -> Result<()> {
        for (index, file) in self.children(dir.index).skip_while(|(index, _)| *index as u64 <= from) {
            if !out.entry(&self.record(index, file), index as u64)? {
                break;
            }
        }
        Ok(())
    }

    fn stat(&self, _: &Ctx<'_>, node: &Node, out: &mut dyn FnMut(&Stat<'_>) -> Result<()>) -> Result<()> {
        out(&self.record(node.index, self.file(node.index)?))
    }

    fn create(&self, _: &Ctx<'_>, _: &Node, _: &str, _: u32, _: Mode) -> Result<Opened<Node>> {
        Err(Error::ReadOnly.into())
    }

    fn remove(&self, _: &Ctx<'_>, _: &Node) -> Result<()> {
        Err(Error::ReadOnly.into())
    }

    fn wstat(&self, _: &Ctx<'_>, _: &Node, _: &Stat<'_>) -> Result<()> {
        Err(Error::ReadOnly.into())
    }
}
