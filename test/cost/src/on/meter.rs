//! [`Meter`]: runs an operation in batches and prints what one took; or runs it for ever, to be looked at from outside.
#![allow(unsafe_code, reason = "reads the time-stamp counter, and has a symbol that the profiler looks for")]

use core::cell::Cell;
use portolan::alloc::string::String;
use portolan::{Error, Result, println, sys};

/// Batches of which the median counts.
const BATCHES: usize = 9;
/// Operations before the profiler looks, so that pools are filled and pages are there.
const WARM: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// The time-stamp counter, which under `-icount` counts instructions.
    Count,
    /// Nanoseconds.
    Wall,
    /// For ever, between [`operation`] and [`rest`].
    Profile,
}

/// What to measure, and how.
pub(super) struct Meter {
    how: How,
    only: Option<String>,
    /// Pieces of work that were timed.
    pieces: Cell<u64>,
}

impl Meter {
    /// `count`, `wall` or `profile`, and the one row that is wanted, if not all are.
    pub(super) fn from_args() -> Result<Meter> {
        let mut args = portolan::args().skip(1).map(|a| String::from_utf8_lossy(a).into_owned());
        let how = match args.next().as_deref() {
            None | Some("count") => How::Count,
            Some("wall") => How::Wall,
            Some("profile") => How::Profile,
            Some(_) => return Err(Error::new("usage: cost [count | wall | profile] [NAME]")),
        };
        Ok(Meter { how, only: args.next(), pieces: Cell::new(0) })
    }

    /// Is this row asked for?
    pub(super) fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == name)
    }

    fn now(&self) -> u64 {
        if self.how == How::Wall {
            return sys::clock(0);
        }
        ticks()
    }

    /// What a piece of work takes.
    pub(super) fn time(&self, work: impl FnOnce() -> Result<()>) -> Result<u64> {
        let looked_at = self.how == How::Profile;
        if looked_at {
            self.pieces.set(self.pieces.get() + 1);
            operation();
        }
        let start = self.now();
        let done = work();
        let spent = self.now() - start;
        if looked_at {
            rest();
        }
        done.map(|()| spent)
    }

    /// A row whose operation is called in batches.
    pub(super) fn row(&self, name: &str, batch: u64, mut op: impl FnMut() -> Result<()>) -> Result<()> {
        if !self.wants(name) {
            return Ok(());
        }
        if self.how == How::Profile {
            (0..WARM).try_for_each(|_| op())?;
            println!("profile {name} 1");
            loop {
                operation();
                op()?;
            }
        }
        self.span(name, || self.time(|| (0..batch).try_for_each(|_| op())).map(|spent| (spent, batch)))
    }

    /// A row that says for each batch what it took and how many operations it was.
    pub(super) fn span(&self, name: &str, mut batch: impl FnMut() -> Result<(u64, u64)>) -> Result<()> {
        if !self.wants(name) {
            return Ok(());
        }
        if self.how == How::Profile {
            batch()?;
            self.pieces.set(0);
            let (_, count) = batch()?;
            println!("profile {name} {}", count / self.pieces.get().max(1));
            loop {
                batch()?;
            }
        }
        let mut figures = [0; BATCHES];
        // The first fills pools and caches and does not count.
        batch()?;
        for figure in &mut figures {
            let (spent, count) = batch()?;
            *figure = (spent + count / 2) / count;
        }
        figures.sort_unstable();
        println!("cost {name} {} {} {}", figures[BATCHES / 2], figures[0], figures[BATCHES - 1]);
        Ok(())
    }
}

/// What one operation takes, by the time-stamp counter: the median of a few batches.
pub(super) fn figure(batch: u64, mut op: impl FnMut() -> Result<()>) -> Result<u64> {
    let mut figures = [0; 3];
    (0..batch).try_for_each(|_| op())?;
    for figure in &mut figures {
        let start = ticks();
        (0..batch).try_for_each(|_| op())?;
        *figure = (ticks() - start) / batch;
    }
    figures.sort_unstable();
    Ok(figures[1])
}

/// The time-stamp counter.
pub(super) fn ticks() -> u64 {
    // SAFETY: every x86-64 has the counter, and the kernel lets programs read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The profiler tells one operation from the next by this function's address.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn operation() {
    core::hint::black_box(());
}

/// What follows is of none, up to the next.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rest() {
    // Not the same as the other, which would make them one.
    core::hint::black_box(1);
}
