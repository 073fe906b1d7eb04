//! Loading a program: a static ELF file into an empty space.
//!
//! The file is read through a closure and believed in nothing: every field is checked before it is used, and the
//! range of each segment by the space itself. Code and constants are attached from the file where its server lets it be
//! cached, and paged in when they are touched; of variables the pages with bytes of the file are copied at once, and the
//! rest is zero when it is touched.

use super::frames::Fresh;
use super::space::{Space, Use};
use crate::machine::{ELF_MACHINE, Rights};
use crate::msg::Result;
use abi::error::Error;
use abi::limit::{PAGE, STACK, STACK_TOP};

const PAGE64: u64 = PAGE as u64;
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
/// Most program headers of a file.
pub const SEGMENTS: usize = 16;
/// Pages are read in blocks of 2^3.
const ORDER: u8 = 3;

const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PF_X: u32 = 1;
const PF_W: u32 = 2;

/// Reads a file at an offset: how many bytes there were, 0 at the end.
pub type ReadAt<'a> = dyn FnMut(u64, &mut [u8]) -> Result<usize> + 'a;

/// Attaches the file itself, if it can be: rights, offset in the file, address and length.
pub type Share<'a> = &'a dyn Fn(&Space, Rights, u64, (u64, u64)) -> Result<bool>;

fn field<const N: usize>(b: &[u8], at: usize) -> Result<[u8; N]> {
    let bytes = b.get(at..).and_then(|b| b.first_chunk::<N>());
    bytes.copied().ok_or_else(|| Error::BadExec.into())
}

fn u16_at(b: &[u8], at: usize) -> Result<u16> {
    Ok(u16::from_le_bytes(field(b, at)?))
}

fn u32_at(b: &[u8], at: usize) -> Result<u32> {
    Ok(u32::from_le_bytes(field(b, at)?))
}

fn u64_at(b: &[u8], at: usize) -> Result<u64> {
    Ok(u64::from_le_bytes(field(b, at)?))
}

/// Reads until the buffer is full or the file ends: how many bytes.
fn read_full(read_at: &mut ReadAt<'_>, offset: u64, to: &mut [u8]) -> Result<usize> {
    let mut have = 0usize;
    while let Some(rest) = to.get_mut(have..).filter(|r| !r.is_empty()) {
        let at = offset.checked_add(have as u64).ok_or(Error::BadExec)?;
        match read_at(at, rest)? {
            0 => break,
            n => have = have.saturating_add(n),
        }
    }
    Ok(have.min(to.len()))
}

/// A segment to load, with sane numbers.
struct Segment {
    rights: Rights,
    offset: u64,
    addr: u64,
    in_file: u64,
    in_memory: u64,
}

impl Segment {
    fn parse(h: &[u8]) -> Result<Option<Segment>> {
        let kind = u32_at(h, 0)?;
        if kind == PT_INTERP {
            return Err(Error::BadExec.into());
        }
        let flags = u32_at(h, 4)?;
        let rights = match (flags & PF_W != 0, flags & PF_X != 0) {
            (true, true) => return Err(Error::BadExec.into()),
            (true, false) => Rights::Write,
            (false, true) => Rights::Exec,
            (false, false) => Rights::Read,
        };
        let s = Segment {
            rights,
            offset: u64_at(h, 8)?,
            addr: u64_at(h, 16)?,
            in_file: u64_at(h, 32)?,
            in_memory: u64_at(h, 40)?,
        };
        if kind != PT_LOAD || s.in_memory == 0 {
            return Ok(None);
        }
        let end = s.addr.checked_add(s.in_memory).ok_or(Error::BadExec)?;
        let fits = s.in_file <= s.in_memory
            && s.offset.checked_add(s.in_file).is_some()
            && s.offset % PAGE64 == s.addr % PAGE64
            && s.addr >= PAGE64
            && end <= STACK_TOP.saturating_sub(STACK);
        if !fits {
            return Err(Error::BadExec.into());
        }
        Ok(Some(s))
    }

