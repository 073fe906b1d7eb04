//! The table of what goes wrong with a call, row by row: each event at each step of a call, with those who take part on
//! one CPU and on two. What the caller must be told is [`told`]; afterwards the server must serve on, or be dead to all.
//!
//! A call runs where its caller does, so two CPUs are: the caller on the second, the server's own process and whoever
//! makes the trouble on the first.

use super::call::{NOTES, child, count_notes, words};
use super::imp::{self, Flush};
use super::{check, fails};
use core::sync::atomic::Ordering;
use core::time::Duration;
use portolan::abi::error::Error as Known;
use portolan::abi::file::{ORDWR, OREAD, OWRITE};
use portolan::alloc::format;
use portolan::alloc::string::{String, ToString};
use portolan::alloc::vec;
use portolan::alloc::vec::Vec;
use portolan::{File, Result, fs, note, process, sys, time};

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Killed,
    Exits,
    Faults,
    Interrupt,
    Twice,
    CallerKilled,
}

/// When.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The caller waits for an activation.
    BeforeEntry,
    /// The handler computes.
    Inside,
    /// The handler waits for something.
    Blocked,
    /// The handler is in a call to another server, whose handler waits.
    Nested,
    /// The handler is about to answer, or anywhere else: an event among many calls.
    AtReply,
    /// The server has made the caller wait.
    Parked,
    /// The caller's pages are in the server's window.
    Lent,
    /// A Tflush for the call is being served.
    DuringFlush,
}

const EVENTS: &[(&str, Event)] = &[
    ("server_killed", Event::Killed),
    ("server_exits", Event::Exits),
    ("server_faults", Event::Faults),
    ("interrupt", Event::Interrupt),
    ("second_interrupt", Event::Twice),
    ("caller_killed", Event::CallerKilled),
];

const STEPS: &[(&str, Step)] = &[
    ("before_entry", Step::BeforeEntry),
    ("inside", Step::Inside),
    ("blocked", Step::Blocked),
    ("nested", Step::Nested),
    ("at_reply", Step::AtReply),
    ("parked", Step::Parked),
    ("pages_lent", Step::Lent),
    ("during_flush", Step::DuringFlush),
];

/// Every row: its name, and what to run.
pub(super) fn rows() -> Vec<(String, Event, Step, u8)> {
    let mut all = vec![];
    for (event_name, event) in EVENTS {
        for (step_name, step) in STEPS {
            for (place, cpu) in [("one_cpu", 0), ("two_cpus", 1)] {
                all.push((format!("t18_fault_{event_name}_{step_name}_{place}"), *event, *step, cpu));
            }
        }
    }
    all
}

/// Has the machine a second CPU?
pub(super) fn two_cpus() -> Result<bool> {
    Ok(words(child(|| stay_on(process::id(), 1))?)?.is_empty())
}

/// Keeps a process on a CPU.
pub(super) fn stay_on(pid: u32, cpu: u8) -> Result<()> {
    File::open(format!("/proc/{pid}/ctl"), OWRITE)?.write_all(format!("cpu {cpu}").as_bytes())
}

/// What the client reads, and how much.
fn file_and_length(event: Event, step: Step) -> (&'static str, usize) {
    // One interrupt ends a wait that can be ended; what is worse than that meets a server that is deaf.
    let waits = if event == Event::Interrupt { "block" } else { "gate" };
    match step {
        Step::BeforeEntry => ("null", 8),
        Step::Inside => ("spin", 8),
        Step::Blocked => (waits, 8),
        Step::DuringFlush => ("gate", 8),
        Step::Nested => ("nest", 1),
        Step::Parked => ("wait", 8),
        Step::Lent => (waits, 50_000),
        Step::AtReply => match event {
            Event::Interrupt => ("note", 8),
            Event::Twice => ("notes", 8),
            Event::CallerKilled => ("kill", 8),
            _ => ("null", 8),
        },
    }
}

/// What the caller has to be told.
fn told(event: Event, step: Step) -> &'static str {
    match event {
        Event::Killed | Event::Exits | Event::Faults => Known::Died.text(),
        // The answer was on its way, and is the call's end.
        Event::Interrupt if step == Step::AtReply => "answered, and 1 notes",
        Event::Interrupt | Event::Twice => Known::Interrupted.text(),
        Event::CallerKilled => "killed",
    }
}

/// Those who take part in a row.
struct Scene {
    /// What the client reads, open.
    file: File,
    imp: u32,
    other: Option<u32>,
    holder: Option<u32>,
}

impl Scene {
    fn new(event: Event, step: Step) -> Result<Scene> {
        let (activations, flush) = match step {
            Step::BeforeEntry => (1, Flush::Unseen),
            Step::DuringFlush => (4, Flush::Deaf),
            _ => (4, Flush::Unseen),
        };
        let imp = imp::start_with("imp", activations, flush)?;
        stay_on(imp, 0)?;
        imp::mount("imp", "/mnt")?;
        let file = open(file_and_length(event, step).0)?;
        let mut scene = Scene { file, imp, other: None, holder: None };
        if step == Step::Nested {
            scene.other = Some(imp::start("other", 4)?);
            let (waits, _) = file_and_length(event, Step::Blocked);
            File::open("/mnt/null", ORDWR)?.write_all(format!("{waits} other").as_bytes())?;
        }
        if step == Step::BeforeEntry {
            let how = match event {
                Event::Exits => "lateexit",
                Event::Faults => "latefault",
                _ => "gate",
            };
            let f = open(how)?;
            let holder = child(|| f.read(&mut [0; 8]).map(drop))?;
            scene.holder = Some(holder);
            until(holder, "Call:")?;
        }
        Ok(scene)
    }

