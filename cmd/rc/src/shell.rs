//! A shell: its variables, functions, flags and children, and the loops that read commands.
//!
//! [`Shell`] is owned by one process. Another process that continues the work of this one gets a [`Snapshot`].
//! What ends an evaluation early is a [`Stop`], carried as an error up to the loop that reads commands.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ast::Cmd;
use crate::os::{self, Failure, Note};
use crate::parse::{Fail, Source, Text};
use crate::ports::{Numbers, Ports};
use crate::print;
use crate::typed::{Known, Line, Typed};

/// The value of a variable.
pub(crate) type Value = Arc<Vec<Vec<u8>>>;

/// Why an evaluation ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// `exit`, or a failure under `-e`.
    Exit,
    /// An error of the shell itself: everything ends up to an interactive loop.
    Error,
    /// An interrupt that no function handles.
    Interrupt,
}

/// What an evaluation comes to; the status is in the shell.
pub(crate) type Run<T = ()> = Result<T, Stop>;

/// A shell's state.
pub struct Shell {
    pub(crate) vars: BTreeMap<Vec<u8>, Value>,
    pub(crate) functions: BTreeMap<Vec<u8>, Arc<Cmd>>,
    pub(crate) status: Vec<u8>,
    pub(crate) ports: Ports,
    /// Flags of the command line, by letter.
    flags: u128,
    /// Children that are not waited for yet; those that have ended have a status.
    pub(crate) children: BTreeMap<u32, Option<Vec<u8>>>,
    /// What those that are programs are called.
    pub(crate) names: BTreeMap<u32, Vec<u8>>,
    /// Did the last `if` find its condition false?
    pub(crate) if_failed: bool,
    /// Is a loop of an interactive shell below, to which errors lead?
    pub(crate) interactive: bool,
    /// Is this a copy of a shell, which does not run `sigexit`?
    child: bool,
    /// Keep the redirections of the command that runs now: `exec` without a command asked for it.
    pub(crate) keep_ports: bool,
    /// An address on the stack where the evaluation began.
    stack: usize,
    /// Names whose entry in the environment's tree is out of date.
    pub(crate) stale: Vec<Vec<u8>>,
}

/// A shell's state for another process: a copy that owns no descriptors.
pub(crate) struct Snapshot {
    vars: BTreeMap<Vec<u8>, Value>,
    functions: BTreeMap<Vec<u8>, Arc<Cmd>>,
    status: Vec<u8>,
    ports: Numbers,
    flags: u128,
    if_failed: bool,
}

impl Snapshot {
    /// The shell that goes on, in the new process.
    pub(crate) fn revive(self) -> Shell {
        let keep: Vec<i32> = self.ports.iter().filter_map(|(_, fd)| *fd).collect();
        os::keep_only(&keep);
        let mut shell = Shell::new();
        shell.vars = self.vars;
        shell.functions = self.functions;
        shell.status = self.status;
        shell.ports = Ports::adopt(&self.ports);
        shell.flags = self.flags;
        shell.if_failed = self.if_failed;
        shell.child = true;
        for note in Note::ALL {
            os::catch(note, shell.functions.contains_key(note.function()));
        }
        shell
    }
}

impl Default for Shell {
    fn default() -> Self {
        Self::new()
    }
}

impl Shell {
    /// A shell without variables.
    pub fn new() -> Shell {
        Shell {
            vars: BTreeMap::new(),
            functions: BTreeMap::new(),
            status: Vec::new(),
            ports: Ports::default(),
            flags: 0,
            children: BTreeMap::new(),
            names: BTreeMap::new(),
            if_failed: false,
            interactive: false,
            child: false,
            keep_ports: false,
            stack: address(),
            stale: Vec::new(),
        }
    }

    pub(crate) fn snapshot(&self, ports: &Ports) -> Snapshot {
        Snapshot {
            vars: self.vars.clone(),
            functions: self.functions.clone(),
            status: self.status.clone(),
            ports: ports.numbers(),
            flags: self.flags,
            if_failed: self.if_failed,
        }
    }

    // Flags and status.

    /// Is the flag of this letter set?
    pub fn flag(&self, letter: u8) -> bool {
        self.flags & bit(letter) != 0
    }

    /// Sets or clears a flag.
    pub fn set_flag(&mut self, letter: u8, on: bool) {
        if on { self.flags |= bit(letter) } else { self.flags &= !bit(letter) }
    }

    /// The status of the last command.
    pub fn status(&self) -> &[u8] {
        &self.status
    }

    /// Is it the status of success: nothing, or zeros and bars?
    pub(crate) fn succeeded(&self) -> bool {
        self.status.iter().all(|&c| c == b'0' || c == b'|')
    }

