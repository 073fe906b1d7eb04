//! What the portable kernel asks of the machine: a list of functions, defined once for each.
//!
//! They are ordinary symbols rather than a trait, so that no type of the kernel carries a parameter and link-time
//! optimisation inlines them; `kernel/machine` defines them on hardware, [`crate::fake`] on a host. Interrupts are
//! off whenever kernel code runs, except inside [`idle`]; so nothing here is entered twice on one CPU.
#![allow(unsafe_code, reason = "declares the machine's symbols")]

use crate::entry::bring;
use crate::mem::fault::Access;
use crate::msg::UserBuf;
use abi::portal::Request;

/// A physical page frame's number: its address divided by the page size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct Frame(pub u64);

/// The root of an address space's page tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Root(pub Frame);

/// What a program may do with a page. Reading is always allowed; the machine lets nothing be both written and
/// executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rights {
    /// Read.
    Read,
    /// Read and write.
    Write,
    /// Read and execute.
    Exec,
    /// Read and write by the program alone, uncached: registers of a device.
    Device,
    /// Nothing: every touch is a fault, and the entry keeps its frame or, in a frame's place, one of [`crate::mem::swap`].
    Out,
}

/// A thread's or an activation's place in the kernel while it does not run: the machine's to interpret. For x86-64
/// the saved kernel stack pointer; everything else lies on that stack.
#[derive(Debug)]
#[repr(C)]
pub struct Context {
    /// Kernel stack pointer.
    pub sp: u64,
    /// Address of the area that keeps the vector registers of a thread that was interrupted, 0 for none yet.
    pub vector: u64,
}

/// Where a portal call enters: all that the machine needs to go there. Fixed for the life of an activation.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Entry {
    /// The server's space.
    pub root: Root,
    /// First address above the activation's kernel stack.
    pub kernel_stack: u64,
    /// First address above the activation's user stack.
    pub user_stack: u64,
    /// The server's entry point.
    pub pc: u64,
}

/// Kernel stack of a thread and of an activation, in bytes.
pub const KERNEL_STACK: usize = 16 << 10;

/// The machine's number in ELF files (62: x86-64).
pub const ELF_MACHINE: u16 = 62;

/// An image of the vector registers, for [`save_vector`].
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct Vector(pub [u8; 512]);

/// Beside the note of a page's entry: it has rights. (In one byte, so that [`page_entry`] answers in two registers.)
pub const SHOWN: u8 = 8;

/// Why one CPU interrupts another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Ipi {
    /// Look at the run queue.
    Reschedule,
    /// Serve the shootdown mailbox.
    Shootdown,
}

