//! `#sys`: what there is one of in a machine: its clock, its randomness, its counters, its power.

use super::{Entry, Text, Tree, command, give, here, only_read, put, take, wrote};
use crate::msg::{Msg, Reply, Result};
use crate::{counters, machine, mem};
use abi::error::Error;
use abi::file::{OWRITE, QTDIR, QTFILE, Qid};

/// The tree.
pub(crate) struct Sys;

/// The files, by qid.path from 1, and whether they are written or read.
const NAMES: &[(&str, bool)] = &[
    ("counters", false),
    ("memory", false),
    ("null", true),
    ("power", true),
    ("random", true),
    ("time", false),
    ("user", false),
    ("zero", false),
];
const COUNTERS: u64 = 1;
const MEMORY: u64 = 2;
const NULL: u64 = 3;
const POWER: u64 = 4;
const RANDOM: u64 = 5;
const TIME: u64 = 6;
const USER: u64 = 7;
const ZERO: u64 = 8;

fn file(path: u64) -> Option<(&'static str, bool)> {
    NAMES.get(usize::try_from(path.checked_sub(1)?).ok()?).copied()
}

fn qid(path: u64) -> Qid {
    Qid { kind: if path == 0 { QTDIR } else { QTFILE }, vers: 0, path }
}

/// What `power` understands: `off` ends the machine well, `exit N` with a status that its host may see.
fn power(text: &str) -> Result<()> {
    if !here::is_owner() {
        return Err(Error::Perm.into());
    }
    match text.split_once(' ') {
        None if text == "off" => machine::power_off(0),
        Some(("exit", n)) => machine::power_off(n.parse().map_err(|_| Error::BadCtl)?),
        _ => Err(Error::BadCtl.into()),
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
    fn walk(&self, _: Qid, name: &[u8]) -> Result<Qid> {
        if name == b".." {
            return Ok(qid(0));
        }
        let i = NAMES.iter().position(|f| f.0.as_bytes() == name).ok_or(Error::NotExist)?;
        Ok(qid(u64::try_from(i).unwrap_or(0).saturating_add(1)))
    }

    fn stat(&self, of: Qid, give: &mut dyn FnMut(&Entry<'_>) -> Result<()>) -> Result<()> {
        let (name, mode) = match (of.path, file(of.path)) {
            (0, _) => ("#sys", super::DIR),
            (NULL, Some((name, _))) => (name, 0o666),
            (RANDOM, Some((name, _))) => (name, 0o644),
            (_, Some((name, writes))) => (name, if writes { 0o220 } else { 0o444 }),
            _ => return Err(Error::NotExist.into()),
        };
        give(&Entry { qid: of, mode, length: 0, name: name.as_bytes(), user: b"sys" })
    }

    fn list(&self, _: Qid, at: u64) -> Result<Option<(Qid, u64)>> {
        let path = at.saturating_add(1);
        Ok(file(path).map(|_| (qid(path), path)))
    }

    fn open(&self, of: Qid, mode: u8) -> Result<Qid> {
        match of.path {
            NULL => {}
            RANDOM if here::is_owner() => {}
            POWER if mode & 3 == OWRITE => {}
            POWER => return Err(Error::Perm.into()),
            _ => only_read(mode)?,
        }
        Ok(of)
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
                t.number(machine::epoch().saturating_add(now))?.put(b" ")?.number(now)?.put(b"\n")?;
            }
            USER => {
                t.put(&here::user()?)?;
            }
            MEMORY => {
                let (free, all) = mem::frames::usage();
                let page = u64::try_from(abi::limit::PAGE).unwrap_or(0);
                t.number(all.saturating_mul(page))?.put(b" bytes\n")?;
                t.number(free.saturating_mul(page))?.put(b" free\n")?;
                t.number(machine::kernel_bytes())?.put(b" kernel\n")?;
            }
            COUNTERS => {
                for (name, counter) in counters::ALL {
                    t.put(name.as_bytes())?.put(b" ")?.number(counter.get())?.put(b"\n")?;
                }
                t.put(b"frames ")?.number(mem::frames::used())?.put(b"\n")?;
            }
            _ => return Err(Error::Perm.into()),
        }
        give(m, t.get())
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
            POWER => {
                let mut buf = [0; 32];
                power(command(m, &mut buf)?)?;
                wrote(m)
            }
            _ => Err(Error::Perm.into()),
        }
    }
}
