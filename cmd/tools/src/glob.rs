//! File name patterns: `*`, `?`, `[a-z]`, `[!a-z]` and `\c`, for the whole of a name.

/// Does the name match? A pattern with an unclosed bracket takes the bracket as itself.
#[must_use]
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last star does not fit: behind the star, one byte further.
    let mut again: Option<(usize, usize)> = None;
    loop {
        match pattern.get(p) {
            Some(b'*') => {
                again = Some((p + 1, n));
                p += 1;
                continue;
            }
            None if n == name.len() => return true,
            Some(_) if n < name.len() => {
                if let Some((pl, nl)) = one(&pattern[p..], &name[n..]) {
                    (p, n) = (p + pl, n + nl);
                    continue;
                }
            }
            _ => {}
        }
        match again {
            Some((star, from)) if from < name.len() => {
                again = Some((star, from + 1));
                (p, n) = (star, from + 1);
            }
            _ => return false,
        }
    }
}

fn char_len(s: &[u8]) -> usize {
    match s.first() {
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..) => 4,
        _ => 1,
    }
    .min(s.len())
}

/// How many bytes of pattern and name one element takes, if it matches.
fn one(p: &[u8], n: &[u8]) -> Option<(usize, usize)> {
    match p {
        [b'?', ..] => Some((1, char_len(n))),
        [b'\\', c, ..] => (n[0] == *c).then_some((2, 1)),
        [b'[', rest @ ..] => match class(rest, n) {
            Some((len, true)) => Some((1 + len, char_len(n))),
            Some(_) => None,
            None => (n[0] == b'[').then_some((1, 1)),
        },
        [c, ..] => (n[0] == *c).then_some((1, 1)),
        [] => None,
    }
}

/// A class's length behind the bracket, and whether the name's first character is in it.
fn class(p: &[u8], n: &[u8]) -> Option<(usize, bool)> {
    let c = &n[..char_len(n)];
    let negated = matches!(p.first(), Some(b'!' | b'^'));
    let (mut i, mut found) = (usize::from(negated), false);
    let first = i;
    loop {
        let rest = p.get(i..).filter(|r| !r.is_empty())?;
        if rest[0] == b']' && i > first {
            return Some((i + 1, found != negated));
        }
        let low = &rest[..char_len(rest)];
        i += low.len();
        match p.get(i..) {
            Some([b'-', high @ ..]) if !high.is_empty() && high[0] != b']' => {
                let high = &high[..char_len(high)];
                i += 1 + high.len();
                // Of equal length UTF-8 sorts as its code points do.
                found |= c.len() >= low.len() && c.len() <= high.len() && low <= c && c <= high;
            }
            _ => found |= c == low,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (p, n, yes) in [
            ("*.rs", "a.rs", true),
            ("*.rs", "a.rs.bak", false),
            ("a*b*c", "axbxbxc", true),
            ("a*b*c", "axbx", false),
            ("?", "é", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]x]", "]", true),
            ("[é-ü]", "ö", true),
            ("[", "[", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("", "", true),
            ("*", "", true),
            ("", "a", false),
            ("**a", "bba", true),
        ] {
            assert_eq!(matches(p.as_bytes(), n.as_bytes()), yes, "{p} {n}");
        }
    }
}
