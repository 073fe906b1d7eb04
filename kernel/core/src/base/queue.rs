//! [`Queue`]: a doubly linked sequence of counted objects through links inside them, so that queueing never allocates.
//!
//! An object has one [`Link`] for each queue that it can be on at once, told apart by a number: a thread, say, one for
//! the run queue, one for what it waits for and one for the timer. A queue is guarded by its owner's lock; a link is
//! touched only under the lock of the queue that it is on.
#![allow(unsafe_code, reason = "links objects by raw pointers")]

use super::Ref;
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The place inside an object that holds it on a queue.
#[derive(Debug)]
pub struct Link<T> {
    /// Number of the queue the object is on, 0 for none.
    on: AtomicUsize,
    next: Cell<*const T>,
    previous: Cell<*const T>,
}

// SAFETY: the cells are touched only by the queue that `on` names, under the lock that guards it.
unsafe impl<T: Send + Sync> Sync for Link<T> {}
// SAFETY: as above; the pointers are counted references to objects that may be sent.
unsafe impl<T: Send + Sync> Send for Link<T> {}

impl<T> Link<T> {
    /// A link on no queue.
    pub const fn new() -> Link<T> {
        Link { on: AtomicUsize::new(0), next: Cell::new(ptr::null()), previous: Cell::new(ptr::null()) }
    }

    /// Is the object on a queue? Whoever is not told so by the queue's lock may learn it late.
    #[inline(always)]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed) != 0
    }
}

impl<T> Default for Link<T> {
    fn default() -> Self {
        Link::new()
    }
}

/// An object that can be on queues of kind `N`.
pub trait Linked<const N: usize>: Sized {
    /// The link for them.
    fn link(&self) -> &Link<Self>;
}

/// A queue; it holds a reference to each object on it.
#[derive(Debug)]
pub struct Queue<T: Linked<N>, const N: usize> {
    /// Names this queue in links; given at the first push, since a constant can't be unique.
    number: usize,
    head: *const T,
    tail: *const T,
    len: usize,
}

// SAFETY: a queue is a sequence of Ref<T>.
unsafe impl<T: Linked<N> + Send + Sync, const N: usize> Send for Queue<T, N> {}

static NUMBERS: AtomicUsize = AtomicUsize::new(1);

impl<T: Linked<N>, const N: usize> Queue<T, N> {
    /// An empty queue.
    pub const fn new() -> Queue<T, N> {
        Queue { number: 0, head: ptr::null(), tail: ptr::null(), len: 0 }
    }

    /// How many are on it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is nothing on it?
    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// The first.
    pub fn first(&self) -> Option<&T> {
        // SAFETY: a non-null head is a counted object of this queue, which is borrowed.
        unsafe { self.head.as_ref() }
    }

    /// Is this object on it?
    pub fn has(&self, item: &T) -> bool {
        self.number != 0 && item.link().on.load(Ordering::Relaxed) == self.number
    }

    /// Adds at the end; false, and nothing happens, if it is on a queue of this kind already.
    pub fn push(&mut self, item: Ref<T>) -> bool {
        self.push_inline(item)
    }

