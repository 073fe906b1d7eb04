//! The functions of an ELF file, by address.

use xtask::image;
use xtask::tell::Done;

/// Sorted by address; and what the file has loaded, each piece with its address.
pub(crate) struct Symbols(Vec<(u64, u64, String)>, Vec<(u64, Vec<u8>)>);

impl Symbols {
    /// Reads the table of symbols of a 64-bit little-endian ELF file.
    pub(crate) fn of(path: &std::path::Path) -> Done<Symbols> {
        let elf = image::read(path)?;
        let all = table(&elf).filter(|t| !t.is_empty());
        let mut all = all.ok_or(format!("{}: no symbols", path.display()))?;
        all.sort();
        Ok(Symbols(all, loaded(&elf).unwrap_or_default()))
    }

    /// What is loaded at an address and behind it.
    pub(crate) fn bytes(&self, at: u64) -> &[u8] {
        let inside = |(start, bytes): &(u64, Vec<u8>)| {
            let skip = usize::try_from(at.checked_sub(*start)?).ok()?;
            bytes.get(skip..).filter(|b| !b.is_empty()).map(|_| skip)
        };
        let found = self.1.iter().find_map(|piece| Some((piece, inside(piece)?)));
        found.and_then(|(piece, skip)| piece.1.get(skip..)).unwrap_or_default()
    }

    /// The function at an address: its name, or the address itself.
    pub(crate) fn name(&self, pc: u64) -> String {
        let at = self.0.partition_point(|s| s.0 <= pc);
        match at.checked_sub(1).and_then(|at| self.0.get(at)) {
            Some((start, size, name)) if pc < start + size || *size == 0 => name.clone(),
            _ => format!("{pc:#x}"),
        }
    }

    /// Is this the first address of a function?
    pub(crate) fn begins(&self, pc: u64) -> bool {
        self.0.binary_search_by_key(&pc, |s| s.0).is_ok()
    }

    /// The address of a function.
    pub(crate) fn address(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|s| s.2 == name).map(|s| s.0)
    }
}

fn number(bytes: &[u8], at: u64, width: usize) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let field = bytes.get(at..at.checked_add(width)?)?;
    Some(field.iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b)))
}

/// What the program headers load from the file.
fn loaded(elf: &[u8]) -> Option<Vec<(u64, Vec<u8>)>> {
    let (headers, size, count) = (number(elf, 32, 8)?, number(elf, 54, 2)?, number(elf, 56, 2)?);
    let mut all = Vec::new();
    for at in (0..count).map(|i| headers + size * i) {
        // PT_LOAD.
        if number(elf, at, 4)? == 1 {
            let from = usize::try_from(number(elf, at + 8, 8)?).ok()?;
            let len = usize::try_from(number(elf, at + 32, 8)?).ok()?;
            all.push((number(elf, at + 16, 8)?, elf.get(from..from.checked_add(len)?)?.to_vec()));
        }
    }
    Some(all)
}

/// Start, size and name of the symbols that lie in code.
fn table(elf: &[u8]) -> Option<Vec<(u64, u64, String)>> {
    let (sections, size, count) = (number(elf, 40, 8)?, number(elf, 58, 2)?, number(elf, 60, 2)?);
    let mut all = Vec::new();
    for i in 0..count {
        let at = sections + size * i;
        // SHT_SYMTAB, whose link is its table of strings.
        if number(elf, at + 4, 4)? != 2 {
            continue;
        }
        let (offset, len, link) =
            (number(elf, at + 24, 8)?, number(elf, at + 32, 8)?, number(elf, at + 40, 4)?);
        let strings = number(elf, sections + size * link + 24, 8)?;
        for entry in (offset..offset + len).step_by(24) {
            let (name, kind, value) =
                (number(elf, entry, 4)?, number(elf, entry + 4, 1)? & 15, number(elf, entry + 8, 8)?);
            // Functions, and assembly's plain labels.
            if (kind == 2 || kind == 0) && value != 0 {
                let start = usize::try_from(strings + name).ok()?;
                let text = elf.get(start..)?.split(|b| *b == 0).next()?;
                all.push((value, number(elf, entry + 16, 8)?, plain(&String::from_utf8_lossy(text))));
            }
        }
    }
    Some(all)
}

/// A mangled name's path: `_ZN4core3fmt5write17h0123456789abcdefE` is `core::fmt::write`.
fn plain(name: &str) -> String {
    let Some(mut rest) = name.strip_prefix("_ZN") else { return name.into() };
    let mut parts: Vec<String> = Vec::new();
    while let Some(end) = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0) {
        let Some(part) = rest[..end].parse().ok().and_then(|len: usize| rest.get(end..end + len)) else {
            break;
        };
        rest = &rest[end + part.len()..];
        let hash = part.len() == 17 && part.starts_with('h') && rest == "E";
        if !hash {
            parts.push(
                part.replace("$LT$", "<").replace("$GT$", ">").replace("$u20$", " ").replace("..", "::"),
            );
        }
    }
    parts.join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        assert_eq!(plain("_ZN4core3fmt5write17h0123456789abcdefE"), "core::fmt::write");
        assert_eq!(plain("system_call"), "system_call");
        let me = Symbols::of(&std::env::current_exe().unwrap()).unwrap();
        assert!(me.0.iter().any(|s| s.2.contains("names_are_read")));
    }
}
