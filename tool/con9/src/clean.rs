//! Removes what a case left behind, over a connection of its own; a server that can't is none the worse for it.

use std::time::Duration;

use crate::link::{Link, Received, Target};
use crate::wire::{self, Message, Value};
use crate::word::{self, Vars};

/// Directories nested deeper than this are left.
const DEPTH: usize = 40;

/// Removes a directory of the root with all that is in it.
pub fn remove(target: &dyn Target, name: &str, wait: Duration) {
    let Ok(link) = target.dial() else { return };
    let mut client = Client::new(link, wait);
    let _ = client.remove(name);
}

/// A client that asks one thing at a time.
pub struct Client {
    link: Box<dyn Link>,
    wait: Duration,
}

impl Client {
    /// On a new connection.
    pub fn new(link: Box<dyn Link>, wait: Duration) -> Client {
        Client { link, wait }
    }

    /// One transaction; `None` when the server refuses, or says nothing sensible.
    pub fn ask(&mut self, line: &str) -> Option<Message> {
        let words = word::split(line).ok()?;
        let (name, fields) = words.split_first()?;
        let tag = if name.text == "Tversion" { 0xffff } else { 1 };
        let bytes = wire::encode(wire::by_name(&name.text)?, tag, fields, &Vars::new()).ok()?;
        self.link.send(&bytes).ok()?;
        match self.link.receive(self.wait).ok()? {
            Received::Message(bytes) => wire::decode(&bytes).ok().filter(|m| m.format.name != "Rerror"),
            _ => None,
        }
    }

    fn remove(&mut self, name: &str) -> Option<()> {
        self.ask("Tversion 8192 9P2000")?;
        self.ask("Tattach 0 NOFID glenda ''")?;
        self.tree(0, &word::quote(name))
    }

    /// Removes a tree below a directory's fid; its own fid is one higher.
    fn tree(&mut self, parent: usize, name: &str) -> Option<()> {
        let (fid, list) = (parent + 1, parent + 1000);
        if parent > DEPTH {
            return None;
        }
        self.ask(&format!("Twalk {parent} {fid} {name}"))?;
        // A directory that a case closed to its owner opens again; on a file this does no harm.
        self.ask(&format!("Twstat {fid} mode=d0777"));
        if self.ask(&format!("Twalk {fid} {list}")).is_some() {
            if let Some(opened) = self.ask(&format!("Topen {list} OREAD"))
                && let Some(Value::Qid(qid)) = opened.values.first()
                && qid.kind & 0x80 != 0
            {
                for name in self.names(list) {
                    self.tree(fid, &word::quote(&name));
                }
            }
            self.ask(&format!("Tclunk {list}"));
        }
        self.ask(&format!("Tremove {fid}")).map(|_| ())
    }

    fn names(&mut self, list: usize) -> Vec<String> {
        let mut names = Vec::new();
        let mut offset = 0;
        while let Some(message) = self.ask(&format!("Tread {list} {offset} 8000")) {
            let Some(Value::Data(data)) = message.values.first() else { break };
            let Ok(entries) = wire::entries(data) else { break };
            if data.is_empty() {
                break;
            }
            offset += data.len();
            for entry in entries {
                let Value::Stat(fields) = entry else { continue };
                if let Some((_, Value::Text(name))) = fields.into_iter().find(|(key, _)| *key == "name") {
                    names.push(name);
                }
            }
        }
        names
    }
}
