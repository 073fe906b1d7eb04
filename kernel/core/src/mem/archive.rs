//! The boot archive, a cpio file in the `newc` form: finding one member, which is how the first program starts.
//!
//! Everything else in the archive is the business of a user-level server.

/// Length of a member's header: a magic of 6 characters and 13 fields of 8 hexadecimal digits.
const HEADER: usize = 110;
const FIELDS: usize = 6;
const FILE_SIZE: usize = 6;
const NAME_SIZE: usize = 11;
const TRAILER: &[u8] = b"TRAILER!!!";

fn field(header: &[u8], number: usize) -> Option<usize> {
    let at = number.checked_mul(8)?.checked_add(FIELDS)?;
    let digits = header.get(at..)?.get(..8)?;
    usize::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

fn aligned(n: usize) -> Option<usize> {
    n.checked_next_multiple_of(4)
}

/// Takes the first member off: its name, its bytes and the rest. None at the end or where the archive is damaged.
fn member(archive: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let header = archive.get(..HEADER)?;
    if !header.starts_with(b"07070") || !matches!(header.get(5), Some(b'1' | b'2')) {
        return None;
    }
    let (name_size, size) = (field(header, NAME_SIZE)?, field(header, FILE_SIZE)?);
    let name_end = HEADER.checked_add(name_size)?;
    let name = archive.get(HEADER..name_end)?.strip_suffix(b"\0")?;
    let start = aligned(name_end)?;
    let end = start.checked_add(size)?;
    let bytes = archive.get(start..end)?;
    // The last member need not be padded.
    let rest = archive.get(aligned(end)?..).unwrap_or(&[]);
    (name != TRAILER).then_some((name, bytes, rest))
}

fn plain(name: &[u8]) -> &[u8] {
    let name = name.strip_prefix(b".").filter(|n| n.starts_with(b"/")).unwrap_or(name);
    name.strip_prefix(b"/").unwrap_or(name)
}

/// The bytes of the member of a name; a leading `/` or `./` makes no difference.
pub fn find<'a>(archive: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = archive;
    while let Some((n, bytes, more)) = member(rest) {
        if plain(n) == plain(name) {
            return Some(bytes);
        }
        rest = more;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut a = Vec::new();
        for (name, bytes) in members.iter().chain(&[("TRAILER!!!", &[][..])]) {
            let fields = [0, 0o100755, 0, 0, 1, 0, bytes.len(), 0, 0, 0, 0, name.len() + 1, 0];
            a.extend_from_slice(b"070701");
            a.extend(fields.iter().flat_map(|f| format!("{f:08x}").into_bytes()));
            a.extend_from_slice(name.as_bytes());
            a.push(0);
            a.resize(a.len().next_multiple_of(4), 0);
            a.extend_from_slice(bytes);
            a.resize(a.len().next_multiple_of(4), 0);
        }
        a
    }

    #[test]
    fn members_are_found_by_name() {
        let a = archive(&[("./bin/rc", b"shell"), ("init", b"first"), ("empty", b""), ("/init2", b"x")]);
        assert_eq!(find(&a, b"init"), Some(&b"first"[..]));
        assert_eq!(find(&a, b"/bin/rc"), Some(&b"shell"[..]));
        assert_eq!(find(&a, b"empty"), Some(&b""[..]));
        assert_eq!(find(&a, b"./init2"), Some(&b"x"[..]));
        assert_eq!(find(&a, b"ini"), None);
        assert_eq!(find(&a, TRAILER), None);
    }

    #[test]
    fn a_damaged_archive_has_nothing_wrong_in_it() {
        let a = archive(&[("one", b"1"), ("two", b"22")]);
        for cut in 0..a.len() {
            let two = find(&a[..cut], b"two");
            assert!(two.is_none_or(|b| b == b"22"), "cut at {cut}");
        }
        for at in 0..a.len() {
            for byte in [0, b'f', b'/', 0xff] {
                let mut b = a.clone();
                b[at] = byte;
                let _ = find(&b, b"two");
            }
        }
        assert_eq!(find(&[b'0'; 500], b"x"), None);
    }
}
