//! `#srv`: the board where open files, portals above all, have names (srv(3)).
//!
//! A process creates a file here and writes the number of one of its descriptors to it; whoever opens the file gets
//! that open file.

use super::{Entry, Tree, asked, command, fits, here, wrote};
use crate::base::{Bytes, List, Ref, Spin, Text, parse};
use crate::call::Portal;
use crate::msg::{Msg, Reply, Result};
use crate::name::Chan;
use crate::session::Session;
use abi::error::Error;
use abi::file::{ORDWR, OWRITE, QTFILE, Qid};

/// The tree.
pub(crate) struct Board;

struct Post {
    path: u64,
    name: Bytes,
    owner: Bytes,
    perm: u32,
    chan: Option<Ref<Chan>>,
}

struct Posts {
    /// In order of their numbers.
    list: List<Post>,
    next: u64,
}

/// Chans that are taken off are dropped without the lock.
static POSTS: Spin<Posts> = Spin::new(Posts { list: List::new(), next: 1 });

fn qid(path: u64) -> Qid {
    Qid { kind: QTFILE, vers: 0, path }
}

/// May the current user use a file of this owner in this way?
fn allowed(post: &Post, mode: u8) -> bool {
    // To execute is to read.
    let wanted = if asked(mode) == 1 { 4 } else { asked(mode) };
    let shift = if here::is_user(&post.owner) { 6 } else { 0 };
    post.perm >> shift & wanted == wanted
}

/// The open file behind a name.
pub(crate) fn posted(file: Qid, mode: u8) -> Result<Ref<Chan>> {
    let posts = POSTS.lock();
    let post = posts.list.iter().find(|p| p.path == file.path).ok_or(Error::NotExist)?;
    if !allowed(post, mode) {
        return Err(Error::Perm.into());
    }
    let chan = post.chan.as_ref().ok_or(Error::NotExist)?;
    if fits(chan, mode) { Ok(chan.clone()) } else { Err(Error::Perm.into()) }
}

/// The path of the file here by which a session's server can be mounted again, as rc reads it; `'#server'` if none is.
pub(crate) fn name_of(session: &Session, t: &mut Text) {
    let posts = POSTS.lock();
    let same = |p: &Post| {
        let chan = p.chan.as_ref()?.file.session.portal()?;
        session.portal().is_some_and(|q| Ref::same(chan, q)).then_some(())
    };
    match posts.list.iter().find(|p| same(p).is_some()) {
        Some(p) => t.put(b"/srv/").quoted(&p.name),
        None => t.quoted(b"#server"),
    };
}

/// The portal that has taken the place of one that is gone: posted under the same name, by a process of the same user.
pub(crate) fn successor(gone: &Portal) -> Option<Ref<Portal>> {
    let name = Bytes::new(&gone.service.lock()).ok()?;
    let chan = POSTS.lock().list.iter().find(|p| p.name == name)?.chan.clone()?;
    let session = &chan.file.session;
    let new = session.portal().filter(|p| session.is_handle() && !p.closed())?;
    (*new.proc.user_name() == *gone.proc.user_name()).then(|| new.clone())
}

impl Tree for Board {
    fn walk(&self, _: Qid, name: &[u8]) -> Result<Qid> {
        let posts = POSTS.lock();
        posts.list.iter().find(|p| *p.name == *name).map(|p| qid(p.path)).ok_or(Error::NotExist.into())
    }

    fn stat(&self, file: Qid, e: &mut Entry) -> Result<()> {
        if file.path != 0 {
            let posts = POSTS.lock();
            let p = posts.list.iter().find(|p| p.path == file.path).ok_or(Error::NotExist)?;
            e.name.set(&p.name);
            e.user.set(&p.owner);
            e.mode = p.perm;
        }
        Ok(())
    }

    fn list(&self, _: Qid, at: u64) -> Result<Option<(Qid, u64)>> {
        let posts = POSTS.lock();
        Ok(posts.list.iter().find(|p| p.path > at).map(|p| (qid(p.path), p.path)))
    }

    fn create(&self, dir: Qid, name: &[u8], perm: u32, mode: u8) -> Result<Qid> {
        if dir.path != 0 || mode & 3 != OWRITE && mode & 3 != ORDWR || perm & abi::file::DMDIR != 0 {
            return Err(Error::Perm.into());
        }
        let (name, owner) = (Bytes::new(name)?, here::user()?);
        let mut posts = POSTS.lock();
        if posts.list.iter().any(|p| p.name == name) {
            return Err(Error::Exists.into());
        }
        let path = posts.next;
        posts.next = path.saturating_add(1);
        posts.list.push(Post { path, name, owner, perm: perm & 0o777, chan: None })?;
        Ok(qid(path))
    }

    fn write(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let mut buf = [0; 32];
        let fd = parse(command(m, &mut buf)?)?;
        let chan = here::ports().get(fd);
        if chan.file.session.is_nowhere() {
            return Err(Error::Nowhere.into());
        }
        let name = {
            let mut posts = POSTS.lock();
            let post = posts.list.iter_mut().find(|p| p.path == file.path).ok_or(Error::NotExist)?;
            if post.chan.is_some() {
                return Err(Error::Exclusive.into());
            }
            post.chan = Some(chan.clone());
            Bytes::new(&post.name)?
        };
        if let Some(portal) = chan.file.session.portal().filter(|_| chan.file.session.is_handle()) {
            *portal.service.lock() = name;
        }
        wrote(m)
    }

    fn close(&self, file: Qid, mode: u8) {
        if mode & abi::file::ORCLOSE != 0 {
            let _ = self.remove(file);
        }
    }

    fn remove(&self, file: Qid) -> Result<()> {
        let mut posts = POSTS.lock();
        let at = posts.list.iter().position(|p| p.path == file.path).ok_or(Error::Perm)?;
        let mine = posts.list.get(at).is_some_and(|p| here::is_user(&p.owner) || here::is_owner());
        if !mine {
            return Err(Error::Perm.into());
        }
        let gone = posts.list.remove(at);
        drop(posts);
        drop(gone);
        Ok(())
    }
}
