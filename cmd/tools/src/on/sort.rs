//! sort: lines in order, by keys, stable where that is asked for.
//!
//! All lines lie in one buffer and are sorted as ranges of it, so that the sort itself asks for no more memory. That it
//! is stable is the work of the ranges: of two equal lines the one that begins first goes first.
//!
//! With each range goes the beginning of its first key, so that most lines are not touched to compare them: where memory
//! is short the ranges stay in it and the lines go to swap.

use super::given::{Given, each_input};
use super::{Text, text};
use core::cmp::Ordering;
use portolan::abi::error::Error as Known;
use portolan::abi::file::{OTRUNC, OWRITE};
use portolan::alloc::vec::Vec;
use portolan::{Buffered, Error, File, Result, STDOUT, eprintln, exit};

/// How two pieces of text are compared.
#[derive(Clone, Copy, Default)]
struct How {
    numeric: bool,
    human: bool,
    fold: bool,
    blanks: bool,
    reverse: bool,
    dictionary: bool,
}

impl How {
    fn add(&mut self, letter: u8) -> bool {
        match letter {
            b'n' => self.numeric = true,
            b'g' => self.numeric = true,
            b'h' => self.human = true,
            b'f' => self.fold = true,
            b'b' => self.blanks = true,
            b'r' => self.reverse = true,
            b'd' => self.dictionary = true,
            _ => return false,
        }
        true
    }
}

/// A key: from a field and character, to a field and character; 0 is the whole field or the line's end.
struct Key {
    from: (usize, usize),
    to: (usize, usize),
    how: How,
}

struct Order {
    keys: Vec<Key>,
    separator: Option<u8>,
    global: How,
    stable: bool,
}

fn position(word: &str) -> Option<((usize, usize), &str)> {
    let digits = |s: &str| s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    let n = digits(word);
    let field = word[..n].parse().ok()?;
    let rest = &word[n..];
    let Some(rest) = rest.strip_prefix('.') else { return Some(((field, 0), rest)) };
    let n = digits(rest);
    Some(((field, rest[..n].parse().ok()?), &rest[n..]))
}

fn key(word: &[u8], global: How) -> Option<Key> {
    let whole = text(word);
    let (first, second) = match whole.split_once(',') {
        Some((a, b)) => (a, Some(b)),
        None => (whole.as_str(), None),
    };
    let mut how = How::default();
    let mut own = false;
    let (from, letters) = position(first)?;
    let mut end = None;
    let mut all = Vec::from([letters]);
    if let Some(s) = second {
        let (to, letters) = position(s)?;
        end = Some(to);
        all.push(letters);
    }
    for l in all.iter().flat_map(|l| l.bytes()) {
        own = true;
        if !how.add(l) {
            return None;
        }
    }
    (from.0 > 0 && end.is_none_or(|t| t.0 > 0)).then_some(Key {
        from,
        to: end.unwrap_or((usize::MAX, 0)),
        how: if own { how } else { global },
    })
}

impl Order {
    /// Where a field begins; without a separator the blanks before it are its own.
    fn field(&self, line: &[u8], n: usize) -> usize {
        let mut at = 0;
        for _ in 1..n {
            let rest = &line[at..];
            match self.separator {
                Some(s) => match rest.iter().position(|&b| b == s) {
                    Some(p) => at += p + 1,
                    None => return line.len(),
                },
                None => {
                    let blanks = rest.iter().take_while(|b| blank(**b)).count();
                    at += blanks + rest[blanks..].iter().take_while(|b| !blank(**b)).count();
                }
            }
            if at >= line.len() {
                return line.len();
            }
        }
        at
    }

    /// Where a field ends: the separator behind it is nobody's.
    fn field_end(&self, line: &[u8], n: usize) -> usize {
        let from = self.field(line, n);
        let rest = &line[from..];
        from + match self.separator {
            Some(s) => rest.iter().position(|b| *b == s).unwrap_or(rest.len()),
            None => {
                let blanks = rest.iter().take_while(|b| blank(**b)).count();
                blanks + rest[blanks..].iter().take_while(|b| !blank(**b)).count()
            }
        }
    }