    pub(crate) fn set_status(&mut self, status: &[u8]) {
        self.status.clear();
        self.status.extend_from_slice(status);
    }

    // Variables.

    /// A variable's values; empty if it has none.
    pub(crate) fn var(&self, name: &[u8]) -> Value {
        if name == b"status" {
            return Arc::new(Vec::from([self.status.clone()]));
        }
        self.vars.get(name).cloned().unwrap_or_default()
    }

    /// Gives a variable its values, and returns the old ones.
    pub(crate) fn set(&mut self, name: &[u8], value: Value) -> Value {
        if name == b"status" {
            let old = self.var(name);
            self.status = join(&value, b" ");
            return old;
        }
        if os::ENV_TREE {
            self.stale.push(name.to_vec());
        }
        let old =
            if value.is_empty() { self.vars.remove(name) } else { self.vars.insert(name.to_vec(), value) };
        old.unwrap_or_default()
    }

    /// Gives a variable its values from outside.
    pub fn assign(&mut self, name: &[u8], values: Vec<Vec<u8>>) {
        self.set(name, Arc::new(values));
    }

    // Messages and errors.

    /// Writes to the diagnostic output.
    pub(crate) fn say(&self, parts: &[&[u8]]) {
        let mut line = parts.concat();
        line.push(b'\n');
        // Nobody is left to tell that the diagnostic output fails.
        let _ = os::write(self.ports.resolve(2), &line);
    }

    /// An error of the shell itself.
    pub(crate) fn fail<T>(&mut self, parts: &[&[u8]]) -> Run<T> {
        self.say(&[&[b"rc: ".as_slice()], parts].concat());
        self.set_status(b"error");
        Err(Stop::Error)
    }

    /// Takes the system's word for it.
    pub(crate) fn check<T>(&mut self, what: &[&[u8]], result: Result<T, Failure>) -> Run<T> {
        match result {
            Ok(t) => Ok(t),
            Err(e) => self.fail(&[what, &[b": ", e.words()]].concat()),
        }
    }

    /// Fails when the evaluation has used up its stack.
    pub(crate) fn check_stack(&mut self) -> Run {
        if self.stack.abs_diff(address()) > os::STACK {
            return self.fail(&[b"nested too deeply"]);
        }
        Ok(())
    }

    /// Handles the notes that have come.
    pub(crate) fn notes(&mut self) -> Run {
        while let Some(note) = os::take_note() {
            if let Some(body) = self.functions.get(note.function()).cloned() {
                let status = self.status.clone();
                self.run(&body, true)?;
                self.status = status;
            } else if note == Note::Interrupt && self.interactive {
                return Err(Stop::Interrupt);
            }
        }
        Ok(())
    }

    /// A function was defined or forgotten: does a note change hands?
    pub(crate) fn heed(&self, name: &[u8]) {
        if let Some(&note) = Note::ALL.iter().find(|n| n.function() == name) {
            let wanted = self.functions.contains_key(name) || (note == Note::Interrupt && self.interactive);
            os::catch(note, wanted);
        }
    }

    // Loops.

    /// Runs a text; `name` says in errors where it is from.
    pub fn run_text(&mut self, name: &[u8], text: Vec<u8>) -> Result<(), Stop> {
        let mut source = Some(text);
        let mut t = Text::default();
        loop {
            match t.next(&mut source) {
                Ok(Some(cmd)) => self.run(&cmd, true)?,
                Ok(None) => return Ok(()),
                Err(fail) => return self.syntax(name, &fail),
            }
        }
    }

    /// Runs the commands that are read from an open file.
    pub(crate) fn run_file(&mut self, name: &[u8], fd: i32, prompting: bool) -> Run {
        let typed = (prompting && os::is_terminal(fd) && os::is_terminal(self.ports.resolve(2)))
            .then(|| alloc::boxed::Box::new(Typed::default()));
        let mut input = Input { fd, rest: Vec::new(), typed };
        let mut text = Text::default();
        loop {
            let prompt = prompting.then(|| self.var(b"prompt"));
            let known = input.typed.as_deref().map(|t| self.known(t.columns()));
            let mut feed =
                Feed { input: &mut input, prompt, err: self.ports.resolve(2), echo: self.flag(b'v'), known };
            let result = match text.next(&mut feed) {
                Ok(Some(cmd)) => {
                    if let Some(t) = input.typed.as_deref() {
                        self.set_columns(t.columns());
                    }
                    self.run(&cmd, true)
                }
                Ok(None) => {
                    // Who leaves a terminal is not asked how the last command went.
                    if input.typed.is_some() {
                        self.status.clear();
                    }
                    return Ok(());
                }
                Err(Fail::Source(words)) if prompting && words == Failure::Interrupted.words() => {
                    self.notes().and(Err(Stop::Interrupt))
                }
                Err(fail) => self.syntax(name, &fail),
            };
            match result {
                Err(Stop::Error) if prompting => {}
                Err(Stop::Interrupt) if prompting => {
                    input.rest.clear();
                    text = Text::default();
                    let _ = os::write(self.ports.resolve(2), b"\n");
                }
                other => other?,
            }
        }
    }

