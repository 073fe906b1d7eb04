//! What a process can name and who it is: the process as the name space and the trees see it.

use super::exec::boot_word;
use super::{Groups, Proc};
use crate::base::{Bytes, Ref, Spin, Text};
use crate::call::Portal;
use crate::machine::Rights;
use crate::mem::space::Use;
use crate::msg::Result;
use crate::name::{Chan, Place, Ports, Scope};
use crate::thread::{KERNEL, MOVE, NORMAL, STOP, Thread};
use crate::tree::Env;
use abi::error::Error;
use abi::limit::CALLS;
use abi::portal::op;
use core::sync::atomic::Ordering;

/// What a process that has ended can name, for handlers of it that still run: nothing.
static NOTHING: Spin<Option<Groups>> = Spin::new(None);
/// The user who owns the machine, as whom the first process runs.
static OWNER: Spin<Option<Ref<Bytes>>> = Spin::new(None);

/// Makes what every process needs. Once, before any. The owner is the boot word `user=`.
pub(crate) fn init() -> Result<()> {
    *NOTHING.lock() = Some(Groups::new()?);
    *OWNER.lock() = Some(Ref::new(Bytes::new(boot_word(b"user").unwrap_or(b"glenda"))?)?);
    Ok(())
}

/// The owner's name.
pub(super) fn owner() -> Result<Ref<Bytes>> {
    OWNER.lock().clone().ok_or(Error::NoUser.into())
}

impl Proc {
    /// Looks at its groups, or at nothing when it has ended. What is looked at is cloned, not all of it.
    #[inline]
    #[expect(clippy::unwrap_used, reason = "init has made it before there are processes")]
    fn see<T>(&self, f: impl Fn(&Groups) -> T) -> T {
        let own = self.groups.lock_inline().as_ref().map(&f);
        own.unwrap_or_else(|| NOTHING.lock().as_ref().map(f).unwrap())
    }

    /// Its descriptors.
    pub fn ports(&self) -> Ref<Ports> {
        self.see(|g| g.ports.clone())
    }

    /// What a descriptor leads to.
    #[inline(always)]
    pub fn chan(&self, fd: u64) -> Ref<Chan> {
        let groups = self.groups.lock_inline();
        if let Some(g) = &*groups {
            return g.ports.get(fd);
        }
        drop(groups);
        self.see(|g| g.ports.get(fd))
    }

    /// Its environment.
    pub fn env(&self) -> Ref<Env> {
        self.see(|g| g.env.clone())
    }

    /// What it can name.
    pub fn scope(&self) -> Scope {
        let trees = self.trees();
        self.see(|g| Scope { ns: g.ns.clone(), dot: g.dot.clone(), trees })
    }

    /// Changes its working directory.
    pub fn set_dot(&self, place: Ref<Place>) {
        let mut old = None;
        self.set_groups(|g| old = Some(core::mem::replace(&mut g.dot, place)));
        // The old one goes with no lock held.
        drop(old);
    }

    /// The trees of the kernel that it may name, a bit each.
    pub fn trees(&self) -> u32 {
        self.trees.load(Ordering::Relaxed)
    }

    /// Takes trees away, for good.
    pub fn give_up_trees(&self, bits: u32) {
        self.trees.fetch_and(!bits, Ordering::Relaxed);
    }

    /// May it mount? Not after RFNOMNT, which took every tree too.
    pub fn may_mount(&self) -> Result<()> {
        if self.trees() == 0 { Err(Error::Perm.into()) } else { Ok(()) }
    }

    /// Its user's name.
    pub fn user<T>(&self, f: impl FnOnce(&[u8]) -> T) -> T {
        f(&self.user_name())
    }

    /// Is its user the machine's owner?
    pub fn is_owner(&self) -> bool {
        owner().is_ok_and(|o| self.user(|u| u == &**o))
    }

    /// Its name.
    pub fn name<T>(&self, f: impl FnOnce(&[u8]) -> T) -> T {
        f(&self.name.lock())
    }

    /// Names it.
    pub fn set_name(&self, name: &[u8]) -> Result<()> {
        let new = Bytes::new(name)?;
        *self.name.lock() = new;
        Ok(())
    }

    /// Its arguments, as one line.
    pub fn args<T>(&self, f: impl FnOnce(&[u8]) -> T) -> T {
        f(&self.args.lock())
    }

