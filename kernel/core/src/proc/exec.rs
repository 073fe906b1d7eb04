//! Exec: another program in the place of this one.
//!
//! All of the new program is made before anything of the old is given up, so that a failure leaves the caller as it was.

use crate::base::{Bytes, List, Ref};
use crate::machine::{self, Rights};
use crate::mem::elf::{self, ReadAt};
use crate::mem::{Space, space::Use};
use crate::msg::Result;
use crate::thread::{After, Thread};
use abi::error::Error;
use abi::limit::{ARGS, STACK, STACK_TOP};

/// A program in memory, ready to start.
pub struct Program {
    /// Its memory.
    pub space: Ref<Space>,
    /// Its name.
    pub name: Bytes,
    /// Where it starts.
    pub pc: u64,
    /// Its stack, below the arguments.
    pub sp: u64,
    /// How many arguments, and where their array is.
    pub args: [u64; 2],
    /// The arguments with spaces between, for `/proc`.
    shown: Bytes,
}

impl Program {
    /// Loads a program and its arguments.
    pub fn load(name: &[u8], args: &[Bytes], read_at: &mut ReadAt<'_>) -> Result<Program> {
        let space = Ref::new(Space::new()?)?;
        let pc = elf::load(&space, read_at)?;
        space.attach(STACK_TOP.saturating_sub(STACK), STACK, Rights::Write, Use::Stack)?;
        let (sp, array) = push_args(&space, args)?;
        let mut shown: List<&[u8]> = List::new();
        for a in args {
            if !shown.is_empty() {
                shown.push(b" ")?;
            }
            shown.push(a)?;
        }
        let shown = Bytes::joined(&shown)?;
        Ok(Program { space, name: Bytes::new(name)?, pc, sp, args: [args.len() as u64, array], shown })
    }
}

/// Puts the arguments at the top of the stack: the strings, and below them the array of their places. Returns the stack
/// pointer and the array's address.
fn push_args(space: &Space, args: &[Bytes]) -> Result<(u64, u64)> {
    let strings: usize = args.iter().fold(0, |n, a| n.saturating_add(a.len()));
    let array = args.len().saturating_mul(16);
    if strings.saturating_add(array) > ARGS {
        return Err(Error::TooMuchArg.into());
    }
    let mut at = STACK_TOP.saturating_sub(strings as u64);
    let base = at.saturating_sub(array as u64) & !15;
    let mut entry = base;
    for a in args {
        space.write(at, a)?;
        space.write(entry, &at.to_le_bytes())?;
        space.write(entry.saturating_add(8), &(a.len() as u64).to_le_bytes())?;
        at = at.saturating_add(a.len() as u64);
        entry = entry.saturating_add(16);
    }
    Ok((base, base))
}

/// Makes the current process run a program from the end of this system call on.
pub fn replace(me: &Thread, program: Program) -> Result<()> {
    if me.act.is_some() {
        // The handler's own thread is somebody else's.
        return Err(Error::BadArg.into());
    }
    let proc = &me.proc;
    proc.close_portals();
    proc.notes.lock().reset();
    *proc.name.lock() = program.name;
    *proc.args.lock() = program.shown;
    let root = program.space.root();
    program.space.mark();
    machine::load(root);
    me.set_root(root);
    let old = proc.space.lock().replace(program.space);
    drop(old);
    let [count, array] = program.args;
    me.do_after(After::Start(program.pc, program.sp, count, array));
    Ok(())
}
