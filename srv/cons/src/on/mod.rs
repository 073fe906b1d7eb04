//! The server: three files over one line and its port.
//!
//! `cons` is read and written on the first serial port; `conserr` is written on a
//! port that takes bytes and does no more, for scripts whose errors
//! are to be kept apart from their output; `consctl` takes `rawon`, `rawoff`, `transparent` and `notepg PID`, which names the
//! note group that Control-C interrupts. Readers that find nothing are parked by the kernel; a thread waits for the
//! port's interrupts, feeds the line and lets them try again.

mod uart;

use cons::line::{Ask, Got, Line, Mode};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{DMDIR, ORDWR, OREAD, OWRITE, QTDIR, QTFILE, Qid};
use portolan::alloc::format;
use portolan::alloc::vec::Vec;
use portolan::fs::Stat;
use portolan::portal::{self, Limits};
use portolan::served::{self, Ctx, Listing, Opened, Queue, Server, Sink, Source, Waker};
use portolan::{Error, File, MutexGuard, Result, thread};
use uart::{LEVEL, Uart};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Root,
    Cons,
    Ctl,
    Err,
}

const FILES: [(Node, &str, u32); 3] =
    [(Node::Cons, "cons", 0o666), (Node::Ctl, "consctl", 0o222), (Node::Err, "conserr", 0o222)];

/// The port behind `conserr`.
const ERRORS: u64 = 0xe8;

/// The terminal.
struct Cons {
    uart: Uart,
    /// For `conserr`: a machine that keeps scripts' errors apart has a debug console there.
    errors: File,
    /// Whoever writes or echoes holds this, so that pieces of output do not mix.
    output: portolan::Mutex<()>,
    input: portolan::Mutex<Input>,
    readers: Queue,
}

struct Input {
    line: Line,
    /// Where Control-C's note goes.
    group: Option<File>,
}

impl Cons {
    /// Sends, with a return before each newline unless a program is at the other end.
    fn send(&self, bytes: &[u8], mode: Mode) -> Result<()> {
        let _alone = self.output.lock();
        if mode == Mode::Transparent {
            return self.uart.send(bytes);
        }
        let mut out = Vec::new();
        out.try_reserve(bytes.len() * 2).map_err(|_| Known::NoMemory)?;
        for &b in bytes {
            if b == b'\n' {
                out.push(b'\r');
            }
            out.push(b);
        }
        self.uart.send(&out)
    }

    /// Takes what the port received, until nothing more is there or held bytes leave no room.
    fn receive(&self) -> Result<()> {
        loop {
            let mut echo = Vec::new();
            let mut ready = false;
            let mode;
            {
                let mut input: MutexGuard<'_, Input> = self.input.lock();
                mode = input.line.mode();
                let mut room = [0; LEVEL];
                while input.line.room() >= LEVEL {
                    let bytes = self.uart.receive(&mut room)?;
                    if bytes.is_empty() {
                        break;
                    }
                    for &b in bytes {
                        match input.line.typed(b, &mut echo) {
                            Ask::Nothing => {}
                            Ask::Ready => ready = true,
                            Ask::Interrupt => {
                                if let Some(g) = &input.group {
                                    // The group may have ended.
                                    let _ = g.write(b"interrupt");
                                }
                            }
                        }
                    }
                }
            }
            if ready {
                self.readers.wake(&Waker, u32::MAX);
            }
            if echo.is_empty() && !ready {
                return Ok(());
            }
            self.send(&echo, mode)?;
        }
    }

    fn control(&self, command: &str) -> Result<()> {
        let mut input = self.input.lock();
        match command.trim_end().split_once(' ') {
            None => {
                let mode = match command.trim_end() {
                    "rawon" => Mode::Raw,
                    "rawoff" => Mode::Line,
                    "transparent" => Mode::Transparent,
                    _ => return Err(Known::BadCtl.into()),
                };
                input.line.set_mode(mode);
                drop(input);
                self.readers.wake(&Waker, u32::MAX);
            }
            Some(("notepg", pid)) => {
                let pid: u32 = pid.trim().parse().map_err(|_| Error::from(Known::BadCtl))?;
                input.group = Some(File::open(format!("#proc/{pid}/notepg"), OWRITE)?);
            }
            Some(_) => return Err(Known::BadCtl.into()),
        }
        Ok(())
    }
}

fn qid_of(node: Node) -> Qid {
    match node {
        Node::Root => Qid { kind: QTDIR, vers: 0, path: 0 },
        Node::Cons => Qid { kind: QTFILE, vers: 0, path: 1 },
        Node::Ctl => Qid { kind: QTFILE, vers: 0, path: 2 },
        Node::Err => Qid { kind: QTFILE, vers: 0, path: 3 },
    }
}

