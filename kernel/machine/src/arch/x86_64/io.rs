//! Ports, the debug console, and the ways to stop the machine.
#![allow(unsafe_code, reason = "port instructions; defines the machine's symbols")]

use core::arch::asm;

/// The debug console of QEMU: reading it gives its own number where it exists.
const DEBUG: u16 = 0xe9;
/// QEMU's isa-debug-exit: its status is twice the value and one.
const DEBUG_EXIT: u16 = 0xf4;
/// ACPI's PM1a control on QEMU's q35, and "sleep type 0 now" of its tables.
const Q35_SLEEP: (u16, u32) = (0x604, 0x2000);
/// ACPI's sleep control on QEMU's microvm, and "sleep type 5 now".
const MICROVM_SLEEP: (u64, u8) = (0xfea0_0200, 0x34);

/// Reads a port of 1, 2 or 4 bytes.
#[unsafe(no_mangle)]
pub(super) fn port_in(port: u16, width: u8) -> u32 {
    let value: u32;
    // SAFETY: reading a port touches no memory of Rust's; what devices do with it is up to whoever was let
    // at the port.
    unsafe {
        match width {
            1 => {
                let b: u8;
                asm!("in al, dx", in("dx") port, out("al") b, options(nomem, nostack));
                value = u32::from(b);
            }
            2 => {
                let w: u16;
                asm!("in ax, dx", in("dx") port, out("ax") w, options(nomem, nostack));
                value = u32::from(w);
            }
            _ => asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack)),
        }
    }
    value
}

/// Writes a port of 1, 2 or 4 bytes.
#[unsafe(no_mangle)]
pub(super) fn port_out(port: u16, width: u8, value: u32) {
    // SAFETY: as in `port_in`. A device that is told to write to memory is the business of its driver, which the
    // kernel trusts with that.
    unsafe {
        match width {
            1 => asm!("out dx, al", in("dx") port, in("al") value as u8, options(nomem, nostack)),
            2 => asm!("out dx, ax", in("dx") port, in("ax") value as u16, options(nomem, nostack)),
            _ => asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack)),
        }
    }
}

#[unsafe(no_mangle)]
fn debug(byte: u8) {
    port_out(DEBUG, 1, u32::from(byte));
}

#[unsafe(no_mangle)]
fn power_off(code: u8) -> ! {
    stop(code)
}

/// Stops the machine: with the code where somebody listens for it, else by ACPI, else by a fault that resets it.
pub(crate) fn stop(code: u8) -> ! {
    port_out(DEBUG_EXIT, 4, u32::from(code));
    port_out(Q35_SLEEP.0, 2, Q35_SLEEP.1);
    super::page::device_write8(MICROVM_SLEEP.0, MICROVM_SLEEP.1);
    // SAFETY: an empty interrupt table makes the breakpoint a triple fault, which resets the machine: nothing of
    // Rust's runs afterwards.
    unsafe {
        asm!(
            "sub rsp, 16",
            "mov qword ptr [rsp], 0",
            "mov qword ptr [rsp + 8], 0",
            "lidt [rsp]",
            "int3",
            "2: hlt",
            "jmp 2b",
            options(noreturn)
        );
    }
}
