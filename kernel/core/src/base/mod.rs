//! The kernel's few data structures: counted objects, fallible lists and bytes, the spin lock.
//!
//! Everything that needs memory returns an error when there is none; nothing here or above it may call the
//! infallible half of `alloc`.

mod bytes;
mod counted;
mod list;
mod lock;
mod queue;
mod text;
mod words;

pub use bytes::{Bytes, Short};
pub(crate) use bytes::{bytes_of, bytes_of_mut, copy};
pub use counted::Ref;
pub use list::List;
#[cfg(test)]
pub(crate) use lock::watch;
pub use lock::{Held, Spin};
pub use queue::{Link, Linked, Pile, Queue};
pub use text::Text;
pub use text::{decimal, hexadecimal};
pub(crate) use text::{number, parse, split};
pub use words::ErrorText;