    /// `share` attaches the file itself where it can: its offset, and where to put how much of it.
    fn load(&self, space: &Space, read_at: &mut ReadAt<'_>, share: Share<'_>) -> Result<()> {
        let skew = self.addr % PAGE64;
        let start = self.addr.saturating_sub(skew);
        let offset = self.offset.saturating_sub(skew);
        let whole = self.in_file == self.in_memory && self.rights != Rights::Write;
        if whole && share(space, self.rights, offset, (start, self.in_memory.saturating_add(skew)))? {
            return Ok(());
        }
        let kind = if self.rights == Rights::Write { Use::Data } else { Use::Text };
        let attached = space.attach(start, self.in_memory.saturating_add(skew), self.rights, kind);
        attached.map_err(|e| if e == Error::NoMemory.into() { e } else { Error::BadExec.into() })?;
        let file_end = self.addr.saturating_add(self.in_file);
        let mut at = start;
        while self.in_file > 0 && at < file_end {
            let order = if file_end.saturating_sub(at) > PAGE64 { ORDER } else { 0 };
            let mut fresh = Fresh::new(order).or_else(|_| Fresh::new(0))?;
            let room = fresh.bytes();
            let length = room.len() as u64;
            let from = if at == start { skew as usize } else { 0 };
            let to = file_end.saturating_sub(at).min(length) as usize;
            let part = room.get_mut(from..to).ok_or(Error::BadExec)?;
            let offset = offset.saturating_add(at.saturating_sub(start));
            let want = part.len();
            if read_full(read_at, offset.saturating_add(from as u64), part)? != want {
                return Err(Error::BadExec.into());
            }
            space.place(at, file_end, self.rights, fresh)?;
            at = at.saturating_add(length);
        }
        Ok(())
    }
}

