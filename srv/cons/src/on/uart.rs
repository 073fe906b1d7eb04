//! The 16550: registers through the kernel's port file, and its interrupt.
//!
//! The port interrupts when [`LEVEL`] bytes have come, or fewer and then none for the time of four: so bytes from a
//! program are fetched many at once, and a key is not left lying.
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
/// FIFO control when written, interrupt identification when read.
const FCR: u64 = 2;
/// Line control.
const LCR: u64 = 3;
/// Modem control.
const MCR: u64 = 4;
/// Line status.
const LSR: u64 = 5;
/// Enables and clears the FIFOs, and asks for an interrupt at [`LEVEL`] bytes.
const FIFOS: u8 = 0xc7;
/// Bytes that are there when the port says that its level is reached.
pub(super) const LEVEL: usize = 14;
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
        // As fast as can be: the line is not one.
        u.put(LCR, 0x80)?;
        u.put(DATA, 1)?;
        u.put(IER, 0)?;
        u.put(LCR, 3)?;
        u.put(FCR, FIFOS)?;
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

    /// The next bytes received, none if there are none.
    pub(super) fn receive<'a>(&self, room: &'a mut [u8; LEVEL]) -> Result<&'a [u8]> {
        let len = if self.get(FCR)? & 0xf == 4 { LEVEL } else { usize::from(self.get(LSR)? & 1) };
        if let Some(bytes @ [_, ..]) = room.get_mut(..len) {
            self.ports.read_at(bytes, self.base + DATA)?;
        }
        Ok(room.get(..len).unwrap_or_default())
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