    fn part<'a>(&self, line: &'a [u8], k: &Key) -> &'a [u8] {
        let skip = |at: usize| {
            if k.how.blanks { at + line[at..].iter().take_while(|b| blank(**b)).count() } else { at }
        };
        let from = skip(self.field(line, k.from.0)) + k.from.1.saturating_sub(1);
        let to = match k.to {
            (usize::MAX, _) => line.len(),
            (f, 0) => self.field_end(line, f),
            (f, c) => skip(self.field(line, f)) + c,
        };
        let to = to.min(line.len());
        &line[from.min(to)..to]
    }

    /// By the keys alone.
    fn by_keys(&self, a: &[u8], b: &[u8]) -> Ordering {
        if self.keys.is_empty() {
            let o = compare(a, b, self.global);
            return if self.global.reverse { o.reverse() } else { o };
        }
        for k in &self.keys {
            let o = compare(self.part(a, k), self.part(b, k), k.how);
            if o != Ordering::Equal {
                return if k.how.reverse { o.reverse() } else { o };
            }
        }
        Ordering::Equal
    }

    /// The first key's first bytes as a number whose order is theirs; the same for all where bytes are not compared.
    fn begin(&self, line: &[u8]) -> u64 {
        let (part, how) = match self.keys.first() {
            Some(k) => (self.part(line, k), k.how),
            None => (line, self.global),
        };
        if how.numeric || how.human || how.fold || how.dictionary {
            return 0;
        }
        let part = trimmed(part, how);
        let mut first = [0; 8];
        let n = part.len().min(8);
        first[..n].copy_from_slice(&part[..n]);
        let number = u64::from_be_bytes(first);
        if how.reverse { !number } else { number }
    }

    /// And the whole line in the end, unless only the keys count.
    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        self.by_keys(a, b).then_with(|| {
            if self.stable {
                Ordering::Equal
            } else if self.global.reverse {
                b.cmp(a)
            } else {
                a.cmp(b)
            }
        })
    }
}

fn blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n')
}

fn trimmed(s: &[u8], how: How) -> &[u8] {
    let blanks = if how.blanks { s.iter().take_while(|b| blank(**b)).count() } else { 0 };
    &s[blanks..]
}

fn compare(a: &[u8], b: &[u8], how: How) -> Ordering {
    if how.numeric || how.human {
        return numbers(a, b, how.human);
    }
    let (a, b) = (trimmed(a, how), trimmed(b, how));
    if !how.fold && !how.dictionary {
        return a.cmp(b);
    }
    let kept = |c: &&u8| !how.dictionary || c.is_ascii_alphanumeric() || blank(**c) || **c >= 0x80;
    let same = |c: &u8| if how.fold { c.to_ascii_uppercase() } else { *c };
    a.iter().filter(kept).map(same).cmp(b.iter().filter(kept).map(same))
}

/// A number at the beginning of a text: sign, integer digits without leading zeros, decimals, power of 1024.
fn parsed(s: &[u8]) -> (bool, &[u8], &[u8], usize) {
    let s = &s[s.iter().take_while(|b| blank(**b)).count()..];
    let (negative, s) = match s.strip_prefix(b"-") {
        Some(r) => (true, r),
        None => (false, s),
    };
    let digits = |s: &[u8]| s.iter().take_while(|b| b.is_ascii_digit()).count();
    let (whole, rest) = s.split_at(digits(s));
    let whole = &whole[whole.iter().take_while(|b| **b == b'0').count()..];
    let (decimals, rest) = match rest.strip_prefix(b".") {
        Some(r) => r.split_at(digits(r)),
        None => (&b""[..], rest),
    };
    let mut end = decimals.len();
    while end > 0 && decimals[end - 1] == b'0' {
        end -= 1;
    }
    let unit = rest.first().and_then(|u| b"KMGTPE".iter().position(|k| k == &u.to_ascii_uppercase()));
    (negative, whole, &decimals[..end], unit.map_or(0, |u| u + 1))
}

