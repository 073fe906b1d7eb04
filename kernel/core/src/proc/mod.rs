//! Processes: [`Proc`] is what has a number, memory, names, notes and a parent; its [`Thread`] is what runs.
//!
//! [`fork`] divides and replaces them, [`exit`] ends them and tells their parents, [`note`] interrupts them,
//! [`alarm`] does so at a time, [`meet`] has rendezvous and semaphores.
//!
//! Locks: a process's own are each taken alone, but that `family` is taken from parent to child.

pub mod alarm;
mod exec;
mod exit;
mod fork;
mod meet;
mod names;
mod note;
mod table;

pub(crate) use exec::boot_word;
pub use exec::{Program, open_program, replace, start_first};
pub use exit::{await_child, die, exit, kill};
pub(crate) use fork::kernel_proc;
#[cfg(test)]
pub(crate) use fork::test_proc;
pub use fork::{Groups, fork, spawn};
pub use meet::{Rendezvous, exchange, rendezvous, semacquire, semrelease};
pub(crate) use names::init;
pub use note::{NoteGroup, deliver_crash, deliver_notes, noted, notify, post, post_group, takes_notes};
pub use table::{each, find, next};

use crate::base::{Bytes, ErrorText, Link, Linked, List, Queue, Ref, Spin};
use crate::call::Portal;
use crate::counters;
use crate::mem::Space;
use crate::msg::Result;
use crate::thread::{Thread, Waiters};
use crate::tree::Mailbox;
use abi::error::Error;
use abi::note::Frame;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// A process.
#[repr(C)]
pub struct Proc {
    /// Its number, never used twice.
    pub pid: u32,
    /// Its memory; gone when it has ended.
    space: Spin<Option<Ref<Space>>>,
    /// Its own thread; none for a process of the kernel's threads, and when it has ended.
    pub(crate) thread: Spin<Option<Ref<Thread>>>,
    /// What it can name and whom it meets; gone when it has ended.
    groups: Spin<Option<Groups>>,
    /// Its user's name.
    user: Spin<Ref<Bytes>>,
    /// The program's name, and its arguments as `/proc` shows them.
    pub name: Spin<Bytes>,
    /// See [`Proc::name`].
    pub args: Spin<Bytes>,
    pub(crate) family: Spin<Family>,
    pub(crate) alarm: AtomicU64,
    portals: Spin<List<Ref<Portal>>>,
    /// Made when it is first asked for; gone when the process has ended.
    mailbox: Spin<Option<Ref<Mailbox>>>,
    /// Nanoseconds that its chain has run, in servers too.
    time: AtomicU64,
    /// When it began, in nanoseconds since boot.
    pub began: u64,
    /// Trees of the kernel that it may name; bits only go.
    trees: AtomicU32,
    pub(crate) ended: AtomicBool,
    dead_link: Link<Proc>,
    // The large ones come last, see `Thread`.
    /// The registers with which its thread begins.
    first: Spin<Option<Frame>>,
    /// How it ended.
    pub(crate) status: Spin<ErrorText>,
    pub(crate) notes: Spin<note::Notes>,
}

/// Parents and children.
pub(crate) struct Family {
    /// Who may await it; none if nobody.
    pub(crate) parent: Option<Ref<Proc>>,
    /// Living children that it may await.
    pub(crate) children: usize,
    /// Those that have ended.
    pub(crate) dead: Queue<Proc, 0>,
    /// Its thread, while it awaits.
    pub(crate) waiters: Waiters,
}

impl Linked<0> for Proc {
    fn link(&self) -> &Link<Proc> {
        &self.dead_link
    }
}

