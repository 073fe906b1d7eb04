//! What the con9 scenarios share: the transcripts, a ramfs to turn them on, and the comparison of transports.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use con9::link::{Address, Target};
use con9::run::Options;
use con9::suite::{self, Outcome};
use con9::word::Vars;
use net9::{Limits, Listener, Service};

use crate::con9_memory::Memory;
use crate::ctx::{self, Ctx, Failure, Proc, ensure};

/// The group of which the transcripts speak, as ramfs's `-g` takes it.
pub(crate) const GROUP: &str = "staff:glenda:glenda,bob";

/// The folder of the transcripts.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/con9"))
}

/// A ramfs of its own process.
pub(crate) struct Ramfs {
    /// Where it listens.
    pub(crate) address: Address,
    /// The process.
    pub(crate) process: Proc,
}

impl Ramfs {
    /// Starts one and waits until it listens.
    pub(crate) fn start(ctx: &Ctx, address: &Address) -> Result<Ramfs, Failure> {
        let mut command = Command::new(ctx.bin("ramfs")?);
        command.args(["--owner", "glenda", "-g", GROUP, "--listen", &address.to_string()]);
        let process = ctx.spawn(command.stdout(Stdio::null()))?;
        let server = Ramfs { address: address.clone(), process };
        ctx.poll(Duration::from_secs(30), "ramfs does not listen", || server.address.dial().is_ok())?;
        Ok(server)
    }
}

/// Runs every transcript; the outcomes if there is no fault.
pub(crate) fn all(target: &dyn Target) -> Result<Vec<Outcome>, Failure> {
    all_but("", target)
}

/// The same without the case of this title.
fn all_but(title: &str, target: &dyn Target) -> Result<Vec<Outcome>, Failure> {
    let mut files = suite::read(&[folder()])?;
    for file in &mut files {
        file.cases.retain(|case| case.title != title);
    }
    without_fault(&files, target)
}

fn without_fault(files: &[suite::File], target: &dyn Target) -> Result<Vec<Outcome>, Failure> {
    let options = Options { timeout: Duration::from_secs(60), trace: false, vars: Vars::new() };
    let outcomes = suite::run(files, target, &options, |outcome| println!("{outcome}"));
    let faults: Vec<&str> = outcomes.iter().filter(|o| o.result.is_err()).map(|o| o.name.as_str()).collect();
    ensure(faults.is_empty(), || format!("{} of {}: {}", faults.len(), outcomes.len(), faults.join("; ")))?;
    Ok(outcomes)
}

/// Runs every transcript, and again on a fresh tree in memory: the answers must be the same, times apart.
pub(crate) fn same_as_in_memory(target: &dyn Target) -> ctx::Outcome {
    same_as_in_memory_but("", target)
}

/// The same without the case of this title.
pub(crate) fn same_as_in_memory_but(title: &str, target: &dyn Target) -> ctx::Outcome {
    let here = all_but(title, target)?;
    let there = all_but(title, &Memory::new()?)?;
    let (here_said, there_said) = (suite::record(&here), suite::record(&there));
    let difference = here_said.lines().zip(there_said.lines()).find(|(a, b)| a != b);
    ensure(here_said == there_said, || format!("answers differ from those in memory: {difference:?}"))?;
    Ok(format!("{} passed, {} answers as in memory", here.len(), here_said.lines().count() - here.len()))
}

/// Runs the transcripts of a folder on a server that was made for them, which listens in this process.
pub(crate) fn on_server<S: serve::Server + 'static>(ctx: &Ctx, server: S, transcripts: &str) -> ctx::Outcome {
    let socket = ctx.scratch().join("socket");
    let listener = Listener::bind(&format!("unix!{}", socket.display()).parse()?)?;
    let service = Service::new(server, Limits::default());
    let waker = service.clone();
    std::thread::spawn(move || waker.wake_waiters());
    std::thread::spawn(move || service.listen(&listener));
    let files = suite::read(&[folder().join(transcripts)])?;
    let outcomes = without_fault(&files, &Address::Unix(socket.display().to_string()))?;
    Ok(format!("{} passed", outcomes.len()))
}
