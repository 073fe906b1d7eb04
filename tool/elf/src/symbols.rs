//! Names of functions: [`table`] makes the file that a crash report inside the machine reads, [`gdb_script`] what a debugger
//! outside needs.
//!
//! The table has a line `ADDRESS NAME` for each function of a program's symbol table, in the order of addresses.

use crate::number;
use std::collections::BTreeMap;
use std::path::Path;

/// Names are cut to so many bytes, as `rt::crash` reads no more.
const NAME: usize = 80;

/// A section's type, contents and the number of the section that it is linked to.
fn section(elf: &[u8], i: usize) -> Option<(u64, &[u8], usize)> {
    let at = usize::try_from(number(elf, 40, 8)?).ok()?.checked_add(i.checked_mul(64)?)?;
    let (from, len) = (number(elf, at + 24, 8)?, number(elf, at + 32, 8)?);
    let (from, len) = (usize::try_from(from).ok()?, usize::try_from(len).ok()?);
    let kind = number(elf, at + 4, 4)?;
    Some((kind, elf.get(from..from.checked_add(len)?)?, usize::try_from(number(elf, at + 40, 4)?).ok()?))
}

/// The functions of an ELF file's symbol table by address; none if it has no table.
fn functions(elf: &[u8]) -> Option<BTreeMap<u64, String>> {
    const SYMTAB: u64 = 2;
    const FUNC: u8 = 2;
    let count = usize::try_from(number(elf, 60, 2)?).ok()?;
    let (_, symbols, strings) = (0..count).filter_map(|i| section(elf, i)).find(|s| s.0 == SYMTAB)?;
    let (_, names, _) = section(elf, strings)?;
    let mut all = BTreeMap::new();
    for s in symbols.chunks_exact(24).filter(|s| s[4] & 15 == FUNC) {
        let at = usize::try_from(number(s, 0, 4)?).ok()?;
        let name = names.get(at..)?.split(|b| *b == 0).next()?;
        let name = format!("{:#}", rustc_demangle::demangle(&String::from_utf8_lossy(name)));
        let end = name.char_indices().map(|c| c.0).chain([name.len()]).take_while(|i| *i <= NAME).last();
        all.insert(number(s, 8, 8)?, name[..end.unwrap_or(0)].to_string());
    }
    Some(all)
}

/// The file of a program's function names.
#[must_use]
pub fn table(elf: &[u8]) -> Vec<u8> {
    let lines = functions(elf).unwrap_or_default();
    lines.iter().map(|(address, name)| format!("{address:x} {name}\n")).collect::<String>().into_bytes()
}

/// A script for gdb: the kernel's symbols, and a command `program NAME` for those of a program of the folder.
#[must_use]
pub fn gdb_script(kernel: &Path, programs: &Path) -> String {
    let (kernel, programs) = (kernel.display(), programs.display());
    format!(
        "# gdb -x FILE, while `cargo xtask run --gdb` waits.\n\
         file {kernel}\n\
         define program\n\
         \x20 add-symbol-file {programs}/$arg0\n\
         end\n\
         document program\n\
         program NAME: the symbols of the program in /bin. All programs begin at one address: load those of one at a\n\
         time, and `remove-symbol-file -a 0x200000` before the next.\n\
         end\n\
         target remote :1234\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_listed_by_address_with_their_plain_names() {
        let me = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let text = String::from_utf8(table(&me)).unwrap();
        assert!(text.lines().any(|l| l.ends_with(" elf::symbols::table")), "{}", text.len());
        let addresses: Vec<u64> =
            text.lines().map(|l| u64::from_str_radix(l.split_once(' ').unwrap().0, 16).unwrap()).collect();
        assert!(addresses.is_sorted() && addresses.len() > 100);
        assert!(text.lines().all(|l| l.len() <= NAME + 17));
    }

    #[test]
    fn what_is_no_program_has_no_functions() {
        let me = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for cut in [0, 3, 63, 64, 1000, me.len() / 2] {
            let _ = table(&me[..cut]);
        }
        assert!(table(b"#!/bin/rc\n").is_empty());
    }
}
