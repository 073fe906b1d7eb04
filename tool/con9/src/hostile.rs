//! A client that means harm: what a server has to bear without anybody else noticing.
//!
//! Each [`Attack`] runs until its time is up, or the server has shut it out so often that there is nothing to do but try
//! again. It keeps within what one machine's user could do: no root, no forged addresses.

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
                match round(attack, to, until, number % 2 == 1) {
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

/// One connection's worth of harm; `reads` says whether it takes its answers, where it could do either.
fn round(attack: Attack, to: &Address, until: Instant, reads: bool) -> Option<u64> {
    let mut link = to.dial_patiently(WAIT).ok()?;
    let mut count = 0;
    match attack {
        Attack::Nothing => {
            link.send(&message("Tversion 0 9P2000", 0xffff)?).ok()?;
            link.send(&message("Tattach 0 NOFID mallory ''", 1)?).ok()?;
            let _ = link.receive(WAIT);
            return Some(1);
        }
        Attack::Everything => {
            greet(&mut *link, 0xffff_ffff)?;
            let mut bytes = message("Twrite 0 0 fill:4096:x", 1)?;
            bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes());
            let zeros = vec![0; 1 << 16];
            link.send(&bytes).ok()?;
            while Instant::now() < until && link.send(&zeros).is_ok() {
                count += 1;
            }
            return Some(count);
        }
        Attack::Noise => {
            let mut seed = std::process::id().wrapping_add(Instant::now().elapsed().subsec_nanos()) | 1;
            let mut noise = [0; 4096];
            for byte in &mut noise {
                seed ^= seed << 13;
                seed ^= seed >> 17;
                seed ^= seed << 5;
                *byte = seed as u8;
            }
            link.send(&noise).ok()?;
            let _ = link.receive(Duration::from_millis(5));
            return Some(1);
        }
        _ => greet(&mut *link, 65536)?,
    }
    match attack {
        Attack::Tags => {
            // Once round all tags without taking an answer, which ends when the server reads no further; the
            // next connection takes them, and so keeps the server busy.
            let mut tags = 1..0xfff0u16;
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
        }
        Attack::Fids => {
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
        }
        Attack::Deaf => {
            let mut batch = Vec::new();
            batch.extend(message("Twalk 0 1", 1)?);
            batch.extend(message("Topen 1 OREAD", 2)?);
            for tag in 3..2000 {
                batch.extend(message("Tread 1 0 60000", tag)?);
            }
            // The server stops reading when its answers are not taken: the write ends by its time-out.
            let _ = link.send(&batch);
            std::thread::sleep(until.saturating_duration_since(Instant::now()).min(WAIT));
            count += 1;
        }
        _ => {
            for fid in 1..200 {
                let mut batch = message(&format!("Twalk 0 {fid}"), 1)?;
                let file = format!("Tcreate {fid} mallory-{fid} 0666 ORDWR|ORCLOSE");
                batch.extend(message(&file, 2)?);
                link.send(&batch).ok()?;
                count += 1;
            }
        }
    }
    Some(count)
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
            ["Tversion 0 9P2000", "Tattach 0 NOFID mallory ''", "Tread 1 0 60000", "Twrite 0 0 fill:4096:x"]
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
