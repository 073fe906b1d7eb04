//! Runs a case: sends, waits, compares, and cleans up after itself.
//!
//! Each case has connections of its own and a directory of its own, so cases neither need a fresh server nor see each
//! other. Every reply is checked for what all replies must be (it decodes, it is not longer than msize, somebody waits for
//! its tag); a case asks for the rest. What matched is recorded, times masked, so that two transports can be compared.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::link::{Link, Received, Target};
use crate::pattern;
use crate::script::{Answer, Case, Damage, Expect, Send, Step, What};
use crate::wire::{self, Message, Value};
use crate::word::{self, Vars};

/// msize that `begin` and `join` propose.
pub const MSIZE: u32 = 8192;
const NOTAG: u16 = 0xffff;

/// A fault of the server, or a mistake in the transcript.
#[derive(Debug)]
pub struct Fault {
    /// The line.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// The authority that is violated; empty for what no single line asked for.
    pub cite: String,
}

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Print messages as they pass.
    pub trace: bool,
    /// Variables that every case begins with.
    pub vars: Vars,
}

/// A connection within a case.
struct Conn {
    link: Box<dyn Link>,
    next_tag: u16,
    msize: Option<u32>,
    /// Requests that the transcript has not yet asked about, oldest first, with the line of each.
    pending: VecDeque<(u16, usize)>,
    /// Tags that may be answered.
    outstanding: Vec<u16>,
    /// Replies that the transcript has not yet asked about.
    come: Vec<Message>,
    /// Tags in the order of their replies.
    order: Vec<u16>,
    held: Option<Vec<u8>>,
    kept: Vec<u8>,
    last: Option<Send>,
    closed: bool,
}

/// A case that runs.
struct Run<'a> {
    target: &'a dyn Target,
    options: &'a Options,
    directory: String,
    conns: BTreeMap<String, Conn>,
    now: String,
    vars: Vars,
    record: Vec<String>,
    made: bool,
}

/// Runs one case in a directory of this name; the record of what was answered, or the fault.
pub fn run(
    case: &Case,
    directory: &str,
    target: &dyn Target,
    options: &Options,
) -> Result<Vec<String>, Fault> {
    let mut vars = options.vars.clone();
    vars.insert("dir".into(), directory.into());
    let mut run = Run {
        target,
        options,
        directory: directory.into(),
        conns: BTreeMap::new(),
        now: "a".into(),
        vars,
        record: Vec::new(),
        made: false,
    };
    let result = run.steps(&case.steps).and_then(|()| run.leftovers());
    run.conns.clear();
    if run.made {
        crate::clean::remove(target, directory, options.timeout);
    }
    result.map(|()| run.record)
}

