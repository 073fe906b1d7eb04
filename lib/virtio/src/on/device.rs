//! [`find`]: the first device of a kind, on the command line or on the PCI bus.
#![allow(unsafe_code, reason = "reads and writes registers that it has attached")]

use super::memory::{Machine, registers};
use crate::acpi::{self, Physical};
use crate::words;
use core::ptr::NonNull;
use portolan::abi::file::OREAD;
use portolan::abi::limit::PAGE;
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::{Error, File, Result, fs, sys};
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::pci::bus::{Command, ConfigurationAccess, DeviceFunction, PciRoot};
use virtio_drivers::transport::pci::{PciTransport, virtio_device_type};
use virtio_drivers::transport::{DeviceType, SomeTransport, Transport};

/// A device that was found.
pub struct Device {
    /// Its registers.
    pub transport: SomeTransport<'static>,
    /// Its interrupt's file: a read returns when it has fired.
    pub irq: File,
}

/// Finds the first device of a kind; `None` if the machine has none.
pub fn find(kind: DeviceType) -> Result<Option<Device>> {
    let found = match on_command_line(kind)? {
        Some(found) => Some(found),
        None => on_bus(kind)?,
    };
    let Some((transport, line)) = found else { return Ok(None) };
    let irq = format!("#hw/irq{line}");
    let irq = File::open(&irq, OREAD).map_err(|e| Error::of(irq, e))?;
    Ok(Some(Device { transport, irq }))
}

fn on_command_line(kind: DeviceType) -> Result<Option<(SomeTransport<'static>, u32)>> {
    let line = fs::read("#root/cmdline")?;
    let line = String::from_utf8_lossy(&line);
    for place in words::places(&line) {
        let size = usize::try_from(place.size).map_err(|_| Error::new("virtio_mmio.device: bad size"))?;
        let at = registers(place.address, size)?;
        // SAFETY: registers of that size are attached there until the process ends, and nobody else in it has them.
        let transport = unsafe { MmioTransport::new(at.cast(), size) };
        // An unused place has no device.
        let Ok(transport) = transport else { continue };
        if transport.device_type() == kind {
            return Ok(Some((transport.into(), place.line)));
        }
        // Dropping it would reset another driver's device.
        core::mem::forget(transport);
    }
    Ok(None)
}

/// Bytes of the configuration space of one function, and functions on a bus.
const FUNCTION: usize = 4096;
const FUNCTIONS: usize = 256;
/// The word whose second byte is the interrupt pin of a function, from 1.
const PIN: u8 = 0x3c;

/// Registers of a function that are not written: the command, which switches its memory on, and the base addresses.
const COMMAND: u8 = 0x04;
const BASES: core::ops::Range<u8> = 0x10..0x28;
/// A base address's low bits, and those that say that its upper half is the next one.
const FLAGS: u32 = 0xf;
const WIDE: u32 = 0x4;

/// The configuration space of bus 0.
///
/// The transport asks for the size of a base address by writing ones to it, with the device's memory switched off. The
/// firmware has placed the devices, and others may be at work (to QEMU's emulator a move of one device's memory
/// while another CPU uses a second one's is a race that it loses): such writes stay here, and every size is said to be 1 MiB.
struct Bus {
    at: NonNull<u8>,
    /// A bit for each base address that reads as its size now.
    sizes: u8,
}

impl Bus {
    fn register(&self, f: DeviceFunction, offset: u8) -> *mut u32 {
        let function = usize::from(f.device) * 8 + usize::from(f.function);
        self.at.as_ptr().wrapping_add(function * FUNCTION + usize::from(offset & !3)).cast()
    }

    fn get(&self, f: DeviceFunction, offset: u8) -> u32 {
        // SAFETY: the registers of all functions of the bus are attached, and the word is aligned.
        if f.bus == 0 { unsafe { self.register(f, offset).read_volatile() } } else { u32::MAX }
    }

    fn is_sized(&self, offset: u8) -> bool {
        BASES.contains(&offset) && self.sizes & 1 << ((offset - BASES.start) / 4) != 0
    }
}

impl ConfigurationAccess for Bus {
    fn read_word(&self, f: DeviceFunction, offset: u8) -> u32 {
        let real = self.get(f, offset);
        if !self.is_sized(offset) {
            return real;
        }
        let below = offset.wrapping_sub(4);
        let upper = self.is_sized(below) && self.get(f, below) & 6 == WIDE;
        if upper { u32::MAX } else { 0xfff0_0000 | real & FLAGS }
    }

    fn write_word(&mut self, f: DeviceFunction, offset: u8, data: u32) {
        if BASES.contains(&offset) {
            let bit = 1 << ((offset - BASES.start) / 4);
            self.sizes = if data == u32::MAX { self.sizes | bit } else { self.sizes & !bit };
            return;
        }
        let off = Command::from_bits_truncate(data as u16) & Command::MEMORY_SPACE == Command::empty();
        if f.bus == 0 && !(offset == COMMAND && off) {
            // SAFETY: as in `get`.
            unsafe { self.register(f, offset).write_volatile(data) }
        }
    }

    unsafe fn unsafe_clone(&self) -> Self {
        Bus { at: self.at, sizes: 0 }
    }
}

fn on_bus(kind: DeviceType) -> Result<Option<(SomeTransport<'static>, u32)>> {
    let Some(base) = acpi::ecam(&mut Attached::default()) else { return Ok(None) };
    let at = registers(base, FUNCTION * FUNCTIONS)?;
    let mut root = PciRoot::new(Bus { at, sizes: 0 });
    let found = root.enumerate_bus(0).find(|(_, info)| virtio_device_type(info) == Some(kind));
    let Some((function, _)) = found else { return Ok(None) };
    root.set_command(function, Command::MEMORY_SPACE | Command::BUS_MASTER);
    let transport = PciTransport::new::<Machine, _>(&mut root, function).map_err(|e| Error::of("pci", e))?;
    let pin = Bus { at, sizes: 0 }.get(function, PIN) >> 8 & 0xff;
    // QEMU's q35 has the four pins of the devices on its root bus in turn on the last four of 24 lines (its chip's
    // registers for devices 0 to 24 as they are after a reset); a PC's own table of this is a program, which nobody
    // here runs.
    let line = 20 + (u32::from(function.device) + pin.saturating_sub(1)) % 4;
    Ok(Some((transport.into(), line)))
}

/// Physical memory that is read page by page; the page that was read last stays attached.
#[derive(Default)]
struct Attached {
    page: u64,
    at: u64,
}

impl Physical for Attached {
    fn read(&mut self, address: u64, to: &mut [u8]) -> bool {
        for (address, b) in (address..).zip(to) {
            let page = address / PAGE as u64;
            if self.at == 0 || self.page != page {
                self.let_go();
                let Ok(at) = registers(page * PAGE as u64, PAGE) else { return false };
                *self = Attached { page, at: at.as_ptr() as u64 };
            }
            // SAFETY: the page is attached until `let_go`.
            *b = unsafe { ((self.at + address % PAGE as u64) as *const u8).read_volatile() };
        }
        true
    }
}

impl Attached {
    fn let_go(&mut self) {
        if self.at != 0 {
            // SAFETY: nothing refers to the page; `read` copies.
            let _ = unsafe { sys::segdetach(self.at, PAGE) };
            self.at = 0;
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.let_go();
    }
}
