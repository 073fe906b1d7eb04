//! [`Ns`]: the mount table of a process group, as bind(2) and mount(2) make it.
//!
//! A [`Head`] stands for a file that something is mounted on; it is found by session and qid. Its list is the union in
//! order of search. A head is never changed: a bind puts a new one in its place, so that a walk that has one needs no
//! lock while it asks servers.

use super::{Chan, File, Place};
use crate::base::{List, Ref, Spin, Text};
use crate::msg::Result;
use crate::session::Session;
use abi::error::Error;
use abi::file::{MAFTER, MBEFORE, MCREATE, MRDONLY, Qid};
use core::sync::atomic::{AtomicU64, Ordering};

/// An element of a union.
#[derive(Clone)]
pub struct Mount {
    /// The directory or file that appears.
    pub place: Ref<Place>,
    /// MCREATE and MCACHE, and in which order it was mounted.
    pub flags: u32,
    /// What was mounted: this, or the union that it came with.
    pub with: Ref<Place>,
    /// Counts mounts: a script that carries them out in this order rebuilds the namespace. Those that came together
    /// have one number, the covered file 0.
    pub number: u64,
}

/// What is mounted on a file.
pub struct Head {
    /// The file that is covered, as it is without the mount.
    pub on: Ref<Place>,
    /// The elements, in order of search; never empty.
    pub union: List<Mount>,
}

/// A mount table.
pub struct Ns {
    /// By [`key`]; few, so that a scan of one chain finds the head.
    chains: Spin<[List<Ref<Head>>; CHAINS]>,
}

const CHAINS: usize = 32;

fn chain(session: u64, path: u64) -> usize {
    let mixed = session.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ path.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    // The highest five bits: fewer than CHAINS.
    usize::try_from(mixed >> 59).unwrap_or(0)
}

fn is(head: &Head, session: u64, qid: Qid) -> bool {
    head.on.file.session.number == session && head.on.file.qid.path == qid.path
}

impl Ns {
    /// An empty table: nothing is mounted on anything.
    pub fn new() -> Result<Ref<Ns>> {
        Ref::new(Ns { chains: Spin::new([const { List::new() }; CHAINS]) })
    }

