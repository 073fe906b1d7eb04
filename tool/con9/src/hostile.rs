//! A client that means harm: what a server has to bear without anybody else noticing.
//!
//! Each [`Attack`] runs until its time is up, or the server has shut it out so often that there is nothing to do but try
//! again. It keeps within what one machine's user could do: no root, no forged addresses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::link::{Address, Link, Received};
use crate::wire;
use crate::word::{self, Vars};

/// A way to do harm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attack {
    /// Requests under every tag, as fast as they can be written.
    Tags,
    /// A new fid with every request.
    Fids,
    /// Half a message, and silence, on many connections.
    Half,
    /// msize 0, and what does not fit it.
    Nothing,
    /// msize 4 GiB, and a message that says it is as long.
    Everything,
    /// Asks for much and never reads an answer.
    Deaf,
    /// Connects, makes fids and files, and vanishes.
    Churn,
    /// Bytes that are no protocol.
    Noise,
    /// As many connections as it gets, all silent after their version.
    Crowd,
}

/// Every attack, by name.
pub const ATTACKS: [(&str, Attack); 9] = [
    ("tags", Attack::Tags),
    ("fids", Attack::Fids),
    ("half", Attack::Half),
    ("nothing", Attack::Nothing),
    ("everything", Attack::Everything),
    ("deaf", Attack::Deaf),
    ("churn", Attack::Churn),
    ("noise", Attack::Noise),
    ("crowd", Attack::Crowd),
];

/// Silent connections that an attack holds. Fewer than servers commonly allow in all: a limit on
/// connections that one user can use up is no bug of the protocol's.
const SILENT: usize = 64;
/// How long an attack waits for an answer that it wants.
const WAIT: Duration = Duration::from_millis(500);

