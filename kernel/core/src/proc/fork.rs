//! The beginning of processes: rfork, and the first of all.

use super::note::NoteGroup;
use super::{Proc, Rendezvous, table};
use crate::base::{Bytes, Ref};
use crate::machine;
use crate::mem::{Space, laundry};
use crate::msg::Result;
use crate::name::{Chan, Ns, Place, Ports};
use crate::sched;
use crate::thread::{NORMAL, Stack, Thread, current};
use crate::tree::{self, Env};
use abi::error::Error;
use abi::file::{
    RFCENVG, RFCFDG, RFCNAMEG, RFENVG, RFFDG, RFMEM, RFNAMEG, RFNOMNT, RFNOTEG, RFNOWAIT, RFPROC, RFREND,
};
use abi::note::Frame;
use core::sync::atomic::Ordering;

/// What processes share or have apart, each by a flag of rfork.
#[derive(Clone)]
pub struct Groups {
    /// Whom it meets.
    pub rendezvous: Ref<Rendezvous>,
    /// With whom it gets notes.
    pub notes: Ref<NoteGroup>,
    /// Its descriptors.
    pub ports: Ref<Ports>,
    /// Its environment.
    pub env: Ref<Env>,
    /// Its mount table.
    pub ns: Ref<Ns>,
    /// Its working directory, which is always its own.
    pub dot: Ref<Place>,
}

impl Groups {
    /// Groups of its own.
    pub fn new() -> Result<Groups> {
        Ok(Groups {
            rendezvous: Rendezvous::new()?,
            notes: NoteGroup::new()?,
            ports: Ports::new(Chan::nowhere()?)?,
            env: Env::new()?,
            ns: Ns::new()?,
            dot: tree::root()?,
        })
    }

    /// What rfork with these flags leaves of them.
    fn divide(self, flags: u32) -> Result<Groups> {
        let mut g = self;
        if flags & RFREND != 0 {
            g.rendezvous = Rendezvous::new()?;
        }
        if flags & RFNOTEG != 0 {
            g.notes = NoteGroup::new()?;
        }
        if flags & RFFDG != 0 {
            g.ports = g.ports.copy()?;
        } else if flags & RFCFDG != 0 {
            g.ports = g.ports.fresh()?;
        }
        if flags & RFENVG != 0 {
            g.env = g.env.copy()?;
        } else if flags & RFCENVG != 0 {
            g.env = Env::new()?;
        }
        if flags & RFNAMEG != 0 {
            g.ns = g.ns.copy()?;
        } else if flags & RFCNAMEG != 0 {
            g.ns = Ns::new()?;
        }
        Ok(g)
    }
}

/// The system call rfork, with the program's registers at hand: the child's number, or 0 without a child.
#[inline(never)]
pub fn fork(me: &Thread, frame: &Frame, flags: u32, sp: u64) -> Result<u64> {
    if me.act.is_some() && flags & RFPROC == 0 {
        // A handler does not change what its server's other handlers stand on.
        return Err(Error::BadArg.into());
    }
    if flags & RFCNAMEG != 0 {
        // The bare root has names, too.
        me.proc.may_mount()?;
    }
    let groups = me.proc.groups()?.divide(flags)?;
    if flags & RFPROC == 0 {
        if flags & (RFMEM | RFNOWAIT) != 0 {
            return Err(Error::BadArg.into());
        }
        let mut old = None;
        me.proc.set_groups(|g| old = Some(core::mem::replace(g, groups)));
        // The old ones go with no lock held.
        drop(old);
        if flags & RFNOMNT != 0 {
            me.proc.give_up_trees(tree::ALL);
        }
        return Ok(0);
    }
    let space = me.proc.space().ok_or(Error::Died)?;
    let space = if flags & RFMEM != 0 { space } else { Ref::new(laundry::patiently(|| space.copy())?)? };
    let child = Proc::new(table::number(), Some(space.clone()), Some(groups), me.proc.user_name())?;
    *child.name.lock() = Bytes::new(&me.proc.name.lock())?;
    *child.args.lock() = Bytes::new(&me.proc.args.lock())?;
    child.trees.store(me.proc.trees(), Ordering::Relaxed);
    if flags & RFNOMNT != 0 {
        child.give_up_trees(tree::ALL);
    }
    let mut first = *frame;
    machine::set_result(&mut first, 0);
    if sp != 0 {
        first.sp = sp;
    }
    let parent = (flags & RFNOWAIT == 0).then(|| current().proc.clone());
    launch(&child, &space, first, me.priority.load(Ordering::Relaxed).min(NORMAL), parent)?;
    Ok(u64::from(child.pid))
}

/// Makes a process's thread, which begins with these registers, and enters it in the table.
fn launch(
    proc: &Ref<Proc>,
    space: &Space,
    first: Frame,
    priority: u8,
    parent: Option<Ref<Proc>>,
) -> Result<()> {
    let thread = Thread::new(proc.clone(), space.root(), None, priority, Stack::new()?)?;
    *proc.thread.lock() = Some(thread.clone());
    *proc.first.lock() = Some(first);
    if let Err(e) = table::add(proc) {
        proc.thread.lock().take();
        return Err(e);
    }
    if let Some(p) = parent {
        let mut family = p.family.lock();
        family.children = family.children.saturating_add(1);
        drop(family);
        proc.family.lock().parent = Some(p);
    }
    Thread::start(&thread, begin, 0);
    Ok(())
}

extern "C" fn begin(_: usize) -> ! {
    sched::arrive();
    let me = current();
    let mut frame = me.proc.first.lock().unwrap_or_default();
    // A note or a kill may have come before the first instruction.
    crate::entry::deliver(&mut frame);
    machine::resume_user(&mut frame)
}

/// Starts a program as a process of its own, without parent: the first one.
pub fn spawn(program: super::Program, groups: Groups, user: Ref<Bytes>) -> Result<Ref<Proc>> {
    let space = program.space;
    let proc = Proc::new(table::number(), Some(space.clone()), Some(groups), user)?;
    *proc.name.lock() = program.name;
    *proc.args.lock() = program.shown;
    let mut first = Frame::default();
    let [a, b] = program.args;
    machine::call_handler(&mut first, program.pc, program.sp, [a, b, 0]);
    launch(&proc, &space, first, NORMAL, None)?;
    Ok(proc)
}

/// A process for tests: it runs a program of the fake machine, with a stack and a little memory below it.
#[cfg(test)]
pub(crate) fn test_proc(pc: u64, stack: u64) -> Result<Ref<Proc>> {
    use crate::mem::space::Use;
    let space = Ref::new(Space::new()?)?;
    let len = 1 << 20;
    space.attach(stack.saturating_sub(len), len, machine::Rights::Write, Use::Stack)?;
    let user = Ref::new(Bytes::new(b"glenda")?)?;
    // With the first process's end the machine would end, so none of these is that.
    let number = match table::number() {
        1 => table::number(),
        number => number,
    };
    let proc = Proc::new(number, Some(space.clone()), None, user)?;
    launch(&proc, &space, Frame { pc, sp: stack, ..Frame::default() }, NORMAL, None)?;
    Ok(proc)
}

/// A process of the kernel's own, for its threads: it is in no table, has an empty space, and can name nothing.
pub(crate) fn kernel_proc() -> Result<Ref<Proc>> {
    let proc = Proc::new(0, Some(Ref::new(Space::new()?)?), None, Ref::new(Bytes::new(b"none")?)?)?;
    *proc.name.lock() = Bytes::new(b"kernel")?;
    Ok(proc)
}
