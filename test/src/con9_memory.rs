//! A ramfs in this process as a target of con9: its engine behind the wire's front, called when bytes are sent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use con9::link::{Link, Received, Target, take_message};
use ramfs::{Group, Options, Ramfs};
use serve::wire::Connection;
use serve::{Engine, NoWake};

use crate::ctx::Failure;

/// The server's options, as [`crate::con9_cases::Ramfs`] gives them on the command line.
pub(crate) fn options() -> Options {
    Options {
        size: 1 << 30,
        quota: u64::MAX,
        owner: "glenda".into(),
        root_mode: 0o777,
        groups: Group::parse(crate::con9_cases::GROUP).into_iter().collect(),
        open: true,
        posix: false,
        now: || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(0, |d| d.as_secs() as u32)
        },
        key: (1, 2),
    }
}

/// The engine, shared by its connections.
pub(crate) struct Memory {
    engine: Rc<Engine<Ramfs>>,
    number: RefCell<u64>,
}

impl Memory {
    /// An empty tree.
    pub(crate) fn new() -> Result<Memory, Failure> {
        let server = Ramfs::new(&options()).map_err(|e| e.text().to_string())?;
        Ok(Memory { engine: Rc::new(Engine::new(server)), number: RefCell::new(0) })
    }
}

impl Target for Memory {
    fn dial(&self) -> io::Result<Box<dyn Link>> {
        let number = self.number.replace_with(|n| *n + 1) + 1;
        let connection = Connection::new(number).map_err(|e| io::Error::other(e.text().to_string()))?;
        Ok(Box::new(Local {
            engine: self.engine.clone(),
            connection,
            answers: VecDeque::new(),
            come: Vec::new(),
            closed: false,
        }))
    }
}

/// A connection without a wire.
struct Local {
    engine: Rc<Engine<Ramfs>>,
    connection: Connection<Ramfs>,
    answers: VecDeque<Vec<u8>>,
    come: Vec<u8>,
    closed: bool,
}

impl Link for Local {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.connection.receive(bytes).map_err(|e| io::Error::other(e.text().to_string()))?;
        loop {
            let more = self.connection.run(&self.engine, &NoWake);
            self.come.append(self.connection.output());
            match more {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => {
                    self.closed = true;
                    break;
                }
            }
        }
        while let Some(message) = take_message(&mut self.come)? {
            self.answers.push_back(message);
        }
        Ok(())
    }

    fn receive(&mut self, _: Duration) -> io::Result<Received> {
        Ok(match self.answers.pop_front() {
            Some(message) => Received::Message(message),
            None if self.closed => Received::Closed,
            // All that will ever come has come.
            None => {
                std::thread::sleep(Duration::from_millis(1));
                Received::Nothing
            }
        })
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.connection.end(&self.engine, &NoWake);
    }
}
