//! What drivers of virtio devices share: where the devices are, and memory that they may know.
//!
//! The queues and the two transports are those of the crate `virtio-drivers`. Here is what it leaves to a system:
//! on a machine without PCI the devices stand on the kernel's command line ([`words`]), on a PC in the PCI
//! bus whose registers ACPI's table MCFG tells ([`acpi`]); registers, memory and interrupts come from the kernel's `#hw`.
#![no_std]

pub mod acpi;
pub mod words;

#[cfg(portolan)]
mod on;
#[cfg(portolan)]
pub use on::*;
