//! Agreeing on a version and a message size (version(5)).

pub use crate::ORDERED;
use crate::VERSION;

/// What a server answers to a version that it does not know.
pub const UNKNOWN: &str = "unknown";
/// The least message size with which anything useful can be said.
pub const MSIZE_MIN: u32 = 256;

/// What a server answers to a client's version.
pub fn answer(asked: &str) -> &'static str {
    if asked == ORDERED {
        return ORDERED;
    }
    // What follows a period refines a version; a server may fall back on what stands before it, or on a lower number.
    let base = asked.split('.').next().unwrap_or_default();
    let number = base.strip_prefix("9P").filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    // A number too long to parse is larger than any that is defined.
    match number.map(|n| n.parse().unwrap_or(u32::MAX)) {
        Some(2000..) => VERSION,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_falls_back_to_what_it_knows() {
        for (asked, answered) in [
            ("9P2000", VERSION),
            ("9P2000.order", ORDERED),
            ("9P2000.u", VERSION),
            ("9P2000.L", VERSION),
            ("9P2000.order.x", VERSION),
            ("9P2000.", VERSION),
            ("9P2001", VERSION),
            ("9P99999999999999999999", VERSION),
            ("9P1999", UNKNOWN),
            ("9P", UNKNOWN),
            ("9P+2000", UNKNOWN),
            ("9p2000", UNKNOWN),
            ("9P2000x", UNKNOWN),
            ("", UNKNOWN),
            (".9P2000", UNKNOWN),
        ] {
            assert_eq!(answer(asked), answered, "{asked}");
        }
    }
}
