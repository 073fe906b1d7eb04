//! Portal calls: the way from a program's system call into a server and back.
//!
//! [`Portal`] is a server's entry point with its pool of activations. [`enter`] makes a call and takes its answer, [`read`] the commonest of them,
//! [`check`] believes no answer, [`payload`] moves bytes, [`leave`] ends calls otherwise than by an answer, [`queue`]
//! parks callers that a server made wait, [`reap`] clunks fids that nobody holds any more. doc/portal.md has the
//! states of a call.

mod act;
mod check;
mod enter;
mod leave;
mod lend;
mod payload;
mod pool;
mod portal;
mod queue;
mod read;
pub(crate) mod reap;
#[cfg(test)]
mod tests;

pub use act::Act;
pub use enter::{domain_call, reply};
pub(crate) use leave::{end_handler, front, interrupt, time_came};
pub(crate) use lend::take_payload;
pub use portal::Portal;
pub(crate) use portal::activation_idle;
pub use queue::wake;
pub use read::read;
