//! Exec: another program in the place of this one.
//!
//! All of the new program is made before anything of the old is given up, so that a failure leaves the caller as it was.

use crate::base::{Bytes, List, Ref, copy};
use crate::machine::{self, Rights};
use crate::mem::elf::{self, ReadAt, Share};
use crate::mem::{Space, archive, file, space::Use};
use crate::msg::Result;
use crate::name::ops;
use crate::thread::{After, Thread, current};
use abi::error::Error;
use abi::file::OEXEC;
use abi::limit::{ARGS, INTERPRETERS, PAGE, STACK, STACK_TOP};

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
    pub(super) shown: Bytes,
}

impl Program {
    /// Loads a program and its arguments.
    pub fn load(name: &[u8], args: &[Bytes], read_at: &mut ReadAt<'_>, share: Share<'_>) -> Result<Program> {
        let space = Ref::new(Space::new()?)?;
        let pc = elf::load(&space, read_at, share)?;
        space.attach(STACK_TOP.saturating_sub(STACK), STACK, Rights::Write, Use::Stack)?;
        let (sp, array) = push_args(&space, args)?;
        // What can be read of them later has a bound, since the kernel keeps it.
        let (mut shown, mut room): (List<&[u8]>, usize) = (List::new(), PAGE);
        for a in args {
            if room == 0 {
                break;
            }
            if !shown.is_empty() {
                shown.push(b" ")?;
            }
            shown.push(a.get(..room).unwrap_or(a))?;
            room = room.saturating_sub(a.len().saturating_add(1));
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

/// Longest first line of an interpreted file.
const LINE: usize = 256;

/// Loads the program of a path, or the interpreter that its first line names after `#!`.
pub fn open_program(path: Bytes, args: List<Bytes>) -> Result<Program> {
    let scope = current().proc.scope();
    let (mut path, mut args) = (path, args);
    let mut name = Bytes::new(last(&path))?;
    for depth in 0..=INTERPRETERS {
        let chan = ops::open(&scope, Bytes::new(&path)?, OEXEC)?;
        let mut line = [0; LINE];
        let n = chan.read_kernel(&mut line, 0)?;
        let line = line.get(..n.min(LINE)).unwrap_or(&[]);
        let Some(rest) = line.strip_prefix(b"#!") else {
            if depth > 0 {
                name = Bytes::new(last(&path))?;
            }
            let share: Share<'_> = &|space, rights, offset, at| file::text(space, &chan, rights, offset, at);
            return Program::load(&name, &args, &mut |at, to| chan.read_kernel(to, at), share);
        };
        (path, args) = interpreter(rest, &path, &args)?;
    }
    Err(Error::BadExec.into())
}

/// The first line after `#!`: the interpreter, what stands after it, the file, and the arguments but the first.
fn interpreter(rest: &[u8], file: &[u8], args: &List<Bytes>) -> Result<(Bytes, List<Bytes>)> {
    let end = rest.iter().position(|&b| b == b'\n').ok_or(Error::BadExec)?;
    let line = rest.get(..end).unwrap_or(&[]);
    let mut words = line.split(|b| b" \t\r".contains(b)).filter(|w| !w.is_empty());
    let path = words.next().ok_or(Error::BadExec)?;
    let mut new = List::new();
    for word in core::iter::once(path).chain(words).chain(core::iter::once(file)) {
        new.push(Bytes::new(word)?)?;
    }
    for a in args.iter().skip(1) {
        new.push(Bytes::new(a)?)?;
    }
    Ok((Bytes::new(path)?, new))
}

/// The last element of a path.
fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').find(|e| !e.is_empty()).unwrap_or(path)
}

/// A word of the boot command line, `name=value`.
pub(crate) fn boot_word(name: &[u8]) -> Option<&'static [u8]> {
    let words = machine::command_line().split(|b| b.is_ascii_whitespace());
    words.filter_map(|w| w.strip_prefix(name)?.strip_prefix(b"=")).next()
}

/// Starts the first process: the member of the boot archive that the word `init=` names, `init` without it.
pub fn start_first() -> Result<()> {
    let name = boot_word(b"init").unwrap_or(b"init");
    let bytes = archive::find(machine::archive(), name).ok_or(Error::NotExist)?;
    let mut args = List::new();
    args.push(Bytes::new(last(name))?)?;
    let mut read_at = |at: u64, to: &mut [u8]| {
        let from = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or(&[]);
        let n = from.len().min(to.len());
        if let (Some(t), Some(f)) = (to.get_mut(..n), from.get(..n)) {
            copy(f, t);
        }
        Ok(n)
    };
    let program = Program::load(last(name), &args, &mut read_at, &|_, _, _, _| Ok(false))?;
    super::spawn(program, super::Groups::new()?, super::names::owner()?).map(drop)
}

/// Makes the current process run a program from the end of this system call on.
pub fn replace(me: &Thread, program: Program) -> Result<()> {
    if me.act.is_some() {
        // The handler's own thread is somebody else's.
        return Err(Error::BadArg.into());
    }
    let proc = &me.proc;
    proc.close_portals();
    proc.ports().exec();
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
