//! Runs commands: walks the tree, starts programs, waits for them.
//!
//! [`Shell::run`] is the walk. A command that another process must run goes through [`Shell::start`], which starts a
//! program at once where the command is no more than that, and else a copy of the shell.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ast::*;
use crate::builtin;
use crate::habits;
use crate::os::{self, Failure, Program};
use crate::pattern::matches;
use crate::ports::Ports;
use crate::shell::{Run, Shell, Stop, Value, join};
use crate::words::flat;

/// A command that another process runs, or that has failed before it came to that.
pub(crate) enum Job {
    /// The process.
    Running(u32),
    /// Its status already.
    Done(Vec<u8>),
}

/// A status that begins so is that of a program whose next page could not be had, and what is said of it.
const NO_MEMORY: &[u8] = b"sys: trap: out of memory";
const ROOM: &[u8] = b"out of memory (swap FILE makes room)";

impl Shell {
    /// Runs a command. `careful` says that a failure counts under `-e`: it is not a condition.
    pub fn run(&mut self, cmd: &Cmd, careful: bool) -> Run {
        self.check_stack()?;
        match cmd {
            Cmd::Empty => Ok(()),
            Cmd::Seq(list) => list.iter().try_for_each(|cmd| self.run(cmd, careful)),
            Cmd::Simple { args, redirs } => {
                self.notes()?;
                self.scoped(|sh| {
                    sh.redirect(redirs)?;
                    let args = sh.arguments(args)?;
                    sh.call(&args)
                })?;
                self.notes()?;
                self.after(careful)
            }
            Cmd::Match { subject, patterns, redirs } => {
                self.scoped(|sh| {
                    sh.redirect(redirs)?;
                    let subject = flat(&sh.word(subject)?);
                    let patterns = sh.words(patterns)?;
                    let found = patterns.iter().any(|p| matches(&subject, p));
                    sh.set_status(if found { b"" } else { b"no match" });
                    Ok(())
                })?;
                self.notes()?;
                self.after(careful)
            }
            Cmd::Brace { body, redirs } => self.scoped(|sh| {
                sh.redirect(redirs)?;
                sh.run(body, careful)
            }),
            Cmd::Prefix { before, body } => self.prefixed(before, body, careful),
            Cmd::Pipe { first, rest } => {
                self.pipeline(first, rest)?;
                self.after(careful)
            }
            Cmd::Chain { first, rest } => self.chain(first, rest, careful),
            Cmd::Not(cmd) => {
                self.run(cmd, false)?;
                let failed = !self.succeeded();
                self.set_status(if failed { b"" } else { b"false" });
                Ok(())
            }
            Cmd::Subshell(cmd) => {
                let job = self.start(cmd, self.ports.clone(), false)?;
                let status = self.finish_job(&job)?;
                self.set_status(&status);
                self.after(careful)
            }
            Cmd::Async(cmd) => self.background(cmd),
            _ => self.compound(cmd, careful),
        }
    }

