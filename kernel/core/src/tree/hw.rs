//! `#hw`: devices for user-level drivers: ports as a file, registers and memory as segments, each interrupt line as a
//! file.
//!
//! `io`: a read or write at an offset of 1, 2 or 4 bytes is one access to that port; a longer one moves bytes from or to
//! the one port in order, a read 16 at most. `mem`: segattach of a range of physical addresses gives what is there, unless it is memory of
//! the machine or a register of the kernel's. `dma`: segattach gives memory in a row, and a read at an address in it
//! gives its physical address as text. `irqN`: a read returns when the line has fired since the last read, with the
//! count so far as text. All are the machine's owner's alone.

use super::{Entry, Fixed, Tree, here, put, take, wrote};
use crate::base::{Spin, decimal, number};
use crate::machine::{self, Frame, Rights};
use crate::mem::frames::{Region, is_kept};
use crate::mem::{Space, dma};
use crate::msg::{Msg, Reply, Result};
use crate::name::Chan;
use crate::thread::{self, Doing, Thread, Waiters};
use abi::error::Error;
use abi::file::{OREAD, QTDIR, QTFILE, Qid};

/// The tree.
pub struct Hardware;

const IO: u64 = 1;
const MEM: u64 = 2;
const DMA: u64 = 3;
/// Its files that are always there.
pub(super) const FILES: &[Fixed] = &[("io", 0o600), ("mem", 0o600), ("dma", 0o600)];
/// Line `n` is file `n` and this.
const IRQ: u64 = 4;
/// Frames that addresses can name.
const FRAMES: u64 = 1 << 40;
/// Lines that have a file.
const LINES: usize = 24;

struct Line {
    fired: u64,
    /// What the last read has told.
    told: u64,
    waiting: Waiters,
}

static LINE: [Spin<Line>; LINES] =
    [const { Spin::new(Line { fired: 0, told: 0, waiting: Waiters::new() }) }; LINES];

/// An interrupt of a line has come; it is masked until somebody waits again.
pub fn fired(irq: usize) {
    let Some(line) = LINE.get(irq) else { return };
    let mut l = line.lock();
    l.fired = l.fired.wrapping_add(1);
    while let Some(t) = l.waiting.pop() {
        Thread::unpark(&t);
    }
}

fn lines() -> usize {
    machine::irqs().min(LINES)
}

fn irq_of(file: Qid) -> Option<usize> {
    usize::try_from(file.path.checked_sub(IRQ)?).ok().filter(|&n| n < lines())
}

fn qid(path: u64) -> Qid {
    Qid { kind: if path == 0 { QTDIR } else { QTFILE }, vers: 0, path }
}

/// Attaches what a file of this tree stands for: segattach's part.
pub fn attach(chan: &Chan, space: &Space, offset: u64, len: u64) -> Result<u64> {
    const PAGE: u64 = abi::limit::PAGE as u64;
    let (pages, first) = (len.div_ceil(PAGE), offset / PAGE);
    match chan.file.qid.path {
        super::root::ARCHIVE if chan.file.session.tree_name() == "root" && offset == 0 => {
            let (at, whole) = (machine::archive_at(), machine::archive().len() as u64);
            let end =
                Some(at.saturating_add(len)).filter(|_| len != 0 && len <= whole).ok_or(Error::BadArg)?;
            let pages = end.div_ceil(PAGE).saturating_sub(at / PAGE);
            let start = space.attach_device(Frame(at / PAGE), pages, Rights::Read)?;
            Ok(start.saturating_add(at % PAGE))
        }
        _ if chan.file.session.tree_name() != "hw" => Err(Error::NotSupported.into()),
        MEM if offset.is_multiple_of(PAGE) && pages <= abi::limit::REGISTERS && first < FRAMES => {
            let all = Region { start: first, end: first.saturating_add(pages) };
            if is_kept(all) {
                return Err(Error::Perm.into());
            }
            space.attach_device(Frame(first), pages, Rights::Device)
        }
        DMA if offset == 0 => dma::attach(space, pages),
        _ => Err(Error::BadArg.into()),
    }
}

