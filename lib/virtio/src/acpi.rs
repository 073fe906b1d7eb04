//! Where PCI's registers are: from the root pointer in the firmware's memory to the table MCFG (ACPI 6.5 section 5.2,
//! PCI Firmware 3.3 section 4.1.2). Other tables are passed over, and no code of theirs is run.

/// Reads physical memory: false if there is none to be read.
pub trait Physical {
    /// Fills `to` from an address.
    fn read(&mut self, address: u64, to: &mut [u8]) -> bool;
}

/// Where a root pointer may stand, every 16 bytes.
const ROOTS: core::ops::Range<u64> = 0xe_0000..0x10_0000;
/// Bytes of a table before its contents.
const HEAD: u64 = 36;
/// No table that is looked through is larger.
const LARGEST: u64 = 64 << 10;

fn number(memory: &mut impl Physical, address: u64, width: usize) -> Option<u64> {
    let mut bytes = [0; 8];
    memory.read(address, bytes.get_mut(..width)?).then(|| u64::from_le_bytes(bytes))
}

/// The physical address of the configuration space of PCI's bus 0.
pub fn ecam(memory: &mut impl Physical) -> Option<u64> {
    let root = ROOTS.step_by(16).find(|&at| is_root(memory, at))?;
    let mut revision = [0];
    let extended = memory.read(root + 15, &mut revision) && revision[0] >= 2;
    let (table, width) = match extended {
        true => (number(memory, root + 24, 8)?, 8),
        false => (number(memory, root + 16, 4)?, 4),
    };
    let len = number(memory, table + 4, 4)?.min(LARGEST);
    let mut entries = (HEAD..len).step_by(width);
    entries.find_map(|at| {
        let there = number(memory, table.checked_add(at)?, width)?;
        let mut name = [0; 4];
        if !memory.read(there, &mut name) || &name != b"MCFG" {
            return None;
        }
        // Eight reserved bytes, then a base address for each group of buses; the first group has bus 0.
        number(memory, there + HEAD + 8, 8)
    })
}

fn is_root(memory: &mut impl Physical, at: u64) -> bool {
    let mut bytes = [0u8; 20];
    memory.read(at, &mut bytes)
        && bytes.starts_with(b"RSD PTR ")
        && bytes.iter().fold(0u8, |sum, &b| sum.wrapping_add(b)) == 0
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    struct Pieces(Vec<(u64, Vec<u8>)>);

    impl Physical for Pieces {
        fn read(&mut self, address: u64, to: &mut [u8]) -> bool {
            let piece = self.0.iter().find(|(at, b)| (*at..*at + b.len() as u64).contains(&address));
            let Some((at, bytes)) = piece else { return false };
            let from = (address - at) as usize;
            let Some(from) = bytes.get(from..from + to.len()) else { return false };
            to.copy_from_slice(from);
            true
        }
    }

    fn table(name: &[u8; 4], contents: &[u8]) -> Vec<u8> {
        let mut t = name.to_vec();
        t.extend((36 + contents.len() as u32).to_le_bytes());
        t.resize(36, 0);
        t.extend(contents);
        t
    }

    fn machine(revision: u8) -> Pieces {
        let mut low = Vec::from([0u8; 0x2_0000]);
        let mut root = b"RSD PTR \0XXXXXX".to_vec();
        root.push(revision);
        root.extend(0x7ff0_0000u32.to_le_bytes());
        root[8] = root.iter().fold(0u8, |sum, &b| sum.wrapping_sub(b));
        root.extend([0; 4]);
        root.extend(0x7ff1_0000u64.to_le_bytes());
        low[0x120..0x120 + root.len()].copy_from_slice(&root);
        // A false start without a checksum.
        low[0x40..0x48].copy_from_slice(b"RSD PTR ");
        let other = (0x7ff2_0000, table(b"APIC", &[0; 8]));
        let mut mcfg = [0u8; 24];
        mcfg[8..16].copy_from_slice(&0xb000_0000u64.to_le_bytes());
        let mcfg = (0x7ff3_0000, table(b"MCFG", &mcfg));
        let short = [0x7ff2_0000u32, 0x7ff3_0000].map(u32::to_le_bytes).concat();
        let long = [0x7ff2_0000u64, 0x7ff3_0000].map(u64::to_le_bytes).concat();
        let roots = [(0x7ff0_0000, table(b"RSDT", &short)), (0x7ff1_0000, table(b"XSDT", &long))];
        Pieces([(0xe_0000, low), other, mcfg].into_iter().chain(roots).collect())
    }

    #[test]
    fn the_table_is_found_from_both_kinds_of_root() {
        assert_eq!(ecam(&mut machine(0)), Some(0xb000_0000));
        assert_eq!(ecam(&mut machine(2)), Some(0xb000_0000));
        assert_eq!(ecam(&mut Pieces(Vec::new())), None);
    }
}
