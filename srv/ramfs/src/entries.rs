//! [`Entries`]: the contents of a directory: found by name, listed in the order of creation.
//!
//! An entry's number says where a listing stands: numbers only grow, so a listing goes on at the right entry whatever
//! is removed or made meanwhile. Names are hashed with a key that a client can't know, so none can choose a hundred
//! thousand names that collide.

use crate::inode::File;
use crate::users::copy_name;
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::Hasher;
use core::ops::Deref;
use hashbrown::HashTable;
use serve::Result;
use siphasher::sip::SipHasher13;
use sync::Shared;

/// A file's name with its hash, since that is asked for by whatever enters or takes out the file.
pub(crate) struct Name {
    text: String,
    hash: u64,
}

impl Name {
    /// A name in trees of this key.
    pub(crate) fn new(key: (u64, u64), text: &str) -> Result<Shared<Name>> {
        Ok(Shared::try_new(Name { text: copy_name(text)?, hash: hash(key, text) })?)
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.text
    }
}

struct Entry {
    name: Shared<Name>,
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
        self.names.find(hash(self.key, name), |e| e.name.text == name).map(|e| &e.file)
    }

    /// As [`Entries::get`], for a name that is one already.
    pub(crate) fn get_name(&self, name: &Name) -> Option<&File> {
        self.names.find(name.hash, |e| e.name.text == name.text).map(|e| &e.file)
    }

    /// Makes sure that the next insert and rename need no memory.
    pub(crate) fn reserve(&mut self) -> Result<()> {
        self.names.try_reserve(1, |e| e.name.hash).map_err(|_| serve::Fail::Error(serve::Error::NoMemory))?;
        self.order.try_reserve(1)?;
        Ok(())
    }

    /// Adds a file whose name is not there, after [`Entries::reserve`].
    pub(crate) fn insert(&mut self, name: Shared<Name>, file: File) {
        let number = self.next;
        self.next += 1;
        self.order.push((number, Some(file.clone())));
        self.put(Entry { name, number, file });
    }

    fn put(&mut self, entry: Entry) {
        self.names.insert_unique(entry.name.hash, entry, |e| e.name.hash);
    }

    /// Takes a file out.
    pub(crate) fn remove(&mut self, name: &Name) -> Option<File> {
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

    fn take(&mut self, name: &Name) -> Option<Entry> {
        let found = self.names.find_entry(name.hash, |e| e.name.text == name.text);
        found.ok().map(|e| e.remove().0)
    }

    /// Gives a file a name that is not there, after [`Entries::reserve`]. It keeps its place.
    pub(crate) fn rename(&mut self, old: &Name, new: Shared<Name>) {
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