impl Tree for Hardware {
    fn walk(&self, _: Qid, name: &[u8]) -> Result<Qid> {
        let line = name.strip_prefix(b"irq").and_then(number).ok_or(Error::NotExist)?;
        let file = qid(line.saturating_add(IRQ));
        irq_of(file).map(|_| file).ok_or(Error::NotExist.into())
    }

    fn stat(&self, file: Qid, e: &mut Entry) -> Result<()> {
        if let Some(line) = irq_of(file) {
            e.mode = 0o400;
            e.name.set(b"irq");
            e.name.add(decimal(line as u64, &mut [0; 20]));
        }
        Ok(())
    }

    fn list(&self, _: Qid, at: u64) -> Result<Option<(Qid, u64)>> {
        let path = at.saturating_add(1);
        Ok(irq_of(qid(path)).map(|_| (qid(path), path)))
    }

    fn open(&self, file: Qid, mode: u8) -> Result<()> {
        if file.path != 0 && !here::is_owner() || file.path >= IRQ && mode & 3 != OREAD {
            return Err(Error::Perm.into());
        }
        // From now on: what a line tells before the first read must not be lost.
        if let Some(n) = irq_of(file) {
            machine::unmask(n);
        }
        Ok(())
    }

    fn read(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        if file.path == IO {
            let port = u16::try_from(m.offset).map_err(|_| Error::BadOffset)?;
            let mut all = [0; 16];
            let bytes = all.get_mut(..m.count as usize).filter(|b| !b.is_empty()).ok_or(Error::BadArg)?;
            let wide = matches!(m.count, 2 | 4);
            for part in bytes.chunks_mut(if wide { 4 } else { 1 }) {
                let value = machine::port_in(port, part.len() as u8).to_le_bytes();
                part.iter_mut().zip(value).for_each(|(to, byte)| *to = byte);
            }
            let count = put(&mut m.data, 0, bytes)?;
            return Ok(Reply { count, ..Reply::default() });
        }
        if file.path == DMA {
            let at = dma::physical(&*here::space()?, m.offset)?;
            let count = put(&mut m.data, 0, decimal(at, &mut [0; 20]))?;
            return Ok(Reply { count, ..Reply::default() });
        }
        let n = irq_of(file).ok_or(Error::Perm)?;
        let line = LINE.get(n).ok_or(Error::NotExist)?;
        let me = thread::current_ref();
        loop {
            {
                let mut l = line.lock();
                if l.fired != l.told {
                    l.told = l.fired;
                    let mut digits = [0; 20];
                    let fired = l.fired;
                    drop(l);
                    let text = decimal(fired, &mut digits);
                    let count = put(&mut m.data, 0, text)?;
                    return Ok(Reply { count, ..Reply::default() });
                }
                l.waiting.push(me.clone());
            }
            machine::unmask(n);
            let r = thread::wait(Doing::Tree, u64::MAX);
            line.lock().waiting.remove(&me);
            r?;
        }
    }

    fn write(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        if file.path != IO {
            return Err(Error::Perm.into());
        }
        let port = u16::try_from(m.offset).map_err(|_| Error::BadOffset)?;
        let mut done = 0usize;
        loop {
            let mut buf = [0; 64];
            let n = take(&m.data, done, &mut buf)?;
            let bytes = buf.get(..n).unwrap_or(&[]);
            match (done, m.count, bytes) {
                (_, _, []) => return wrote(m),
                (0, 2, &[a, b]) => machine::port_out(port, 2, u32::from(u16::from_le_bytes([a, b]))),
                (0, 4, &[a, b, c, d]) => machine::port_out(port, 4, u32::from_le_bytes([a, b, c, d])),
                _ => bytes.iter().for_each(|&b| machine::port_out(port, 1, u32::from(b))),
            }
            done = done.saturating_add(n);
        }
    }
}
