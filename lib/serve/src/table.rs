//! [`Table`]: which file a fid names. One per connection, or one per portal for all its sessions.
//!
//! Open addressing with linear probing over a power of two, at most half full, removal by moving back: a lookup is a
//! multiplication and, nearly always, one comparison. Each of the table's parts has its own lock, held only to
//! look up or change an entry, never while a server works. An entry is a counted pointer, so a fid that is clunked
//! while another request uses it lives until that is answered.

use crate::{Ctx, Fail, Mode, Result, Server, Wake};
use abi::error::Error;
use alloc::string::String;
use alloc::vec::Vec;
use sync::{Lock, Shared};

/// Where a request comes from.
pub struct At<'a, S: Server> {
    /// The fids it can name.
    pub table: &'a Table<S>,
    /// Its session.
    pub session: u64,
    /// Its tag.
    pub tag: u16,
    /// How the server wakes waiters.
    pub wake: &'a dyn Wake,
}

impl<'a, S: Server> At<'a, S> {
    /// The context of a request by this user.
    #[inline]
    pub(crate) fn ctx<'c>(&'c self, user: &'c str) -> Ctx<'c> {
        Ctx { session: self.session, tag: self.tag, user, wake: self.wake }
    }
}

/// A user's name as all fids of an attach share it.
pub(crate) type User = Shared<String>;

/// What a fid names. Open or not is decided when it is made: opening replaces it.
pub(crate) struct Fid<S: Server> {
    pub(crate) node: S::Node,
    pub(crate) user: User,
    pub(crate) dir: bool,
    pub(crate) auth: bool,
    /// `None` until opened.
    pub(crate) mode: Option<Mode>,
    /// Where the last directory read ended: the offset a client knows and the server's place.
    pub(crate) place: Lock<(u64, u64)>,
}

impl<S: Server> Fid<S> {
    #[inline]
    pub(crate) fn user(&self) -> &str {
        &self.user
    }
}

struct Entry<S: Server> {
    session: u64,
    number: u32,
    fid: Shared<Fid<S>>,
}

/// One part of the table, under one lock.
struct Part<S: Server> {
    slots: Vec<Option<Entry<S>>>,
    used: usize,
}

/// The fids of a connection or of a portal's sessions.
pub struct Table<S: Server> {
    parts: Vec<Lock<Part<S>>>,
    /// Most fids of one part.
    most: usize,
}

const FIRST: usize = 16;

impl<S: Server> Table<S> {
    /// A table in `parts` parts (a power of two: one for a connection, more where CPUs meet) of at most `most` fids
    /// each.
    pub fn new(parts: usize, most: usize) -> Result<Table<S>> {
        let mut list = Vec::new();
        list.try_reserve_exact(parts.next_power_of_two())?;
        for _ in 0..parts.next_power_of_two() {
            list.push(Lock::new(Part { slots: Vec::new(), used: 0 }));
        }
        Ok(Table { parts: list, most })
    }

    #[inline]
    fn part(&self, session: u64) -> Option<&Lock<Part<S>>> {
        self.parts.get(session as usize & (self.parts.len() - 1))
    }

    /// What the fid names.
    #[inline]
    pub(crate) fn get(&self, session: u64, number: u32) -> Result<Shared<Fid<S>>> {
        let part = self.part(session).ok_or(Error::UnknownFid)?.lock();
        match part.find(session, number).and_then(|i| part.slots.get(i)) {
            Some(Some(entry)) => Ok(entry.fid.clone()),
            _ => Err(Fail::Error(Error::UnknownFid)),
        }
    }

    /// Is the fid in use?
    pub(crate) fn has(&self, session: u64, number: u32) -> bool {
        self.get(session, number).is_ok()
    }

    /// Binds a new fid.
    pub(crate) fn insert(&self, session: u64, number: u32, fid: Shared<Fid<S>>) -> Result<()> {
        let mut part = self.part(session).ok_or(Error::UnknownFid)?.lock();
        if part.find(session, number).is_some() {
            return Err(Fail::Error(Error::FidInUse));
        }
        if part.used >= self.most {
            return Err(Fail::Error(Error::NoPort));
        }
        part.grow()?;
        part.put(Entry { session, number, fid });
        Ok(())
    }

    /// Puts `new` in the place of `old`, unless another request was faster.
    pub(crate) fn replace(
        &self,
        session: u64,
        number: u32,
        old: &Shared<Fid<S>>,
        new: Shared<Fid<S>>,
    ) -> Result<()> {
        let mut part = self.part(session).ok_or(Error::UnknownFid)?.lock();
        let found = part.find(session, number);
        match found.and_then(|i| part.slots.get_mut(i)) {
            Some(Some(entry)) if Shared::same(&entry.fid, old) => {
                entry.fid = new;
                Ok(())
            }
            _ => Err(Fail::Error(Error::UnknownFid)),
        }
    }

    /// Unbinds the fid: what it named.
    pub(crate) fn take(&self, session: u64, number: u32) -> Result<Shared<Fid<S>>> {
        let mut part = self.part(session).ok_or(Error::UnknownFid)?.lock();
        let at = part.find(session, number).ok_or(Error::UnknownFid)?;
        part.remove(at).map(|e| e.fid).ok_or(Fail::Error(Error::UnknownFid))
    }

    /// Unbinds one fid of the session, looking from slot `*from` down: what it named. Taking an entry may move another
    /// of the session's up, behind the search, so that only a search that finds nothing at all says that none is left.
    pub(crate) fn take_below(&self, session: u64, from: &mut usize) -> Option<Shared<Fid<S>>> {
        let mut part = self.part(session)?.lock();
        let top = (*from).min(part.slots.len());
        let mine = |s: &Option<Entry<S>>| s.as_ref().is_some_and(|e| e.session == session);
        let at = part.slots.get(..top)?.iter().rposition(mine)?;
        // The slot itself may have been filled again, so the next search looks at it once more.
        *from = at + 1;
        let fid = part.remove(at).map(|e| e.fid);
        if part.used == 0 {
            part.slots = Vec::new();
        }
        fid
    }