impl Proc {
    /// A process without a thread, not yet in the table.
    fn new(
        pid: u32,
        space: Option<Ref<Space>>,
        groups: Option<Groups>,
        user: Ref<Bytes>,
    ) -> Result<Ref<Proc>> {
        // Before it is made: without memory the value is dropped, and counts down.
        counters::PROCS.up();
        let proc = Ref::new(Proc {
            pid,
            space: Spin::new(space),
            thread: Spin::new(None),
            groups: Spin::new(groups),
            user: Spin::new(user),
            name: Spin::new(Bytes::default()),
            args: Spin::new(Bytes::default()),
            family: Spin::new(Family {
                parent: None,
                children: 0,
                dead: Queue::new(),
                waiters: Queue::new(),
            }),
            notes: Spin::new(note::Notes::new()),
            alarm: AtomicU64::new(u64::MAX),
            portals: Spin::new(List::new()),
            mailbox: Spin::new(None),
            time: AtomicU64::new(0),
            began: crate::machine::now(),
            status: Spin::new(ErrorText::new()),
            ended: AtomicBool::new(false),
            first: Spin::new(None),
            dead_link: Link::new(),
            trees: AtomicU32::new(crate::tree::ALL),
        })?;
        Ok(proc)
    }

    /// Its memory.
    pub fn space(&self) -> Option<Ref<Space>> {
        self.space.lock().clone()
    }

    pub(crate) fn mark_space(&self) {
        if let Some(s) = &*self.space.lock_inline() {
            s.mark();
        }
    }

    /// What it can name and whom it meets.
    pub fn groups(&self) -> Result<Groups> {
        self.groups.lock().clone().ok_or(Error::Died.into())
    }

    /// Changes that.
    pub fn set_groups(&self, change: impl FnOnce(&mut Groups)) {
        if let Some(g) = &mut *self.groups.lock() {
            change(g);
        }
    }

    /// Its user's name.
    pub fn user_name(&self) -> Ref<Bytes> {
        self.user.lock().clone()
    }

    /// Makes it another user's.
    pub fn set_user(&self, user: Ref<Bytes>) {
        *self.user.lock() = user;
    }

    pub(crate) fn add_portal(&self, portal: &Ref<Portal>) -> Result<()> {
        if self.ended.load(Ordering::Acquire) {
            return Err(Error::Died.into());
        }
        self.portals.lock().push(portal.clone())
    }

    /// Closes every portal: it ends, or becomes another program.
    pub(crate) fn close_portals(&self) {
        loop {
            let portal = self.portals.lock().pop();
            let Some(portal) = portal else { break };
            portal.close();
        }
        if let Some(mailbox) = self.mailbox_if_any() {
            mailbox.unseat();
        }
    }

    /// Its mailbox.
    pub fn mailbox(&self) -> Result<Ref<Mailbox>> {
        let mut mailbox = self.mailbox.lock();
        if let Some(m) = &*mailbox {
            return Ok(m.clone());
        }
        // Whoever ends the process looks here after it has said so.
        if self.ended.load(Ordering::SeqCst) {
            return Err(Error::Died.into());
        }
        let new = Mailbox::new(self.pid)?;
        Ok(mailbox.insert(new).clone())
    }

    /// Its mailbox, if anybody has asked for it.
    pub(crate) fn mailbox_if_any(&self) -> Option<Ref<Mailbox>> {
        self.mailbox.lock().clone()
    }

    fn end_mailbox(&self) {
        let mailbox = self.mailbox.lock().take();
        if let Some(mailbox) = mailbox {
            crate::tree::end_mailbox(&mailbox);
        }
    }

    /// Its portals, for those who look.
    pub fn portals(&self) -> Result<List<Ref<Portal>>> {
        self.portals.lock().copy()
    }

    /// Its own thread.
    pub fn thread(&self) -> Option<Ref<Thread>> {
        self.thread.lock().clone()
    }

    pub(crate) fn add_time(&self, spent: u64) {
        self.time.fetch_add(spent, Ordering::Relaxed);
    }

    /// Nanoseconds that it has run.
    pub fn time(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }

    /// Number of who awaits it, 0 for nobody.
    pub fn parent(&self) -> u32 {
        self.family.lock().parent.as_ref().map_or(0, |p| p.pid)
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        counters::PROCS.down();
    }
}
