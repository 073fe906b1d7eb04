//! What a server answers behind its portal in the machine is what it answers on a wire: every message that the kernel
//! sends it while a script works is said again, over 9P2000, to the same server on the host.
//!
//! Through the kernel a program can't say most of what transcripts say (a fid in use, a tag twice), so those run on the
//! portal's front on the host (`host_con9_portal`); this is the front, the kernel and the address spaces together.

use crate::ctx::{Ctx, Outcome, ensure};
use abi::portal::op;
use ninep::frame::{self, Frame};
use ninep::{NOFID, NOTAG, Name, Names, Rmsg, Tmsg};
use ramfs::Ramfs;
use serve::wire::{Connection, MSIZE};
use serve::{Engine, NoWake};
use std::process::Command;

/// Works on a server of its own, which is named `t`: in pieces and whole pages, beyond ends, on what is not there,
/// not allowed or not empty.
const SCRIPT: &str = "mkdir /tmp/t
trace rc -c '@{ramfs -s t /tmp/t
mkdir /tmp/t/d /tmp/t/d/e
echo hello >/tmp/t/d/f
cat /tmp/t/d/f
cp /bin/rc /tmp/t/d/rc
cat /tmp/t/d/rc /tmp/t/d/f >/tmp/t/both
cmp /tmp/t/d/rc /bin/rc
echo more >>/tmp/t/d/f
echo other >/tmp/t/d/f
ls -l /tmp/t /tmp/t/d >/tmp/names
cat /tmp/t/nothing
mkdir /tmp/t/d
rm /tmp/t/d
for(i in 1 2 3 4 5 6 7 8 9) for(j in 1 2 3) echo $i >/tmp/t/d/e/$i^-a-rather-long-name-$j
ls /tmp/t/d/e >/tmp/names
rm /tmp/t/d/e/1* /tmp/t/nothing
rm -r /tmp/t/d
cmp /tmp/t/both /bin/rc} >[2]/tmp/errors'
";

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let program = ctx.bin("xtask")?;
    // The trace is on standard error, alone. Where its reader was not quick enough it says so, and is made again.
    let log = (0..6).find_map(|_| {
        let done = Command::new(&program).args(["run", "-c", SCRIPT]).output().ok()?;
        let log = String::from_utf8_lossy(&done.stderr).into_owned();
        println!("{log}");
        (!log.contains("messages lost")).then_some(log)
    });
    let log = log.ok_or("the trace has holes each time")?;
    let mut calls: Vec<Call<'_>> = log.lines().filter_map(call).collect();
    calls.sort_by(|a, b| a.time.total_cmp(&b.time));

    let server = Ramfs::new(&crate::con9_memory::options()).map_err(|e| e.text())?;
    let mut wire = Wire {
        engine: Engine::new(server),
        connection: Connection::new(1).map_err(|e| e.text())?,
        unseen: 0,
    };
    wire.ask(NOTAG, &Tmsg::Tversion { msize: MSIZE, version: ninep::VERSION })?;
    let mut kinds: Vec<&str> = Vec::new();
    for call in &calls {
        let answer = wire.say(call.t)?;
        ensure(answer == call.r, || format!("{}: {} in the machine, {answer} on a wire", call.t, call.r))?;
        let (t, r) = (call.t.split(' ').next().unwrap_or(""), call.r.split(' ').next().unwrap_or(""));
        kinds.extend([t, r]);
    }
    kinds.sort_unstable();
    kinds.dedup();
    for kind in
        ["Tattach", "Twalk", "Topen", "Tcreate", "Tread", "Twrite", "Tclunk", "Tremove", "Tstat", "Rerror"]
    {
        ensure(kinds.contains(&kind), || format!("no {kind} among {} calls: {kinds:?}", calls.len()))?;
    }
    Ok(format!(
        "{} calls answered as on a wire, {} kinds of message, {} clunks between",
        calls.len(),
        kinds.len(),
        wire.unseen
    ))
}

/// A line of the trace: when, what was asked and answered.
struct Call<'a> {
    time: f64,
    t: &'a str,
    r: &'a str,
}

/// `0.127 13 t Tstat fid 1 -> Rstat count 68 4963us`, if it is about the server `t`.
fn call(line: &str) -> Option<Call<'_>> {
    let (time, rest) = line.split_once(' ')?;
    let (_, rest) = rest.split_once(' ')?;
    let (t, r) = rest.strip_prefix("t ")?.split_once(" -> ")?;
    let (r, _) = r.rsplit_once(' ')?;
    Some(Call { time: time.parse().ok()?, t, r })
}