    /// Opens every gate and ends everybody.
    fn end(&self) {
        if let Some(holder) = self.holder {
            let _ = kill(holder).map(|()| words(holder));
        }
        if let Some(other) = self.other {
            imp::stop("other", other);
        }
        imp::stop("imp", self.imp);
    }
}

fn open(name: &str) -> Result<File> {
    File::open(format!("/mnt/{name}"), OREAD)
}

pub(super) fn kill(pid: u32) -> Result<()> {
    File::open(format!("/proc/{pid}/ctl"), OWRITE)?.write_all(b"kill")
}

pub(super) fn send_note(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/note"), "trouble")
}

/// Waits until a process's state begins so; the state.
pub(super) fn until(pid: u32, begin: &str) -> Result<String> {
    let mut state = String::new();
    for _ in 0..5000 {
        let Ok(status) = fs::read(format!("/proc/{pid}/status")) else {
            let words = words(pid)?;
            return Err(portolan::Error::new(&format!("a process has ended and is not {begin:?}: {words}")));
        };
        let status = String::from_utf8_lossy(&status).into_owned();
        state = status.split(' ').nth(3).unwrap_or("").to_string();
        if state.starts_with(begin) {
            return Ok(state);
        }
        time::sleep(Duration::from_millis(1))?;
    }
    Err(portolan::Error::new(&format!("a process is {state:?} and not {begin:?}")))
}

/// The client: reads on its CPU and ends with the words of what came of it.
fn client(f: &File, len: usize, cpu: u8, again: bool) -> Result<u32> {
    let mut buf = vec![0; len];
    child(|| {
        note::handle(count_notes)?;
        stay_on(process::id(), cpu)?;
        loop {
            let offset = i64::from(process::id());
            sys::pread(f.fd(), &mut buf, offset).ok_or_else(portolan::Error::last)?;
            if !again {
                let notes = NOTES.load(Ordering::SeqCst);
                return Err(portolan::Error::new(&format!("answered, and {notes} notes")));
            }
        }
    })
}

fn happen(event: Event, client: u32, scene: &Scene) -> Result<()> {
    match event {
        Event::Killed => kill(scene.imp),
        Event::Exits | Event::Faults if scene.holder.is_some() => Ok(()),
        // By another call: a handler that ends is the server's end.
        Event::Exits => open("exit").and_then(|f| fails(f.read(&mut [0; 8]), Known::Died)),
        Event::Faults => open("fault").and_then(|f| fails(f.read(&mut [0; 8]), Known::Died)),
        Event::Interrupt => send_note(client),
        // The first may have been its end.
        Event::Twice => send_note(client).map(|()| drop(send_note(client))),
        Event::CallerKilled => kill(client),
    }
}

/// The state in which the client is when the event comes.
fn state_at(step: Step) -> &'static str {
    match step {
        Step::BeforeEntry => "Pool:",
        _ => "Call:",
    }
}

/// How many Tflushes the imp has got.
pub(super) fn flushes() -> Result<u64> {
    let mut n = [0; 8];
    open("flushes")?.read(&mut n)?;
    Ok(u64::from_le_bytes(n))
}

/// How long a server may take after an interrupt.
const GRACE: Duration = Duration::from_secs(1);

/// A row of the table. What has to happen at once may be slow on a busy host, but not always.
pub(super) fn row(event: Event, step: Step, cpu: u8) -> Result<()> {
    stay_on(process::id(), 0)?;
    let mut took = Duration::ZERO;
    for _ in 0..3 {
        let scene = Scene::new(event, step)?;
        let r = played(event, step, cpu, &scene);
        scene.end();
        took = r?;
        if event == Event::Interrupt && step == Step::Inside {
            check!(took >= GRACE, "a server that computes had {took:?} only");
            return Ok(());
        }
        if took < GRACE {
            return Ok(());
        }
    }
    Err(portolan::Error::new(&format!("the caller waited for {took:?}")))
}

/// How long the caller waited after the event.
fn played(event: Event, step: Step, cpu: u8, scene: &Scene) -> Result<Duration> {
    let (_, len) = file_and_length(event, step);
    let of_server = matches!(event, Event::Killed | Event::Exits | Event::Faults);
    let client = client(&scene.file, len, cpu, step == Step::AtReply && of_server)?;
    let mut since = time::now();
    if step == Step::AtReply {
        // Somewhere among many calls; a caller's own end comes from within.
        if of_server {
            time::sleep(Duration::from_millis(5))?;
            happen(event, client, scene)?;
        }
    } else {
        until(client, state_at(step))?;
        if step == Step::DuringFlush {
            send_note(client)?;
            while flushes()? == 0 {
                time::sleep(Duration::from_millis(1))?;
            }
        }
        since = time::now();
        happen(event, client, scene)?;
    }
    let words = words(client)?;
    let took = time::now() - since;
    check!(words == told(event, step), "the caller was told {words:?}");
    if of_server {
        fails(File::open("/mnt/data", OREAD), Known::Died)?;
    } else if scene.holder.is_none() {
        check!(open("data")?.read(&mut [0; 8])? == 8, "the server is the worse for it");
    }
    Ok(took)
}