unsafe extern "Rust" {
    /// This CPU's number, from 0.
    pub safe fn cpu() -> usize;
    /// How many CPUs run.
    pub safe fn cpus() -> usize;
    /// What [`set_local`] was last given on this CPU; null before.
    pub safe fn local() -> *const ();
    /// Names the scheduler's block of this CPU.
    pub safe fn set_local(at: *const ());
    /// Nanoseconds since boot; never goes back, the same on every CPU within a microsecond.
    pub safe fn now() -> u64;
    /// Nanoseconds from 1970 to boot.
    pub safe fn epoch() -> u64;
    /// Asks for [`crate::entry::timer`] on this CPU at a time; `u64::MAX` for never.
    pub safe fn set_timer(at: u64);
    /// Halts with interrupts on until one came; returns with interrupts off, after its handler.
    pub safe fn idle();
    /// Called in every spin loop: a pause, and the shootdown mailbox is served.
    pub safe fn relax();
    /// Interrupts another CPU.
    pub safe fn ipi(cpu: usize, why: Ipi);
    /// A byte to the debug console.
    pub safe fn debug(byte: u8);
    /// The boot archive, empty when none was given.
    pub safe fn archive() -> &'static [u8];
    /// Its physical address.
    pub safe fn archive_at() -> u64;
    /// The command line.
    pub safe fn command_line() -> &'static [u8];
    /// Bytes of the kernel's code, constants and initialised variables.
    pub safe fn kernel_bytes() -> u64;
    /// Stops the machine with an exit code where there is a way to tell it, else powers off.
    pub safe fn power_off(code: u8) -> !;
    /// Makes randomness depend on these bytes too.
    pub safe fn stir(bytes: &[u8]);
    /// 32 random bytes, as good as the machine has.
    pub safe fn entropy() -> [u8; 32];

    /// Prepares a context that will call `run(arg)` on a kernel stack that ends at `stack_top`.
    pub safe fn new_context(stack_top: u64, run: extern "C" fn(usize) -> !, arg: usize) -> Context;
    /// Leaves the current context for another, made by [`new_context`] or saved by this or by [`enter_portal`]; returns
    /// when somebody switches back. Kernel stack and space of the other are set before. Both belong to this CPU's
    /// scheduler.
    pub safe fn switch(from: &mut Context, to: &Context);
    /// Names the kernel stack on which the current thread's (or activation's) system calls and traps begin.
    pub safe fn set_kernel_stack(top: u64);
    /// Loads an address space.
    pub safe fn load(root: Root);
    /// Is it the one that this CPU has loaded?
    pub safe fn is_loaded(root: Root) -> bool;
    /// Leaves the kernel for a user program for the first time, with cleared registers but for two arguments.
    pub safe fn enter_user(pc: u64, sp: u64, arg1: u64, arg2: u64) -> !;
    /// Resumes a user program with exactly these registers.
    pub safe fn resume_user(frame: &mut abi::note::Frame) -> !;
    /// The portal call's first half: saves this kernel stack's place in `back` as [`switch`] does, sets the kernel
    /// stack, loads the space, clears the vector registers and enters the server with the request's words. Returns
    /// when somebody leaves for `back` or switches to it, with the caller's space and kernel stack set by then; the
    /// answer has been left with the caller's thread.
    pub safe fn enter_portal(back: &mut Context, entry: &Entry, request: &Request);
    /// As [`enter_portal`], within a system call, after which a program's vector registers are empty anyway.
    pub safe fn enter_portal_clean(back: &mut Context, entry: &Entry, request: &Request);
    /// The second half, on the activation's kernel stack, which is forgotten: sets the kernel stack, loads the space
    /// and goes on at `back`.
    pub safe fn leave_portal(back: &Context, root: Root, kernel_stack: u64) -> !;

    /// Makes the system call whose registers these are return `value`.
    pub safe fn set_result(frame: &mut abi::note::Frame, value: u64);
    /// Makes a program go on in a note's handler, on the stack at `sp`, with three arguments.
    pub safe fn call_handler(frame: &mut abi::note::Frame, handler: u64, sp: u64, args: [u64; 3]);

    /// The space with nothing but the kernel in it, which is never freed.
    pub safe fn kernel_root() -> Root;
    /// A new space with nothing but the kernel in it; none without memory.
    pub safe fn new_root() -> Option<Root>;
    /// Frees the tables of a space, not the frames that are mapped; no CPU has it loaded.
    pub safe fn free_root(root: Root);
    /// Maps a page, in place of what was there, be it a linked table. False without memory for the tables.
    pub safe fn map(root: Root, addr: u64, frame: Frame, rights: Rights) -> bool;
    /// Unmaps a page: what was there, but for what is in a linked table. The caller sees to the other CPUs.
    pub safe fn unmap(root: Root, addr: u64) -> Option<(Frame, Rights)>;
    /// What is mapped at an address, or kept there without any right.
    pub safe fn lookup(root: Root, addr: u64) -> Option<(Frame, Rights)>;
    /// The first page mapped in a range of whole pages, of a linked table with the rights it has there: skips what is empty
    /// in large steps.
    pub safe fn next_mapped(root: Root, from: u64, to: u64) -> Option<(u64, Frame, Rights)>;

    /// As [`next_mapped`], and takes it out. Nothing is linked in the range.
    pub safe fn take_mapped(root: Root, from: u64, to: u64) -> Option<(u64, Frame, Rights)>;
    /// The first page from `from` to below `to` that is marked gone, and the level of its mark: 512^level pages have it
    /// in common.
    pub safe fn next_gone(root: Root, from: u64, to: u64) -> Option<(u64, u8)>;
    /// Marks what is not mapped as gone, or takes the mark away, for 512^level pages. A larger mark around it is divided.
    /// False without memory for the tables.
    pub safe fn set_gone(root: Root, addr: u64, level: u8, gone: bool) -> bool;
    /// Takes out the table that maps 512^level pages, 1 or 2, and marks them gone; none if there is no table.
    pub safe fn take_table(root: Root, addr: u64, level: u8) -> Option<Frame>;
    /// Puts such a table where nothing is mapped; false if something is, or without memory for the tables above.
    pub safe fn put_table(root: Root, addr: u64, level: u8, table: Frame) -> bool;
    /// The frame of an entry of a table that is in no space.
    pub safe fn table_entry(table: Frame, index: u64) -> Option<Frame>;
    /// Sets one that is empty: a page that can be written, or a table of so many levels.
    pub safe fn set_table_entry(table: Frame, index: u64, frame: Frame, level: u8);
    /// An entry of a table of pages that is its keeper's and that spaces link: its frame and its note, with [`SHOWN`] if it
    /// can be touched. Empty ones have 0 and 0.
    pub safe fn page_entry(table: Frame, index: u64) -> (Frame, u8);
    /// How many entries from an index on, at most so many and in the same table, have a note whose bit is in `notes` and
    /// frames in a row; and the first of these.
    pub safe fn page_row(table: Frame, index: u64, most: u64, notes: u8) -> (Frame, u64);
    /// Sets one: what is [`Rights::Out`] can't be touched, [`Rights::Exec`] be read and executed, [`Rights::Write`] all. The
    /// note is below 8 and means nothing to the machine.
    pub safe fn set_page_entry(table: Frame, index: u64, frame: Frame, note: u8, rights: Rights);
    /// Makes a space use such a table for the 2 MiB at an address, with no more than these rights: the table of its own that
    /// was there, or [`Frame`] 0. None without memory for the tables above.
    pub safe fn link(root: Root, addr: u64, table: Frame, rights: Rights) -> Option<Frame>;
    /// Ends that for the 2 MiB around an address: was it so?
    pub safe fn unlink(root: Root, addr: u64) -> bool;
    /// Maps those of so many entries of such a table, from an index on, that can be touched at an address and behind it, with
    /// no more than these rights; where others are it leaves what is there. False without memory for the tables.
    pub safe fn fill(root: Root, addr: u64, table: Frame, index: u64, count: u64, rights: Rights) -> bool;
    /// Takes everything out of a range of whole pages, links too: was there anything? None of the frames is freed.
    pub safe fn clear(root: Root, from: u64, to: u64) -> bool;
    /// If this CPU has that root loaded, loads one with the kernel alone.
    pub safe fn leave(root: Root);
    /// Forgets one address on this CPU.
    pub safe fn flush_page(addr: u64);
    /// Forgets every address of a space on this CPU, which knows only those of the one that it has loaded.
    pub safe fn flush(root: Root);
    /// Forgets every user address on this CPU.
    pub safe fn flush_all();

    /// Copies from the loaded space; false if an address can't be read even after [`crate::entry::kernel_fault`], or if
    /// the lengths differ.
    safe fn user_in(to: &mut [u8], from: UserBuf) -> bool;
    /// Copies to the loaded space; false if an address can't be written even after [`crate::entry::kernel_fault`].
    safe fn user_out(to: UserBuf, from: &[u8]) -> bool;
    /// Copies from the loaded space to a frame at an offset; the range lies in the frame. False if an address can't be read
    /// as it is: no fault is served, so the frame may be one that was looked up and that nobody holds.
    pub safe fn frame_from_user(frame: Frame, offset: usize, from: UserBuf) -> bool;
    /// Copies to the loaded space from a frame at an offset, as [`frame_from_user`]; the range may go on in the frames behind
    /// it.
    pub safe fn frame_to_user(frame: Frame, offset: usize, to: UserBuf) -> bool;
    /// Copies between two frames, whichever space is loaded.
    pub safe fn copy_frames(to: Frame, to_offset: usize, from: Frame, from_offset: usize, len: usize);
    /// Copies out of a frame.
    pub safe fn read_frame(frame: Frame, offset: usize, to: &mut [u8]);
    /// Copies into a frame.
    pub safe fn write_frame(frame: Frame, offset: usize, from: &[u8]);
    /// Adds to the i32 at an offset of a frame, atomically, if the sum is neither negative nor too large: the sum.
    pub safe fn add_in_frame(frame: Frame, offset: usize, n: i32) -> Option<i32>;
    /// Fills a frame with zeroes.
    pub safe fn zero_frame(frame: Frame);
    /// Where a frame can be reached by the kernel: the direct map.
    pub safe fn frame_address(frame: Frame) -> *mut u8;
    /// The frame of an address of the direct map.
    pub safe fn frame_of(at: *mut u8) -> Frame;

    /// Makes a kernel stack: the first address above it; below it nothing is mapped. None without memory.
    pub safe fn new_stack() -> Option<u64>;
    /// Gives a kernel stack back, which nobody runs on.
    pub safe fn free_stack(top: u64);

    /// Was the kernel entered by a fault or interrupt? After a system call vector registers are of no use to a program.
    pub safe fn has_vector() -> bool;
    /// Keeps the vector registers of the program that a fault or interrupt found, for a note's handler.
    pub safe fn save_vector(to: &mut Vector);
    /// Makes the program that this kernel entry goes back to find these vector registers, or empty ones. They stay where
    /// they are until then, and are used again if another thread runs before.
    pub safe fn restore_vector(from: Option<&mut Vector>);

    /// How many interrupt lines there are.
    pub safe fn irqs() -> usize;
    /// Lets one interrupt of a line come to [`crate::entry::irq`], which masks the line again; on this CPU.
    pub safe fn unmask(irq: usize);
    /// Reads a device register in port space, of 1, 2 or 4 bytes; all ones where there is none.
    pub safe fn port_in(port: u16, width: u8) -> u32;
    /// Writes one.
    pub safe fn port_out(port: u16, width: u8, value: u32);
}

/// Copies until it is done or a page can't be had.
#[inline]
fn copied(buf: UserBuf, access: Access, mut copy: impl FnMut() -> bool) -> bool {
    loop {
        if copy() {
            return true;
        }
        if !bring(buf, access) {
            return false;
        }
    }
}

/// Copies from the current program's memory, files that it has attached included; false if an address can't be read.
pub fn copy_in(to: &mut [u8], from: UserBuf) -> bool {
    copied(from, Access::Read, || user_in(to, from))
}

/// Copies to the current program's memory; false if an address can't be written.
pub fn copy_out(to: UserBuf, from: &[u8]) -> bool {
    copied(to, Access::Write, || user_out(to, from))
}
