//! What the system calls on names do: open, create, stat, wstat, remove, chdir, bind, mount, unmount.
//!
//! Each takes the caller's [`Scope`] and paths that are already in the kernel; nothing here knows of processes.

use super::chan::{Chan, check_mode};
use super::dir::renamed;
use super::file::File;
use super::{Path, Place, Scope, Want, path, walk};
use crate::base::{Bytes, List, Ref};
use crate::mem::segment;
use crate::msg::{Data, Fail, Result, UserBuf};
use crate::session::Session;
use crate::{machine, tree};
use abi::error::Error;
use abi::file::{MAFTER, MBEFORE, MCACHE, MCREATE, MRDONLY, OEXCL, ORCLOSE, ORDWR, OTRUNC, OWRITE, QTAUTH};
use abi::limit;
use abi::portal::NOFID;

/// Where a path begins: the namespace's root, or that of a tree of the kernel, if the scope allows it.
fn root_of(scope: &Scope, path: &Path) -> Result<Ref<Place>> {
    match path.tree() {
        None => tree::root(),
        Some(name) => tree::attach(name, scope.trees).inspect_err(|_| tell_root(scope, b"/", path)),
    }
}

/// The server of the namespace's root is asked for a kernel's tree that may not be named, or for `/#write` or `/#mount` and
/// what may not be changed or mounted on, in vain: so a sandbox hears of the try.
#[cold]
fn tell_root(scope: &Scope, what: &[u8], path: &Path) {
    let _ = Bytes::joined(&[what, path.text()])
        .and_then(|text| Path::of(&scope.dot.path, text))
        .and_then(|path| walk(scope, &*tree::root()?, path.below(), Want::Covered));
}

/// Tells the root of a mount that is refused.
#[cold]
pub fn tell_mount(scope: &Scope, on: &[u8]) {
    if let Ok(path) = Bytes::new(on).and_then(|on| Path::of(&scope.dot.path, on)) {
        tell_root(scope, b"/#mount", &path);
    }
}

/// May the file be changed by the way that it was found?
fn may_change(scope: &Scope, file: &File, path: &Path) -> Result<()> {
    file.may_change().inspect_err(|_| tell_root(scope, b"/#write", path))
}

/// The place that a path names.
pub fn find(scope: &Scope, text: Bytes, want: Want) -> Result<Place> {
    let path = Path::of(&scope.dot.path, text)?;
    let root = root_of(scope, &path)?;
    let (file, union) = walk(scope, &root, path.below(), want)?;
    Ok(Place { file, path, union })
}

/// Opens a file.
pub fn open(scope: &Scope, text: Bytes, mode: u8) -> Result<Ref<Chan>> {
    check_mode(mode)?;
    open_place(scope, find(scope, text, Want::Seen)?, mode)
}

/// Opens what was found. A tree may give another open file instead: `#srv` the one that was posted, `#dup` a port's.
fn open_place(scope: &Scope, place: Place, mode: u8) -> Result<Ref<Chan>> {
    let Place { mut file, path, union } = place;
    if file.qid.is_dir() && mode & (3 | OTRUNC) != abi::file::OREAD && mode & 3 != abi::file::OEXEC {
        return Err(Error::IsDir.into());
    }
    if matches!(mode & 3, OWRITE | ORDWR) || mode & (OTRUNC | ORCLOSE) != 0 {
        may_change(scope, &file, &path)?;
    }
    if let Some(chan) = tree::instead(&file, mode)? {
        return Ok(chan);
    }
    let iounit = file.open(mode & !abi::file::OCEXEC)?;
    if segment::cacheable(&file)
        && let Some(user) = segment::find(&file)
    {
        user.segment().opened(&file)?;
    }
    let union = union.filter(|h| h.union.len() > 1);
    Chan::new(file, path, mode, iounit, union)
}

