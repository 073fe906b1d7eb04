//! File names from patterns.

use alloc::vec::Vec;

use crate::os;
use crate::pattern::{Item, List, matches};

/// Replaces each pattern by the sorted names that it matches, or by itself when there are none.
pub(crate) fn expand(list: List) -> Option<Vec<Vec<u8>>> {
    let mut out = Vec::new();
    out.try_reserve(list.len()).ok()?;
    for item in list {
        if item.active.is_empty() {
            out.push(item.text);
            continue;
        }
        let mut names = names(&item)?;
        if names.is_empty() {
            out.push(item.text);
        } else {
            names.sort_unstable();
            out.try_reserve(names.len()).ok()?;
            out.append(&mut names);
        }
    }
    Some(out)
}

/// The names that match, element by element of the path; none if memory is out.
fn names(item: &Item) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::from([Vec::new()]);
    let mut from = 0;
    loop {
        let rest = item.text.get(from..).unwrap_or_default();
        let slashes = rest.iter().take_while(|&&c| c == b'/').count();
        let len = rest.iter().skip(slashes).take_while(|&&c| c != b'/').count();
        if slashes + len == 0 {
            return Some(found);
        }
        let lead = rest.get(..slashes).unwrap_or_default();
        let element = item.slice(from + slashes, from + slashes + len);
        from += slashes + len;
        let mut next: Vec<Vec<u8>> = Vec::new();
        for mut base in found {
            base.extend_from_slice(lead);
            if element.active.is_empty() {
                base.extend_from_slice(&element.text);
                if from < item.text.len() || os::exists(&base) {
                    next.try_reserve(1).ok()?;
                    next.push(base);
                }
                continue;
            }
            for name in os::list(if base.is_empty() { b"." } else { &base }) {
                if matches(&name, &element) {
                    next.try_reserve(1).ok()?;
                    next.push([base.as_slice(), &name].concat());
                }
            }
        }
        found = next;
    }
}
