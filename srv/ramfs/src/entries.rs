//! [`Entries`]: the contents of a directory: found by name, listed in the order of creation.
//!
//! An entry's number says where a listing stands: numbers only grow, so a listing goes on at the right entry whatever
//! is removed or made meanwhile. Names are hashed with a key that a client can't know, so none can choose a hundred
//! thousand names that collide.

use crate::inode::File;
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::Hasher;
use hashbrown::HashTable;
use serve::Result;
use siphasher::sip::SipHasher13;
use sync::Shared;

struct Entry {
    name: Shared<String>,
    number: u64,
    file: File,
}

/// A directory's entries.
pub(crate) struct Entries {
    names: HashTable<Entry>,
    /// By number. An entry that is gone leaves a gap until there are many.
    order: Vec<(u64, Option<File>)>,
    next: u64,
    key: (u64, u64),
}

impl Entries {
    pub(crate) const fn new(key: (u64, u64)) -> Entries {
        Entries { names: HashTable::new(), order: Vec::new(), next: 1, key }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&File> {
        self.names.find(hash(self.key, name), |e| e.name.as_str() == name).map(|e| &e.file)
    }

    /// Makes sure that the next insert and rename need no memory.
    pub(crate) fn reserve(&mut self) -> Result<()> {
        let key = self.key;
        self.names
            .try_reserve(1, |e| hash(key, &e.name))
            .map_err(|_| serve::Fail::Error(serve::Error::NoMemory))?;
        self.order.try_reserve(1)?;
        Ok(())
    }

    /// Adds a file whose name is not there, after [`Entries::reserve`].
    pub(crate) fn insert(&mut self, name: Shared<String>, file: File) {
        let number = self.next;
        self.next += 1;
        self.order.push((number, Some(file.clone())));
        self.put(Entry { name, number, file });
    }

    fn put(&mut self, entry: Entry) {
        let key = self.key;
        self.names.insert_unique(hash(key, &entry.name), entry, |e| hash(key, &e.name));
    }

    /// Takes a file out.
    pub(crate) fn remove(&mut self, name: &str) -> Option<File> {
        let entry = self.take(name)?;
        if let Ok(at) = self.order.binary_search_by_key(&entry.number, |o| o.0)
            && let Some(slot) = self.order.get_mut(at)
        {
            slot.1 = None;
        }
        if self.order.len() > 32 && self.order.len() > 2 * self.names.len() {
            self.order.retain(|o| o.1.is_some());
        }
        Some(entry.file)
    }

    fn take(&mut self, name: &str) -> Option<Entry> {
        let found = self.names.find_entry(hash(self.key, name), |e| e.name.as_str() == name);
        found.ok().map(|e| e.remove().0)
    }

    /// Gives a file a name that is not there, after [`Entries::reserve`]. It keeps its place.
    pub(crate) fn rename(&mut self, old: &str, new: Shared<String>) {
        if let Some(mut entry) = self.take(old) {
            entry.name = new;
            self.put(entry);
        }
    }

    /// The files after a place, each with its own.
    pub(crate) fn after(&self, place: u64) -> impl Iterator<Item = (u64, &File)> {
        let at = self.order.partition_point(|o| o.0 <= place);
        self.order.iter().skip(at).filter_map(|(number, file)| Some((*number, file.as_ref()?)))
    }

    /// Takes any file out: how a whole tree is dropped.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = File> + use<> {
        self.order.clear();
        core::mem::replace(&mut self.names, HashTable::new()).into_iter().map(|e| e.file)
    }
}

fn hash(key: (u64, u64), name: &str) -> u64 {
    let mut h = SipHasher13::new_with_keys(key.0, key.1);
    h.write(name.as_bytes());
    h.finish()
}
