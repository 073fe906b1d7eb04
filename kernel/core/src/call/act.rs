//! [`Act`]: what makes a thread an activation, and the record of the call that runs on it.

use super::lend::Lent;
use super::portal::Portal;
use crate::base::{Ref, Spin};
use crate::machine::{Entry, Frame};
use crate::session::{self, Session};
use crate::thread::Thread;
use abi::portal::{PAGE_AT, WINDOW_AT};
use core::sync::atomic::{AtomicBool, AtomicU32};

/// An activation: its fixed places, and the call record.
pub struct Act {
    /// The portal whose pool it belongs to.
    pub portal: Ref<Portal>,
    /// Its number in the pool, and the tag of the call on it.
    pub tag: u16,
    /// Where it begins in the server's memory.
    pub(crate) base: u64,
    pub(crate) entry: Entry,
    /// The message page.
    pub(crate) page: Frame,
    /// The two pages of the window that are always there.
    pub(crate) window: [Frame; 2],
    /// Who waits for the answer. Whoever takes it out has the right, and the duty, to end the call: reply, the death of
    /// the server, or the caller's own leaving. Empty while a handler runs: the caller has left.
    pub(crate) caller: Spin<Option<Ref<Thread>>>,
    /// Pages of the caller in the window.
    pub(crate) lent: Spin<Lent>,
    /// What is to be done when a call whose caller left is answered.
    pub(crate) orphan: Spin<Orphan>,
    /// A Tflush for the call has been sent.
    pub(crate) flushed: AtomicBool,
    /// The caller has left, and the handler is not at its end.
    pub(crate) zombie: AtomicBool,
    /// While a Tflush runs here: the tag it names plus one; else 0.
    pub(crate) flushes: AtomicU32,
}

impl Act {
    /// Address of the message page in the server.
    #[inline]
    pub(crate) fn page_address(&self) -> u64 {
        self.base.wrapping_add(PAGE_AT)
    }

    /// Address of the window in the server.
    #[inline]
    pub(crate) fn window_address(&self) -> u64 {
        self.base.wrapping_add(WINDOW_AT)
    }
}

/// What becomes of the fid that a call without a caller makes or ends. The caller, going, and the server, answering,
/// come in either order; who comes second acts.
pub(crate) enum Orphan {
    /// Neither has come.
    None,
    /// The caller has left, with a fid in quarantine or none.
    Left(Option<Quarantine>),
    /// The server has answered first: did it succeed?
    Answered(bool),
}

/// A fid in quarantine.
pub(crate) struct Quarantine {
    pub(crate) session: Ref<Session>,
    pub(crate) fid: u32,
    /// The call makes the fid; else it ends it.
    pub(crate) makes: bool,
}

impl Quarantine {
    /// The call is over.
    pub(crate) fn end(self, success: bool) {
        if self.makes && success {
            session::clunk_later(&self.session, self.fid);
        } else {
            self.session.give_fid(self.fid);
        }
    }
}
