//! [`Ports`]: the port table of a process, or of several that share it.
//!
//! Every slot leads to a chan. A table is full of `nowhere`, whose session's function is the common routine; nothing
//! asks whether a port is assigned. `close` puts `nowhere` back.

use super::chan::Chan;
use crate::base::{List, Ref, Spin};
use crate::msg::Result;
use abi::error::Error;
use abi::limit;

/// A port table.
pub struct Ports {
    table: Spin<Table>,
    nowhere: Ref<Chan>,
}

#[derive(Clone)]
struct Slot {
    chan: Ref<Chan>,
    /// Given back when the process runs another program.
    close_on_exec: bool,
}

/// Free slots at a table's end that a close gives back.
const AT_ONCE: usize = 64;

struct Table {
    /// Slots up to the highest in use, or some more.
    slots: List<Slot>,
    /// No free slot is below this one.
    low: usize,
}

impl Ports {
    /// A table full of `nowhere`.
    pub fn new(nowhere: Ref<Chan>) -> Result<Ref<Ports>> {
        Ref::new(Ports { table: Spin::new(Table { slots: List::new(), low: 0 }), nowhere })
    }

    /// A copy.
    pub fn copy(&self) -> Result<Ref<Ports>> {
        let slots = self.table.lock().slots.copy()?;
        Ref::new(Ports { table: Spin::new(Table { slots, low: 0 }), nowhere: self.nowhere.clone() })
    }

    /// An empty table with the same `nowhere`.
    pub fn fresh(&self) -> Result<Ref<Ports>> {
        Ports::new(self.nowhere.clone())
    }

    /// What a port leads to.
    #[inline(always)]
    pub fn get(&self, fd: u64) -> Ref<Chan> {
        let table = self.table.lock_inline();
        let slot = usize::try_from(fd).ok().and_then(|i| table.slots.get(i));
        slot.map_or(&self.nowhere, |s| &s.chan).clone()
    }

    fn free(&self, slot: &Slot) -> bool {
        Ref::same(&slot.chan, &self.nowhere)
    }

    fn empty(&self) -> Slot {
        Slot { chan: self.nowhere.clone(), close_on_exec: false }
    }

    /// Assigns the lowest free port.
    pub fn add(&self, chan: Ref<Chan>, close_on_exec: bool) -> Result<u64> {
        let mut table = self.table.lock();
        let low = table.low;
        let at = table.slots.iter().skip(low).position(|s| self.free(s)).map(|i| i.saturating_add(low));
        let at = at.unwrap_or(table.slots.len());
        if at >= limit::PORTS {
            return Err(Error::NoPort.into());
        }
        match table.slots.get_mut(at) {
            Some(slot) => *slot = Slot { chan, close_on_exec },
            None => table.slots.push(Slot { chan, close_on_exec })?,
        }
        table.low = at.saturating_add(1);
        u64::try_from(at).map_err(|_| Error::NoPort.into())
    }

    /// Assigns a certain port; what was there comes back.
    pub fn set(&self, fd: u64, chan: Ref<Chan>) -> Result<Ref<Chan>> {
        let at = usize::try_from(fd).ok().filter(|&i| i < limit::PORTS).ok_or(Error::BadArg)?;
        let mut table = self.table.lock();
        while table.slots.len() <= at {
            table.slots.push(self.empty())?;
        }
        let slot = table.slots.get_mut(at).ok_or(Error::BadArg)?;
        Ok(core::mem::replace(slot, Slot { chan, close_on_exec: false }).chan)
    }

    /// Gives a port back: what it led to. Nothing distinguishes a port that led nowhere already but its answer.
    pub fn close(&self, fd: u64) -> Result<Ref<Chan>> {
        let mut table = self.table.lock();
        let at = usize::try_from(fd).map_err(|_| Error::Nowhere)?;
        let slot = table.slots.get_mut(at).ok_or(Error::Nowhere)?;
        let old = core::mem::replace(slot, self.empty());
        table.low = table.low.min(at);
        // A table that was large once is not copied as such for ever.
        for _ in 0..AT_ONCE {
            if !table.slots.last().is_some_and(|s| self.free(s)) {
                break;
            }
            table.slots.pop();
        }
        drop(table);
        if self.free(&old) { Err(Error::Nowhere.into()) } else { Ok(old.chan) }
    }