fn stat_of(node: Node) -> Stat<'static> {
    let (name, mode) =
        FILES.iter().find(|f| f.0 == node).map_or(("/", DMDIR | 0o555), |&(_, name, mode)| (name, mode));
    Stat { qid: qid_of(node), mode, name, uid: "sys", gid: "sys", muid: "sys", length: 0, ..Stat::NOCHANGE }
}

impl Server for Cons {
    type Node = Node;

    fn attach(&self, _: &Ctx<'_>, _: Option<&Node>, _: &str) -> served::Result<Node> {
        Ok(Node::Root)
    }

    fn qid(&self, node: &Node) -> Qid {
        qid_of(*node)
    }

    fn walk(&self, _: &Ctx<'_>, from: &Node, name: &str) -> served::Result<Node> {
        match (from, name) {
            (_, "..") => Ok(Node::Root),
            (Node::Root, name) => {
                FILES.iter().find(|f| f.1 == name).map(|f| f.0).ok_or_else(|| Known::NotExist.into())
            }
            _ => Err(Known::NotDir.into()),
        }
    }

    fn open(&self, _: &Ctx<'_>, node: &Node, mode: served::Mode) -> served::Result<Opened<Node>> {
        let allowed = match node {
            Node::Root => mode.only_reads(),
            Node::Cons => !mode.removes() && !mode.executes(),
            Node::Ctl | Node::Err => !mode.removes() && !mode.reads(),
        };
        if !allowed {
            return Err(Known::Perm.into());
        }
        Ok(Opened { node: *node, qid: qid_of(*node), iounit: 0 })
    }

    fn read(&self, _: &Ctx<'_>, node: &Node, _: u64, sink: &mut Sink<'_>) -> served::Result<()> {
        if *node != Node::Cons {
            return Err(Known::Perm.into());
        }
        let seq = self.readers.seq();
        let mut got = Vec::new();
        let room = sink.left();
        got.try_reserve(room.min(cons::line::HELD)).map_err(|_| Known::NoMemory)?;
        let answer = self.input.lock().line.read(|b| got.push(b), room.min(cons::line::HELD));
        match answer {
            Got::Wait => Err(self.readers.wait(seq)),
            Got::Bytes(_) => {
                // Room was made: what stayed in the port may come now.
                let _ = self.receive();
                sink.bytes(&got)
            }
        }
    }

    fn list(&self, _: &Ctx<'_>, _: &Node, from: u64, out: &mut Listing<'_, '_>) -> served::Result<()> {
        for (i, f) in FILES.iter().enumerate().skip(from as usize) {
            if !out.entry(&stat_of(f.0), i as u64 + 1)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, _: &Ctx<'_>, node: &Node, _: u64, source: &mut Source<'_>) -> served::Result<u32> {
        let len = source.left();
        let mut buf = [0; 512];
        if *node == Node::Ctl {
            let room = buf.get_mut(..len).ok_or(Known::BadCtl)?;
            source.take(room)?;
            let text = core::str::from_utf8(room).map_err(|_| Known::BadCtl)?;
            self.control(text).map_err(|e| served::Fail::from(known(&e)))?;
            return Ok(len as u32);
        }
        let mode = self.input.lock().line.mode();
        while source.left() > 0 {
            let n = source.left().min(buf.len());
            source.take(&mut buf[..n])?;
            let sent = match node {
                Node::Err => uart::pour(&self.errors, ERRORS, &buf[..n]),
                _ => self.send(&buf[..n], mode),
            };
            sent.map_err(|e| served::Fail::from(known(&e)))?;
        }
        Ok(len as u32)
    }

    fn stat(
        &self,
        _: &Ctx<'_>,
        node: &Node,
        out: &mut dyn FnMut(&Stat<'_>) -> served::Result<()>,
    ) -> served::Result<()> {
        out(&stat_of(*node))
    }
}

/// A failure of the kernel's as one of ours.
fn known(e: &Error) -> Known {
    match e {
        Error::Known(k) => *k,
        Error::Words(_) => Known::Io,
    }
}

/// Posts the terminal as /srv/cons and stays behind it.
pub(crate) fn main() -> Result<()> {
    portal::in_background(|| {
        let server = Cons {
            uart: Uart::open()?,
            errors: File::open("#hw/io", ORDWR)?,
            output: portolan::Mutex::new(()),
            input: portolan::Mutex::new(Input { line: Line::new(Mode::Line), group: None }),
            readers: Queue::new(1),
        };
        let limits = Limits { activations: 16, flags: 0, stack: 0, reserved: 0 };
        let (portal, server) = served::serve(server, &limits)?;
        let irq = File::open("#hw/irq4", OREAD)?;
        thread::Builder::new().stack(thread::SMALL).spawn(move || {
            // An error here means that the port is gone; readers then wait for ever, and notes still reach them.
            while server.receive().is_ok() && irq.read(&mut [0; 24]).is_ok() {}
        })?;
        portal.post("cons")?;
        Ok(portal)
    })
    .map(drop)
}
