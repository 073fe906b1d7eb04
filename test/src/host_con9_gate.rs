//! flush(5) and version(5) on requests that wait: the transcripts of con9/gate on a server made for it.
//!
//! Its only file is a gate: a read waits until something is written. What is flushed must not swallow what comes later.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::file::Qid;
use serve::{Ctx as From, Mode, Opened, Queue, Result, Server, Sink, Source};

use crate::con9_cases;
use crate::ctx::{Ctx, Outcome};

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
    con9_cases::on_server(ctx, Gates::default(), "gate")
}