    /// Gives back every port that is to be closed at exec; the chans are dropped without the lock.
    pub fn exec(&self) {
        let mut from = 0usize;
        loop {
            let mut table = self.table.lock();
            let hit = table.slots.iter().skip(from).position(|s| s.close_on_exec);
            let Some(at) = hit.map(|i| i.saturating_add(from)) else { return };
            let old = table.slots.get_mut(at).map(|s| core::mem::replace(s, self.empty()));
            table.low = table.low.min(at);
            drop(table);
            drop(old);
            from = at;
        }
    }

    /// The assigned ports with their chans, from a number on: for `/proc/N/fd` and `#dup`.
    pub fn next(&self, from: usize) -> Option<(usize, Ref<Chan>)> {
        let table = self.table.lock();
        let at = table.slots.iter().skip(from).position(|s| !self.free(s))?.saturating_add(from);
        table.slots.get(at).map(|s| (at, s.chan.clone()))
    }

    /// How many are assigned.
    pub fn used(&self) -> usize {
        self.table.lock().slots.iter().filter(|s| !self.free(s)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msg::{Msg, Reply};
    use crate::name::{File, Path};
    use crate::session::{Serve, Session};
    use abi::file::{OREAD, Qid};
    use std::collections::BTreeMap;

    struct Anything;

    impl Serve for Anything {
        fn answer(&self, _: &Ref<Session>, _: &mut Msg<'_>) -> Result<Reply> {
            Ok(Reply::default())
        }
    }

    fn chan(session: &Ref<Session>, path: u64) -> Ref<Chan> {
        let file = File::tree(session.clone(), Qid { kind: 0, vers: 0, path });
        Chan::new(file, Path::root().unwrap(), OREAD, 0, None).unwrap()
    }

    fn table() -> (Ref<Ports>, Ref<Session>) {
        (Ports::new(Chan::nowhere().unwrap()).unwrap(), Session::tree(&Anything).unwrap())
    }

    #[test]
    fn ports_lead_where_the_model_says() {
        let (ports, session) = table();
        let mut model: BTreeMap<u64, (u64, bool)> = BTreeMap::new();
        let mut random = 0x2545_f491_4f6c_dd1du64;
        let mut below = |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % n
        };
        for step in 1..20_000u64 {
            let fd = below(40);
            match below(16) {
                0..6 => {
                    let on_exec = below(3) == 0;
                    let lowest = (0..).find(|n| !model.contains_key(n)).unwrap();
                    assert_eq!(ports.add(chan(&session, step), on_exec).unwrap(), lowest, "step {step}");
                    model.insert(lowest, (step, on_exec));
                }
                6..12 => assert_eq!(ports.close(fd).is_ok(), model.remove(&fd).is_some(), "step {step}"),
                12..15 => {
                    drop(ports.set(fd, chan(&session, step)).unwrap());
                    model.insert(fd, (step, false));
                }
                _ => {
                    ports.exec();
                    model.retain(|_, p| !p.1);
                }
            }
            for fd in 0..60 {
                let c = ports.get(fd);
                let want = model.get(&fd).map(|p| p.0);
                assert_eq!(
                    (!c.file.session.is_nowhere()).then_some(c.file.qid.path),
                    want,
                    "step {step}, {fd}"
                );
            }
            assert_eq!(ports.used(), model.len());
        }
        let copy = ports.copy().unwrap();
        let some = *model.keys().next().unwrap();
        ports.close(some).unwrap();
        assert!(!copy.get(some).file.session.is_nowhere(), "a copy is not apart");
    }

    #[test]
    fn a_table_that_was_large_becomes_small_again() {
        let (ports, session) = table();
        (0..500).for_each(|i| assert_eq!(ports.add(chan(&session, i), false), Ok(i)));
        // From the first on, so that only the last close finds free slots at the end.
        (1..500).for_each(|fd| drop(ports.close(fd).unwrap()));
        (0..8).for_each(|_| drop((ports.add(chan(&session, 1), false).unwrap(), ports.close(1).unwrap())));
        assert_eq!(ports.table.lock().slots.len(), 1);
        assert_eq!(ports.add(chan(&session, 1), false), Ok(1));
    }

    #[test]
    fn the_table_ends_at_its_limit() {
        let (ports, session) = table();
        let c = chan(&session, 1);
        let last = limit::PORTS as u64 - 1;
        ports.set(last, c.clone()).unwrap();
        assert!(ports.set(last + 1, c.clone()).is_err());
        assert!(ports.set(u64::MAX, c.clone()).is_err());
        for fd in 0..last {
            assert_eq!(ports.add(c.clone(), false).unwrap(), fd);
        }
        assert_eq!(ports.add(c.clone(), false), Err(Error::NoPort.into()));
        ports.close(7).unwrap();
        assert_eq!(ports.add(c, false).unwrap(), 7);
    }
}
