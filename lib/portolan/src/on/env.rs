//! The environment: one file a variable, in /env (env(3)).

use super::{File, Result};
use crate::alloc::vec::Vec;
use abi::file::{OREAD, OTRUNC, OWRITE};

fn path(name: &[u8]) -> Vec<u8> {
    [b"/env/", name].concat()
}

/// A variable's value; the elements of a list end with a NUL each.
pub fn get(name: impl AsRef<[u8]>) -> Result<Vec<u8>> {
    File::open(path(name.as_ref()), OREAD)?.read_all()
}

/// Sets a variable.
pub fn set(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
    File::create(path(name.as_ref()), u32::from(OWRITE | OTRUNC), 0o666)?.write_all(value.as_ref())
}

/// Removes a variable.
pub fn unset(name: impl AsRef<[u8]>) -> Result<()> {
    super::fs::remove(path(name.as_ref()))
}