struct Wire {
    engine: Engine<Ramfs>,
    connection: Connection<Ramfs>,
    /// Clunks that the trace does not have.
    unseen: usize,
}

impl Wire {
    /// Says what a line of the trace says: the answer, as such a line has it. What is written is zeroes.
    fn say(&mut self, line: &str) -> Result<String, crate::ctx::Failure> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |name: &str, radix| {
            let at = words.iter().position(|w| *w == name).ok_or(format!("{line}: no {name}"))?;
            let word = words.get(at + 1).ok_or(format!("{line}: no {name}"))?;
            u64::from_str_radix(word, radix).map_err(|e| format!("{line}: {name}: {e}"))
        };
        let fid = number("fid", 10)? as u32;
        let zeroes;
        // Numbers come first; what has no name before it is a name.
        let names = |from: usize| {
            words.iter().skip(from).map(|w| Name::new(w.trim_matches('\''))).collect::<Result<Vec<_>, _>>()
        };
        let path;
        let t = match words[0] {
            "Tattach" => Tmsg::Tattach { fid, afid: NOFID, uname: words[5], aname: "" },
            "Twalk" => {
                path = names(5)?;
                let newfid = number("newfid", 10)? as u32;
                // The kernel clunks on its own time what a segment has kept open: nobody's doing, and not in the trace.
                // A fid that is walked to anew is such a one.
                if newfid != fid && self.ask(1, &Tmsg::Tstat { fid: newfid })?.starts_with("Rstat") {
                    self.ask(1, &Tmsg::Tclunk { fid: newfid })?;
                    self.unseen += 1;
                }
                Tmsg::Twalk { fid, newfid, wname: Names::new(&path)? }
            }
            "Topen" => Tmsg::Topen { fid, mode: number("mode", 10)? as u8 },
            "Tcreate" => {
                let [name] = names(7)?[..] else { return Err(format!("{line}: no name").into()) };
                Tmsg::Tcreate { fid, name, perm: number("perm", 16)? as u32, mode: number("mode", 10)? as u8 }
            }
            "Tread" => Tmsg::Tread { fid, offset: number("offset", 10)?, count: number("count", 10)? as u32 },
            "Twrite" => {
                zeroes = vec![0; number("count", 10)? as usize];
                Tmsg::Twrite { fid, offset: number("offset", 10)?, data: &zeroes }
            }
            "Tclunk" => Tmsg::Tclunk { fid },
            "Tremove" => Tmsg::Tremove { fid },
            "Tstat" => Tmsg::Tstat { fid },
            other => return Err(format!("{other} is not expected here").into()),
        };
        self.ask(1, &t)
    }

    fn ask(&mut self, tag: u16, t: &Tmsg<'_>) -> Result<String, crate::ctx::Failure> {
        let mut message = vec![0; MSIZE as usize];
        let len = t.encode(tag, &mut message)?;
        self.connection.receive(&message[..len]).map_err(|e| e.text())?;
        self.connection.run(&self.engine, &NoWake).map_err(|_| "the connection is hopeless")?;
        let output = std::mem::take(self.connection.output());
        let Frame::Whole { frame, .. } = frame::next(&output, MSIZE)? else { return Err("no answer".into()) };
        let (_, r) = Rmsg::decode(frame)?;
        let qid = |q: ninep::Qid| format!("qid ({:x} {} {:x})", q.path, q.vers, q.kind);
        Ok(match r {
            Rmsg::Rattach { qid: q } => format!("Rattach {}", qid(q)),
            Rmsg::Rwalk { wqid } => format!("Rwalk nwqid {}", wqid.len()),
            Rmsg::Ropen { qid: q, .. } => format!("Ropen {}", qid(q)),
            Rmsg::Rcreate { qid: q, .. } => format!("Rcreate {}", qid(q)),
            Rmsg::Rread { data } => format!("Rread count {}", data.len()),
            Rmsg::Rwrite { count } => format!("Rwrite count {count}"),
            // On a wire a count of its bytes stands before the record.
            Rmsg::Rstat { .. } => format!("Rstat count {}", frame.len() - ninep::HEAD - 2),
            Rmsg::Rerror { ename } => format!("Rerror '{ename}'"),
            _ if frame.get(4) == Some(&(op::TCLUNK + 1)) => "Rclunk".into(),
            _ if frame.get(4) == Some(&(op::TREMOVE + 1)) => "Rremove".into(),
            other => format!("{other}"),
        })
    }
}
