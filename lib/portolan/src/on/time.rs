//! Time: now, since when, and sleep.

use crate::sys;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A moment since the machine started, as `std::time::Instant`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instant(Duration);

impl Instant {
    /// This moment.
    pub fn now() -> Instant {
        Instant(now())
    }

    /// How long ago it was.
    pub fn elapsed(self) -> Duration {
        Instant::now() - self
    }

    /// How long it was after an earlier one; nothing if it was not.
    pub fn duration_since(self, earlier: Instant) -> Duration {
        self - earlier
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// The last moment that can be told, at most.
    fn add(self, later: Duration) -> Instant {
        Instant(self.0.saturating_add(later))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Time since the machine started.
pub fn now() -> Duration {
    Duration::from_nanos(sys::clock(0))
}

/// Time since the beginning of 1970, UTC.
pub fn since_1970() -> Duration {
    Duration::from_nanos(sys::clock(1))
}

/// CPU time that this process has had.
pub fn used() -> Duration {
    Duration::from_nanos(sys::clock(2))
}

/// Sleeps; an error says that a note ended it early.
pub fn sleep(d: Duration) -> super::Result<()> {
    super::error::check(sys::sleep(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX).max(1)))
}