    /// The number of its note group.
    pub fn note_group(&self) -> u32 {
        self.see(|g| g.notes.number)
    }

    /// Sends it a note; one too many is lost.
    pub fn note(&self, words: &[u8]) {
        if let Some(this) = super::find(self.pid) {
            let _ = super::post(&this, words);
        }
    }

    /// Ends it.
    pub fn kill(this: &Ref<Proc>) {
        super::kill(this, b"killed");
    }

    /// Stops it before it next goes on at user level, or lets it go on.
    pub fn stop(this: &Ref<Proc>, stop: bool) {
        let Some(t) = this.thread() else { return };
        if stop {
            Thread::poke(&t, STOP);
        } else {
            t.pending.fetch_and(!STOP, Ordering::SeqCst);
            Thread::unpark(&t);
        }
    }

    /// Keeps it on one CPU from now on. Calls that it makes run there too, as they always do where their caller is.
    pub fn wire(&self, cpu: u8) -> Result<()> {
        if usize::from(cpu) >= crate::machine::cpus() {
            return Err(Error::BadCtl.into());
        }
        if let Some(t) = self.thread() {
            t.wired.store(cpu, Ordering::Relaxed);
            Thread::poke(&t, MOVE);
        }
        Ok(())
    }

    /// Sets its priority: from 1, the least urgent, to that of a new process; the machine's owner may go beyond that,
    /// but not to the kernel's own.
    pub fn set_priority(&self, priority: u8) -> Result<()> {
        let most = if crate::thread::current().proc.is_owner() { KERNEL.saturating_sub(1) } else { NORMAL };
        if !(1..=most).contains(&priority) {
            return Err(Error::BadCtl.into());
        }
        if let Some(t) = self.thread() {
            t.priority.store(priority, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A line for each range of its memory.
    pub fn segments(&self, t: &mut Text) {
        let Some(space) = self.space() else { return };
        space.each(|a| {
            let word: &[u8] = match a.kind {
                Use::Text => b"Text ",
                Use::Data => b"Data ",
                Use::Heap => b"Heap ",
                Use::Stack => b"Stack ",
                Use::Segment => b"Segment ",
                Use::Activation => b"Activation ",
                Use::Device => b"Device ",
            };
            let rights: &[u8] = match a.rights {
                Rights::Read | Rights::Out => b" r",
                Rights::Write | Rights::Device => b" rw",
                Rights::Exec => b" rx",
            };
            t.put(word).hex(a.start).put(b" ").hex(a.end).put(rights);
            if let Some((user, first)) = &a.file {
                let offset = first.saturating_mul(abi::limit::PAGE as u64);
                t.put(b" ").quoted(&user.segment().name).put(b" ").hex(offset);
            }
            t.put(b"\n");
        });
    }

    /// What it does and for how long, or for a process in a call `Call:SERVER:OPERATION` and how long whoever it got to
    /// has been waiting; its time in milliseconds; its memory in KiB.
    pub fn describe(&self, t: &mut Text) {
        let Some(thread) = self.thread() else {
            t.put(b"Dead 0 0");
            return;
        };
        let (server, inner) = waits(&thread);
        let (word, since) = inner.doing();
        match &server {
            Some(s) => {
                t.put(b"Call:");
                s.proc.name(|n| _ = t.put(n));
                t.put(b":").put(op::name(thread.op.load(Ordering::Relaxed)).as_bytes());
            }
            None => _ = t.put(if thread.has_pending(STOP) { b"Stopped" } else { word.as_bytes() }),
        }
        if word != "Running" {
            let waited = crate::machine::now().saturating_sub(since) / 1_000_000;
            t.put(b":").number(waited).put(b"ms");
        }
        let memory = self.space().map_or(0, |s| s.resident() / 1024);
        t.put(b" ").number(self.time() / 1_000_000).put(b" ").number(memory);
    }
}

/// The server that a thread waits for, and the last thread of its chain of calls, which is who really waits.
fn waits(thread: &Ref<Thread>) -> (Option<Ref<Portal>>, Ref<Thread>) {
    let mut at = thread.clone();
    let mut server = thread.waits_for.lock().clone();
    for _ in 0..=CALLS {
        let next = at.call.lock().clone();
        let Some(x) = next else { break };
        if server.is_none() {
            server = x.act.as_ref().map(|a| a.portal.clone());
        }
        at = x;
    }
    (server, at)
}