    /// The same without a call, for the measured paths.
    #[inline(always)]
    pub fn push_inline(&mut self, item: Ref<T>) -> bool {
        if self.number == 0 {
            self.number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        }
        let link = item.link();
        if link.on.compare_exchange(0, self.number, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        let tail = self.tail;
        link.next.set(ptr::null());
        link.previous.set(tail);
        let raw = Ref::into_raw(item);
        // SAFETY: the tail is null or an object of this queue.
        match unsafe { tail.as_ref() } {
            Some(t) => t.link().next.set(raw),
            None => self.head = raw,
        }
        self.tail = raw;
        self.len = self.len.wrapping_add(1);
        true
    }

    /// Adds at the front.
    pub fn push_front(&mut self, item: Ref<T>) -> bool {
        self.push_before(item, self.head)
    }

    /// Adds before the first object for which the test holds.
    pub fn insert_before(&mut self, item: Ref<T>, test: impl Fn(&T) -> bool) -> bool {
        let mut at = self.head;
        // SAFETY: every pointer of the chain is a counted object of this queue.
        while let Some(t) = unsafe { at.as_ref() } {
            if test(t) {
                break;
            }
            at = t.link().next.get();
        }
        self.push_before(item, at)
    }

    fn push_before(&mut self, item: Ref<T>, at: *const T) -> bool {
        if self.number == 0 {
            self.number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        }
        let link = item.link();
        if link.on.compare_exchange(0, self.number, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        // SAFETY: `at` is null or an object of this queue.
        let previous = unsafe { at.as_ref() }.map_or(self.tail, |t| t.link().previous.get());
        link.next.set(at);
        link.previous.set(previous);
        let raw = Ref::into_raw(item);
        // SAFETY: both neighbours are null or objects of this queue.
        match unsafe { previous.as_ref() } {
            Some(p) => p.link().next.set(raw),
            None => self.head = raw,
        }
        // SAFETY: as above.
        match unsafe { at.as_ref() } {
            Some(n) => n.link().previous.set(raw),
            None => self.tail = raw,
        }
        self.len = self.len.wrapping_add(1);
        true
    }

    /// Takes the first.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<Ref<T>> {
        let first = self.head;
        // SAFETY: a non-null head is a counted object of this queue.
        let link = unsafe { first.as_ref() }?.link();
        let next = link.next.get();
        self.head = next;
        // SAFETY: the neighbour is null or an object of this queue.
        match unsafe { next.as_ref() } {
            Some(n) => n.link().previous.set(ptr::null()),
            None => self.tail = ptr::null(),
        }
        self.len = self.len.wrapping_sub(1);
        link.on.store(0, Ordering::Release);
        // SAFETY: the queue held a reference made by `into_raw`, which nothing leads to any more.
        Some(unsafe { Ref::from_raw(first) })
    }

    /// Takes the first for which the test holds.
    pub fn take(&mut self, test: impl Fn(&T) -> bool) -> Option<Ref<T>> {
        let mut at = self.head;
        // SAFETY: every pointer of the chain is a counted object of this queue.
        while let Some(t) = unsafe { at.as_ref() } {
            if test(t) {
                return Some(self.unlink(t));
            }
            at = t.link().next.get();
        }
        None
    }

    /// Takes this object; none if it is not on this queue.
    pub fn remove(&mut self, item: &T) -> Option<Ref<T>> {
        self.has(item).then(|| self.unlink(item))
    }

    /// `item` is on this queue.
    fn unlink(&mut self, item: &T) -> Ref<T> {
        let link = item.link();
        let (next, previous) = (link.next.get(), link.previous.get());
        // The pointer by which the queue holds it, which may lead to all of the counted object; `item` may not.
        // SAFETY: the neighbour is null or an object of this queue.
        let raw = unsafe { previous.as_ref() }.map_or(self.head, |p| p.link().next.get());
        // SAFETY: both neighbours are null or objects of this queue.
        match unsafe { previous.as_ref() } {
            Some(p) => p.link().next.set(next),
            None => self.head = next,
        }
        // SAFETY: as above.
        match unsafe { next.as_ref() } {
            Some(n) => n.link().previous.set(previous),
            None => self.tail = previous,
        }
        self.len = self.len.wrapping_sub(1);
        link.on.store(0, Ordering::Release);
        // SAFETY: the queue held a reference made by `into_raw`, which nothing leads to any more.
        unsafe { Ref::from_raw(raw) }
    }

    /// Visits each, first to last.
    pub fn each(&self, mut visit: impl FnMut(&T)) {
        let mut at = self.head;
        // SAFETY: every pointer of the chain is a counted object of this queue, which is borrowed.
        while let Some(t) = unsafe { at.as_ref() } {
            visit(t);
            at = t.link().next.get();
        }
    }
}

impl<T: Linked<N>, const N: usize> Default for Queue<T, N> {
    fn default() -> Self {
        Queue::new()
    }
}

impl<T: Linked<N>, const N: usize> Drop for Queue<T, N> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// The number in the links of objects on piles.
const PILE: usize = usize::MAX;

/// A pile: last in, first out, and nothing else, in half the steps of a queue.
#[derive(Debug)]
pub struct Pile<T: Linked<N>, const N: usize>(*const T);

// SAFETY: a pile is a sequence of Ref<T>.
unsafe impl<T: Linked<N> + Send + Sync, const N: usize> Send for Pile<T, N> {}

impl<T: Linked<N>, const N: usize> Pile<T, N> {
    /// Nothing.
    pub const fn new() -> Pile<T, N> {
        Pile(ptr::null())
    }

    /// Is nothing on it?
    pub fn is_empty(&self) -> bool {
        self.0.is_null()
    }

