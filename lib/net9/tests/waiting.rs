//! A server whose readers wait, behind sockets: they are answered when somebody writes, and flushed when they ask.
#![allow(clippy::unwrap_used, reason = "tests")]

use abi::file::{ORDWR, Qid};
use net9::{Limits, Service, Stream};
use ninep::{NOFID, Rmsg, Tmsg};
use serve::{Ctx, Mode, Opened, Queue, Result, Server, Sink, Source};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use sync::Lock;

/// One file: a write is a message, and each message is read once.
struct Mailbox {
    letters: Lock<Vec<Vec<u8>>>,
    readers: Queue,
}

impl Server for Mailbox {
    type Node = ();

    fn attach(&self, _: &Ctx<'_>, _: Option<&()>, _: &str) -> Result<()> {
        Ok(())
    }
    fn qid(&self, (): &()) -> Qid {
        Qid::default()
    }
    fn open(&self, _: &Ctx<'_>, (): &(), _: Mode) -> Result<Opened<()>> {
        Ok(Opened { node: (), qid: Qid::default(), iounit: 0 })
    }
    fn read(&self, _: &Ctx<'_>, (): &(), _: u64, sink: &mut Sink<'_>) -> Result<()> {
        let seq = self.readers.seq();
        match self.letters.lock().pop() {
            Some(letter) => sink.bytes(&letter),
            None => Err(self.readers.wait(seq)),
        }
    }
    fn write(&self, cx: &Ctx<'_>, (): &(), _: u64, source: &mut Source<'_>) -> Result<u32> {
        let mut letter = vec![0; source.left()];
        source.take(&mut letter)?;
        let taken = letter.len() as u32;
        self.letters.lock().push(letter);
        self.readers.wake(cx.wake, 1);
        Ok(taken)
    }
}

struct Client(UnixStream);

impl Client {
    fn new(service: &Arc<Service<Mailbox>>) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        service.begin(Stream::Unix(theirs)).unwrap();
        let mut c = Client(ours);
        for (tag, t) in [
            (ninep::NOTAG, Tmsg::Tversion { msize: 8192, version: "9P2000" }),
            (1, Tmsg::Tattach { fid: 0, afid: NOFID, uname: "ann", aname: "" }),
            (1, Tmsg::Topen { fid: 0, mode: ORDWR }),
        ] {
            c.send(tag, &t);
            c.hear();
        }
        c
    }
    fn send(&mut self, tag: u16, t: &Tmsg<'_>) {
        let mut room = [0; 256];
        let len = t.encode(tag, &mut room).unwrap();
        self.0.write_all(&room[..len]).unwrap();
    }
    /// The next answer, as a line.
    fn hear(&mut self) -> String {
        let mut frame = vec![0; 4];
        self.0.read_exact(&mut frame).unwrap();
        frame.resize(u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize, 0);
        self.0.read_exact(&mut frame[4..]).unwrap();
        let (tag, r) = Rmsg::decode(&frame).unwrap();
        r.line(tag).to_string()
    }
}

fn start() -> Arc<Service<Mailbox>> {
    let server = Mailbox { letters: Lock::new(Vec::new()), readers: Queue::new(3) };
    let service = Service::new(server, Limits::default());
    let waker = service.clone();
    std::thread::spawn(move || waker.wake_waiters());
    service
}

const READ: Tmsg<'_> = Tmsg::Tread { fid: 0, offset: 0, count: 100 };

#[test]
fn each_message_wakes_one_reader_on_whatever_connection() {
    let service = start();
    let (mut writer, mut one, mut two) =
        (Client::new(&service), Client::new(&service), Client::new(&service));
    one.send(7, &READ);
    two.send(8, &READ);
    // A request that waits does not keep others of its connection waiting.
    one.send(9, &Tmsg::Tread { fid: 1, offset: 0, count: 1 });
    assert_eq!(one.hear(), "Rerror tag 9 ename 'unknown fid'");
    for _ in 0..200 {
        writer.send(1, &Tmsg::Twrite { fid: 0, offset: 0, data: b"letter" });
        writer.send(1, &Tmsg::Twrite { fid: 0, offset: 0, data: b"letter" });
        assert_eq!(one.hear(), "Rread tag 7 count 6 data letter");
        assert_eq!(two.hear(), "Rread tag 8 count 6 data letter");
        writer.hear();
        writer.hear();
        one.send(7, &READ);
        two.send(8, &READ);
    }
}

#[test]
fn a_flushed_reader_takes_no_message() {
    let service = start();
    let (mut writer, mut reader) = (Client::new(&service), Client::new(&service));
    reader.send(7, &READ);
    reader.send(8, &Tmsg::Tflush { oldtag: 7 });
    assert_eq!(reader.hear(), "Rflush tag 8");
    writer.send(1, &Tmsg::Twrite { fid: 0, offset: 0, data: b"letter" });
    writer.hear();
    assert_eq!(service.server().letters.lock().len(), 1);
    reader.send(7, &READ);
    assert_eq!(reader.hear(), "Rread tag 7 count 6 data letter");
}

#[test]
fn the_fid_of_a_waiting_reader_can_be_clunked() {
    let service = start();
    let (mut writer, mut reader) = (Client::new(&service), Client::new(&service));
    reader.send(7, &READ);
    reader.send(8, &Tmsg::Tclunk { fid: 0 });
    assert_eq!(reader.hear(), "Rclunk tag 8");
    writer.send(1, &Tmsg::Twrite { fid: 0, offset: 0, data: b"letter" });
    assert_eq!(reader.hear(), "Rerror tag 7 ename 'unknown fid'");
}
