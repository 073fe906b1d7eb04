//! xtask: builds, runs, tests and measures Portolan.
//!
//! `main.rs` reads the command line; each command is a module here. The package `scenarios` links this library too, so
//! that a whole-machine test builds and boots exactly what `cargo xtask run` builds and boots. Little but
//! the standard library and our own small crates is used: this is what everybody compiles first.

pub mod check;
pub mod deb;
pub mod image;
pub mod machine;
pub mod run;
pub mod size;
pub mod tell;
pub mod term;

pub use cpio;

use std::path::{Path, PathBuf};

/// The folder of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Where everything built or fetched goes: cargo's own choice if it is set.
#[must_use]
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Cargo, as the one that started us.
#[must_use]
pub fn cargo() -> std::process::Command {
    let mut cargo = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    // What `cargo xtask` sets for its own build must not leak into the builds it starts.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    cargo
}