impl Run<'_> {
    fn steps(&mut self, steps: &[Step]) -> Result<(), Fault> {
        for step in steps {
            if let What::Repeat(name, from, to, body) = &step.what {
                for n in *from..*to {
                    self.vars.insert(name.clone(), n.to_string());
                    self.steps(body)?;
                }
                continue;
            }
            let cite = match &step.what {
                What::Expect(e) => e.cite.clone(),
                What::None(.., cite) | What::Order(.., cite) => cite.clone(),
                _ => String::new(),
            };
            self.step(step).map_err(|what| Fault { line: step.line, what, cite })?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match &step.what {
            What::Begin(user) => self.begin(user, step.line),
            What::Join(name, user) => {
                self.dial(name)?;
                self.greet(user, step.line)?;
                let directory = word::quote(&self.directory);
                self.setup(&format!("Twalk 0 0 {directory}"), step.line)
            }
            What::Dial(name) => self.dial(name),
            What::On(name) => {
                self.now = name.clone();
                self.conn().map(|_| ())
            }
            What::Send(send) => self.send(send, step.line),
            What::Raw(bytes) => self.raw(bytes, step.line),
            What::Rest => {
                let conn = self.conn()?;
                let kept = std::mem::take(&mut conn.kept);
                conn.write(&kept)
            }
            What::Expect(expect) if expect.eventually => self.eventually(expect, step.line),
            What::Expect(expect) => self.expect(expect),
            What::None(tag, ms, _) => self.none(*tag, Duration::from_millis(*ms)),
            What::Order(first, second, _) => self.order(*first, *second),
            What::Ignore(tag) => {
                let conn = self.conn()?;
                conn.pending.retain(|(t, _)| t != tag);
                conn.outstanding.retain(|t| t != tag);
                conn.come.retain(|m| m.tag != *tag);
                Ok(())
            }
            What::Hold => {
                self.conn()?.held = Some(Vec::new());
                Ok(())
            }
            What::Release => {
                let conn = self.conn()?;
                let held = conn.held.take().ok_or("nothing is held")?;
                conn.write(&held)
            }
            What::Drop => {
                let name = self.now.clone();
                self.conns.remove(&name).map(|_| ()).ok_or_else(|| format!("no connection {name}"))
            }
            What::Wait(ms) => {
                std::thread::sleep(Duration::from_millis(*ms));
                Ok(())
            }
            What::Forget(name) => {
                self.vars.remove(name);
                Ok(())
            }
            What::Let(name, value) => {
                let value = word::number(&word::expand(value, &self.vars)?)?;
                self.vars.insert(name.clone(), value.to_string());
                Ok(())
            }
            What::Repeat(..) => Ok(()),
        }
    }

    fn conn(&mut self) -> Result<&mut Conn, String> {
        self.conns.get_mut(&self.now).ok_or_else(|| format!("no connection {}", self.now))
    }

    fn dial(&mut self, name: &str) -> Result<(), String> {
        let link = self.target.dial().map_err(|e| format!("cannot connect: {e}"))?;
        self.now = name.into();
        self.conns.insert(name.into(), Conn::new(link));
        Ok(())
    }

    /// Version and attach.
    fn greet(&mut self, user: &str, line: usize) -> Result<(), String> {
        self.setup(&format!("Tversion {MSIZE} 9P2000"), line)?;
        self.setup(&format!("Tattach 0 NOFID {} ''", word::quote(user)), line)
    }

    fn begin(&mut self, user: &str, line: usize) -> Result<(), String> {
        self.dial("a")?;
        self.greet(user, line)?;
        let directory = word::quote(&self.directory);
        self.made = true;
        self.setup("Twalk 0 1", line)?;
        self.setup(&format!("Tcreate 1 {directory} d0777 OREAD"), line)?;
        self.setup("Tclunk 1", line)?;
        self.setup(&format!("Twalk 0 0 {directory}"), line)
    }

    /// A step that the transcript implies, and its success.
    fn setup(&mut self, text: &str, line: usize) -> Result<(), String> {
        let words = word::split(text)?;
        let [name, fields @ ..] = &words[..] else { return Ok(()) };
        let send = Send { damage: Vec::new(), name: name.text.clone(), tag: None, fields: fields.to_vec() };
        let answer = Answer::Reply(name.text.replacen('T', "R", 1), None);
        self.send(&send, line)?;
        self.expect(&Expect { tag: None, alternatives: vec![answer], cite: String::new(), eventually: false })
            .map_err(|e| format!("{text}: {e}"))
    }

    fn send(&mut self, send: &Send, line: usize) -> Result<(), String> {
        let format = wire::by_name(&send.name).ok_or("no such message")?;
        let vars = self.vars.clone();
        let trace = self.options.trace;
        let conn = self.conn()?;
        let tag = send.tag.unwrap_or_else(|| conn.free_tag(&send.name));
        let mut bytes = wire::encode(format, tag, &send.fields, &vars)?;
        let (mut later, mut trickle) = (Vec::new(), false);
        for damage in &send.damage {
            damage.apply(&mut bytes, &mut later, &mut trickle)?;
        }
        if trace {
            eprintln!("-> {}@{tag} {} bytes", send.name, bytes.len());
        }
        conn.pending.push_back((tag, line));
        conn.outstanding.push(tag);
        conn.last = Some(send.clone());
        conn.kept = later;
        if trickle { bytes.iter().try_for_each(|b| conn.write(&[*b])) } else { conn.write(&bytes) }
    }

    fn raw(&mut self, bytes: &[u8], line: usize) -> Result<(), String> {
        let conn = self.conn()?;
        if let Some(&[low, high]) = bytes.get(5..7) {
            let tag = u16::from_le_bytes([low, high]);
            conn.pending.push_back((tag, line));
            conn.outstanding.push(tag);
        }
        conn.write(bytes)
    }

    fn expect(&mut self, expect: &Expect) -> Result<(), String> {
        let timeout = self.options.timeout;
        let may_close = expect.alternatives.iter().any(|a| matches!(a, Answer::Closed));
        let trace = self.options.trace;
        let conn = self.conn()?;
        let tag = conn.settle(expect.tag, may_close)?;
        let got = match tag {
            Some(tag) => conn.reply(tag, timeout, may_close, trace)?,
            None => conn.hangup(timeout, trace)?,
        };
        let Some(message) = got else {
            self.record.push("closed".into());
            return Ok(());
        };
        let mut why = Vec::new();
        for alternative in &expect.alternatives {
            match compare(&message, alternative, &mut self.vars) {
                Ok(()) => {
                    self.record.push(masked(&message));
                    return Ok(());
                }
                Err(e) => why.push(e),
            }
        }
        Err(format!("{message}: {}", why.join("; ")))
    }

    fn eventually(&mut self, expect: &Expect, line: usize) -> Result<(), String> {
        let end = Instant::now() + self.options.timeout;
        loop {
            match self.expect(expect) {
                Ok(()) => return Ok(()),
                Err(e) if Instant::now() >= end => return Err(format!("still {e}")),
                Err(_) => {
                    std::thread::sleep(Duration::from_millis(5));
                    let last =
                        self.conn()?.last.clone().ok_or("nothing was sent that could be sent again")?;
                    self.send(&last, line)?;
                }
            }
        }
    }

    fn none(&mut self, tag: u16, wait: Duration) -> Result<(), String> {
        let trace = self.options.trace;
        let conn = self.conn()?;
        conn.pending.retain(|(t, _)| *t != tag);
        let end = Instant::now() + wait;
        loop {
            if let Some(message) = conn.come.iter().find(|m| m.tag == tag) {
                return Err(format!("{message}, where there should be no answer"));
            }
            let left = end.saturating_duration_since(Instant::now());
            if conn.closed || left.is_zero() {
                return Ok(());
            }
            conn.receive(left, trace)?;
        }
    }

    fn order(&mut self, first: u16, second: u16) -> Result<(), String> {
        let conn = self.conn()?;
        let place = |tag| conn.order.iter().rposition(|t| *t == tag);
        match (place(first), place(second)) {
            (Some(a), Some(b)) if a > b => Err(format!("tag {first} was answered after tag {second}")),
            _ => Ok(()),
        }
    }

    /// After the last step: no reply that nobody asked for, no request that the transcript forgot.
    fn leftovers(&mut self) -> Result<(), Fault> {
        for (name, conn) in &self.conns {
            if let Some(message) = conn.come.first() {
                let what = format!("on {name} an answer that nobody expected: {message}");
                return Err(Fault { line: 0, what, cite: String::new() });
            }
            if let Some(&(tag, line)) = conn.pending.front() {
                let what = format!("the transcript does not say what becomes of tag {tag}");
                return Err(Fault { line, what, cite: String::new() });
            }
        }
        Ok(())
    }
}

