//! What trees ask of the process on whose behalf they work: the one place that knows where it is kept.

use super::Env;
use crate::base::{Bytes, Ref};
use crate::mem::Space;
use crate::msg::Result;
use crate::name::Ports;
use crate::thread;

/// The port table.
pub(super) fn ports() -> Ref<Ports> {
    thread::current().proc.ports()
}

/// The environment.
pub(super) fn env() -> Ref<Env> {
    thread::current().proc.env()
}

/// The space that the system call works on.
pub(super) fn space() -> Result<Ref<Space>> {
    thread::current().space()
}

/// The process's number.
pub(super) fn pid() -> u32 {
    thread::current().proc.pid
}

/// The user's name.
pub(super) fn user() -> Result<Bytes> {
    thread::current().proc.user(Bytes::new)
}

/// Is this the user's name?
pub(super) fn is_user(name: &[u8]) -> bool {
    thread::current().proc.user(|u| u == name)
}

/// Is the user the machine's owner?
pub(super) fn is_owner() -> bool {
    thread::current().proc.is_owner()
}

/// Makes the process another user's.
pub(super) fn become_user(name: Bytes) -> Result<()> {
    thread::current().proc.set_user(Ref::new(name)?);
    Ok(())
}

/// Sends the process a note of the kernel's.
pub(super) fn note(text: &str) {
    thread::current().proc.note(text.as_bytes());
}