/// Attacks until then; how many things it did.
pub fn run(attack: Attack, to: &Address, until: Instant) -> u64 {
    let mut done = 0;
    match attack {
        Attack::Half | Attack::Crowd => {
            let mut held = Vec::new();
            while Instant::now() < until {
                if held.len() < SILENT
                    && let Some(link) = silent(attack, to)
                {
                    held.push(link);
                    done += 1;
                } else {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
        _ => {
            for number in 0u64.. {
                if Instant::now() >= until {
                    break;
                }
                match round(attack, to, until, number) {
                    Some(count) => done += count,
                    // Shut out: not a reason to spin.
                    None => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        }
    }
    done
}

fn silent(attack: Attack, to: &Address) -> Option<Box<dyn Link>> {
    let mut link = to.dial_patiently(WAIT).ok()?;
    let version = message("Tversion 1000000 9P2000", 0xffff)?;
    let bytes = if attack == Attack::Half { version.get(..9)? } else { &version[..] };
    link.send(bytes).ok()?;
    Some(link)
}

/// One connection's worth of harm: how many things it did, or `None` if it was shut out. Connections are told apart by
/// their number.
fn round(attack: Attack, to: &Address, until: Instant, number: u64) -> Option<u64> {
    let mut link = to.dial_patiently(WAIT).ok()?;
    let link = &mut *link;
    match attack {
        Attack::Nothing => {
            link.send(&message("Tversion 0 9P2000", 0xffff)?).ok()?;
            link.send(&message("Tattach 0 NOFID mallory ''", 1)?).ok()?;
            let _ = link.receive(WAIT);
            Some(1)
        }
        Attack::Everything => everything(link, until),
        Attack::Noise => noise(link, number),
        Attack::Tags => tags(link, until, number % 2 == 1),
        Attack::Fids => fids(link, until),
        Attack::Deaf => deaf(link, until, number),
        Attack::Churn => churn(link, number),
        // These hold their connections: see `run`.
        Attack::Half | Attack::Crowd => None,
    }
}

fn everything(link: &mut dyn Link, until: Instant) -> Option<u64> {
    greet(link, 0xffff_ffff)?;
    let mut bytes = message("Twrite 0 0 fill:4096:x", 1)?;
    bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    link.send(&bytes).ok()?;
    let zeros = vec![0; 1 << 16];
    let mut count = 1;
    while Instant::now() < until && link.send(&zeros).is_ok() {
        count += 1;
    }
    Some(count)
}

fn noise(link: &mut dyn Link, number: u64) -> Option<u64> {
    let mut seed = number | 1 << 40;
    let mut noise = [0; 4096];
    for byte in &mut noise {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        *byte = seed as u8;
    }
    link.send(&noise).ok()?;
    let _ = link.receive(Duration::from_millis(5));
    Some(1)
}

/// Once round all tags. One connection takes no answer, which ends when the server reads no further; the next takes them,
/// and so keeps the server busy.
fn tags(link: &mut dyn Link, until: Instant, reads: bool) -> Option<u64> {
    greet(link, 65536)?;
    let mut tags = 1..0xfff0u16;
    let mut count = 0;
    while Instant::now() < until {
        let mut batch = Vec::new();
        for tag in tags.by_ref().take(2000) {
            batch.extend(message("Tstat 0", tag)?);
        }
        if batch.is_empty() || link.send(&batch).is_err() {
            break;
        }
        count += 2000;
        while reads && matches!(link.receive(Duration::from_millis(1)), Ok(Received::Message(_))) {}
    }
    Some(count)
}

fn fids(link: &mut dyn Link, until: Instant) -> Option<u64> {
    greet(link, 65536)?;
    let mut count = 0;
    for fid in 1..200_000 {
        if Instant::now() >= until {
            break;
        }
        link.send(&message(&format!("Twalk 0 {fid}"), 1)?).ok()?;
        if !matches!(link.receive(WAIT), Ok(Received::Message(_))) {
            break;
        }
        count += 1;
    }
    Some(count)
}

/// A file of its own, asked for two thousand times; the server stops reading when its answers are not taken, so the
/// write ends by its time-out.
fn deaf(link: &mut dyn Link, until: Instant, number: u64) -> Option<u64> {
    greet(link, 65536)?;
    let mut batch = message(&format!("Tcreate 0 deaf-{number}-{} 0666 ORDWR|ORCLOSE", unique()), 1)?;
    batch.extend(message("Twrite 0 0 fill:60000:x", 2)?);
    for tag in 3..2000 {
        batch.extend(message("Tread 0 0 60000", tag)?);
    }
    let _ = link.send(&batch);
    std::thread::sleep(until.saturating_duration_since(Instant::now()).min(WAIT));
    Some(1)
}

fn churn(link: &mut dyn Link, number: u64) -> Option<u64> {
    greet(link, 65536)?;
    for fid in 1..200 {
        let mut batch = message(&format!("Twalk 0 {fid}"), 1)?;
        let file = format!("Tcreate {fid} churn-{number}-{} 0666 ORDWR|ORCLOSE", unique());
        batch.extend(message(&file, 2)?);
        link.send(&batch).ok()?;
    }
    Some(199)
}

/// A number that no file of another attacker in this process has.
fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn greet(link: &mut dyn Link, msize: u32) -> Option<()> {
    for (line, tag) in
        [(format!("Tversion {msize} 9P2000"), 0xffff), ("Tattach 0 NOFID mallory ''".into(), 1)]
    {
        link.send(&message(&line, tag)?).ok()?;
        match link.receive(WAIT) {
            Ok(Received::Message(_)) => {}
            _ => return None,
        }
    }
    Some(())
}

fn message(line: &str, tag: u16) -> Option<Vec<u8>> {
    let words = word::split(line).ok()?;
    let (name, fields) = words.split_first()?;
    wire::encode(wire::by_name(&name.text)?, tag, fields, &Vars::new()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_an_attack_says_is_a_message() {
        for line in
            ["Tversion 0 9P2000", "Tattach 0 NOFID mallory ''", "Tread 0 0 60000", "Twrite 0 0 fill:60000:x"]
        {
            assert!(message(line, 1).is_some_and(|m| wire::decode(&m).is_ok()), "{line}");
        }
    }

    #[test]
    fn an_attack_ends_in_time_even_where_nobody_listens() {
        let nowhere = Address::Unix("/nonexistent/socket".into());
        for (name, attack) in ATTACKS {
            let begun = Instant::now();
            assert_eq!(run(attack, &nowhere, begun + Duration::from_millis(20)), 0, "{name}");
            assert!(begun.elapsed() < Duration::from_secs(20), "{name}");
        }
    }
}