    /// What Tab may complete. Without a terminal there is no Tab.
    fn known(&mut self, columns: usize) -> Known {
        self.set_columns(columns);
        Known {
            path: self.var(b"path"),
            functions: self.functions.keys().cloned().collect(),
            variables: self.vars.keys().cloned().collect(),
        }
    }

    /// Tells programs how wide the terminal is.
    fn set_columns(&mut self, columns: usize) {
        let columns = alloc::format!("{columns}").into_bytes();
        if self.var(b"COLUMNS").first() != Some(&columns) {
            self.assign(b"COLUMNS", Vec::from([columns]));
        }
    }

    fn syntax<T>(&mut self, name: &[u8], fail: &Fail) -> Run<T> {
        match fail {
            Fail::Source(words) => self.fail(&[name, b": ", words]),
            Fail::Syntax { line, near, why } => {
                let line = alloc::format!("{line}");
                let mut token = Vec::new();
                print::quote(near, &mut token);
                self.fail(&[name, b":", line.as_bytes(), b": near ", &token, b": ", why.as_bytes()])
            }
        }
    }

    /// The end of the shell: what its `sigexit` does, then its status.
    pub fn finish(&mut self) -> Vec<u8> {
        if !self.child {
            self.child = true;
            if let Some(body) = self.functions.get(b"sigexit".as_slice()).cloned() {
                let status = self.status.clone();
                if self.run(&body, false) != Err(Stop::Exit) {
                    self.status = status;
                }
            }
        }
        core::mem::take(&mut self.status)
    }
}

/// Strings joined by a separator.
pub(crate) fn join(list: &[Vec<u8>], separator: &[u8]) -> Vec<u8> {
    list.join(separator)
}

fn bit(letter: u8) -> u128 {
    1u128.checked_shl(u32::from(letter)).unwrap_or(0)
}

/// Roughly where the stack ends now.
#[inline(never)]
fn address() -> usize {
    let here = 0u8;
    core::ptr::from_ref(&here).addr()
}

/// A file that commands are read from, and what was read of it but not yet asked for.
struct Input {
    fd: i32,
    rest: Vec<u8>,
    /// The editor, where a person types.
    typed: Option<alloc::boxed::Box<Typed>>,
}

/// An [`Input`] with a prompt to write before each line.
struct Feed<'a> {
    input: &'a mut Input,
    prompt: Option<Value>,
    err: i32,
    echo: bool,
    known: Option<Known>,
}

impl Source for Feed<'_> {
    fn line(&mut self, more: bool) -> Result<Option<Vec<u8>>, Vec<u8>> {
        let Input { fd, rest, typed } = &mut *self.input;
        if let (Some(typed), Some(known)) = (typed, &self.known) {
            let prompt = self.prompt.as_ref().and_then(|p| p.get(usize::from(more)));
            return match typed.line(*fd, self.err, rest, prompt.map_or(b"", Vec::as_slice), known)? {
                Line::Text(line) => Ok(Some(line)),
                Line::End => Ok(None),
                Line::Interrupt => Err(Failure::Interrupted.words().to_vec()),
            };
        }
        if let Some(prompt) = self.prompt.as_ref().and_then(|p| p.get(usize::from(more))) {
            let _ = os::write(self.err, prompt);
        }
        let mut buf = [0; 4096];
        let line = loop {
            if let Some(end) = self.input.rest.iter().position(|&c| c == b'\n') {
                break self.input.rest.drain(..=end).collect();
            }
            let n = os::read(self.input.fd, &mut buf).map_err(|e| e.words().to_vec())?;
            if n == 0 {
                if self.input.rest.is_empty() {
                    return Ok(None);
                }
                break core::mem::take(&mut self.input.rest);
            }
            self.input.rest.try_reserve(n).map_err(|_| b"out of memory".to_vec())?;
            self.input.rest.extend_from_slice(buf.get(..n).unwrap_or_default());
        };
        if self.echo {
            let _ = os::write(self.err, &line);
        }
        Ok(Some(line))
    }
}
