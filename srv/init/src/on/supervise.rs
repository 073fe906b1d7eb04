//! Supervision: one thread a service, which starts it, waits for its end, and starts it again as the table says.
//!
//! A service is a child of its thread: a server that finds itself [supervised](portal::SUPERVISED) stays in the process
//! that was started. Mounts by its name need nothing: the kernel leads the next walk to the server that has the name
//! then. One more thread asks those that have a `grace` once a second, and kills what does not answer.

use core::sync::atomic::AtomicI32;
use core::time::Duration;
use init::services::{Pace, Service};
use portolan::abi::file::{
    MAFTER, MCREATE, MREPL, ORDWR, OREAD, OWRITE, RFCENVG, RFCFDG, RFNAMEG, RFNOTEG, RFREND,
};
use portolan::abi::note::TRAP;
use portolan::alloc::format;
use portolan::alloc::string::{String, ToString};
use portolan::alloc::vec::Vec;
use portolan::process::Command;
use portolan::{Error, File, Mutex, Result, fs, note, portal, process, sys, thread, time};

/// How long a service may take until it has posted itself.
const READY: Duration = Duration::from_secs(20);
/// How long init waits to hear of its start, at most.
const SLOWEST: Duration = Duration::from_secs(25);
/// How often those with a grace are asked.
const ASK: Duration = Duration::from_secs(1);

/// What a service does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// It was stopped, or ended and is not to be started again.
    Down,
    /// It has been started and has still to post itself.
    Starting,
    /// It serves.
    Up,
    /// It ended, and is started again after a pause.
    Pause,
    /// It ended too often.
    Failed,
}

impl Phase {
    pub(super) fn word(self) -> &'static str {
        match self {
            Phase::Down => "down",
            Phase::Starting => "starting",
            Phase::Up => "up",
            Phase::Pause => "pause",
            Phase::Failed => "failed",
        }
    }
}

/// A service's changing part.
pub(super) struct State {
    pub(super) phase: Phase,
    /// Its process; 0 for none.
    pub(super) pid: u32,
    /// When the phase began.
    pub(super) since: Duration,
    /// How often it has been started.
    pub(super) starts: u32,
    /// How it ended last.
    pub(super) last: String,
    /// Is it to run?
    pub(super) wanted: bool,
    /// Has it been mounted?
    mounted: bool,
    /// Why it was killed, if it was not the user's wish.
    blame: Option<&'static str>,
}

/// A service with all that is known of it.
pub(super) struct Supervised {
    pub(super) spec: Service,
    state: Mutex<State>,
    /// Released when it is to be started.
    go: AtomicI32,
    /// Released when its first start has come to an end, well or not.
    begun: AtomicI32,
}

impl Supervised {
    pub(super) fn new(spec: Service) -> Supervised {
        let state = State {
            phase: Phase::Down,
            pid: 0,
            since: time::now(),
            starts: 0,
            last: String::new(),
            wanted: true,
            mounted: false,
            blame: None,
        };
        Supervised { spec, state: Mutex::new(state), go: AtomicI32::new(0), begun: AtomicI32::new(0) }
    }

