//! Dialects that other systems' servers speak: for a client that mounts them.
//!
//! Portolan itself speaks 9P2000 only. The tables here are whole (both directions encode and decode, so that they can
//! be tested against themselves); what a client needs is to encode their requests and to decode their answers.
//! A session speaks one of them as `Client::<dialect::l::Dialect>::new(…)`.

pub mod l;
pub mod u;
