//! The server side of the SDK: implement [`Server`], and the tree runs behind a portal and behind a connection.
//!
//! ```text
//!   Request words ──> portal::Portal ──┐                        ┌──> Server::walk, read, write, …
//!                                      ├──> Engine and Table ───┤
//!   9P2000 bytes ───> wire::Connection ┘   fids, open state,    └──> dir: stat records, whole entries
//!                                          modes, walk's rules
//! ```
//!
//! The [`Engine`] knows the rules of section 5 that hold for every server: what a fid may be used for, what a walk
//! binds, where a directory may be read. The server knows files. Neither knows which front is before it, and neither
//! starts a thread or reads a clock. Several calls run at once; the engine holds no lock while a server works.
//!
//! An error is a value of `abi::error`, or words ([`Fail`]); memory that is out is an error like any other.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod data;
mod dir;
mod engine;
mod fail;
pub mod perm;
pub mod portal;
mod server;
mod table;
pub mod tree;
pub mod wire;

pub use abi::error::Error;
pub use abi::file::Qid;
pub use data::{Held, Room, Sink, Source, Window, ZERO_PAGE};
pub use dir::Listing;
pub use engine::{Engine, Opening};
pub use fail::{Fail, Result};
pub use server::{Ctx, Mode, NoWake, Opened, Queue, Server, Wake};
pub use sync::Page;
pub use table::{At, Table};
