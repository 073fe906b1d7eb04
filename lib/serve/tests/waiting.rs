//! Requests that wait on a connection: they are bounded, and forgotten when they are flushed.
#![allow(clippy::unwrap_used, reason = "tests")]

use abi::file::Qid;
use ninep::{Rmsg, frame, text};
use serve::wire::{Connection, Wakes};
use serve::{Ctx, Engine, Mode, NoWake, Opened, Queue, Result, Server};
use std::sync::atomic::{AtomicBool, Ordering};

/// A tree of one file, whose open waits until the door is open.
struct Door {
    queue: Queue,
    open: AtomicBool,
}

impl Server for Door {
    type Node = ();

    fn attach(&self, _: &Ctx<'_>, _: Option<&()>, _: &str) -> Result<()> {
        Ok(())
    }
    fn qid(&self, (): &()) -> Qid {
        Qid { kind: 0, vers: 0, path: 1 }
    }
    fn open(&self, _: &Ctx<'_>, (): &(), _: Mode) -> Result<Opened<()>> {
        if self.open.load(Ordering::SeqCst) {
            Ok(Opened { node: (), qid: self.qid(&()), iounit: 0 })
        } else {
            Err(self.queue.wait(NoWake.seq(7)))
        }
    }
    fn write(&self, _: &Ctx<'_>, (): &(), _: u64, data: &mut serve::Source<'_>) -> Result<u32> {
        Ok(data.left() as u32)
    }
}

/// A client whose lines are answered in lines.
struct Client {
    engine: Engine<Door>,
    connection: Connection<Door>,
}

impl Client {
    fn new() -> Self {
        let engine = Engine::new(Door { queue: Queue::new(7), open: AtomicBool::new(false) });
        let mut client = Client { engine, connection: Connection::new(1).unwrap() };
        client.say("Tversion tag NOTAG msize 1048600 version 9P2000");
        assert_eq!(
            client.say("Tattach tag 1 fid 0 afid NOFID uname u aname ''"),
            ["Rattach tag 1 qid 1,0,-"]
        );
        client
    }

    fn say(&mut self, line: &str) -> Vec<String> {
        let mut room = vec![0; 1 << 21];
        let n = text::encode(line, &mut room).unwrap();
        self.connection.receive(&room[..n]).unwrap();
        self.connection.run(&self.engine, &NoWake).unwrap();
        self.hear()
    }

    fn hear(&mut self) -> Vec<String> {
        let output = std::mem::take(self.connection.output());
        let (mut bytes, mut lines) = (&output[..], Vec::new());
        while let Ok(frame::Frame::Whole { frame, rest }) = frame::next(bytes, u32::MAX) {
            let (tag, r) = Rmsg::decode(frame).unwrap();
            lines.push(r.line(tag).to_string());
            bytes = rest;
        }
        lines
    }
}

#[test]
fn what_waits_and_is_flushed_is_forgotten() {
    let mut client = Client::new();
    assert_eq!(client.say("Topen tag 1 fid 0 mode 1"), [""; 0]);
    let large = "x".repeat(1_000_000);
    for _ in 0..8 {
        let write = format!("Twrite tag 2 fid 0 offset 0 data {large}");
        assert_eq!(client.say(&write), [""; 0], "it waits for the open");
        assert_eq!(client.say("Tflush tag 3 oldtag 2"), ["Rflush tag 3"]);
    }
    assert_eq!(client.say("Twrite tag 2 fid 0 offset 0 data abc"), [""; 0]);
    client.engine.server().open.store(true, Ordering::SeqCst);
    client.connection.retry(&client.engine, &NoWake, 7, 1);
    assert_eq!(client.hear(), ["Ropen tag 1 qid 1,0,- iounit 0", "Rwrite tag 2 count 3"]);
}

#[test]
fn what_may_wait_is_bounded() {
    let mut client = Client::new();
    client.say("Topen tag 1 fid 0 mode 1");
    let large = "x".repeat(1_000_000);
    for tag in 2..5 {
        client.say(&format!("Twrite tag {tag} fid 0 offset 0 data {large}"));
    }
    client.engine.server().open.store(true, Ordering::SeqCst);
    client.connection.retry(&client.engine, &NoWake, 7, 1);
    let answers = client.hear();
    assert_eq!(
        answers[1..],
        ["Rwrite tag 2 count 1000000", "Rwrite tag 3 count 1000000", "Rerror tag 4 ename 'out of memory'",]
    );
}
