//! `#sys`: what there is one of in a machine: its clock, its randomness, its counters, its power.

use super::{Fixed, Tree, command, give, here, put, take, wrote};
use crate::base::{Text, parse, split};
use crate::msg::{Msg, Reply, Result};
use crate::{counters, machine, mem};
use abi::error::Error;
use abi::file::{OREAD, Qid};

/// The tree.
pub(crate) struct Sys;

/// Its files.
pub(super) const FILES: &[Fixed] = &[
    ("counters", 0o444),
    ("memory", 0o444),
    ("null", 0o666),
    ("power", 0o220),
    ("random", 0o644),
    ("segments", 0o444),
    ("swap", 0o644),
    ("time", 0o444),
    ("user", 0o444),
    ("zero", 0o444),
];
const COUNTERS: u64 = 1;
const MEMORY: u64 = 2;
const NULL: u64 = 3;
const POWER: u64 = 4;
const RANDOM: u64 = 5;
const SEGMENTS: u64 = 6;
const SWAP: u64 = 7;
const TIME: u64 = 8;
const USER: u64 = 9;
const ZERO: u64 = 10;

/// What `power` understands: `off` ends the machine well, `exit N` with a status that its host may see.
fn power(text: &[u8]) -> Result<()> {
    if !here::is_owner() {
        return Err(Error::Perm.into());
    }
    match split(text) {
        (b"off", b"") => machine::power_off(0),
        (b"exit", n) => machine::power_off(parse(n)?),
        _ => Err(Error::BadCtl.into()),
    }
}

/// What `swap` understands: the number of a descriptor, whose file programs' pages may go to, or `off`.
fn swap(text: &[u8]) -> Result<()> {
    match text {
        _ if !here::is_owner() => Err(Error::Perm.into()),
        b"off" => mem::swap::set(None),
        fd => mem::swap::set(Some(&*here::ports().get(parse(fd)?))),
    }
}

/// Fills a reader's room piece by piece.
fn pour(m: &mut Msg<'_>, mut piece: impl FnMut() -> [u8; 32]) -> Result<Reply> {
    let room = usize::try_from(m.count).unwrap_or(0);
    let mut done = 0usize;
    while done < room {
        let bytes = piece();
        let n = room.saturating_sub(done).min(bytes.len());
        put(&mut m.data, done, bytes.get(..n).unwrap_or(&[]))?;
        done = done.saturating_add(n);
    }
    Ok(Reply { count: m.count, ..Reply::default() })
}

impl Tree for Sys {
    fn open(&self, file: Qid, mode: u8) -> Result<()> {
        let stirs = file.path == RANDOM && mode & 3 != OREAD;
        if stirs && !here::is_owner() { Err(Error::Perm.into()) } else { Ok(()) }
    }

    fn read(&self, of: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let mut t = Text::new();
        match of.path {
            NULL => {}
            RANDOM => return pour(m, machine::entropy),
            ZERO => return pour(m, || [0; 32]),
            TIME => {
                // Nanoseconds since 1970 and since boot.
                let now = machine::now();
                t.number(machine::epoch().saturating_add(now)).put(b" ").number(now).put(b"\n");
            }
            USER => {
                t.put(&here::user()?);
            }
            SWAP => mem::swap::show(&mut t),
            MEMORY => {
                let (free, all) = mem::frames::usage();
                let page = abi::limit::PAGE as u64;
                let line = |t: &mut Text, n, word: &[u8]| {
                    t.number(n).put(word);
                };
                line(&mut t, all.saturating_mul(page), b" bytes\n");
                line(&mut t, free.saturating_mul(page), b" free\n");
                line(&mut t, machine::kernel_bytes(), b" kernel\n");
            }
            COUNTERS => {
                t.put(b"frames ").number(mem::frames::used()).put(b"\n");
                for (name, counter) in counters::ALL {
                    t.put(name.as_bytes()).put(b" ").number(counter.get()).put(b"\n");
                }
            }
            // A line for each file that has pages here: who uses it, and pages by state.
            SEGMENTS => mem::segment::each(|s| {
                let n = s.stats();
                let words: [&[u8]; 4] = [b" users ", b" clean ", b" dirty ", b" reading "];
                t.put(&s.name);
                for (word, n) in words.iter().zip([n.users as usize, n.clean, n.dirty, n.reading]) {
                    t.put(word).number(n as u64);
                }
                t.put(b"\n");
            }),
            _ => return Err(Error::Perm.into()),
        }
        give(m, t.get()?)
    }

    fn write(&self, of: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        match of.path {
            NULL => wrote(m),
            RANDOM => {
                let mut buf = [0; 64];
                let n = take(&m.data, 0, &mut buf)?;
                machine::stir(buf.get(..n).unwrap_or(&[]));
                wrote(m)
            }
            POWER | SWAP => {
                let mut buf = [0; 32];
                let text = command(m, &mut buf)?;
                if of.path == SWAP {
                    swap(text)?
                } else {
                    power(text)?
                }
                wrote(m)
            }
            _ => Err(Error::Perm.into()),
        }
    }
}
