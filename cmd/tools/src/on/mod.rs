//! The table of commands, and what they share: options, messages, status.

mod files;
mod mail;
mod names;
mod procs;
mod svc;
mod text;
mod trace;

use getargs::{Opt, Options};
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::{Error, Result, args, eprintln, name, println};

/// A command: its name, its usage line without the name, what it does in a line, and its function.
struct Command(&'static str, &'static str, &'static str, fn(&mut Given) -> Result<()>);

const COMMANDS: &[Command] = &[
    Command(
        "bind",
        "[-abc] NEW OLD",
        "make NEW appear at OLD (-a after, -b before, -c with creation)",
        names::bind,
    ),
    Command("cat", "[FILE ...]", "write files to the standard output", text::cat),
    Command("cp", "[-r] FROM ... TO", "copy files (-r directories too)", files::cp),
    Command("echo", "[-n] [WORD ...]", "write words (-n without a newline)", text::echo),
    Command("kill", "[-NOTE] PID|NAME ...", "send a note to processes, `kill` without one", procs::kill),
    Command("ls", "[-adlp] [FILE ...]", "list directories (-d as files, -l long, -p names only)", files::ls),
    Command(
        "mkdir",
        "[-p] DIR ...",
        "make directories (-p with those above, existing ones too)",
        files::mkdir,
    ),
    Command("mount", "[-abc] SERVER OLD [TREE]", "put the root of the server's TREE at OLD", names::mount),
    Command("ns", "[PID]", "print the commands that rebuild a namespace", names::ns),
    Command("poweroff", "", "stop the machine", procs::poweroff),
    Command("ps", "[-a]", "list processes and whom they wait for (-a with arguments)", procs::ps),
    Command(
        "recv",
        "[-as] [PID [WORD ...]]",
        "print the next message to PID and answer it (-a go on, -s say from whom)",
        mail::recv,
    ),
    Command(
        "rm",
        "[-fr] FILE ...",
        "remove files (-f silently, -r directories with all they hold)",
        files::rm,
    ),
    Command("send", "[-r] PID [WORD ...]", "send a message to a process (-r print its reply)", mail::send),
    Command("sleep", "SECONDS", "wait; fractions are allowed", procs::sleep),
    Command(
        "svc",
        "[list] | start|stop|restart NAME",
        "show the services that init supervises, or steer one",
        svc::svc,
    ),
    Command(
        "trace",
        "[-c] CMD [ARG ...]",
        "print the 9P messages that CMD causes (-c counts them)",
        trace::trace,
    ),
    Command("unmount", "[NEW] OLD", "undo a bind or mount", names::unmount),
];

/// The arguments, options taken out.
struct Given {
    usage: &'static Command,
    flags: Vec<(u8, &'static [u8])>,
    rest: Vec<&'static [u8]>,
}

impl Given {
    fn has(&self, flag: u8) -> bool {
        self.flags.iter().any(|f| f.0 == flag)
    }

    /// How the command is used, as an error.
    fn wrong(&self) -> Error {
        eprintln!("usage: {} {}", self.usage.0, self.usage.1);
        Error::new("usage")
    }
}

/// The program: finds the command by name and runs it.
pub(crate) fn main() -> Result<()> {
    // `tools ls -l` works too, so that a machine without the names can be used.
    let by_name = COMMANDS.iter().find(|c| c.0 == name());
    let skip = if by_name.is_some() { 1 } else { 2 };
    let second = args().nth(1).and_then(|a| core::str::from_utf8(a).ok());
    let Some(command) = by_name.or_else(|| COMMANDS.iter().find(|c| Some(c.0) == second)) else {
        for c in COMMANDS {
            println!("{:9} {}", c.0, c.2);
        }
        return if second.is_none() { Ok(()) } else { Err(Error::new("no such command")) };
    };
    let mut given = Given { usage: command, flags: Vec::new(), rest: Vec::new() };
    // kill's `-NOTE` is a word and echo prints all options but its own.
    let plain = matches!(command.0, "kill" | "echo");
    if plain {
        given.rest = args().skip(skip).collect();
        return command.3(&mut given);
    }
    let mut options = Options::new(args().skip(skip));
    while let Ok(Some(o)) = options.next_opt() {
        match o {
            Opt::Short(b'h') | Opt::Long(b"help") => {
                println!("usage: {} {}\n{}", command.0, command.1, command.2);
                return Ok(());
            }
            Opt::Short(f) if command.1.starts_with("[-") && allowed(command.1).contains(&f) => {
                given.flags.push((f, b""));
            }
            Opt::Short(f) => {
                eprintln!("{}: unknown option -{}", command.0, char::from(f));
                return Err(given.wrong());
            }
            Opt::Long(l) => {
                eprintln!("{}: unknown option --{}", command.0, Text(l));
                return Err(given.wrong());
            }
        }
    }
    given.rest = options.positionals().collect();
    command.3(&mut given)
}

/// The letters of a usage's first bracket.
fn allowed(usage: &'static str) -> &'static [u8] {
    usage.as_bytes().get(2..).and_then(|u| u.split(|&b| b == b']').next()).unwrap_or(b"")
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

    /// Ends the program: all has been said.
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

fn base(path: &[u8]) -> &[u8] {
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    trimmed.rsplit(|&b| b == b'/').next().unwrap_or(trimmed)
}

fn number<T: core::str::FromStr>(word: &[u8]) -> Result<T> {
    core::str::from_utf8(word)
        .ok()
        .and_then(|w| w.parse().ok())
        .ok_or_else(|| Error::of(Text(word), "not a number"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