/// Loads a program into an empty space: the address where it starts. On failure the space is to be dropped.
pub fn load(space: &Space, read_at: &mut ReadAt<'_>, share: Share<'_>) -> Result<u64> {
    let mut h = [0; HEADER];
    if read_full(read_at, 0, &mut h)? != HEADER || !h.starts_with(b"\x7fELF\x02\x01\x01") {
        return Err(Error::BadExec.into());
    }
    let executable = u16_at(&h, 16)? == 2 && u16_at(&h, 18)? == ELF_MACHINE && u32_at(&h, 20)? == 1;
    let (entry, table) = (u64_at(&h, 24)?, u64_at(&h, 32)?);
    let (size, count) = (usize::from(u16_at(&h, 54)?), usize::from(u16_at(&h, 56)?));
    if !executable || size != PROGRAM_HEADER || count == 0 || count > SEGMENTS {
        return Err(Error::BadExec.into());
    }
    let mut headers = [0; SEGMENTS * PROGRAM_HEADER];
    let headers = headers.get_mut(..count.saturating_mul(PROGRAM_HEADER)).ok_or(Error::BadExec)?;
    if read_full(read_at, table, headers)? != headers.len() {
        return Err(Error::BadExec.into());
    }
    let mut heap = 0;
    let mut entered = false;
    for h in headers.chunks_exact(PROGRAM_HEADER) {
        let Some(s) = Segment::parse(h)? else { continue };
        s.load(space, read_at, share)?;
        // Neither wraps: parse has bounded the segment's end.
        let end = s.addr.saturating_add(s.in_memory);
        entered |= s.rights == Rights::Exec && (s.addr..end).contains(&entry);
        heap = end.checked_next_multiple_of(PAGE64).unwrap_or(end).max(heap);
    }
    if !entered {
        return Err(Error::BadExec.into());
    }
    // A page stays free between variables and heap.
    space.set_heap(heap.saturating_add(PAGE64));
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use crate::mem::fault::Access;
    use crate::msg::Fail;
    use abi::limit::TEXT;

    fn program(segments: &[(u32, u64, u64, u64, u64)], entry: u64, len: usize) -> Vec<u8> {
        let mut f = vec![0u8; len.max(HEADER + segments.len() * PROGRAM_HEADER)];
        f[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        f[16..18].copy_from_slice(&2u16.to_le_bytes());
        f[18..20].copy_from_slice(&ELF_MACHINE.to_le_bytes());
        f[20..24].copy_from_slice(&1u32.to_le_bytes());
        f[24..32].copy_from_slice(&entry.to_le_bytes());
        f[32..40].copy_from_slice(&(HEADER as u64).to_le_bytes());
        f[54..56].copy_from_slice(&(PROGRAM_HEADER as u16).to_le_bytes());
        f[56..58].copy_from_slice(&(segments.len() as u16).to_le_bytes());
        for (i, &(flags, offset, addr, in_file, in_memory)) in segments.iter().enumerate() {
            let h = &mut f[HEADER + i * PROGRAM_HEADER..][..PROGRAM_HEADER];
            h[..4].copy_from_slice(&PT_LOAD.to_le_bytes());
            h[4..8].copy_from_slice(&flags.to_le_bytes());
            for (at, v) in [(8, offset), (16, addr), (32, in_file), (40, in_memory)] {
                h[at..at + 8].copy_from_slice(&v.to_le_bytes());
            }
        }
        f
    }

    fn good() -> Vec<u8> {
        let mut f = program(
            &[(PF_X, 0, TEXT, 0x1200, 0x1200), (PF_W, 0x1200, TEXT + 0x3200, 0x9000, 0x20000)],
            TEXT + 0x1000,
            0x1200 + 0x9000,
        );
        let table = HEADER + 2 * PROGRAM_HEADER;
        f[table..].iter_mut().enumerate().for_each(|(i, b)| *b = (i * 7) as u8);
        f
    }

    fn load_bytes(f: &[u8]) -> (Result<u64>, Space) {
        let space = Space::new().unwrap();
        let mut read = |at: u64, to: &mut [u8]| {
            let from = f.get(at as usize..).unwrap_or(&[]);
            // Short reads on purpose: a server may give less than was asked.
            let n = from.len().min(to.len()).min(1000);
            to[..n].copy_from_slice(&from[..n]);
            Ok(n)
        };
        (load(&space, &mut read, &|_, _, _, _| Ok(false)), space)
    }

    #[test]
    fn a_program_lies_in_memory_as_its_file_says() {
        let _m = fake::memory();
        let f = good();
        let (entry, space) = load_bytes(&f);
        assert_eq!(entry, Ok(TEXT + 0x1000));
        let mut text = vec![0; 0x1200];
        space.read(TEXT, &mut text).unwrap();
        assert!(text == f[..0x1200]);
        let mut data = vec![1; 0x20000];
        space.read(TEXT + 0x3200, &mut data).unwrap();
        assert!(data[..0x9000] == f[0x1200..] && data[0x9000..].iter().all(|&b| b == 0));
        assert!(space.resolve(TEXT, Access::Write).is_err(), "text can be written");
        assert!(space.resolve(TEXT + 0x4000, Access::Exec).is_err(), "data can be executed");
        let heap = space.brk(0).unwrap();
        assert!(heap > TEXT + 0x3200 + 0x20000);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused_and_leaks_nothing() {
        let m = fake::memory();
        let f = good();
        let before = m.free();
        for len in (0..200).chain((200..f.len()).step_by(97)) {
            let (r, space) = load_bytes(&f[..len]);
            assert_eq!(r, Err(Fail::Known(Error::BadExec)), "cut at {len}");
            drop(space);
            assert_eq!(m.free(), before, "cut at {len}");
        }
    }

    #[test]
    fn every_field_may_lie() {
        let m = fake::memory();
        let f = good();
        let before = m.free();
        for at in 0..HEADER + 2 * PROGRAM_HEADER {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut g = f.clone();
                g[at] = byte;
                // Whatever it says: no panic, and nothing stays behind.
                drop(load_bytes(&g));
                assert_eq!(m.free(), before, "byte {at} as {byte}");
            }
        }
    }

    #[test]
    fn what_must_not_be_is_refused() {
        let _m = fake::memory();
        let refused = |segments: &[(u32, u64, u64, u64, u64)], entry| {
            let (r, _) = load_bytes(&program(segments, entry, 0x8000));
            assert_eq!(r, Err(Fail::Known(Error::BadExec)), "{segments:x?}");
        };
        let text = (PF_X, 0, TEXT, 0x1000, 0x1000);
        refused(&[(PF_X | PF_W, 0, TEXT, 0x1000, 0x1000)], TEXT);
        refused(&[text, (PF_W, 0, TEXT, 0x1000, 0x1000)], TEXT);
        refused(&[text], TEXT + 0x1000);
        refused(&[(PF_W, 0, TEXT, 0x1000, 0x1000)], TEXT);
        refused(&[(PF_X, 0, 0, 0x1000, 0x1000)], 0);
        refused(&[(PF_X, 1, TEXT, 0x1000, 0x1000)], TEXT);
        refused(&[text, (PF_W, 0, STACK_TOP - 0x1000, 0x1000, 0x1000)], TEXT);
        refused(&[text, (PF_W, 0, u64::MAX - 0xfff, 0, 0x1000)], TEXT);
        refused(&[text, (PF_W, 0, 0xffff_8000_0000_0000, 0, 0x1000)], TEXT);
        refused(&[text, (PF_W, 0, TEXT + 0x10000, 0x2000, 0x1000)], TEXT);
        refused(&[text; SEGMENTS + 1], TEXT);
    }
}
