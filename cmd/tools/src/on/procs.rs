//! ps and kill: processes.

use super::{Given, Outcome, number, text};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{OREAD, OWRITE};
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::{Error, File, Result, fs, println};

/// The numbers of all processes, in order.
fn processes() -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    fs::each_entry(&File::open("/proc", OREAD)?, |s| {
        pids.extend(s.name.parse::<u32>().ok());
        Ok(())
    })?;
    pids.sort_unstable();
    Ok(pids)
}

fn read_line(pid: u32, what: &str) -> Option<String> {
    let all = fs::read(format!("/proc/{pid}/{what}")).ok()?;
    Some(text(all.strip_suffix(b"\n").unwrap_or(&all)))
}

pub(super) fn ps(g: &mut Given) -> Result<()> {
    if !g.rest.is_empty() {
        return Err(g.wrong());
    }
    for pid in processes()? {
        // A process that has ended meanwhile is none.
        let Some(status) = read_line(pid, "status") else { continue };
        if g.has(b'a') {
            println!("{status} {}", read_line(pid, "args").unwrap_or_default());
        } else {
            println!("{status}");
        }
    }
    Ok(())
}

pub(super) fn kill(g: &mut Given) -> Result<()> {
    let (note, targets) = match g.rest.split_first() {
        None => return Err(g.wrong()),
        Some((first, rest)) if first.len() > 1 && first.starts_with(b"-") => (Some(&first[1..]), rest),
        _ => (None, &g.rest[..]),
    };
    if targets.is_empty() {
        return Err(g.wrong());
    }
    let mut outcome = Outcome::default();
    for t in targets {
        outcome.note(t, kill_one(t, note));
    }
    outcome.end()
}

fn kill_one(target: &[u8], note: Option<&[u8]>) -> Result<()> {
    let mut hit: Vec<u32> = number(target).into_iter().collect();
    if hit.is_empty() {
        for pid in processes()? {
            // A status line begins with the number and the name.
            let status = read_line(pid, "status").unwrap_or_default();
            if status.split_whitespace().nth(1).is_some_and(|n| n.as_bytes() == target) {
                hit.push(pid);
            }
        }
    }
    if hit.is_empty() {
        return Err(Error::new("no process of that number or name"));
    }
    for pid in hit {
        let (file, words) = match note {
            Some(n) => ("note", n),
            None => ("ctl", &b"kill"[..]),
        };
        match File::open(format!("/proc/{pid}/{file}"), OWRITE) {
            Err(e) if e.is(Known::NotExist) => return Err(Error::new("no process of that number or name")),
            f => f?.write_all(words)?,
        }
    }
    Ok(())
}