    fn compound(&mut self, cmd: &Cmd, careful: bool) -> Run {
        match cmd {
            Cmd::If { cond, body } => {
                self.run(cond, false)?;
                let failed = !self.succeeded();
                if !failed {
                    self.run(body, careful)?;
                }
                self.if_failed = failed;
                Ok(())
            }
            Cmd::IfNot(body) if self.if_failed => self.run(body, careful),
            Cmd::For { name, words, body } => self.for_loop(name, words.as_deref(), body, careful),
            Cmd::While { cond, body } => loop {
                self.notes()?;
                if matches!(&**cond, Cmd::Seq(list) if list.is_empty()) {
                    self.set_status(b"");
                }
                self.run(cond, false)?;
                if !self.succeeded() {
                    return Ok(());
                }
                self.run(body, careful)?;
            },
            Cmd::Switch { subject, body } => self.switch(subject, body, careful),
            Cmd::Fn { names, body } => {
                for name in self.words(names)? {
                    match body {
                        Some(body) => self.functions.insert(name.text.clone(), body.clone()),
                        None => self.functions.remove(&name.text),
                    };
                    self.heed(&name.text);
                    if os::ENV_TREE {
                        self.stale.push([b"fn#".as_slice(), &name.text].concat());
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Runs something whose redirections end with it.
    fn scoped(&mut self, f: impl FnOnce(&mut Self) -> Run) -> Run {
        let saved = self.ports.clone();
        let result = f(self);
        if !core::mem::take(&mut self.keep_ports) {
            self.ports = saved;
        }
        result
    }

    /// What follows a command whose status counts: `-s` prints it, `-e` ends the shell.
    fn after(&mut self, careful: bool) -> Run {
        if self.succeeded() {
            return Ok(());
        }
        if self.flag(b's') {
            self.say(&[b"status=", &self.status]);
        }
        if careful && self.flag(b'e') { Err(Stop::Exit) } else { Ok(()) }
    }

    fn chain(&mut self, first: &Cmd, rest: &[(bool, Cmd)], careful: bool) -> Run {
        let last = rest.len();
        self.run(first, careful && last == 0)?;
        for (n, (and, cmd)) in rest.iter().enumerate() {
            if self.succeeded() == *and {
                self.run(cmd, careful && n + 1 == last)?;
            }
        }
        Ok(())
    }

    fn for_loop(&mut self, name: &Word, words: Option<&[Word]>, body: &Cmd, careful: bool) -> Run {
        let values = match words {
            Some(words) => self.arguments(words)?,
            None => self.var(b"*").to_vec(),
        };
        let name = self.single(name)?;
        let saved = self.var(&name);
        let mut result = Ok(());
        for value in values {
            self.set(&name, Arc::new(Vec::from([value])));
            result = self.notes().and_then(|()| self.run(body, careful));
            if result.is_err() {
                break;
            }
        }
        self.set(&name, saved);
        result
    }

    fn switch(&mut self, subject: &Word, body: &[Cmd], careful: bool) -> Run {
        let subject = flat(&self.word(subject)?);
        let mut matched = false;
        for cmd in body {
            let patterns = match cmd {
                Cmd::Simple { args, .. } => match args.split_first() {
                    Some((Word::Text { text, quoted: false }, patterns)) if text == b"case" => Some(patterns),
                    _ => None,
                },
                _ => None,
            };
            match patterns {
                Some(_) if matched => return Ok(()),
                Some(patterns) => matched = self.words(patterns)?.iter().any(|p| matches(&subject, p)),
                None if matched => self.run(cmd, careful)?,
                None => {}
            }
        }
        Ok(())
    }

    /// Assignments and redirections: for the command, or to stay where there is none.
    fn prefixed(&mut self, before: &[Prefix], body: &Cmd, careful: bool) -> Run {
        let alone = *body == Cmd::Empty;
        let mut saved: Vec<(Vec<u8>, Value)> = Vec::new();
        let result = self.scoped(|sh| {
            for item in before {
                match item {
                    Prefix::Redir(redir) => sh.redirect_one(redir)?,
                    Prefix::Assign(name, value) => {
                        let value = sh.arguments(core::slice::from_ref(value))?;
                        let name = sh.single(name)?;
                        let old = sh.set(&name, Arc::new(value));
                        if !alone {
                            saved.push((name, old));
                        }
                    }
                }
            }
            sh.run(body, careful)
        });
        for (name, old) in saved.into_iter().rev() {
            if name != b"status" {
                self.set(&name, old);
            }
        }
        result
    }

    // Other processes.

    fn pipeline(&mut self, first: &Arc<Cmd>, rest: &[(Join, Arc<Cmd>)]) -> Run {
        let outer = self.ports.clone();
        let mut ports = outer.clone();
        let mut jobs = Vec::new();
        let mut cmd = first;
        let mut result = Ok(());
        for (join, next) in rest {
            let pipe = os::pipe();
            let begun = self.check(&[b"pipe"], pipe).and_then(|(r, w)| {
                ports.set(join.out, Some(Arc::new(w)));
                let job = self.start(cmd, core::mem::take(&mut ports), false)?;
                Ok((r, job))
            });
            match begun {
                Ok((r, job)) => {
                    jobs.push(job);
                    ports = outer.clone();
                    ports.set(join.into, Some(Arc::new(r)));
                    cmd = next;
                }
                Err(stop) => {
                    result = Err(stop);
                    break;
                }
            }
        }
        if result.is_ok() {
            self.ports = ports;
            result = self.run(cmd, false);
            self.ports = outer;
        }
        let mut statuses = Vec::new();
        for job in &jobs {
            statuses.push(self.finish_job(job)?);
        }
        result?;
        statuses.push(core::mem::take(&mut self.status));
        self.status = join(&statuses, b"|");
        Ok(())
    }

    fn background(&mut self, cmd: &Arc<Cmd>) -> Run {
        let mut ports = self.ports.clone();
        if let Ok(null) = os::open(b"/dev/null", Mode::Read) {
            ports.set(0, Some(Arc::new(null)));
        }
        let pids = match self.start(cmd, ports, true)? {
            Job::Running(pid) => Vec::from([alloc::format!("{pid}").into_bytes()]),
            Job::Done(_) => Vec::new(),
        };
        self.set(b"apid", Arc::new(pids));
        Ok(())
    }

    /// Starts a command in another process. `apart`: out of the terminal's reach.
    pub(crate) fn start(&mut self, cmd: &Arc<Cmd>, ports: Ports, apart: bool) -> Run<Job> {
        let mut inner = &**cmd;
        loop {
            match inner {
                Cmd::Seq(list) if list.len() == 1 => match list.first() {
                    Some(only) => inner = only,
                    None => break,
                },
                Cmd::Brace { body, redirs } if redirs.is_empty() => inner = body,
                Cmd::Simple { args, redirs } => {
                    if let Some(job) = self.start_program(args, redirs, &ports, apart)? {
                        return Ok(job);
                    }
                    break;
                }
                _ => break,
            }
        }
        let snapshot = self.snapshot(&ports);
        let cmd = cmd.clone();
        let child = os::fork(
            apart,
            Box::new(move || {
                let mut shell = snapshot.revive();
                // Whatever ended it, the status says how.
                let _ = shell.run(&cmd, true);
                core::mem::take(&mut shell.status)
            }),
        );
        drop(ports);
        let pid = self.check(&[b"can't start a process"], child)?;
        self.children.insert(pid, None);
        Ok(Job::Running(pid))
    }

    /// Starts a simple command without a copy of the shell, unless the shell itself has to run it.
    fn start_program(
        &mut self,
        args: &[Word],
        redirs: &[Redir],
        ports: &Ports,
        apart: bool,
    ) -> Run<Option<Job>> {
        let Some(Word::Text { text, .. }) = args.first() else { return Ok(None) };
        if self.is_internal(text) || self.flag(b'x') {
            return Ok(None);
        }
        let saved_status = self.status.clone();
        let saved_ports = core::mem::replace(&mut self.ports, ports.clone());
        let job = self.redirect(redirs).and_then(|()| self.arguments(args)).map(|args| {
            let job = match args.first() {
                Some(name) if !self.is_internal(name) => self.spawn(&args, apart),
                _ => return None, // A pattern that came to the name of a function.
            };
            Some(match job {
                Some(pid) => Job::Running(pid),
                None => Job::Done(self.status.clone()),
            })
        });
        self.ports = saved_ports;
        let failed = core::mem::replace(&mut self.status, saved_status);
        match job {
            Ok(job) => Ok(job),
            // An error ends the process that would have run the command, and nothing else.
            Err(Stop::Error) => Ok(Some(Job::Done(failed))),
            Err(stop) => Err(stop),
        }
    }

    pub(crate) fn is_internal(&self, name: &[u8]) -> bool {
        self.functions.contains_key(name) || builtin::is(name)
    }

    /// Waits for a job; its status.
    pub(crate) fn finish_job(&mut self, job: &Job) -> Run<Vec<u8>> {
        match job {
            Job::Done(status) => Ok(status.clone()),
            Job::Running(pid) => self.wait_for(*pid),
        }
    }

    /// Waits for a child; its status, or the null string if it is none. A note does not end the waiting: who
    /// interrupts the shell interrupts the program too.
    pub(crate) fn wait_for(&mut self, pid: u32) -> Run<Vec<u8>> {
        loop {
            match self.children.get(&pid) {
                None => return Ok(Vec::new()),
                Some(Some(_)) => return Ok(self.children.remove(&pid).flatten().unwrap_or_default()),
                Some(None) => {}
            }
            self.wait_any()?;
        }
    }

    /// Waits for one child to end and notes its status; false if there is none.
    pub(crate) fn wait_any(&mut self) -> Run<bool> {
        match os::wait() {
            Ok(None) => {
                self.children.clear();
                self.names.clear();
                Ok(false)
            }
            Ok(Some((pid, status))) => {
                // Who writes to a reader that has seen enough ends well enough.
                let told = status.starts_with(b"sys: ") && !status.ends_with(b"write on closed pipe");
                let name = self.names.remove(&pid);
                if told || status == b"killed" {
                    let who = alloc::format!("{}{pid}: ", if name.is_some() { " " } else { "" });
                    // Where a program was when the machine's memory was out tells nothing.
                    let words = if status.starts_with(NO_MEMORY) { ROOM } else { &status };
                    self.say(&[&name.unwrap_or_default(), who.as_bytes(), words]);
                }
                if let Some(slot) = self.children.get_mut(&pid) {
                    *slot = Some(status);
                }
                Ok(true)
            }
            Err(Failure::Interrupted) => Ok(true),
            Err(e) => self.fail(&[b"wait: ", e.words()]),
        }
    }

    // Simple commands.

    /// Runs a function, a builtin or a program.
    pub(crate) fn call(&mut self, args: &[Vec<u8>]) -> Run {
        let Some(name) = args.first() else { return self.fail(&[b"empty argument list"]) };
        if self.flag(b'x') {
            self.trace(args);
        }
        if let Some(body) = self.functions.get(name).cloned() {
            return self.function(&body, args);
        }
        if builtin::is(name) {
            return builtin::run(self, args);
        }
        self.program(args)
    }

    /// Runs a program and waits for it.
    pub(crate) fn program(&mut self, args: &[Vec<u8>]) -> Run {
        if let Some(pid) = self.spawn(args, false) {
            let status = self.wait_for(pid)?;
            self.set_status(&status);
        }
        Ok(())
    }

    fn trace(&self, args: &[Vec<u8>]) {
        let mut line = Vec::new();
        for (n, arg) in args.iter().enumerate() {
            if n > 0 {
                line.push(b' ');
            }
            crate::print::quote(arg, &mut line);
        }
        self.say(&[&line]);
    }

    fn function(&mut self, body: &Cmd, args: &[Vec<u8>]) -> Run {
        let args = args.get(1..).unwrap_or_default().to_vec();
        let saved = self.set(b"*", Arc::new(args));
        let result = self.run(body, true);
        self.set(b"*", saved);
        result
    }

    /// Starts a program; none if that failed, with a message and a status.
    fn spawn(&mut self, args: &[Vec<u8>], apart: bool) -> Option<u32> {
        let result = self.find(args.first().map_or(b"".as_slice(), Vec::as_slice)).and_then(|path| {
            let env = self.strings();
            self.publish();
            let ports = self.ports.numbers();
            os::spawn(&Program { path: &path, args, env: &env, ports: &ports, apart })
        });
        match result {
            Ok(pid) => {
                self.children.insert(pid, None);
                self.names.insert(pid, args.first().cloned().unwrap_or_default());
                Some(pid)
            }
            Err(e) => {
                self.cannot_run(args, &e);
                None
            }
        }
    }

    /// Becomes a program. Comes back if it can't, with a message and a status.
    pub(crate) fn become_program(&mut self, args: &[Vec<u8>]) {
        let error = match self.find(args.first().map_or(b"".as_slice(), Vec::as_slice)) {
            Ok(path) => {
                let env = self.strings();
                self.publish();
                let ports = self.ports.numbers();
                os::exec(&Program { path: &path, args, env: &env, ports: &ports, apart: false })
            }
            Err(e) => e,
        };
        self.cannot_run(args, &error);
    }

    fn cannot_run(&mut self, args: &[Vec<u8>], e: &Failure) {
        let name = args.first().map_or(b"".as_slice(), Vec::as_slice);
        self.say(&[name, b": ", e.words()]);
        if let Some(habit) = habits::command(name) {
            self.say(&[b"rc: ", habit.as_bytes()]);
        }
        self.set_status(e.words());
    }

    /// The file of a command: itself if it begins with a slash, `./`, `../` or `#`, else the first in `$path`.
    pub(crate) fn find(&self, name: &[u8]) -> Result<Vec<u8>, Failure> {
        let absolute = [b"/".as_slice(), b"#", b"./", b"../"].iter().any(|p| name.starts_with(p));
        if absolute {
            return os::executable(name).map(|()| name.to_vec());
        }
        if name.is_empty() {
            return Err(os::not_found());
        }
        let mut worst = os::not_found();
        for dir in self.var(b"path").iter() {
            let path = match dir.as_slice() {
                b"" | b"." => [b"./", name].concat(),
                dir => [dir, b"/", name].concat(),
            };
            match os::executable(&path) {
                Ok(()) => return Ok(path),
                Err(e) if os::exists(&path) => worst = e,
                Err(_) => {}
            }
        }
        Err(worst)
    }
}
