//! What a command's descriptors are, as far as redirections have changed them.
//!
//! A redirection does not touch the shell's own descriptors. It adds an entry to [`Ports`]: this number now leads to
//! that open file. Programs are started with the entries put in place; builtins look theirs up. So nothing has to be
//! undone, and a failure leaves nothing behind. The files themselves are held at high numbers that no script uses,
//! and close on exec.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::os::{self, Failure, Fd};

/// The changed descriptors: where each leads, none where it is closed. Those not listed are the shell's own.
#[derive(Clone, Default)]
pub(crate) struct Ports(Vec<(u32, Option<Arc<Fd>>)>);

/// The same by number, to hand to a process that has copies of the files.
pub(crate) type Numbers = Vec<(u32, Option<i32>)>;

impl Ports {
    /// Makes `port` lead to `to`.
    pub(crate) fn set(&mut self, port: u32, to: Option<Arc<Fd>>) {
        self.0.retain(|(n, _)| *n != port);
        self.0.push((port, to));
    }

    /// The descriptor that the shell knows `port` by. What is closed leads to a number that is never assigned, so
    /// that the system's own words answer its use.
    pub(crate) fn resolve(&self, port: u32) -> i32 {
        match self.0.iter().find(|(n, _)| *n == port) {
            Some((_, Some(fd))) => fd.number(),
            Some((_, None)) => os::NOWHERE,
            None if port < os::RESERVED => i32::try_from(port).unwrap_or(os::NOWHERE),
            None => os::NOWHERE,
        }
    }

    /// Makes `new` a copy of `old`.
    pub(crate) fn copy(&mut self, new: u32, old: u32) -> Result<(), Failure> {
        let fd = os::duplicate(self.resolve(old))?;
        self.set(new, Some(Arc::new(fd)));
        Ok(())
    }

    /// A number that leads nowhere, for a file that is passed by name.
    pub(crate) fn free(&self) -> Option<u32> {
        (3..os::RESERVED)
            .rev()
            .find(|&n| !self.0.iter().any(|(m, _)| *m == n) && !i32::try_from(n).is_ok_and(os::is_open))
    }

    /// The entries by number.
    pub(crate) fn numbers(&self) -> Numbers {
        self.0.iter().map(|(n, fd)| (*n, fd.as_ref().map(|fd| fd.number()))).collect()
    }

    /// The entries of another process's list, in the process that has the copies.
    pub(crate) fn adopt(numbers: &Numbers) -> Ports {
        Ports(numbers.iter().map(|(n, fd)| (*n, fd.map(|fd| Arc::new(Fd::adopt(fd))))).collect())
    }
}