fn numbers(a: &[u8], b: &[u8], human: bool) -> Ordering {
    let ((na, wa, da, ua), (nb, wb, db, ub)) = (parsed(a), parsed(b));
    let zero = |w: &[u8], d: &[u8]| w.is_empty() && d.is_empty();
    let (za, zb) = (zero(wa, da), zero(wb, db));
    let sign = |n: bool, z: bool| {
        if z {
            0
        } else if n {
            -1
        } else {
            1
        }
    };
    let by_sign = sign(na, za).cmp(&sign(nb, zb));
    if by_sign != Ordering::Equal || za && zb {
        return by_sign;
    }
    let units = if human { ua.cmp(&ub) } else { Ordering::Equal };
    let size = units.then_with(|| wa.len().cmp(&wb.len())).then_with(|| wa.cmp(wb)).then_with(|| da.cmp(db));
    if na { size.reverse() } else { size }
}

fn order(g: &Given) -> Result<Order> {
    let mut global = How::default();
    for l in b"nghfbrd" {
        if g.has(*l) {
            global.add(*l);
        }
    }
    let separator = match g.value(b't') {
        None => None,
        Some(&[one]) => Some(one),
        Some(b"\\t") => Some(b'\t'),
        Some(t) => return Err(Error::of(Text(t), "-t takes one byte")),
    };
    let mut keys = Vec::new();
    for word in g.values(b'k') {
        keys.push(
            key(word, global)
                .ok_or_else(|| Error::of(Text(word), "not a key (-k FIELD[.CHAR][bdfghnr][,…])"))?,
        );
    }
    Ok(Order { keys, separator, global, stable: g.last(b"su").is_some() })
}

pub(super) fn sort(g: &mut Given) -> Result<()> {
    let order = order(g)?;
    let mut all: Vec<u8> = Vec::new();
    let outcome = each_input(&g.inputs(), |_, f| {
        let mut more = f.read_all()?;
        if more.last().is_some_and(|b| *b != b'\n') {
            more.push(b'\n');
        }
        if all.is_empty() {
            all = more;
        } else {
            all.try_reserve(more.len()).map_err(|_| Known::NoMemory)?;
            all.extend_from_slice(&more);
        }
        Ok(())
    });
    outcome.end()?;
    let mut lines: Vec<(u64, &[u8])> = Vec::new();
    let n = all.iter().filter(|b| **b == b'\n').count();
    lines.try_reserve_exact(n).map_err(|_| Known::NoMemory)?;
    let split = all.split_inclusive(|b| *b == b'\n').map(|l| &l[..l.len() - 1]);
    lines.extend(split.map(|l| (order.begin(l), l)));
    if g.last(b"cC").is_some() {
        return check(&lines, &order, g);
    }
    lines.sort_unstable_by(|(a, l), (b, m)| {
        a.cmp(b).then_with(|| order.compare(l, m)).then_with(|| l.as_ptr().cmp(&m.as_ptr()))
    });
    let file = match g.value(b'o') {
        Some(o) => {
            Some(File::create(o, u32::from(OWRITE | OTRUNC), 0o666).map_err(|e| Error::of(Text(o), e))?)
        }
        None => None,
    };
    let mut out = Buffered::new(file.as_ref().map_or(STDOUT, File::fd));
    let mut last: Option<&[u8]> = None;
    for (_, line) in lines {
        if g.has(b'u') && last.is_some_and(|l| order.by_keys(l, line) == Ordering::Equal) {
            continue;
        }
        last = Some(line);
        out.put(line)?;
        out.put(b"\n")?;
    }
    out.flush()
}

fn check(lines: &[(u64, &[u8])], order: &Order, g: &Given) -> Result<()> {
    let wrong = |o: Ordering| o == Ordering::Greater || g.has(b'u') && o == Ordering::Equal;
    let at = lines.windows(2).position(|w| wrong(order.compare(w[0].1, w[1].1)));
    let Some(at) = at else { return Ok(()) };
    if !g.has(b'C') {
        let name = g.rest.first().copied().unwrap_or(b"-");
        eprintln!("sort: {}:{}: disorder: {}", Text(name), at + 2, Text(lines[at + 1].1));
    }
    exit("disorder")
}
