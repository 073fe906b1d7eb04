//! Sessions of both ends, without input, output or clock: frames in, decisions and bytes out.
//!
//! [`Server`] tells which requests may start now and which of its own answers to send; [`Client`] makes requests
//! out of messages and matches answers to them. Both keep the order of requests by one queue for each fid, and agree on
//! the protocol by [`version`]. They need tables whose size depends on the peer, bounded by the owner's limits, so
//! they live behind the crate's feature `alloc`; the codec does not.
//!
//! # Per-fid order
//!
//! A request that names a fid starts only after every earlier request that creates or changes that fid has been
//! answered, and one that changes a fid only after those that use it are done with it. All others run
//! concurrently, and Tflush waits for nothing. So a walk, an open, a read and a clunk may be sent in one
//! write. A client may rely on it where the server says so: by agreeing to the version [`version::ORDERED`].

mod client;
mod map;
mod order;
mod server;
pub mod version;

pub use client::{Client, Event as ClientEvent, Ticket as ClientTicket};
pub use server::{Event, Limits, Server, Ticket};
