//! Sizes: numbers with a letter for a power of 1024, read and shown.

use alloc::format;
use alloc::string::{String, ToString};

const LETTERS: &str = "KMGTPE";

/// A count with an optional letter, as in `10`, `4k`, `1M`; `b` is a block of 512 bytes.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let n: u64 = digits.parse().ok()?;
    let unit = text.get(digits.len()..)?;
    let power = match unit {
        "" => return Some(n),
        "b" => return n.checked_mul(512),
        _ => LETTERS.find(unit.to_ascii_uppercase().as_str()).filter(|_| unit.len() == 1)?,
    };
    n.checked_mul(1 << (10 * (power + 1)))
}

/// A size for people, as `du -h` shows it: below ten of a unit with one decimal, rounded up.
#[must_use]
pub fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut unit = 1u64;
    for letter in LETTERS.chars() {
        unit = unit.saturating_mul(1024);
        let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(unit));
        if tenths < 100 {
            return format!("{}.{}{letter}", tenths / 10, tenths % 10);
        }
        let whole = bytes.div_ceil(unit);
        if whole < 1024 {
            return format!("{whole}{letter}");
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_powers_of_1024() {
        for (text, n) in [("7", 7), ("2b", 1024), ("4k", 4096), ("1M", 1 << 20), ("16E", 0)] {
            assert_eq!(parse(text).unwrap_or(0), n, "{text}");
        }
        for wrong in ["", "k", "4x", "4kk", "-1", "99999999999999999999"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_for_people_are_rounded_up() {
        for (n, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1.0K"),
            (1025, "1.1K"),
            (10240, "10K"),
            (1_048_575, "1.0M"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(human(n), text);
        }
    }
}
