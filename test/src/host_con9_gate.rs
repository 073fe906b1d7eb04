//! flush(5) and version(5) on requests that wait: the transcripts of con9/gate on a server made for it.
//!
//! Its only file is a gate: a read waits until something is written. What is flushed must not swallow what comes later.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use abi::file::Qid;
use con9::run::Options;
use con9::suite;
use con9::word::Vars;
use net9::{Limits, Listener, Service};
use serve::{Ctx as From, Mode, Opened, Queue, Result, Server, Sink, Source};

use crate::con9_cases::folder;
use crate::ctx::{Ctx, Outcome, ensure};

/// What was written and not yet read. The queue is woken after every write.
struct Gate {
    written: Mutex<VecDeque<Vec<u8>>>,
    queue: Queue,
}

/// A gate for each tree asked for.
#[derive(Default)]
struct Gates(Mutex<HashMap<String, Arc<Gate>>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server for Gates {
    type Node = Arc<Gate>;

    fn attach(&self, _: &From<'_>, _: Option<&Arc<Gate>>, aname: &str) -> Result<Arc<Gate>> {
        let mut gates = lock(&self.0);
        let number = gates.len() as u64;
        let gate = || Arc::new(Gate { written: Mutex::default(), queue: Queue::new(number) });
        Ok(gates.entry(aname.into()).or_insert_with(gate).clone())
    }

    fn qid(&self, _: &Arc<Gate>) -> Qid {
        Qid { kind: 0, vers: 0, path: 1 }
    }

    fn open(&self, _: &From<'_>, gate: &Arc<Gate>, _: Mode) -> Result<Opened<Arc<Gate>>> {
        Ok(Opened { node: gate.clone(), qid: self.qid(gate), iounit: 0 })
    }

    fn read(&self, _: &From<'_>, gate: &Arc<Gate>, _: u64, out: &mut Sink<'_>) -> Result<()> {
        let seq = gate.queue.seq();
        match lock(&gate.written).pop_front() {
            Some(bytes) => out.bytes(&bytes),
            None => Err(gate.queue.wait(seq)),
        }
    }

    fn write(&self, from: &From<'_>, gate: &Arc<Gate>, _: u64, data: &mut Source<'_>) -> Result<u32> {
        let mut bytes = vec![0; data.left()];
        data.take(&mut bytes)?;
        let count = bytes.len() as u32;
        lock(&gate.written).push_back(bytes);
        gate.queue.wake(from.wake, 1);
        Ok(count)
    }
}

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    let socket = ctx.scratch().join("socket");
    let address: net9::Address = format!("unix!{}", socket.display()).parse()?;
    let listener = Listener::bind(&address)?;
    let service = Service::new(Gates::default(), Limits::default());
    let waker = service.clone();
    std::thread::spawn(move || waker.wake_waiters());
    std::thread::spawn(move || service.listen(&listener));

    let files = suite::read(&[folder().join("gate")])?;
    let options = Options { timeout: Duration::from_secs(60), trace: false, vars: Vars::new() };
    let to = con9::link::Address::Unix(socket.display().to_string());
    let outcomes = suite::run(&files, &to, &options, |outcome| println!("{outcome}"));
    let faults: Vec<&str> = outcomes.iter().filter(|o| o.result.is_err()).map(|o| o.name.as_str()).collect();
    ensure(faults.is_empty(), || faults.join("; "))?;
    Ok(format!("{} passed", outcomes.len()))
}