    /// Looks at its state, or changes it.
    pub(super) fn state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock())
    }

    fn enter(&self, phase: Phase) {
        self.state(|s| {
            s.phase = phase;
            s.since = time::now();
        });
    }

    /// Starts its thread, and waits until the service stands or has failed to.
    pub(super) fn begin(&'static self) -> Result<()> {
        thread::Builder::new().stack(thread::SMALL).spawn(move || self.run())?;
        // A note may end a wait early; that its thread was ended, for want of memory, nobody tells.
        let end = time::now() + SLOWEST;
        while sys::semacquire(&self.begun, SLOWEST.as_nanos() as i64) != Some(1) {
            if time::now() > end {
                return Err(Error::of(&self.spec.name, "does not come up"));
            }
        }
        Ok(())
    }

    /// Asks for its start. What keeps it from one shows in its state.
    pub(super) fn start(&self) {
        let idle = self.state(|s| {
            s.wanted = true;
            matches!(s.phase, Phase::Down | Phase::Failed)
        });
        if idle {
            // Seen at once by whoever waits for the outcome.
            self.enter(Phase::Starting);
            let _ = sys::semrelease(&self.go, 1);
        }
    }

    /// Ends its process, if it has one.
    pub(super) fn kill(&self) {
        let pid = self.state(|s| s.pid);
        if pid != 0 {
            // It may have ended by itself.
            let _ = process::kill(pid);
        }
    }

    fn run(&self) {
        let mut pace = Pace::default();
        let mut first = true;
        loop {
            let begun = time::now();
            let ended = self.once(&mut first);
            if self.spec.unmount {
                self.unmount();
            }
            // Its portal is gone, and so is its name, until it has another.
            let _ = fs::remove(self.post());
            let ran = (time::now() - begun).as_millis() as u64;
            let pause = pace.next(self.spec.restart, ran, time::now().as_millis() as u64);
            let ended = where_in(&self.spec.command, ended);
            let (wanted, words) = self.state(|s| {
                s.pid = 0;
                s.last = match s.blame.take() {
                    Some(why) => why.to_string(),
                    None if !s.wanted => String::from("stopped"),
                    None => ended,
                };
                (s.wanted, s.last.clone())
            });
            match pause {
                _ if !wanted => self.enter(Phase::Down),
                Some(ms) => {
                    super::log(&format!("init: {}: {words}; again in {ms} ms\n", self.spec.name));
                    self.enter(Phase::Pause);
                    let _ = time::sleep(Duration::from_millis(ms));
                    if !self.state(|s| s.wanted) {
                        self.enter(Phase::Down);
                    }
                }
                None => {
                    super::log(&format!("init: {}: {words}; not started again\n", self.spec.name));
                    self.enter(if self.spec.restart.0 == 0 { Phase::Down } else { Phase::Failed });
                }
            }
            if first {
                first = false;
                let _ = sys::semrelease(&self.begun, 1);
            }
            while matches!(self.state(|s| s.phase), Phase::Down | Phase::Failed) {
                let _ = sys::semacquire(&self.go, -1);
                pace = Pace::default();
            }
        }
    }

    /// One life of the service: how it ended.
    fn once(&self, first: &mut bool) -> String {
        self.enter(Phase::Starting);
        let child = match command(&self.spec).spawn() {
            Ok(child) => child,
            Err(e) => return e.to_string(),
        };
        self.state(|s| {
            s.pid = child.pid;
            s.starts += 1;
        });
        let ready = self.ready(child.pid).and_then(|()| self.mount());
        match &ready {
            Ok(()) => {
                self.enter(Phase::Up);
                if *first {
                    *first = false;
                    let _ = sys::semrelease(&self.begun, 1);
                }
            }
            Err(_) => drop(child.kill()),
        }
        let ended = loop {
            match process::wait_for(child.pid) {
                Ok(e) => break e.status,
                Err(e) if e.is(abi::error::Error::Interrupted) => {}
                Err(e) => break e.to_string(),
            }
        };
        match ready {
            Err(e) if ended.is_empty() || ended == "killed" => e.to_string(),
            _ if ended.is_empty() => String::from("ended"),
            _ => ended,
        }
    }

    fn post(&self) -> String {
        format!("/srv/{}", self.spec.name)
    }

    /// Waits until it has posted itself.
    fn ready(&self, pid: u32) -> Result<()> {
        let (begun, alive) = (time::now(), format!("#proc/{pid}/status"));
        while File::open(self.post(), ORDWR).is_err() {
            if !fs::exists(&alive) {
                return Err(Error::new("ended before it served"));
            }
            if time::now() - begun > READY {
                return Err(Error::new("did not serve in time"));
            }
            let _ = time::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Mounts it, if that is still to be done: later the kernel leads the same mount to the new server.
    fn mount(&self) -> Result<()> {
        let Some(dir) = &self.spec.mount else { return Ok(()) };
        if self.state(|s| s.mounted) {
            return Ok(());
        }
        let order = if self.spec.create { MREPL | MCREATE } else { MAFTER };
        fs::mount(&File::open(self.post(), ORDWR)?, dir, order, "").map_err(|e| Error::of(dir, e))?;
        self.state(|s| s.mounted = !self.spec.unmount);
        Ok(())
    }

    fn unmount(&self) {
        if let Some(dir) = &self.spec.mount {
            // It may never have been mounted.
            let _ = fs::unmount(self.post(), dir);
        }
    }
}

/// What starts a service's program.
pub(super) fn command(s: &Service) -> Command {
    let mut command = Command::new(s.command.first().map_or("", String::as_str));
    command.args(s.command.iter().skip(1)).flags(RFCFDG | RFCENVG | RFNOTEG | RFREND).before(prepare);
    command
}

/// A crash's words with the name of the function that it was in, if the archive has the program's names.
fn where_in(command: &[String], words: String) -> String {
    let program = command.first().and_then(|c| c.rsplit('/').next()).unwrap_or("");
    let pc = words.strip_prefix(TRAP).and_then(|w| w.split_once(" pc=0x")?.1.split(' ').next());
    let Some(Ok(pc)) = pc.map(|digits| u64::from_str_radix(digits, 16)) else { return words };
    let mut name = [0; 80];
    let n = portolan::symbol(program.as_bytes(), pc, &mut name);
    match core::str::from_utf8(&name[..n]) {
        Ok(name) if n > 0 => format!("{words} in {name}"),
        _ => words,
    }
}

/// In a service's process, before its program: what it writes to descriptors 1 and 2 goes to the machine's log, and a
/// variable tells it who waits.
fn prepare() {
    let _ = sys::open(b"#sys/null", OREAD);
    let _ = sys::open(b"#log/log", OWRITE);
    let _ = sys::dup(1, 2);
    if let Some(fd) = sys::create(b"#env/supervised", u32::from(OWRITE), 0o600) {
        let _ = sys::close(fd);
    }
}

/// Asks every service that has a grace whether it still answers, for ever.
pub(super) fn watch(all: &'static [Supervised]) -> Result<()> {
    let watched: Vec<&Supervised> = all.iter().filter(|s| s.spec.grace != 0).collect();
    if watched.is_empty() {
        return Ok(());
    }
    thread::Builder::new().stack(thread::SMALL).spawn(move || {
        // What is mounted here to ask is nobody else's business, and the alarm only ends the wait.
        let ready = process::rfork(RFNAMEG).and_then(|()| note::handle(|_| note::Then::Continue));
        while ready.is_ok() {
            let _ = time::sleep(ASK);
            for s in &watched {
                ask(s);
            }
        }
    })?;
    Ok(())
}

fn ask(s: &Supervised) {
    let (phase, pid) = s.state(|s| (s.phase, s.pid));
    if phase != Phase::Up {
        return;
    }
    let grace = Duration::from_secs(s.spec.grace.into());
    let begun = time::now();
    let _ = sys::alarm(grace.as_nanos() as u64);
    // An error is an answer. A new session each time: nothing is kept of a server that is gone.
    if let Ok(server) = File::open(s.post(), ORDWR)
        && fs::mount(&server, "/mnt", MREPL, "").is_ok()
    {
        let _ = fs::stat("/mnt");
        let _ = fs::unmount("", "/mnt");
    }
    let _ = sys::alarm(0);
    let hung = s.state(|st| {
        let hung = time::now() - begun >= grace && st.pid == pid && st.phase == Phase::Up;
        if hung {
            st.blame = Some("hung: no answer within its grace");
        }
        hung
    });
    if hung {
        s.kill();
    }
}

/// Says to the log what a start that failed left.
pub(super) fn report(s: &Supervised) {
    let (phase, last) = s.state(|s| (s.phase, s.last.clone()));
    if phase != Phase::Up {
        super::log(&format!("init: {}: {}: {last}\n", s.spec.name, phase.word()));
    }
}

/// Is this how a supervised server is to be marked? The SDK's word and the one in [`prepare`] are the same.
const _: () = assert!(matches!(portal::SUPERVISED.as_bytes(), b"supervised"));
