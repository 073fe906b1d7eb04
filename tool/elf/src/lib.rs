//! Programs as files: their loadable pieces, the file without all else, and tables of their functions ([`symbols`]).

pub mod symbols;

/// A loadable piece of an ELF file.
pub struct Piece {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its bytes in the file.
    pub in_file: u64,
    /// Its bytes in memory.
    pub in_memory: u64,
    /// May it be written?
    pub writable: bool,
    /// Can it be executed?
    pub executable: bool,
}

pub(crate) fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(width)?)?;
    Some(field.iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b)))
}

/// The PT_LOAD headers of a 64-bit little-endian ELF file.
#[must_use]
pub fn pieces(elf: &[u8]) -> Option<Vec<Piece>> {
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, size, count) = (number(elf, 32, 8)?, number(elf, 54, 2)?, number(elf, 56, 2)?);
    let mut all = Vec::new();
    for i in 0..count {
        let at = usize::try_from(table.checked_add(size * i)?).ok()?;
        if number(elf, at, 4)? == 1 {
            let (flags, field) = (number(elf, at + 4, 4)?, |n: usize| number(elf, at + n, 8));
            let (writable, executable) = (flags & 2 != 0, flags & 1 != 0);
            all.push(Piece {
                offset: field(8)?,
                in_file: field(32)?,
                in_memory: field(40)?,
                writable,
                executable,
            });
        }
    }
    Some(all)
}

/// An ELF file without what only tools read: symbols, debugging, the table of sections.
#[must_use]
pub fn loaded_part(elf: &[u8]) -> Vec<u8> {
    let mut out = elf.to_vec();
    let end = pieces(elf).and_then(|p| p.iter().map(|p| p.offset + p.in_file).max());
    if let Some(end) = end.and_then(|e| usize::try_from(e).ok()).filter(|e| (64..=elf.len()).contains(e)) {
        out.truncate(end);
        out[40..48].fill(0);
        out[58..64].fill(0);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_its_symbols_still_has_its_pieces() {
        let me = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let small = loaded_part(&me);
        assert!(small.len() < me.len());
        let sum = |elf: &[u8]| pieces(elf).unwrap().iter().map(|p| p.in_file).sum::<u64>();
        assert_eq!(sum(&small), sum(&me));
        assert_eq!(loaded_part(b"#!/bin/rc\n"), b"#!/bin/rc\n");
        assert!(pieces(&me[..40]).is_none());
    }
}
