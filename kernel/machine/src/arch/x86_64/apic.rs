//! Interrupts: the local APIC of each CPU and the I/O APIC, both through registers in memory.
//!
//! The lines of ISA devices (below 16) tell by edges and stay open once they were asked for; the kernel counts what
//! comes. The others tell by level: they are masked when they fire, until somebody asks again.
#![allow(unsafe_code, reason = "defines the machine's symbols")]

use super::cpu::apic_id;
use super::io::port_out;
use super::page::{device_read, device_write};
use super::time;
use super::trap::{LINES, RESCHEDULE, SHOOTDOWN, SPURIOUS, TIMER};
use kernel_core::base::Spin;
use kernel_core::machine::Ipi;

/// Where the registers are that no program may have.
pub(super) const REGISTERS: [u64; 2] = [LOCAL, IO];

const LOCAL: u64 = 0xfee0_0000;
const ID: u64 = 0x20;
const PRIORITY: u64 = 0x80;
const END: u64 = 0xb0;
const SPURIOUS_AND_ENABLE: u64 = 0xf0;
const COMMAND: u64 = 0x300;
const COMMAND_TO: u64 = 0x310;
const TIMER_ENTRY: u64 = 0x320;
const LINT0: u64 = 0x350;
const INITIAL: u64 = 0x380;
const CURRENT: u64 = 0x390;
const DIVIDE: u64 = 0x3e0;
const MASKED: u32 = 1 << 16;

const IO: u64 = 0xfec0_0000;
const IO_VERSION: u32 = 1;
const IO_TABLE: u32 = 0x10;
const LEVEL_LOW: u32 = 1 << 15 | 1 << 13;
const FIRST_LEVEL: usize = 16;

/// The I/O APIC is reached by an index and a window: one at a time.
static IO_LOCK: Spin<()> = Spin::new(());

/// Switches this CPU's local APIC on; its timer runs once when asked.
pub(super) fn enable() {
    device_write(LOCAL + SPURIOUS_AND_ENABLE, 0x100 | SPURIOUS as u32);
    device_write(LOCAL + PRIORITY, 0);
    device_write(LOCAL + LINT0, MASKED);
    device_write(LOCAL + DIVIDE, 0xb);
    device_write(LOCAL + TIMER_ENTRY, TIMER as u32);
}

/// This CPU's local APIC's number.
pub(super) fn id() -> u32 {
    device_read(LOCAL + ID) >> 24
}

/// Ends an interrupt.
pub(super) fn done() {
    device_write(LOCAL + END, 0);
}

/// Starts the timer's count down from a number.
pub(super) fn count_from(n: u32) {
    device_write(LOCAL + INITIAL, n);
}

/// Where the count is.
pub(super) fn count() -> u32 {
    device_read(LOCAL + CURRENT)
}

#[unsafe(no_mangle)]
fn set_timer(at: u64) {
    count_from(if at == u64::MAX { 0 } else { time::timer_ticks(at) });
}

fn command(to: u32, what: u32) {
    device_write(LOCAL + COMMAND_TO, to << 24);
    device_write(LOCAL + COMMAND, what);
    while device_read(LOCAL + COMMAND) & 1 << 12 != 0 {
        core::hint::spin_loop();
    }
}

#[unsafe(no_mangle)]
fn ipi(cpu: usize, why: Ipi) {
    let vector = match why {
        Ipi::Reschedule => RESCHEDULE,
        Ipi::Shootdown => SHOOTDOWN,
    };
    command(apic_id(cpu), vector as u32);
}

/// Resets every other CPU.
pub(super) fn init_others() {
    command(0, 0xc_4500);
}

/// Starts every other CPU at a page below 1 MiB.
pub(super) fn start_others(page: u64) {
    command(0, 0xc_4600 | (page >> 12) as u32);
}

fn io_read(register: u32) -> u32 {
    device_write(IO, register);
    device_read(IO + 0x10)
}

fn io_write(register: u32, value: u32) {
    device_write(IO, register);
    device_write(IO + 0x10, value);
}

/// Masks the older interrupt controllers, before the local APIC stops to listen to them: QEMU keeps an interrupt for
/// ever that was asked for before and is withdrawn after.
pub(super) fn silence() {
    port_out(0x21, 1, 0xff);
    port_out(0xa1, 1, 0xff);
}

/// Masks every line.
pub(super) fn init_lines() {
    let _held = IO_LOCK.lock();
    for line in 0..irqs() as u32 {
        io_write(IO_TABLE + 2 * line, MASKED);
    }
}

#[unsafe(no_mangle)]
fn irqs() -> usize {
    let last = io_read(IO_VERSION) >> 16 & 0xff;
    (last as usize + 1).min((TIMER - LINES) as usize)
}

#[unsafe(no_mangle)]
fn unmask(irq: usize) {
    let _held = IO_LOCK.lock();
    if irq >= irqs() {
        return;
    }
    let at = IO_TABLE + 2 * irq as u32;
    let mode = if irq < FIRST_LEVEL { 0 } else { LEVEL_LOW };
    let entry = (LINES as u32 + irq as u32) | mode;
    if io_read(at) & (MASKED | 0xff) != entry & 0xff {
        io_write(at + 1, id() << 24);
        io_write(at, entry);
    }
}

/// A line has fired: masks it if it tells by level, and ends the interrupt.
pub(super) fn took(line: u64) {
    if line as usize >= FIRST_LEVEL {
        let _held = IO_LOCK.lock();
        let at = IO_TABLE + 2 * line as u32;
        io_write(at, io_read(at) | MASKED);
    }
    done();
}
