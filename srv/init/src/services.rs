//! The table of services: what init starts before the first shell, one line each.
//!
//! ```text
//! # name   where it is mounted   command, which returns when the service stands ready in /srv
//! cons     /dev                  /bin/cons
//! tmp      -                     /bin/ramfs -s tmp /tmp
//! ```
//!
//! Words are separated by blanks; `#` begins a comment; `-` says that init mounts nothing.

use alloc::string::String;
use alloc::vec::Vec;

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name, which is also that of its file in /srv.
    pub name: String,
    /// Where init mounts it, if it does.
    pub mount: Option<String>,
    /// The program's path and its arguments.
    pub command: Vec<String>,
}

/// A line that is no service: its number, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLine(pub usize);

/// Reads the table.
pub fn parse(table: &str) -> Result<Vec<Service>, BadLine> {
    let mut all = Vec::new();
    for (i, line) in table.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("");
        let mut words = line.split_whitespace().map(String::from);
        let Some(name) = words.next() else { continue };
        let mount = words.next().ok_or(BadLine(i + 1))?;
        let command: Vec<String> = words.collect();
        if command.is_empty() || name.contains('/') {
            return Err(BadLine(i + 1));
        }
        all.push(Service { name, mount: (mount != "-").then_some(mount), command });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_service_and_comments_are_none() {
        let t = parse("# all\n\ncons /dev /bin/cons # the terminal\ntmp - /bin/ramfs -s tmp /tmp\n").unwrap();
        assert_eq!(t.len(), 2);
        assert_eq!((&t[0].name[..], t[0].mount.as_deref()), ("cons", Some("/dev")));
        assert_eq!(t[1].command, ["/bin/ramfs", "-s", "tmp", "/tmp"]);
        assert_eq!(t[1].mount, None);
    }

    #[test]
    fn a_line_without_a_command_is_named() {
        assert_eq!(parse("a /x /bin/a\nb /dev\n"), Err(BadLine(2)));
        assert_eq!(parse("a\n"), Err(BadLine(1)));
        assert_eq!(parse("a/b - /bin/x\n"), Err(BadLine(1)));
    }
}
