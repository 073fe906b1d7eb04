//! The lock and the queues, which are the kernel's; the counted reference, which stands in.

#[path = "../../../core/src/base/lock.rs"]
pub mod lock;
#[path = "../../../core/src/base/queue.rs"]
mod queue;
pub use queue::{Link, Linked, Pile, Queue};

/// A lock that loom knows, since it can't see the end of spinning: [`lock`] has a model of its own.
#[derive(Debug)]
pub struct Spin<T>(std::sync::OnceLock<loom::sync::Mutex<()>>, std::cell::UnsafeCell<T>);

// SAFETY: as the kernel's: the value is reached under the lock.
unsafe impl<T: Send> Sync for Spin<T> {}

/// The lock is held.
pub struct Held<'a, T>(&'a Spin<T>, loom::sync::MutexGuard<'a, ()>);

impl<T> Spin<T> {
    pub const fn new(value: T) -> Spin<T> {
        Spin(std::sync::OnceLock::new(), std::cell::UnsafeCell::new(value))
    }
    pub fn lock(&self) -> Held<'_, T> {
        let lock = self.0.get_or_init(|| loom::sync::Mutex::new(()));
        Held(self, lock.lock().unwrap())
    }
    pub fn lock_inline(&self) -> Held<'_, T> {
        self.lock()
    }
}

impl<T> std::ops::Deref for Held<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.0.1.get() }
    }
}

impl<T> std::ops::DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held.
        unsafe { &mut *self.0.1.get() }
    }
}

/// The kernel's counted reference: the library's stands in.
#[derive(Debug)]
pub struct Ref<T>(std::sync::Arc<T>);
impl<T> Ref<T> {
    pub fn new(value: T) -> Ref<T> {
        Ref(std::sync::Arc::new(value))
    }
    pub fn into_raw(this: Ref<T>) -> *const T {
        std::sync::Arc::into_raw(this.0)
    }
    /// # Safety
    /// As the kernel's: the pointer is from `into_raw`, and is given back once.
    pub unsafe fn from_raw(raw: *const T) -> Ref<T> {
        // SAFETY: by the caller's promise.
        Ref(unsafe { std::sync::Arc::from_raw(raw) })
    }
}
impl<T> Clone for Ref<T> {
    fn clone(&self) -> Ref<T> {
        Ref(self.0.clone())
    }
}
impl<T> std::ops::Deref for Ref<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
