//! Notes: words that interrupt a process (notify(2)).
//!
//! A note is queued, and its process's wait or call ends; on the way out of the kernel it is delivered to the
//! handler, or ends the process. While a handler runs further notes wait, and interrupt nothing. The registers that the
//! handler finds and may change lie on the program's own stack; whatever it puts there, the machine makes sane.

use super::Proc;
use crate::base::{Bytes, List, Ref, bytes_of, bytes_of_mut};
use crate::call;
use crate::machine::{self, Vector};
use crate::msg::{Result, UserBuf};
use crate::thread::{NOTE, Thread, current};
use abi::error::Error;
use abi::note::{Frame, KILL, NDFLT};
use core::sync::atomic::{AtomicU32, Ordering};

/// Most notes that wait; more are refused.
const MOST: usize = 8;
/// Bytes below the stack pointer that a program may use (the x86-64 ABI's red zone; more than others need).
const RED_ZONE: u64 = 128;

/// The notes of a process.
pub(crate) struct Notes {
    queue: List<Bytes>,
    handler: u64,
    /// A handler runs: where the program's registers lie, and its vector registers if it has any.
    handling: Option<u64>,
    vectors: bool,
    /// Room for them, once a note has come to a program that computed: few processes ever need it.
    vector: List<Vector>,
}

impl Notes {
    pub(super) const fn new() -> Notes {
        Notes { queue: List::new(), handler: 0, handling: None, vectors: false, vector: List::new() }
    }

    /// Another program: no handler, and nothing of the old.
    pub(super) fn reset(&mut self) {
        self.handler = 0;
        self.handling = None;
    }
}

/// Those who get a note together.
pub struct NoteGroup {
    /// Its number, never used twice.
    pub number: u32,
}

static GROUPS: AtomicU32 = AtomicU32::new(1);

impl NoteGroup {
    /// A group.
    pub fn new() -> Result<Ref<NoteGroup>> {
        Ref::new(NoteGroup { number: GROUPS.fetch_add(1, Ordering::Relaxed) })
    }
}

/// Posts a note to a process. `kill` ends it without asking.
pub fn post(proc: &Ref<Proc>, words: &[u8]) -> Result<()> {
    if words == KILL.as_bytes() {
        super::kill(proc, KILL.as_bytes());
        return Ok(());
    }
    let words = words.get(..words.len().min(abi::limit::NOTE)).unwrap_or(words);
    let Some(t) = proc.thread() else { return Err(Error::NoProc.into()) };
    let note = Bytes::new(words)?;
    let mut notes = proc.notes.lock();
    if notes.queue.len() >= MOST {
        return Err(Error::Full.into());
    }
    notes.queue.push(note)?;
    if notes.handling.is_none() {
        t.pending.fetch_or(NOTE, Ordering::SeqCst);
        drop(notes);
        call::interrupt(&t);
    }
    Ok(())
}

/// Posts a note to all of a group but one process; 0 for none.
pub fn post_group(group: &Ref<NoteGroup>, words: &[u8], but: u32) {
    let mut at = 0;
    while let Some(p) = super::each(at) {
        at = p.pid;
        let same = p.groups().is_ok_and(|g| Ref::same(&g.notes, group));
        if same && p.pid != but {
            // A full queue has notes enough.
            let _ = post(&p, words);
        }
    }
}

/// Does it have a handler that can take a note now?
pub fn takes_notes(proc: &Proc) -> bool {
    let notes = proc.notes.lock();
    notes.handler != 0 && notes.handling.is_none()
}

/// The system call `notify`.
pub fn notify(me: &Thread, handler: u64) -> Result<u64> {
    if handler >= abi::limit::USER_END {
        return Err(Error::BadAddress.into());
    }
    me.proc.notes.lock().handler = handler;
    Ok(0)
}

/// On the way out of the kernel with [`NOTE`]: makes the program go on in its handler, or ends the process.
#[inline(never)]
pub fn deliver_notes(me: &Thread, frame: &mut Frame) {
    let mut notes = me.proc.notes.lock();
    if notes.handling.is_some() {
        return;
    }
    let note = notes.queue.remove(0);
    let handler = notes.handler;
    if note.is_none() || notes.queue.is_empty() {
        me.pending.fetch_and(!NOTE, Ordering::Relaxed);
    }
    let Some(note) = note else { return };
    drop(notes);
    if handler == 0 || call_handler(me, frame, handler, &note).is_none() {
        super::kill(&me.proc, &note);
    }
}

/// A fault in a server's handler: its routine for notes goes on there, on the handler's stack, to tell of it. It does not
/// come back.
pub fn deliver_crash(me: &Thread, frame: &mut Frame) {
    let words = me.error.lock().clone();
    let handler = me.proc.notes.lock().handler;
    if handler == 0 || call_handler(me, frame, handler, words.get()).is_none() {
        super::kill(&me.proc, words.get());
    }
}

/// Below the red zone: the note's words, then the registers, then the handler's stack. None if there is no stack, or no
/// memory for the vector registers.
fn call_handler(me: &Thread, frame: &mut Frame, handler: u64, note: &[u8]) -> Option<()> {
    let words = (frame.sp.checked_sub(RED_ZONE)?.checked_sub(note.len() as u64)?) & !15;
    let registers = words.checked_sub(size_of::<Frame>() as u64)? & !15;
    let bytes = bytes_of(frame);
    let written = machine::copy_out(UserBuf { addr: words, len: note.len() }, note)
        && machine::copy_out(UserBuf { addr: registers, len: bytes.len() }, bytes);
    if !written {
        return None;
    }
    let mut notes = me.proc.notes.lock();
    notes.vectors = machine::has_vector();
    if notes.vectors {
        if notes.vector.is_empty() {
            notes.vector.push(Vector([0; _])).ok()?;
        }
        notes.vector.get_mut(0).map(machine::save_vector);
    }
    notes.handling = Some(registers);
    drop(notes);
    me.pending.fetch_and(!NOTE, Ordering::Relaxed);
    machine::call_handler(frame, handler, registers, [registers, words, note.len() as u64]);
    Some(())
}

/// The system call `noted`, with the program's registers at hand.
#[inline(never)]
pub fn noted(me: &Thread, frame: &mut Frame, how: u64) {
    let mut notes = me.proc.notes.lock();
    let Some(registers) = notes.handling.take() else {
        drop(notes);
        me.set_error(Error::BadArg.text().as_bytes());
        return machine::set_result(frame, u64::MAX);
    };
    let vectors = notes.vectors;
    machine::restore_vector(notes.vector.get_mut(0).filter(|_| vectors));
    if !notes.queue.is_empty() {
        me.pending.fetch_or(NOTE, Ordering::Relaxed);
    }
    drop(notes);
    let there = machine::copy_in(bytes_of_mut(frame), UserBuf { addr: registers, len: size_of::<Frame>() });
    if how == u64::from(NDFLT) || !there {
        super::kill(&current().proc, b"note");
    }
}