/// Creates a file, or truncates one of that name unless the mode has OEXCL. In a union it is made in the first element
/// that allows it.
pub fn create(scope: &Scope, text: Bytes, mode: u32, perm: u32) -> Result<Ref<Chan>> {
    let byte = u8::try_from(mode & 0xff).unwrap_or(0);
    if mode & !(0xff | OEXCL) != 0 {
        return Err(Error::BadOpen.into());
    }
    check_mode(byte)?;
    let path = Path::of(&scope.dot.path, text)?;
    let root = root_of(scope, &path)?;
    // Twice at most: between the look and the creation somebody else may create or remove the file.
    let mut again = true;
    loop {
        if mode & OEXCL == 0 {
            match walk(scope, &root, path.below(), Want::Seen) {
                Ok((file, union)) => return open_place(scope, Place { file, path, union }, byte | OTRUNC),
                // A server may say in words of its own that there is none; if it meant something else, the creation
                // fails too.
                Err(Fail::Known(Error::NotExist) | Fail::Words) => {}
                Err(e) => return Err(e),
            }
        }
        match make(scope, &root, &path, byte, perm) {
            Err(Fail::Known(Error::Exists)) if mode & OEXCL == 0 && again => again = false,
            Err(e) => return Err(e),
            Ok((file, iounit)) => return Chan::new(file, path, byte, iounit, None),
        }
    }
}

/// The new file of a path, open, and its iounit.
fn make(scope: &Scope, root: &Ref<Place>, path: &Path, mode: u8, perm: u32) -> Result<(File, u32)> {
    let (above, name) = path.split().ok_or(Error::Exists)?;
    let (dir, union) = walk(scope, root, above, Want::Seen)?;
    let mut file = match &union {
        Some(head) if head.union.len() > 1 => {
            // In a union OEXCL asks that the name is new in all of it; a plain create has just looked.
            let m = head.union.iter().find(|m| m.flags & MCREATE != 0).ok_or(Error::NoCreate)?;
            m.place.file.copy()?
        }
        _ => dir,
    };
    may_change(scope, &file, path)?;
    let iounit = file.create(name, perm, mode & !abi::file::OCEXEC)?;
    Ok((file, iounit))
}

/// Where a stat record is to go in user memory.
fn give(record: &[u8], to: UserBuf) -> Result<u64> {
    if record.len() > to.len {
        return Err(Error::ShortBuffer.into());
    }
    let to = UserBuf { addr: to.addr, len: record.len() };
    if !machine::copy_out(to, record) {
        return Err(Error::BadAddress.into());
    }
    u64::try_from(record.len()).map_err(|_| Error::BadStat.into())
}

/// The stat record of a path. A file that something is mounted on has the name by which it was found.
pub fn stat(scope: &Scope, text: Bytes, to: UserBuf) -> Result<u64> {
    let place = find(scope, text, Want::Seen)?;
    if place.union.is_none() {
        let n = place.file.stat(Data::ToUser(to));
        place.file.clunk()?;
        return n.map(u64::from);
    }
    let mut buf = List::zeroed(limit::STAT)?;
    let n = usize::try_from(place.file.stat(Data::ToKernel(&mut buf))?).unwrap_or(0);
    let record = renamed(buf.get(..n).unwrap_or(&[]), place.path.last())?;
    place.file.clunk()?;
    give(&record, to)
}

/// Changes a path's stat record.
pub fn wstat(scope: &Scope, text: Bytes, record: &[u8]) -> Result<()> {
    let place = find(scope, text, Want::Seen)?;
    let renames = super::dir::parts(record).is_none_or(|(_, name)| !name.is_empty());
    if renames && place.union.is_some() {
        return Err(Error::MountPoint.into());
    }
    may_change(scope, &place.file, &place.path)?;
    let r = place.file.wstat(record);
    let c = place.file.clunk();
    r.and(c)
}

/// Removes a file.
pub fn remove(scope: &Scope, text: Bytes) -> Result<()> {
    let place = find(scope, text, Want::Covered)?;
    if scope.ns.find(&place.file.session, place.file.qid).is_some() {
        return Err(Error::MountPoint.into());
    }
    may_change(scope, &place.file, &place.path)?;
    place.file.remove()
}

/// The place that becomes the working directory.
pub fn chdir(scope: &Scope, text: Bytes) -> Result<Ref<Place>> {
    let place = find(scope, text, Want::Seen)?;
    if !place.file.qid.is_dir() {
        return Err(Error::NotDir.into());
    }
    Ref::new(place)
}

fn check_flags(flags: u32) -> Result<()> {
    if flags & !(MBEFORE | MAFTER | MCREATE | MCACHE | MRDONLY) != 0 {
        return Err(Error::BadArg.into());
    }
    Ok(())
}