    /// Puts an object on top; nothing happens if it is on a queue or pile of this kind already.
    #[inline(always)]
    pub fn push(&mut self, item: Ref<T>) {
        let link = item.link();
        // No exchange: nobody else has it, or it would be on a queue already.
        if link.on.load(Ordering::Acquire) == 0 {
            link.on.store(PILE, Ordering::Relaxed);
            link.next.set(self.0);
            self.0 = Ref::into_raw(item);
        }
    }

    /// Takes what is on top.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<Ref<T>> {
        let top = self.0;
        // SAFETY: a non-null top is a counted object of this pile.
        let link = unsafe { top.as_ref() }?.link();
        self.0 = link.next.get();
        link.on.store(0, Ordering::Release);
        // SAFETY: the pile held a reference made by `into_raw`, which nothing leads to any more.
        Some(unsafe { Ref::from_raw(top) })
    }
}

impl<T: Linked<N>, const N: usize> Default for Pile<T, N> {
    fn default() -> Self {
        Pile::new()
    }
}

impl<T: Linked<N>, const N: usize> Drop for Pile<T, N> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    struct Item {
        value: u32,
        link: Link<Item>,
    }
    impl Linked<0> for Item {
        fn link(&self) -> &Link<Item> {
            &self.link
        }
    }

    #[test]
    fn a_pile_gives_the_last_first_and_holds_nobody_twice() {
        let items: Vec<Ref<Item>> =
            (0..3).map(|value| Ref::new(Item { value, link: Link::new() }).unwrap()).collect();
        let (mut pile, mut queue) = (Pile::new(), Queue::new());
        assert!(pile.is_empty() && pile.pop().is_none());
        queue.push(items[2].clone());
        items.iter().chain(&items).for_each(|i| pile.push(i.clone()));
        assert_eq!([pile.pop().unwrap().value, pile.pop().unwrap().value], [1, 0]);
        assert!(pile.pop().is_none(), "what is on a queue was put on a pile too");
        pile.push(items[0].clone());
        drop((pile, queue));
        assert!(items.iter().all(|i| Ref::holders(i) == 1), "a pile kept or lost a reference");
    }

    fn contents(q: &Queue<Item, 0>) -> Vec<u32> {
        let mut v = Vec::new();
        q.each(|i| v.push(i.value));
        v
    }

    #[test]
    fn behaves_as_a_deque_under_random_operations() {
        let items: Vec<Ref<Item>> =
            (0..8).map(|value| Ref::new(Item { value, link: Link::new() }).unwrap()).collect();
        const STEPS: u32 = if cfg!(miri) { 200 } else { 20_000 };
        let mut queues = [Queue::new(), Queue::new()];
        let mut model = [VecDeque::new(), VecDeque::new()];
        let mut seed = 1u64;
        for _ in 0..STEPS {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let r = (seed >> 33) as usize;
            let (which, i) = (r & 1, (r >> 1) & 7);
            let queued = model.iter().any(|m| m.contains(&(i as u32)));
            match (r >> 4) % 6 {
                0 => {
                    assert_eq!(queues[which].push(items[i].clone()), !queued);
                    if !queued {
                        model[which].push_back(i as u32);
                    }
                }
                1 => {
                    assert_eq!(queues[which].push_front(items[i].clone()), !queued);
                    if !queued {
                        model[which].push_front(i as u32);
                    }
                }
                2 => assert_eq!(queues[which].pop().map(|x| x.value), model[which].pop_front()),
                3 => {
                    let at = model[which].iter().position(|&v| v == i as u32);
                    assert_eq!(queues[which].remove(&items[i]).is_some(), at.is_some());
                    at.map(|at| model[which].remove(at));
                }
                4 => {
                    let at = model[which].iter().position(|&v| v > 3);
                    assert_eq!(
                        queues[which].take(|x| x.value > 3).map(|x| x.value),
                        at.map(|at| model[which][at])
                    );
                    at.map(|at| model[which].remove(at));
                }
                _ => {
                    let at = model[which].iter().position(|&v| v > i as u32).unwrap_or(model[which].len());
                    assert_eq!(
                        queues[which].insert_before(items[i].clone(), |x| x.value > i as u32),
                        !queued
                    );
                    if !queued {
                        model[which].insert(at, i as u32);
                    }
                }
            }
            for w in 0..2 {
                assert_eq!(contents(&queues[w]), Vec::from(model[w].clone()));
                assert_eq!(queues[w].len(), model[w].len());
            }
        }
        drop(queues);
        assert!(items.iter().all(|i| Ref::holders(i) == 1), "a queue kept or lost a reference");
    }
}
