//! System calls of servers.

use super::process::copy_in;
use crate::base::Ref;
use crate::call::{self, Portal};
use crate::msg::Result;
use crate::name;
use crate::thread::Thread;
use abi::error::Error;
use abi::limit::USER_END;
use abi::portal::Limits;

/// Makes a portal: a descriptor of its own, which can be posted or mounted.
pub(super) fn portal(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [entry, limits, ..] = *a;
    if entry >= USER_END {
        return Err(Error::BadAddress.into());
    }
    let mut raw = [[0; 4]; 4];
    copy_in(raw.as_flattened_mut(), limits)?;
    let [activations, flags, stack, reserved] = raw.map(u32::from_le_bytes);
    let portal = Portal::new(&me.proc, entry, Limits { activations, flags, stack, reserved })?;
    let chan = name::Chan::handle(portal)?;
    me.proc.ports().add(chan, true)
}

/// Lets parked callers try again.
pub(super) fn wake(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [fd, queue, n, ..] = *a;
    let chan = me.proc.chan(fd);
    if chan.file.session.is_nowhere() {
        return Err(Error::Nowhere.into());
    }
    let portal = chan.file.session.portal().filter(|_| chan.file.session.is_handle()).ok_or(Error::BadArg)?;
    let space = me.proc.space().ok_or(Error::Died)?;
    // Only who shares the server's memory knows its queues.
    if !Ref::same(&portal.space, &space) {
        return Err(Error::Perm.into());
    }
    Ok(call::wake(portal, queue, n))
}
