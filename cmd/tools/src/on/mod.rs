//! The commands as they are on Portolan: which is called, and what they share.

mod bytes;
mod clock;
mod copy;
mod du;
mod edit;
mod files;
mod find;
mod given;
mod grep;
mod head;
mod ls;
mod mail;
mod man;
mod more;
mod names;
mod procs;
mod sort;
mod svc;
mod system;
mod table;
mod terminal;
mod test;
mod text;
mod trace;

use given::Given;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::{Error, Result, args, eprintln, name};
use table::COMMANDS;

/// The program: finds the command by name and runs it.
pub(crate) fn main() -> Result<()> {
    let words: Vec<&'static [u8]> = args().collect();
    // `tools ls -l` works too, so that a machine without the names can be used.
    let called = COMMANDS.iter().find(|c| c.name == name());
    let skip = if called.is_some() { 1 } else { 2 };
    let second = words.get(1).and_then(|a| core::str::from_utf8(a).ok());
    let Some(command) = called.or_else(|| COMMANDS.iter().find(|c| Some(c.name) == second)) else {
        man::list()?;
        return if second.is_none() { Ok(()) } else { Err(Error::new("no such command")) };
    };
    let mut given = Given::read(command, &words[skip..])?;
    (command.run)(&mut given)
}

/// Bytes as text, as well as can be.
struct Text<'a>(&'a [u8]);

impl core::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for c in self.0.utf8_chunks() {
            f.write_str(c.valid())?;
            if !c.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

/// Remembers the first of several failures while the others are tried.
#[derive(Default)]
struct Outcome(Option<Error>);

impl Outcome {
    /// Says what failed with which file, and goes on.
    fn note<T>(&mut self, what: &[u8], r: Result<T>) -> Option<T> {
        match r {
            Ok(v) => Some(v),
            Err(e) => {
                eprintln!("{}: {}: {e}", name(), Text(what));
                self.0.get_or_insert(e);
                None
            }
        }
    }

    /// Ends the program if something failed: all has been said.
    fn end(self) -> Result<()> {
        match self.0 {
            None => Ok(()),
            Some(e) => portolan::exit(e.words()),
        }
    }
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() || dir.ends_with(b"/") { [dir, name].concat() } else { [dir, b"/", name].concat() }
}

/// A path without slashes at its end.
fn trimmed(mut path: &[u8]) -> &[u8] {
    while path.len() > 1 && path.ends_with(b"/") {
        path = &path[..path.len() - 1];
    }
    path
}

/// The last element of a path.
fn base(path: &[u8]) -> &[u8] {
    let path = trimmed(path);
    if path == b"/" { path } else { path.rsplit(|&b| b == b'/').next().unwrap_or(path) }
}

/// What a path says before its last element.
fn parent(path: &[u8]) -> &[u8] {
    let path = trimmed(path);
    match path.iter().rposition(|&b| b == b'/') {
        None => b".",
        Some(0) => b"/",
        Some(n) => trimmed(&path[..n]),
    }
}

fn number<T: core::str::FromStr>(word: &[u8]) -> Result<T> {
    core::str::from_utf8(word)
        .ok()
        .and_then(|w| w.parse().ok())
        .ok_or_else(|| Error::of(Text(word), "not a number, or out of range"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