    /// A copy, for a new process group.
    pub fn copy(&self) -> Result<Ref<Ns>> {
        let new = Ns::new()?;
        {
            let from = self.chains.lock();
            let mut to = new.chains.lock();
            for (t, f) in to.iter_mut().zip(from.iter()) {
                for h in f.iter() {
                    t.push(h.clone())?;
                    h.on.file.session.mounts.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Ok(new)
    }

    /// What is mounted on a file, if anything is.
    #[inline]
    pub fn find(&self, session: &Session, qid: Qid) -> Option<Ref<Head>> {
        if session.mounts.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.search(session.number, qid)
    }

    #[inline(never)]
    fn search(&self, session: u64, qid: Qid) -> Option<Ref<Head>> {
        let chains = self.chains.lock();
        let chain = chains.get(chain(session, qid.path))?;
        chain.iter().find(|h| is(h, session, qid)).cloned()
    }

    /// The head as it is good to walk from: elements of a server that is gone are attached anew if its service is
    /// posted again, and stay as they are otherwise.
    #[inline]
    pub fn live(&self, head: Ref<Head>) -> Ref<Head> {
        match head.union.iter().any(|m| m.place.file.session.gone()) {
            true => self.renew(&head).unwrap_or(head),
            false => head,
        }
    }

    #[cold]
    #[inline(never)]
    fn renew(&self, old: &Ref<Head>) -> Result<Ref<Head>> {
        let mut union = old.union.copy()?;
        for m in union.iter_mut() {
            let (was, file) = (m.place.clone(), &m.place.file);
            let session = &file.session;
            let is_root = file.qid.path == session.root.load(Ordering::Relaxed);
            let Some(gone) = session.portal().filter(|p| p.closed() && is_root) else { continue };
            let Some(portal) = crate::tree::successor(gone) else { continue };
            let mut file = File::attach_again(session, &portal)?;
            file.read_only = was.file.read_only;
            m.place = Ref::new(Place { file, path: was.path.copy()?, union: None })?;
            if Ref::same(&m.with, &was) {
                m.with = m.place.clone();
            }
            self.forget(&was.file.session);
        }
        let new = Ref::new(Head { on: old.on.clone(), union })?;
        // Whoever was quicker has attached as well.
        self.replace(&old.on, Some(old), Some(new.clone()))?;
        Ok(new)
    }

    /// Takes out what is mounted on files of a server that is gone: no walk can find it any more.
    fn forget(&self, gone: &Session) {
        loop {
            let head = self.chains.lock().iter_mut().find_map(|c| {
                let at = c.iter().position(|h| core::ptr::eq::<Session>(&*h.on.file.session, gone))?;
                c.remove(at)
            });
            let Some(head) = head else { return };
            head.on.file.session.mounts.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Puts a new head, or none, in the place of the one for the same file: false if that is not `was` any more, for
    /// then somebody else was quicker. What was there is dropped without the lock.
    fn replace(&self, on: &Place, was: Option<&Ref<Head>>, new: Option<Ref<Head>>) -> Result<bool> {
        let (session, qid) = (&on.file.session, on.file.qid);
        let mut chains = self.chains.lock();
        let chain = chains.get_mut(chain(session.number, qid.path)).ok_or(Error::BadArg)?;
        let at = chain.iter().position(|h| is(h, session.number, qid));
        let same = match (at.and_then(|i| chain.get(i)), was) {
            (Some(is), Some(was)) => Ref::same(is, was),
            (is, was) => is.is_none() && was.is_none(),
        };
        if !same {
            return Ok(false);
        }
        let old = match (at, new) {
            (Some(i), Some(h)) => chain.get_mut(i).map(|slot| core::mem::replace(slot, h)),
            (None, Some(h)) => {
                chain.push(h)?;
                session.mounts.fetch_add(1, Ordering::Relaxed);
                None
            }
            (Some(i), None) => {
                session.mounts.fetch_sub(1, Ordering::Relaxed);
                chain.remove(i)
            }
            (None, None) => None,
        };
        drop(chains);
        drop(old);
        Ok(true)
    }

    /// Makes `new` appear at `on`, alone or before or after what is there. A union that is bound brings all its
    /// elements, but no right to create in them beyond the first.
    pub fn mount(&self, on: &Ref<Place>, new: &Ref<Place>, flags: u32) -> Result<()> {
        if on.file.qid.is_dir() != new.file.qid.is_dir() {
            return Err(Error::MountKind.into());
        }
        let order = flags & (MBEFORE | MAFTER);
        if order == (MBEFORE | MAFTER) || (order != 0 && !on.file.qid.is_dir()) {
            return Err(Error::BadArg.into());
        }
        let added = added(new, flags)?;
        loop {
            let old = self.find(&on.file.session, on.file.qid);
            let head = Ref::new(joined(on, old.as_deref(), &added, order)?)?;
            let place = head.on.clone();
            if self.replace(&place, old.as_ref(), Some(head))? {
                return Ok(());
            }
        }
    }

    /// Takes everything off `on`, or only `new`.
    pub fn unmount(&self, on: &Place, new: Option<&Place>) -> Result<()> {
        self.remove(on, &|m| new.is_none_or(|n| is_file(m, &n.file.session, n.file.qid)))
    }

    /// Takes off `on` whatever was mounted from a server, named by its portal's descriptor.
    pub fn unmount_server(&self, on: &Place, server: &Chan) -> Result<()> {
        let portal = server.file.session.portal().ok_or(Error::BadMount)?;
        self.remove(on, &|m| m.place.file.session.portal().is_some_and(|p| Ref::same(p, portal)))
    }

    fn remove(&self, on: &Place, goes: &dyn Fn(&Mount) -> bool) -> Result<()> {
        loop {
            let head = self.find(&on.file.session, on.file.qid).ok_or(Error::NotMounted)?;
            let mut union = List::new();
            for m in head.union.iter().filter(|m| !goes(m)) {
                union.push(m.clone())?;
            }
            if union.len() == head.union.len() {
                return Err(Error::NotMounted.into());
            }
            // What remains may be the covered directory alone: then nothing is mounted.
            let covered = |m: &Mount| is_file(m, &head.on.file.session, head.on.file.qid);
            let bare = union.len() == 1 && union.first().is_some_and(covered);
            let left = if union.is_empty() || bare {
                None
            } else {
                Some(Ref::new(Head { on: head.on.clone(), union })?)
            };
            if self.replace(&head.on, Some(&head), left)? {
                return Ok(());
            }
        }
    }

    /// Every mount in the order of their numbers, with the head that it is in; of those that came together one.
    pub fn mounts(&self) -> Result<List<(Ref<Head>, Mount)>> {
        let mut all: List<(Ref<Head>, Mount)> = List::new();
        let chains = self.chains.lock();
        for head in chains.iter().flat_map(|c| c.iter()) {
            let mut last = 0;
            for m in head.union.iter().filter(|m| m.number != 0) {
                if m.number != last {
                    let at = all.iter().position(|(_, other)| other.number > m.number);
                    all.insert(at.unwrap_or(usize::MAX), (head.clone(), m.clone()))?;
                }
                last = m.number;
            }
        }
        drop(chains);
        Ok(all)
    }
}

/// Is an element of a union this file?
fn is_file(m: &Mount, session: &Ref<Session>, qid: Qid) -> bool {
    Ref::same(&m.place.file.session, session) && m.place.file.qid.path == qid.path
}

/// The number of the next mount.
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// The elements that a mount of `new` adds: of a union all, in its order.
fn added(new: &Ref<Place>, flags: u32) -> Result<List<Mount>> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mount = |place: &Ref<Place>, flags| {
        let place = if flags & MRDONLY == 0 { place.clone() } else { read_only(place)? };
        Ok::<_, crate::msg::Fail>(Mount { place, flags, with: new.clone(), number })
    };
    let mut list = List::new();
    match &new.union {
        Some(head) if head.union.len() > 1 => {
            for m in head.union.iter() {
                list.push(mount(&m.place, flags & !MCREATE)?)?;
            }
        }
        _ => list.push(mount(new, flags)?)?,
    }
    Ok(list)
}

/// The same place, by a way that changes nothing.
fn read_only(place: &Place) -> Result<Ref<Place>> {
    let mut file = place.file.copy()?;
    file.read_only = true;
    Ref::new(Place { file, path: place.path.copy()?, union: None })
}

/// What is on a file after `added` has been mounted in this order.
fn joined(on: &Ref<Place>, old: Option<&Head>, added: &List<Mount>, order: u32) -> Result<Head> {
    let mut kept = List::new();
    if order != 0 {
        match old {
            Some(h) => kept = h.union.copy()?,
            None => kept.push(Mount { place: on.clone(), flags: MCREATE, with: on.clone(), number: 0 })?,
        }
    }
    let (first, second) = if order == MAFTER { (&kept, added) } else { (added, &kept) };
    let mut union = List::new();
    for m in first.iter().chain(second.iter()) {
        union.push(m.clone())?;
    }
    Ok(Head { on: old.map_or(on, |h| &h.on).clone(), union })
}

impl Drop for Ns {
    fn drop(&mut self) {
        for c in self.chains.get_mut().iter() {
            for h in c.iter() {
                h.on.file.session.mounts.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

/// The options of bind(1) for an element of a union, and a space; nothing for none.
pub fn ns_option(order: &[u8], flags: u32, t: &mut Text) {
    let create: &[u8] = if flags & MCREATE != 0 { b"c" } else { b"" };
    let read: &[u8] = if flags & MRDONLY != 0 { b"r" } else { b"" };
    if !(order.is_empty() && create.is_empty() && read.is_empty()) {
        t.put(b"-").put(order).put(create).put(read).put(b" ");
    }
}