/// Makes the file `new` appear at `old`.
pub fn bind(scope: &Scope, new: Bytes, old: Bytes, flags: u32) -> Result<()> {
    check_flags(flags)?;
    let new = Ref::new(find(scope, new, Want::Seen)?)?;
    let old = Ref::new(find(scope, old, Want::Covered)?)?;
    scope.ns.mount(&old, &new, flags)
}

/// A new session with the server behind a portal's descriptor.
fn session_with(server: &Chan) -> Result<Ref<Session>> {
    let session = &server.file.session;
    match session.portal() {
        Some(portal) if session.is_handle() => Session::with(portal),
        _ if session.is_nowhere() => Err(Error::Nowhere.into()),
        _ => Err(Error::BadMount.into()),
    }
}

/// A new session with the server behind a portal's descriptor, for this user.
pub fn attach(server: &Chan, afid: u32, user: &[u8], aname: &[u8]) -> Result<File> {
    let new = session_with(server)?;
    File::attach(new, afid, user, aname)
}

/// Attaches to the server behind `server` and makes its root appear at `old`.
pub fn mount(
    scope: &Scope,
    server: &Chan,
    auth: Option<&Chan>,
    user: &[u8],
    old: Bytes,
    flags: u32,
    aname: &[u8],
) -> Result<()> {
    check_flags(flags)?;
    core::str::from_utf8(aname).map_err(|_| Error::BadName)?;
    if aname.len() > limit::NAME {
        return Err(Error::NameTooLong.into());
    }
    let on = Ref::new(find(scope, old, Want::Covered)?)?;
    let new = session_with(server)?;
    let (session, afid) = match auth {
        None => (new, NOFID),
        // An authentication file belongs to the session that is still to be attached, and is of this server.
        Some(a) => (authentic(&new, a)?, a.file.fid()),
    };
    let mut file = File::attach(session, afid, user, aname)?;
    file.read_only = flags & MRDONLY != 0;
    let path = Path::resolve(&on.path, b"")?;
    let root = Ref::new(Place { file, path, union: None })?;
    scope.ns.mount(&on, &root, flags)
}

/// The session of an authentication file, if it is one of the server that another session is with.
fn authentic(new: &Session, a: &Chan) -> Result<Ref<Session>> {
    let session = &a.file.session;
    if session.is_nowhere() {
        return Err(Error::Nowhere.into());
    }
    let same = session.portal().zip(new.portal()).is_some_and(|(a, b)| Ref::same(a, b));
    if same && a.file.qid.kind & QTAUTH != 0 { Ok(session.clone()) } else { Err(Error::BadArg.into()) }
}

/// An authentication file of the server behind a descriptor.
pub fn fauth(server: &Chan, user: &[u8], aname: &[u8]) -> Result<Ref<Chan>> {
    core::str::from_utf8(aname).map_err(|_| Error::BadName)?;
    let new = session_with(server)?;
    let file = File::auth(new, user, aname)?;
    Chan::new(file, Path::root()?, ORDWR, 0, None)
}

/// Takes `new`, or with none everything, off `old`.
pub fn unmount(scope: &Scope, new: Bytes, old: Bytes) -> Result<()> {
    let on = find(scope, old, Want::Covered)?;
    if new.is_empty() {
        return scope.ns.unmount(&on, None);
    }
    // A server's file in /srv stands for all that was mounted from it.
    let what = find(scope, new, Want::Seen)?;
    match tree::instead(&what.file, OWRITE) {
        Ok(Some(chan)) => scope.ns.unmount_server(&on, &chan),
        _ => scope.ns.unmount(&on, Some(&what)),
    }
}

/// Reads a path out of user memory.
pub fn path_in(from: UserBuf) -> Result<Bytes> {
    if from.len > limit::PATH {
        return Err(Error::NameTooLong.into());
    }
    let mut b = Bytes::zeroed(from.len)?;
    if !machine::copy_in(&mut b, from) {
        return Err(Error::BadAddress.into());
    }
    Ok(b)
}

/// Is this a stat record of which the size is right? What it says, its server checks.
pub fn record_in(from: UserBuf) -> Result<Bytes> {
    if from.len > limit::STAT {
        return Err(Error::BadStat.into());
    }
    let b = path_in(UserBuf { addr: from.addr, len: from.len.min(limit::STAT) })?;
    let (_, name) = super::dir::parts(&b).ok_or(Error::BadStat)?;
    path::check(name)?;
    Ok(b)
}
