//! Names: from a path to a file of a server, and everything that system calls do with files.
//!
//! [`Path`] is the text, [`File`] a walked-to file (a fid of a session), [`Ns`] the mount table of a process group,
//! [`walk`] leads from the one to the other, [`Chan`] is an open file and [`Ports`] the table of descriptors.
//! A [`Scope`] is all that a process can name.

mod chan;
mod dir;
mod file;
mod give;
#[cfg(test)]
mod model;
mod ns;
pub mod ops;
mod path;
mod port;
mod walk;

pub use chan::Chan;
pub use file::{File, WAS_OPEN, body_string};
pub use ns::{Head, Mount, Ns, ns_option};
pub use path::Path;
pub use port::Ports;
pub use walk::{Place, Want, walk};

use crate::base::Ref;

/// What a process can name: its namespace, its working directory, and who it is to servers.
#[derive(Clone)]
pub struct Scope {
    /// The mount table, shared with the process group.
    pub ns: Ref<Ns>,
    /// The working directory.
    pub dot: Ref<Place>,
    /// Trees of the kernel that it may name by `#`: a bit each, see [`crate::tree`].
    pub trees: u32,
}
