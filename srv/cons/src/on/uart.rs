//! The 16550: registers through the kernel's port file, a byte at a time, and its interrupt.
//!
//! Registers: National Semiconductor PC16550D, section 8.

use portolan::abi::file::ORDWR;
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
    base: u64,
    ports: File,
}

impl Uart {
    /// Sets the first port up: 8 bits, no parity, FIFOs, an interrupt for what is received.
    pub(super) fn open() -> Result<Uart> {
        let u = Uart { base: COM1, ports: File::open("#hw/io", ORDWR)? };
        u.put(LCR, 3)?;
        u.put(FCR, 7)?;
        // Data terminal ready, request to send, and the line that lets interrupts out.
        u.put(MCR, 0xb)?;
        u.put(IER, 1)?;
        Ok(u)
    }

    fn put(&self, register: u64, value: u8) -> Result<()> {
        self.ports.write_at(&[value], self.base + register).map(drop)
    }

    fn get(&self, register: u64) -> Result<u8> {
        let mut b = [0];
        self.ports.read_at(&mut b, self.base + register)?;
        Ok(b[0])
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
            pour(&self.ports, self.base + DATA, piece)?;
        }
        Ok(())
    }
}

/// Writes bytes to one port, in order. A write of two or four bytes would be one wide access, so it is split.
pub(super) fn pour(ports: &File, port: u64, bytes: &[u8]) -> Result<()> {
    let (first, rest) = bytes.split_at(usize::from(matches!(bytes.len(), 2 | 4)));
    for part in [first, rest] {
        match part {
            [] => {}
            [a, b] => {
                ports.write_at(&[*a], port)?;
                ports.write_at(&[*b], port)?;
            }
            _ => drop(ports.write_at(part, port)?),
        }
    }
    Ok(())
}
