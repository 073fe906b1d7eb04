//! [`List`]: a vector that says so when there is no memory.

extern crate alloc;

use crate::msg::Result;
use abi::error::Error;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

/// A growing sequence whose growth can fail.
#[derive(Debug)]
pub struct List<T>(Vec<T>);

impl<T> List<T> {
    /// An empty list; takes no memory.
    pub const fn new() -> List<T> {
        List(Vec::new())
    }

    /// Makes sure that so many more can be pushed without failing.
    pub fn reserve(&mut self, more: usize) -> Result<()> {
        self.0.try_reserve(more).map_err(|_| Error::NoMemory.into())
    }

    /// Adds at the end.
    pub fn push(&mut self, value: T) -> Result<()> {
        self.reserve(1)?;
        self.0.push(value);
        Ok(())
    }

    /// Adds before the element at `at`; at the end if there are not so many.
    pub fn insert(&mut self, at: usize, value: T) -> Result<()> {
        self.reserve(1)?;
        self.0.insert(at.min(self.0.len()), value);
        Ok(())
    }

    /// Takes the last.
    pub fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    /// Takes one out, keeping the order of the others.
    pub fn remove(&mut self, at: usize) -> Option<T> {
        (at < self.0.len()).then(|| self.0.remove(at))
    }

    /// Takes one out and puts the last in its place.
    pub fn swap_remove(&mut self, at: usize) -> Option<T> {
        (at < self.0.len()).then(|| self.0.swap_remove(at))
    }

    /// Keeps only the first so many.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Keeps only those that the test accepts.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.0.retain(keep);
    }

    /// Takes everything out.
    pub fn take(&mut self) -> List<T> {
        core::mem::take(self)
    }
}

impl<T: Clone> List<T> {
    /// A copy.
    pub fn copy(&self) -> Result<List<T>> {
        let mut l = List::new();
        l.reserve(self.0.len())?;
        l.0.extend(self.0.iter().cloned());
        Ok(l)
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List::new()
    }
}

impl<T> Deref for List<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> IntoIterator for List<T> {
    type Item = T;
    type IntoIter = alloc::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
