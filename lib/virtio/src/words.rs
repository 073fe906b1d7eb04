//! Devices on the command line: `virtio_mmio.device=SIZE@ADDRESS:LINE`, as Linux reads it and QEMU and Firecracker write it.

/// Where a device's registers are, and its interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Physical address of the registers.
    pub address: u64,
    /// Bytes of registers.
    pub size: u64,
    /// Number of the interrupt line.
    pub line: u32,
}

/// The devices of a command line, in order.
pub fn places(command_line: &str) -> impl Iterator<Item = Place> {
    command_line.split_ascii_whitespace().filter_map(|w| place(w.strip_prefix("virtio_mmio.device=")?))
}

fn place(text: &str) -> Option<Place> {
    let (size, rest) = text.split_once('@')?;
    let mut numbers = rest.split(':');
    let address = number(numbers.next()?)?;
    let line = u32::try_from(number(numbers.next()?)?).ok()?;
    Some(Place { address, size: size_of(size)?, line })
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A number, which may end with K or M.
fn size_of(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix(['M', 'm']).map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    number(digits)?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_nonsense_is_none() {
        let line = "seed=1 virtio_mmio.device=512@0xfeb00e00:12 x virtio_mmio.device=4K@4096:7:1";
        let mut all = places(line);
        assert_eq!(all.next(), Some(Place { address: 0xfeb0_0e00, size: 512, line: 12 }));
        assert_eq!(all.next(), Some(Place { address: 4096, size: 4096, line: 7 }));
        assert_eq!(all.next(), None);
        for bad in ["", "512", "512@", "512@0x", "512@0x1000", "x@1:1", "1@1:-1", "99999999999999999999M@1:1"]
        {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
