//! The user's terminal in raw mode, given back whatever happens.
//!
//! `stty` does the work, so nothing here is unsafe. A small shell waits for the end of a pipe that this process holds:
//! when the process ends, be it by a panic or by SIGKILL, the pipe closes and the shell restores the terminal.

use crate::tell::{Done, output};
use std::io::{IsTerminal, Write};
use std::process::{Child, Command, Stdio};

/// The terminal in raw mode until this is dropped.
pub struct Raw {
    keeper: Child,
}

impl Raw {
    /// Switches the terminal on stdin to raw mode; `None` if stdin is no terminal.
    pub fn enter() -> Done<Option<Raw>> {
        if !std::io::stdin().is_terminal() {
            return Ok(None);
        }
        let saved = output(Command::new("stty").arg("-g").stdin(Stdio::inherit()))?;
        let script = format!("trap '' INT TERM HUP QUIT; cat >/dev/null; stty {} </dev/tty", saved.trim());
        let keeper = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| format!("sh: {e}"))?;
        output(Command::new("stty").args(["raw", "-echo"]).stdin(Stdio::inherit()))?;
        Ok(Some(Raw { keeper }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = std::io::stdout().flush();
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// What typed bytes turn into: bytes for the machine, or the wish to leave.
#[derive(Default)]
pub struct Keys {
    escaped: bool,
}

/// Ctrl-], which leads the escape.
const ESCAPE: u8 = 0x1d;

impl Keys {
    /// Passes typed bytes on; true if the user wants to leave (Ctrl-] q). Ctrl-] twice is one Ctrl-].
    pub fn typed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        for &byte in bytes {
            match (std::mem::take(&mut self.escaped), byte) {
                (false, ESCAPE) => self.escaped = true,
                (true, b'q') => return true,
                (true, ESCAPE) | (false, _) => out.push(byte),
                (true, _) => out.extend([ESCAPE, byte]),
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_may_be_split_and_may_be_doubled() {
        let (mut keys, mut out) = (Keys::default(), Vec::new());
        assert!(!keys.typed(b"ls\x1d", &mut out) && !keys.typed(b"\x1dq\x1dx", &mut out));
        assert_eq!(out, b"ls\x1dq\x1dx");
        assert!(!keys.typed(b"\x1d", &mut out) && keys.typed(b"q", &mut out));
    }
}
