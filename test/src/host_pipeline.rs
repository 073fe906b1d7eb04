//! Dependent requests in one write: walk, open, read and clunk of one fid, sent together, are answered in order and at once.
//!
//! Four of six well-known servers answer some of these wrongly, and one that does not waits 40 ms for each batch, because
//! its small answers are held back for an acknowledgement (Nagle).

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use abi::file::{ORDWR, OREAD};
use net9::{Address, Stream};
use ninep::{NOFID, NOTAG, Name, Names, Rmsg, Tmsg};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Batches sent one after the other, and then all together.
const BATCHES: u32 = 500;
/// What the file holds.
const CONTENTS: &[u8] = b"contents";
/// The median batch has to be faster: half of what a delayed acknowledgement takes.
const DELAYED: Duration = Duration::from_millis(20);

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    let addresses =
        [Address::Tcp("127.0.0.1".into(), ctx.port()?), Address::Unix(ctx.scratch().join("ramfs.sock"))];
    let mut command = Command::new(ctx.bin("ramfs")?);
    for address in &addresses {
        command.arg("--listen").arg(address.to_string());
    }
    let _ramfs = ctx.spawn(command.stdout(Stdio::null()))?;
    let mut said = Vec::new();
    for address in &addresses {
        ctx.poll(Duration::from_secs(30), "ramfs does not listen", || Stream::connect(address).is_ok())?;
        let mut client = Client::start(address)?;
        let (together, serial) = (client.batches()?, client.serial()?);
        ensure(together < DELAYED, || format!("{address}: a batch takes {together:?}: answers are delayed"))?;
        client.all_at_once()?;
        let kind = if matches!(address, Address::Tcp(..)) { "TCP" } else { "Unix" };
        said.push(format!("{kind} {together:?} a batch, {serial:?} one by one"));
    }
    Ok(format!("{BATCHES} of {BATCHES} right; {}", said.join("; ")))
}

struct Client {
    stream: Stream,
    next_fid: u32,
}

/// One batch, with tags from `tag` on.
fn batch(fid: u32, tag: u16) -> Result<Vec<Vec<u8>>, Failure> {
    let name = [Name::new("file")?];
    let requests = [
        Tmsg::Twalk { fid: 0, newfid: fid, wname: Names::new(&name)? },
        Tmsg::Topen { fid, mode: OREAD },
        Tmsg::Tread { fid, offset: 0, count: 100 },
        Tmsg::Tclunk { fid },
    ];
    requests.iter().zip(tag..).map(|(t, tag)| encode(tag, t)).collect()
}

fn encode(tag: u16, t: &Tmsg<'_>) -> Result<Vec<u8>, Failure> {
    let mut room = vec![0; 8192];
    let len = t.encode(tag, &mut room)?;
    room.truncate(len);
    Ok(room)
}

impl Client {
    /// Connects, and makes the file if it is not there.
    fn start(address: &Address) -> Result<Client, Failure> {
        let mut c = Client { stream: Stream::connect(address)?, next_fid: 10 };
        c.stream.wait_at_most(Some(Duration::from_secs(60)))?;
        c.call(NOTAG, &Tmsg::Tversion { msize: 8192, version: "9P2000" })?;
        c.call(1, &Tmsg::Tattach { fid: 0, afid: NOFID, uname: "glenda", aname: "" })?;
        c.call(1, &Tmsg::Twalk { fid: 0, newfid: 1, wname: Names::new(&[])? })?;
        c.call(1, &Tmsg::Tcreate { fid: 1, name: Name::new("file")?, perm: 0o666, mode: ORDWR })?;
        c.call(1, &Tmsg::Twrite { fid: 1, offset: 0, data: CONTENTS })?;
        c.call(1, &Tmsg::Tclunk { fid: 1 })?;
        Ok(c)
    }

    /// Sends a request and reads over its answer; the file may be there already, and is then used as it is.
    fn call(&mut self, tag: u16, t: &Tmsg<'_>) -> Result<(), Failure> {
        self.stream.write_all(&encode(tag, t)?)?;
        self.answer().map(drop)
    }

    fn answer(&mut self) -> Result<Vec<u8>, Failure> {
        let mut frame = vec![0; 4];
        self.stream.read_exact(&mut frame)?;
        let size = frame.iter().rev().fold(0, |n, &b| n << 8 | usize::from(b));
        ensure((7..=8192).contains(&size), || format!("an answer of {size} bytes"))?;
        frame.resize(size, 0);
        self.stream.read_exact(frame.get_mut(4..).unwrap_or_default())?;
        Ok(frame)
    }

    /// Reads four answers in any order: right, if each is that of its request.
    fn right(&mut self, tag: u16) -> Result<(), Failure> {
        let mut seen = [false; 4];
        for _ in 0..4 {
            let frame = self.answer()?;
            let (answered, r) = Rmsg::decode(&frame).map_err(|b| b.error)?;
            let which = usize::from(answered.wrapping_sub(tag));
            let fits = match (which, r) {
                (0, Rmsg::Rwalk { wqid }) => wqid.len() == 1,
                (1, Rmsg::Ropen { .. }) | (3, Rmsg::Rclunk {}) => true,
                (2, Rmsg::Rread { data }) => data == CONTENTS,
                _ => false,
            };
            ensure(fits && !seen[which], || format!("wrong answer: {}", r.line(answered)))?;
            seen[which] = true;
        }
        Ok(())
    }

    fn fid(&mut self) -> u32 {
        self.next_fid += 1;
        self.next_fid
    }

    /// Each batch in one write; the median time.
    fn batches(&mut self) -> Result<Duration, Failure> {
        self.timed(|c, fid| {
            c.stream.write_all(&batch(fid, 1)?.concat())?;
            c.right(1)
        })
    }

    /// The same requests, each after the answer to the last; the median time of four.
    fn serial(&mut self) -> Result<Duration, Failure> {
        self.timed(|c, fid| {
            for request in batch(fid, 1)? {
                c.stream.write_all(&request)?;
                c.answer()?;
            }
            Ok(())
        })
    }

    fn timed(
        &mut self,
        mut act: impl FnMut(&mut Client, u32) -> Result<(), Failure>,
    ) -> Result<Duration, Failure> {
        let mut times = Vec::new();
        for _ in 0..BATCHES {
            let (fid, begun) = (self.fid(), Instant::now());
            act(self, fid)?;
            times.push(begun.elapsed());
        }
        times.sort();
        Ok(times[times.len() / 2])
    }

    /// All batches in one write, with all tags and fids in flight at once.
    fn all_at_once(&mut self) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        for n in 0..BATCHES {
            bytes.extend(batch(self.fid(), (4 * n) as u16)?.concat());
        }
        let mut output = self.stream.try_clone()?;
        // Both directions together are more than the sockets hold.
        let sender = std::thread::spawn(move || output.write_all(&bytes));
        for n in 0..BATCHES {
            self.right((4 * n) as u16)?;
        }
        sender.join().map_err(|_| "the sender panicked")??;
        Ok(())
    }
}
