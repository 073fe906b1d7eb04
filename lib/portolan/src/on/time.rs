//! Time: now, since when, and sleep.

use crate::sys;
use core::time::Duration;

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