impl Conn {
    fn new(link: Box<dyn Link>) -> Conn {
        Conn {
            link,
            next_tag: 1,
            msize: None,
            pending: VecDeque::new(),
            outstanding: Vec::new(),
            come: Vec::new(),
            order: Vec::new(),
            held: None,
            kept: Vec::new(),
            last: None,
            closed: false,
        }
    }

    fn free_tag(&mut self, name: &str) -> u16 {
        if name == "Tversion" {
            return NOTAG;
        }
        while self.outstanding.contains(&self.next_tag) {
            self.next_tag = self.next_tag % 0xfffe + 1;
        }
        let tag = self.next_tag;
        self.next_tag = self.next_tag % 0xfffe + 1;
        tag
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        match &mut self.held {
            Some(held) => held.extend(bytes),
            // A server may hang up on what is malformed, and then the rest can't be sent; what it
            // answered before, or that it hung up, is for the next expectation to find.
            None => drop(self.link.send(bytes)),
        }
        Ok(())
    }

    /// The tag whose answer is asked for: as written, else the oldest. `None` asks for the end alone.
    fn settle(&mut self, tag: Option<u16>, may_close: bool) -> Result<Option<u16>, String> {
        let at = match tag {
            Some(tag) => self.pending.iter().position(|(t, _)| *t == tag),
            None => (!self.pending.is_empty()).then_some(0),
        };
        // After `none@TAG` an answer may still be asked for.
        let known = |tag: &u16| self.outstanding.contains(tag) || self.come.iter().any(|m| m.tag == *tag);
        let late = tag.filter(known);
        match at.and_then(|at| self.pending.remove(at)) {
            Some((tag, _)) => Ok(Some(tag)),
            None if late.is_some() => Ok(late),
            None if may_close => Ok(None),
            None => Err("no request waits for this answer".into()),
        }
    }

