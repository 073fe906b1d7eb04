//! [`Map`]: a small ordered map that asks for memory before it needs it, and so never ends the program for want of it.
//!
//! The keys stand sorted in one list. What a session numbers itself comes in order, and is added at the end.

use abi::error::Error as Reason;
use alloc::vec::Vec;

/// Keys, each with a value.
#[derive(Debug)]
pub(crate) struct Map<K, V>(Vec<(K, V)>);

impl<K: Copy + Ord, V> Map<K, V> {
    pub(crate) const fn new() -> Self {
        Map(Vec::new())
    }

    /// Makes room for one more.
    pub(crate) fn reserve(&mut self) -> Result<(), Reason> {
        self.0.try_reserve(1).map_err(|_| Reason::NoMemory)
    }

    /// Adds what there is room for, or replaces what the key had.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.0.binary_search_by_key(&key, |e| e.0) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        let at = self.0.binary_search_by_key(&key, |e| e.0).ok()?;
        Some(self.0.remove(at).1)
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        let at = self.0.binary_search_by_key(&key, |e| e.0).ok()?;
        self.0.get(at).map(|e| &e.1)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let at = self.0.binary_search_by_key(&key, |e| e.0).ok()?;
        self.0.get_mut(at).map(|e| &mut e.1)
    }

    pub(crate) fn contains(&self, key: K) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|e| &e.1)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
