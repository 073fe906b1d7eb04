//! Activation lists and a portal's queues, which are the kernel's, and a portal that has no more than these.

#[path = "../../../core/src/call/pool.rs"]
pub mod pool;
#[path = "../../../core/src/call/queue.rs"]
pub mod queue;
pub mod portal {
    use super::queue::Buckets;
    use crate::sync::atomic::{AtomicBool, Ordering};
    pub struct Portal {
        pub closed: AtomicBool,
        pub(crate) queues: Buckets,
    }
    impl std::fmt::Debug for Portal {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Portal")
        }
    }
    impl Portal {
        pub fn new() -> Portal {
            let p = Portal { closed: AtomicBool::new(false), queues: Buckets::new() };
            p.closed();
            p.queues.wake_all();
            p
        }
        pub fn closed(&self) -> bool {
            self.closed.load(Ordering::Acquire)
        }
    }
}
/// The ways in for the models, which the kernel keeps to itself.
pub mod open {
    use super::portal::Portal;
    use crate::base::Ref;
    use crate::msg::Result;
    use crate::sync::atomic::AtomicBool;
    use crate::thread::Thread;
    pub struct Pool(super::pool::Pool);
    impl Pool {
        pub fn new() -> Pool {
            Pool(super::pool::Pool::new())
        }
        pub fn take(&self) -> Option<Ref<Thread>> {
            let own = self.0.here().lock_inline().pop();
            own.or_else(|| self.0.find())
        }
        /// As the portal's `give`.
        pub fn give(&self, x: Ref<Thread>) {
            self.0.here().lock_inline().push(x);
            if self.0.needs_care() {
                self.0.wake();
            }
        }
        pub fn wait(&self, me: &Ref<Thread>, closed: &AtomicBool) -> Result<()> {
            self.0.wait(me, closed, u64::MAX).map(drop)
        }
        pub fn touch(&self) {
            let all = [self.0.find(), self.0.find()];
            self.0.wake();
            self.0.needs_care();
            all.into_iter().flatten().for_each(|x| self.0.here().lock_inline().push(x));
        }
        pub fn wake_all(&self) {
            while self.0.wake() {}
        }
    }
    pub fn wakes(p: &Portal) -> u64 {
        p.queues.wakes()
    }
    pub fn wait(p: &Ref<Portal>, queue: u64, wakes: u64) -> Result<()> {
        super::queue::wait(p, queue, wakes)
    }
}