    /// How many fids are bound.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|p| p.lock().used).sum()
    }

    /// Is none bound?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<S: Server> Part<S> {
    /// Where the fid would stand if nothing were in its way.
    #[inline]
    fn home(&self, session: u64, number: u32) -> usize {
        let key = (u64::from(number) ^ session.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (key >> 32) as usize & self.mask()
    }

    #[inline]
    fn mask(&self) -> usize {
        self.slots.len().wrapping_sub(1)
    }

    #[inline]
    fn find(&self, session: u64, number: u32) -> Option<usize> {
        let mut at = self.home(session, number);
        while let Some(Some(entry)) = self.slots.get(at) {
            if entry.number == number && entry.session == session {
                return Some(at);
            }
            at = (at + 1) & self.mask();
        }
        None
    }

    /// Makes room for one more.
    fn grow(&mut self) -> Result<()> {
        if self.used * 2 < self.slots.len() {
            return Ok(());
        }
        let size = (self.slots.len() * 2).max(FIRST);
        let mut slots = Vec::new();
        slots.try_reserve_exact(size)?;
        slots.resize_with(size, || None);
        let old = core::mem::replace(&mut self.slots, slots);
        self.used = 0;
        for entry in old.into_iter().flatten() {
            self.put(entry);
        }
        Ok(())
    }

    fn put(&mut self, entry: Entry<S>) {
        let mut at = self.home(entry.session, entry.number);
        while let Some(Some(_)) = self.slots.get(at) {
            at = (at + 1) & self.mask();
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Some(entry);
            self.used += 1;
        }
    }

    /// Empties a slot and moves back what stands behind it because it was full.
    fn remove(&mut self, mut hole: usize) -> Option<Entry<S>> {
        let gone = self.slots.get_mut(hole)?.take()?;
        self.used -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask();
            let Some(Some(entry)) = self.slots.get(at) else { return Some(gone) };
            let home = self.home(entry.session, entry.number);
            // The entry may move to the hole unless its home lies between the hole and itself.
            if at.wrapping_sub(home) & self.mask() >= at.wrapping_sub(hole) & self.mask() {
                self.slots.swap(hole, at);
                hole = at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::file::Qid;
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry as Slot;

    struct Nothing;
    impl Server for Nothing {
        type Node = u64;
        fn qid(&self, _: &u64) -> Qid {
            Qid::default()
        }
    }

    fn fid(node: u64) -> Result<Shared<Fid<Nothing>>> {
        let user = Shared::try_new(String::new())?;
        let place = Lock::default();
        Ok(Shared::try_new(Fid { node, user, dir: false, auth: false, mode: None, place })?)
    }

    #[test]
    fn random_operations_do_what_a_map_does() {
        const STEPS: u64 = if cfg!(miri) { 300 } else { 60_000 };
        let table = Table::<Nothing>::new(2, 300).unwrap();
        let mut model = BTreeMap::new();
        let mut random = 88172645463325252_u64;
        let mut next = |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 20) % n
        };
        for step in 0..STEPS {
            // Few sessions, and fids that are close together or far apart.
            let (session, number) = (next(4), (next(200) * [1, 1 << 20][next(2) as usize]) as u32);
            match next(8) {
                0..=3 => {
                    let full = model.keys().filter(|k: &&(u64, u32)| k.0 % 2 == session % 2).count() >= 300;
                    let put = table.insert(session, number, fid(step).unwrap());
                    match model.entry((session, number)) {
                        Slot::Occupied(_) => assert_eq!(put, Err(Fail::Error(Error::FidInUse))),
                        Slot::Vacant(_) if full => assert_eq!(put, Err(Fail::Error(Error::NoPort))),
                        Slot::Vacant(slot) => {
                            assert_eq!(put, Ok(()));
                            slot.insert(step);
                        }
                    }
                }
                4 | 5 => {
                    let taken = table.take(session, number).ok().map(|f| f.node);
                    assert_eq!(taken, model.remove(&(session, number)));
                }
                6 if next(400) == 0 => {
                    let mut all = Vec::new();
                    loop {
                        let (mut from, before) = (usize::MAX, all.len());
                        while let Some(f) = table.take_below(session, &mut from) {
                            all.push(f.node);
                        }
                        if all.len() == before {
                            break;
                        }
                    }
                    all.sort_unstable();
                    let mut expected: Vec<u64> =
                        model.iter().filter(|(k, _)| k.0 == session).map(|(_, n)| *n).collect();
                    expected.sort_unstable();
                    assert_eq!(all, expected);
                    model.retain(|k, _| k.0 != session);
                }
                _ => {
                    let found = table.get(session, number).ok().map(|f| f.node);
                    assert_eq!(found, model.get(&(session, number)).copied());
                }
            }
            assert_eq!(table.len(), model.len());
        }
    }

    #[test]
    fn of_two_who_open_a_fid_at_once_one_wins() {
        let table = Table::<Nothing>::new(1, 8).unwrap();
        table.insert(1, 5, fid(0).unwrap()).unwrap();
        let old = table.get(1, 5).unwrap();
        table.replace(1, 5, &old, fid(1).unwrap()).unwrap();
        assert_eq!(table.replace(1, 5, &old, fid(2).unwrap()), Err(Fail::Error(Error::UnknownFid)));
        assert_eq!(table.get(1, 5).unwrap().node, 1);
    }
}
