//! Shows messages: a line each, and a capture file that tshark and wireshark dissect.
//!
//! The capture holds raw IPv4 with made-up addresses and true sequence numbers; the server's port is 564, by which
//! dissectors know 9P, whatever the real one is.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use con9::wire;

use crate::trouble::Way;

/// Where the messages of all connections are shown.
pub struct Trace {
    begun: Instant,
    lines: bool,
    capture: Option<Mutex<BufWriter<File>>>,
}

/// Link type "raw IP".
const RAW: u32 = 101;
/// Most bytes of one packet: what IPv4's length field holds, headers apart.
const PACKET: usize = 65_000;

/// The sequence numbers of a connection, one for each way.
#[derive(Debug)]
pub struct Numbers {
    connection: u64,
    next: Mutex<[u32; 2]>,
}

impl Numbers {
    /// Those of a new connection.
    pub fn new(connection: u64) -> Numbers {
        Numbers { connection, next: Mutex::new([1, 1]) }
    }
}

/// A lock whose holder panicked is as good as any: what it guards is whole after every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Trace {
    /// Shows lines on standard error, or not, and writes a capture file, or not.
    pub fn new(lines: bool, capture: Option<&Path>) -> io::Result<Trace> {
        let capture = match capture {
            None => None,
            Some(path) => {
                let mut file = BufWriter::new(File::create(path)?);
                for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 0x0004_0000, RAW] {
                    file.write_all(&u32::to_le_bytes(word))?;
                }
                file.flush()?;
                Some(Mutex::new(file))
            }
        };
        Ok(Trace { begun: Instant::now(), lines, capture })
    }

    /// Shows bytes that go on.
    pub fn show(&self, numbers: &Numbers, way: Way, bytes: &[u8]) -> io::Result<()> {
        if self.lines {
            let arrow = if way == Way::Request { "->" } else { "<-" };
            let text = match wire::decode(bytes) {
                Ok(message) => message.to_string(),
                Err(e) => format!("{} bytes: {e}", bytes.len()),
            };
            eprintln!("{:.6} {} {arrow} {text}", self.begun.elapsed().as_secs_f64(), numbers.connection);
        }
        let Some(capture) = &self.capture else { return Ok(()) };
        let mut capture = lock(capture);
        for part in bytes.chunks(PACKET) {
            write_packet(&mut *capture, numbers, way, part)?;
        }
        capture.flush()
    }
}

fn write_packet(out: &mut impl Write, numbers: &Numbers, way: Way, data: &[u8]) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let length = (20 + 20 + data.len()) as u32;
    for word in [now.as_secs() as u32, now.subsec_micros(), length, length] {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut next = lock(&numbers.next);
    let (mine, other) = if way == Way::Request { (0, 1) } else { (1, 0) };
    let (seq, ack) = (next[mine], next[other]);
    next[mine] = seq.wrapping_add(data.len() as u32);
    drop(next);

    let client = (0x7f00_0001u32, 10_000 + (numbers.connection % 50_000) as u16);
    let server = (0x7f00_0002u32, 564u16);
    let (from, to) = if way == Way::Request { (client, server) } else { (server, client) };
    let mut ip = Vec::with_capacity(40);
    ip.extend([0x45, 0]);
    ip.extend((length as u16).to_be_bytes());
    ip.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    ip.extend(from.0.to_be_bytes());
    ip.extend(to.0.to_be_bytes());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    ip.extend(from.1.to_be_bytes());
    ip.extend(to.1.to_be_bytes());
    ip.extend(seq.to_be_bytes());
    ip.extend(ack.to_be_bytes());
    // Header of five words; PSH and ACK; a full window; the checksum is not filled in, as by a card that would.
    ip.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    out.write_all(&ip)?;
    out.write_all(data)
}

/// The one's complement sum of a header.
fn checksum(header: &[u8]) -> u16 {
    let mut sum: u32 = header.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_its_length_its_sum_and_its_place() {
        let numbers = Numbers::new(1);
        let mut out = Vec::new();
        write_packet(&mut out, &numbers, Way::Request, b"abcdefg").unwrap();
        write_packet(&mut out, &numbers, Way::Reply, b"xyz").unwrap();
        let first = &out[16..16 + 47];
        assert_eq!(checksum(&first[..20]), 0);
        assert_eq!(&first[2..4], &[0, 47]);
        assert_eq!(&first[40..], b"abcdefg");
        let second = &out[16 + 47 + 16..];
        assert_eq!(&second[24..32], &[0, 0, 0, 1, 0, 0, 0, 8]);
    }
}
