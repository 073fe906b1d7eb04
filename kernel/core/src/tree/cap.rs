//! `#cap`: the only way for a process to change its user: a capability for one use (cap(3)).
//!
//! The owner's authentication agent writes `FROM@TO@KEY` to `grant`, the key being long and random, and tells it to the
//! process that has proved who it is; that one, a process of the user FROM, writes the same to `use` and is a process of
//! TO's. Plan 9 keeps a hash instead of the key; a kernel without cryptography keeps the words, which nobody can read.

use super::{Fixed, Tree, here, take, wrote};
use crate::base::{Bytes, List, Spin};
use crate::msg::{Msg, Reply, Result};
use abi::error::Error;
use abi::file::Qid;
use abi::limit;

/// The tree.
pub(crate) struct Caps;

const GRANT: u64 = 1;
const USE: u64 = 2;
/// Its files.
pub(super) const FILES: &[Fixed] = &[("grant", 0o200), ("use", 0o222)];

/// Most capabilities that wait to be used; the oldest goes for a new one.
const MOST: usize = 64;
/// Shortest and longest key.
const KEY: core::ops::RangeInclusive<usize> = 16..=128;

/// The words of those that wait. Taken alone.
static WAITING: Spin<List<Bytes>> = Spin::new(List::new());

/// May this be the name of a user?
fn is_name(user: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b) || *b >= 0x80;
    !user.is_empty()
        && user.len() <= limit::USER
        && user.iter().all(plain)
        && core::str::from_utf8(user).is_ok()
}

/// `FROM@TO@KEY`.
pub(crate) fn parts(words: &[u8]) -> Result<(&[u8], &[u8], &[u8])> {
    let mut parts = words.splitn(3, |&b| b == b'@');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(from), Some(to), Some(key)) if is_name(from) && is_name(to) && KEY.contains(&key.len()) => {
            Ok((from, to, key))
        }
        _ => Err(Error::BadCtl.into()),
    }
}

/// Equal, in a time that does not tell where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |d, (x, y)| d | (x ^ y)) == 0
}

fn words(m: &Msg<'_>) -> Result<Bytes> {
    let len = usize::try_from(m.count).unwrap_or(usize::MAX);
    if len > limit::USER.saturating_mul(2).saturating_add(*KEY.end()).saturating_add(2) {
        return Err(Error::BadCtl.into());
    }
    let mut b = Bytes::zeroed(len)?;
    take(&m.data, 0, &mut b)?;
    parts(&b)?;
    Ok(b)
}

fn grant(words: Bytes) -> Result<()> {
    let mut waiting = WAITING.lock();
    let oldest = if waiting.len() >= MOST { waiting.remove(0) } else { None };
    let r = waiting.push(words);
    drop(waiting);
    drop(oldest);
    r
}

/// Takes a capability out, so that it is used once.
fn redeem(words: &[u8]) -> Result<()> {
    let mut waiting = WAITING.lock();
    let at = waiting.iter().position(|w| same(w, words)).ok_or(Error::Perm)?;
    let used = waiting.remove(at);
    drop(waiting);
    drop(used);
    Ok(())
}

impl Tree for Caps {
    fn open(&self, file: Qid, _: u8) -> Result<()> {
        if file.path != GRANT || here::is_owner() { Ok(()) } else { Err(Error::Perm.into()) }
    }

    fn write(&self, of: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let words = words(m)?;
        match of.path {
            // Asked again, for the descriptor may have been handed on.
            GRANT if here::is_owner() => grant(words)?,
            USE => {
                let (from, to, _) = parts(&words)?;
                if !here::is_user(from) {
                    return Err(Error::Perm.into());
                }
                let to = Bytes::new(to)?;
                redeem(&words)?;
                here::become_user(to)?;
            }
            _ => return Err(Error::Perm.into()),
        }
        wrote(m)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_redeemed_once_and_only_whole() {
        let c = b"sys@glenda@0123456789abcdef";
        grant(Bytes::new(c).unwrap()).unwrap();
        assert!(redeem(b"sys@glenda@0123456789abcdeX").is_err());
        assert!(redeem(&c[..c.len() - 1]).is_err());
        redeem(c).unwrap();
        assert!(redeem(c).is_err());
    }

    #[test]
    fn words_that_are_no_capability_are_refused() {
        for bad in [
            "",
            "a",
            "a@b",
            "a@b@short",
            "@b@0123456789abcdef",
            "a@@0123456789abcdef",
            "a b@c@0123456789abcdef",
            "a/b@c@0123456789abcdef",
        ] {
            assert!(parts(bad.as_bytes()).is_err(), "{bad}");
        }
        let long = "n".repeat(limit::USER);
        assert!(parts(format!("{long}@{long}@{}", "k".repeat(128)).as_bytes()).is_ok());
        assert!(parts(format!("{long}n@{long}@{}", "k".repeat(16)).as_bytes()).is_err());
        assert!(parts(format!("a@b@{}", "k".repeat(129)).as_bytes()).is_err());
    }
}
