//! Running programs and telling what went wrong: the few lines of process handling that every command needs.

use std::process::{Command, Output};

/// What a command of xtask ends with: nothing, or words for the user.
pub type Done<T = ()> = Result<T, String>;

/// The command as a user would type it.
#[must_use]
pub fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Runs it with our own stdout and stderr; anything but success is an error.
pub fn run(command: &mut Command) -> Done {
    let status = command.status().map_err(|e| format!("{}: {e}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", shown(command))) }
}

/// Runs it and returns what it wrote to stdout; a failure carries the tail of what it said.
pub fn output(command: &mut Command) -> Done<String> {
    let Output { status, stdout, stderr } =
        command.output().map_err(|e| format!("{}: {e}", shown(command)))?;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if status.success() {
        return Ok(stdout);
    }
    let said = format!("{stdout}{}", String::from_utf8_lossy(&stderr));
    Err(format!("{}: {status}\n{}", shown(command), tail(&said, 30)))
}

/// The last `lines` lines of a text.
#[must_use]
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_keeps_the_end() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
        assert_eq!(tail("", 2), "");
    }

    #[test]
    fn failures_carry_the_words() {
        let failed = output(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        assert!(failed.contains("why") && failed.contains('3'), "{failed}");
        assert!(run(&mut Command::new("/no/such/program")).unwrap_err().contains("/no/such/program"));
    }
}
