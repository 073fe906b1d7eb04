//! A thread of the kernel that stands in: it parks and wakes by the kernel's own `Run`.

use crate::base::{Link, Linked, Queue, Ref, Spin};
use crate::call::portal::Portal;
use crate::error::Error;
use crate::msg::Result;
use crate::run::{Run, State};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::cell::RefCell;

pub const WAIT: usize = 1;
pub type Waiters = Queue<Thread, WAIT>;

pub enum Doing {
    Pool,
    Queue,
}

#[derive(Debug)]
pub struct Thread {
    pub cpu: usize,
    run: Spin<Run>,
    pub poked: AtomicBool,
    pub queue: AtomicU64,
    pub waits_for: Spin<Option<Ref<Portal>>>,
    wait_link: Link<Thread>,
    resumed: loom::sync::Notify,
}

impl Linked<WAIT> for Thread {
    fn link(&self) -> &Link<Thread> {
        &self.wait_link
    }
}

loom::thread_local! {
    static CURRENT: RefCell<Option<Ref<Thread>>> = RefCell::new(None);
}

pub fn current_ref() -> Ref<Thread> {
    CURRENT.with(|c| c.borrow().clone()).expect("no thread of the kernel")
}

impl Thread {
    pub fn new(cpu: usize) -> Ref<Thread> {
        let t = Ref::new(Thread {
            cpu,
            run: Spin::new(Run { state: State::Running, token: false }),
            poked: AtomicBool::new(false),
            queue: AtomicU64::new(0),
            waits_for: Spin::new(None),
            wait_link: Link::new(),
            resumed: loom::sync::Notify::new(),
        });
        drop((t.run.lock(), t.waits_for.lock()));
        t.poked.load(Ordering::Relaxed);
        t.queue.load(Ordering::Relaxed);
        t
    }

    /// This thread of the model is that of the kernel from now on.
    pub fn become_current(this: &Ref<Thread>) {
        CURRENT.with(|c| *c.borrow_mut() = Some(this.clone()));
    }

    pub fn priority(&self) -> u8 {
        3
    }

    pub fn unpark(this: &Ref<Thread>) {
        let mut run = this.run.lock();
        if run.wake() {
            this.resumed.notify();
        }
    }

    pub fn poke(this: &Ref<Thread>) {
        this.poked.store(true, Ordering::SeqCst);
        Thread::unpark(this);
    }
}

pub fn park() {
    let me = current_ref();
    let stops = me.run.lock().park();
    if stops {
        me.resumed.wait();
        me.run.lock().state = State::Running;
    }
}

pub fn interrupted(me: &Thread) -> Result<()> {
    if me.poked.load(Ordering::Acquire) { Err(Error::Interrupted) } else { Ok(()) }
}

pub fn wait(_: Doing, _: u64) -> Result<()> {
    let me = current_ref();
    interrupted(&me)?;
    park();
    interrupted(&me)
}