    /// The reply with this tag; `None` if the server hung up and may.
    fn reply(
        &mut self,
        tag: u16,
        wait: Duration,
        may_close: bool,
        trace: bool,
    ) -> Result<Option<Message>, String> {
        let end = Instant::now() + wait;
        loop {
            if let Some(at) = self.come.iter().position(|m| m.tag == tag) {
                return Ok(Some(self.come.remove(at)));
            }
            if self.closed {
                self.pending.clear();
                return if may_close { Ok(None) } else { Err("the server hung up".into()) };
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("no answer to tag {tag}"));
            }
            self.receive(left, trace)?;
        }
    }

    /// Waits for the end.
    fn hangup(&mut self, wait: Duration, trace: bool) -> Result<Option<Message>, String> {
        let end = Instant::now() + wait;
        while !self.closed {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("the server did not hang up".into());
            }
            self.receive(left, trace)?;
        }
        Ok(None)
    }

    /// Takes in what comes next, and checks what every reply must be.
    fn receive(&mut self, wait: Duration, trace: bool) -> Result<(), String> {
        let bytes = match self.link.receive(wait).map_err(|e| e.to_string())? {
            Received::Nothing => return Ok(()),
            Received::Closed => {
                self.closed = true;
                return Ok(());
            }
            Received::Message(bytes) => bytes,
        };
        let message = wire::decode(&bytes).map_err(|e| format!("a reply that does not decode: {e}"))?;
        if trace {
            eprintln!("<- {message}");
        }
        if let Some(msize) = self.msize
            && bytes.len() > msize as usize
        {
            return Err(format!("{message}: {} bytes, msize is {msize}", bytes.len()));
        }
        if message.format.name.starts_with('T') {
            return Err(format!("the server sent a request: {message}"));
        }
        let at = self.outstanding.iter().position(|t| *t == message.tag);
        self.outstanding.remove(at.ok_or_else(|| format!("nobody waits for {message}"))?);
        if let ("Rversion", Some(&Value::Int(msize))) = (message.format.name, message.values.first()) {
            self.msize = u32::try_from(msize).ok();
            self.outstanding.clear();
            self.pending.clear();
        }
        self.order.push(message.tag);
        self.come.push(message);
        Ok(())
    }
}

fn compare(message: &Message, answer: &Answer, vars: &mut Vars) -> Result<(), String> {
    match answer {
        Answer::Closed => Err("the server did not hang up".into()),
        Answer::Reply(name, _) if name != message.format.name => Err(format!("not {name}")),
        Answer::Reply(_, None) => Ok(()),
        Answer::Reply(_, Some(words)) => pattern::matches(message, words, vars),
    }
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>, later: &mut Vec<u8>, trickle: &mut bool) -> Result<(), String> {
        match self {
            Damage::Cut(count) => {
                bytes.truncate(bytes.len().saturating_sub(*count));
                wire::set_size(bytes)?;
            }
            Damage::More(more) => {
                bytes.extend(more);
                wire::set_size(bytes)?;
            }
            Damage::Size(size) => put(bytes, 0, &size.to_le_bytes())?,
            Damage::Type(number) => put(bytes, 4, &[*number])?,
            Damage::Nwname(number) => put(bytes, 15, &number.to_le_bytes())?,
            Damage::Half(count) => *later = bytes.split_off((*count).min(bytes.len())),
            Damage::Trickle => *trickle = true,
        }
        Ok(())
    }
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) -> Result<(), String> {
    bytes
        .get_mut(at..at + what.len())
        .ok_or("the message is too short for this damage")?
        .copy_from_slice(what);
    Ok(())
}

/// A reply as text, without what depends on the clock: times, and the tag, which counts the tries of `eventually`.
fn masked(message: &Message) -> String {
    let mut text = message.format.name.to_string();
    for value in &message.values {
        if let Value::Data(data) = value
            && let Ok(entries) = wire::entries(data)
            && !entries.is_empty()
        {
            entries.into_iter().for_each(|entry| text.push_str(&format!(" {};", mask_times(entry))));
        } else {
            text.push_str(&format!(" {}", mask_times(value.clone())));
        }
    }
    text
}

fn mask_times(value: Value) -> Value {
    let Value::Stat(mut fields) = value else { return value };
    fields.retain(|(name, _)| !matches!(*name, "atime" | "mtime"));
    Value::Stat(fields)
}
