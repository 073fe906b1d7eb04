//! The entries of an Rreaddir. Names that 9P2000 can't say, which are those that are not UTF-8, are passed over.

/// An entry of a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// Where to read on after it.
    pub next: u64,
    /// The file's name.
    pub name: &'a str,
}

/// Bytes of an entry before its name: `qid[13] offset[8] type[1]` and the length of the name.
const HEAD: usize = 24;

/// Takes the data of an Rreaddir apart, without `.` and `..`; what does not parse ends it.
pub fn entries(mut data: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    core::iter::from_fn(move || {
        loop {
            let (head, rest) = data.split_first_chunk::<HEAD>()?;
            let (_, tail) = head.split_first_chunk::<13>()?;
            let (next, tail) = tail.split_first_chunk::<8>()?;
            let (_, len) = tail.split_first_chunk::<1>()?;
            let len = usize::from(u16::from_le_bytes(len.try_into().ok()?));
            let (name, rest) = rest.split_at_checked(len)?;
            data = rest;
            match core::str::from_utf8(name) {
                Ok(name) if !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']) => {
                    return Some(Entry { next: u64::from_le_bytes(*next), name });
                }
                _ => {}
            }
        }
    })
}

/// Where to read on after all entries of the data, whether they were passed over or not.
pub fn last(mut data: &[u8]) -> Option<u64> {
    let mut place = None;
    while let Some((head, rest)) = data.split_first_chunk::<HEAD>() {
        let field = |at: usize, n: usize| head.get(at..at + n);
        let len = u16::from_le_bytes(field(22, 2)?.try_into().ok()?);
        place = Some(u64::from_le_bytes(field(13, 8)?.try_into().ok()?));
        data = rest.get(usize::from(len)..)?;
    }
    place
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn entry(next: u64, name: &[u8]) -> Vec<u8> {
        let mut e = Vec::from([0; 13]);
        e.extend(next.to_le_bytes());
        e.push(8);
        e.extend((name.len() as u16).to_le_bytes());
        e.extend(name);
        e
    }

    #[test]
    fn names_come_in_order_and_what_cannot_be_said_is_passed_over() {
        let names: [&[u8]; 6] = [b".", b"..", b"a b", b"\xff", "ü".as_bytes(), b"x"];
        let data: Vec<u8> = names.iter().zip(1..).flat_map(|(name, at)| entry(at, name)).collect();
        let seen: Vec<(u64, &str)> = entries(&data).map(|e| (e.next, e.name)).collect();
        assert_eq!(seen, [(3, "a b"), (5, "ü"), (6, "x")]);
        assert_eq!(last(&data), Some(6));
        assert_eq!(last(&entry(4, b"\xff")), Some(4));
        assert_eq!(entries(&data[..data.len() - 1]).count(), 2);
        assert_eq!((entries(b"").count(), last(b"")), (0, None));
    }
}
