//! The 16550: registers through the kernel's port file, a byte at a time, and its interrupt.
//!
//! Registers: National Semiconductor PC16550D, section 8.

use portolan::abi::file::{ORDWR, OREAD};
use portolan::{File, Result};

/// The first serial port's registers begin here.
const COM1: u64 = 0x3f8;
/// Receive and transmit buffer.
const DATA: u64 = 0;
/// Interrupt enable.
const IER: u64 = 1;
/// FIFO control.
const FCR: u64 = 2;
/// Line control.
const LCR: u64 = 3;
/// Modem control.
const MCR: u64 = 4;
/// Line status.
const LSR: u64 = 5;
/// Bytes that the transmitter's FIFO takes at once.
const FIFO: usize = 16;

/// The port.
pub(super) struct Uart {
    ports: File,
    irq: File,
}

impl Uart {
    /// Sets the port up: 8 bits, no parity, FIFOs, an interrupt for what is received.
    pub(super) fn open() -> Result<Uart> {
        let u = Uart { ports: File::open("#hw/io", ORDWR)?, irq: File::open("#hw/irq4", OREAD)? };
        u.put(LCR, 3)?;
        u.put(FCR, 7)?;
        // Data terminal ready, request to send, and the line that lets interrupts out.
        u.put(MCR, 0xb)?;
        u.put(IER, 1)?;
        Ok(u)
    }

    fn put(&self, register: u64, value: u8) -> Result<()> {
        self.ports.write_at(&[value], COM1 + register).map(drop)
    }

    fn get(&self, register: u64) -> Result<u8> {
        let mut b = [0];
        self.ports.read_at(&mut b, COM1 + register)?;
        Ok(b[0])
    }

    /// Waits for the port's next interrupt.
    pub(super) fn wait(&self) -> Result<()> {
        self.irq.read(&mut [0; 8]).map(drop)
    }

    /// The next byte received, if there is one.
    pub(super) fn receive(&self) -> Result<Option<u8>> {
        if self.get(LSR)? & 1 == 0 {
            return Ok(None);
        }
        self.get(DATA).map(Some)
    }

    /// Sends bytes.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<()> {
        for piece in bytes.chunks(FIFO) {
            // The transmitter is empty when bit 5 says so; then it takes a FIFO's worth.
            while self.get(LSR)? & 0x20 == 0 {}
            for &b in piece {
                self.put(DATA, b)?;
            }
        }
        Ok(())
    }
}
