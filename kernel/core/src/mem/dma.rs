//! Memory that devices write to: runs of frames whose physical address their driver may know.
//!
//! What a device was told to write to it may write to at any later time, even when its driver is gone. So a run never
//! becomes ordinary memory again: when nobody has it attached it waits here for the next driver. A space counts down by
//! [`unmapped`] what [`attach`] counted up.

use super::Space;
use super::frames;
use crate::base::Spin;
use crate::machine::{self, Frame, Rights};
use crate::msg::Result;
use abi::error::Error;
use abi::limit::{DMA_RUNS, PAGE};

const SIZE: u64 = PAGE as u64;

#[derive(Clone, Copy)]
struct Run {
    first: u64,
    /// 2^order frames; only where `made`.
    order: u8,
    made: bool,
    /// Pages of it that a space has.
    mapped: u64,
}

impl Run {
    fn has(&self, frame: Frame) -> bool {
        self.made && frame.0 >> self.order == self.first >> self.order
    }
}

/// All runs there are. Taken below the lock of a space; frames are taken under it.
static RUNS: Spin<[Run; DMA_RUNS]> =
    Spin::new([const { Run { first: 0, order: 0, made: false, mapped: 0 } }; DMA_RUNS]);

/// Takes a run of 2^order frames, an old one if there is one, and counts pages in it: its place and first frame.
fn take(order: u8, pages: u64) -> Result<(usize, Frame)> {
    let mut runs = RUNS.lock();
    let old = |r: &Run| r.made && r.mapped == 0 && r.order == order;
    let at =
        runs.iter().position(old).or_else(|| runs.iter().position(|r| !r.made)).ok_or(Error::NoMemory)?;
    let run = runs.get_mut(at).ok_or(Error::NoMemory)?;
    if !run.made {
        *run = Run { first: frames::run(order)?.0, order, made: true, mapped: 0 };
    }
    run.mapped = pages;
    Ok((at, Frame(run.first)))
}

/// Attaches so many pages, in a row and filled with zeroes: where.
pub fn attach(space: &Space, pages: u64) -> Result<u64> {
    let order = pages.checked_next_power_of_two().map_or(u32::MAX, u64::trailing_zeros);
    let order = u8::try_from(order).ok().filter(|&o| o <= frames::MAX_ORDER).ok_or(Error::NoMemory)?;
    let (at, first) = take(order, pages)?;
    (0..pages).for_each(|i| machine::zero_frame(Frame(first.0.saturating_add(i))));
    let done = space.attach_device(first, pages, Rights::Write);
    if done.is_err()
        && let Some(run) = RUNS.lock().get_mut(at)
    {
        run.mapped = 0;
    }
    done
}

/// A space has a page no more that it had as a device's.
pub fn unmapped(frame: Frame) {
    if let Some(run) = RUNS.lock().iter_mut().find(|r| r.has(frame)) {
        run.mapped = run.mapped.saturating_sub(1);
    }
}

/// The physical address of an address of a space, if it leads to memory of this kind.
pub fn physical(space: &Space, addr: u64) -> Result<u64> {
    let (frame, _) = machine::lookup(space.root(), addr).ok_or(Error::BadAddress)?;
    if !RUNS.lock().iter().any(|r| r.has(frame)) {
        return Err(Error::BadAddress.into());
    }
    Ok(frame.0.wrapping_mul(SIZE) | (addr % SIZE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use crate::mem::fault::Access;
    use crate::mem::space::Use;
    use abi::limit::TEXT;

    #[test]
    fn a_run_is_in_a_row_has_its_address_and_is_used_again_and_there_are_so_many() {
        let _alone = fake::memory();
        let space = Space::new().unwrap();
        let at = attach(&space, 5).unwrap();
        let first = physical(&space, at).unwrap();
        assert_eq!(physical(&space, at + 4 * SIZE + 7), Ok(first + 4 * SIZE + 7));
        assert!(physical(&space, at + 5 * SIZE).is_err());
        space.attach(TEXT, SIZE, Rights::Write, Use::Data).unwrap();
        space.fault(TEXT, Access::Write).unwrap();
        assert!(physical(&space, TEXT).is_err(), "ordinary memory has no address to tell");
        let other = Space::new().unwrap();
        let second = attach(&other, 8).unwrap();
        assert_ne!(physical(&other, second), Ok(first));
        space.detach(at, SIZE).unwrap();
        let third = attach(&other, 8).unwrap();
        assert_ne!(physical(&other, third), Ok(first), "four pages are still attached");
        drop(space);
        let fourth = attach(&other, 6).unwrap();
        assert_eq!(physical(&other, fourth), Ok(first));
        let space = Space::new().unwrap();
        assert!(attach(&space, (1 << frames::MAX_ORDER) + 1).is_err());
        assert!(attach(&space, u64::MAX).is_err());
        let most = (0..).take_while(|_| attach(&space, 1).is_ok()).count();
        assert!(most > 0 && most <= DMA_RUNS);
        drop(space);
        let space = Space::new().unwrap();
        assert_eq!((0..).take_while(|_| attach(&space, 1).is_ok()).count(), most);
    }
}
