//! `/dev/svc`: the services as a file. A read lists them, a write steers one: `start NAME`, `stop NAME`, `restart NAME`.
//!
//! A write returns when the service does what was asked, or with the reason why it does not. A line of the list has
//! the name, what it does, the process, how often it was started, for how many seconds it has been so, and how it ended
//! last.

use super::supervise::{Phase, Supervised};
use core::fmt::Write;
use core::time::Duration;
use portolan::abi::error::Error as Known;
use portolan::abi::file::{DMDIR, QTDIR, QTFILE, Qid};
use portolan::alloc::string::String;
use portolan::fs::Stat;
use portolan::portal::{Limits, Portal};
use portolan::served::{self, Ctx, Fail, Listing, Mode, Opened, Server, Sink, Source};
use portolan::time;

/// A directory with one file.
struct Control {
    all: &'static [Supervised],
}

/// Longer than a service may take to stand.
const PATIENCE: Duration = Duration::from_secs(25);
/// How often a writer looks whether it is done.
const LOOK: Duration = Duration::from_millis(2);

fn qid_of(is_file: bool) -> Qid {
    Qid { kind: if is_file { QTFILE } else { QTDIR }, vers: 0, path: is_file.into() }
}

fn stat_of(is_file: bool) -> Stat<'static> {
    let (name, mode) = if is_file { ("svc", 0o644) } else { ("/", DMDIR | 0o555) };
    Stat {
        qid: qid_of(is_file),
        mode,
        name,
        uid: "sys",
        gid: "sys",
        muid: "sys",
        length: 0,
        ..Stat::NOCHANGE
    }
}

impl Control {
    fn list(&self) -> String {
        let mut text = String::new();
        for s in self.all {
            s.state(|st| {
                let seconds = (time::now() - st.since).as_secs();
                let (name, word) = (&s.spec.name, st.phase.word());
                // A string takes everything that memory allows.
                let _ = writeln!(text, "{name} {word} {} {} {seconds} {}", st.pid, st.starts, st.last);
            });
        }
        text
    }

    fn command(&self, text: &str) -> served::Result<()> {
        let (word, name) = text.trim_end().split_once(' ').ok_or(Known::BadCtl)?;
        let s = self.all.iter().find(|s| s.spec.name == name).ok_or(Fail::Words("no such service"))?;
        match word {
            "start" => s.start(),
            "stop" | "restart" => {
                s.state(|st| st.wanted = false);
                s.kill();
                wait(|| s.state(|st| matches!(st.phase, Phase::Down | Phase::Failed)))?;
                if word == "stop" {
                    return Ok(());
                }
                s.start();
            }
            _ => return Err(Known::BadCtl.into()),
        }
        wait(|| s.state(|st| !matches!(st.phase, Phase::Starting)))?;
        match s.state(|st| st.phase) {
            Phase::Up => Ok(()),
            _ => Err(Fail::Words("it does not stand: see its line of the list")),
        }
    }
}

fn wait(done: impl Fn() -> bool) -> served::Result<()> {
    let begun = time::now();
    while !done() {
        if time::now() - begun > PATIENCE {
            return Err(Known::Timeout.into());
        }
        time::sleep(LOOK).map_err(|_| Known::Interrupted)?;
    }
    Ok(())
}

impl Server for Control {
    /// Is it the file?
    type Node = bool;

    fn attach(&self, _: &Ctx<'_>, _: Option<&bool>, _: &str) -> served::Result<bool> {
        Ok(false)
    }

    fn qid(&self, node: &bool) -> Qid {
        qid_of(*node)
    }

    fn walk(&self, _: &Ctx<'_>, from: &bool, name: &str) -> served::Result<bool> {
        match (from, name) {
            (false, "svc") => Ok(true),
            (_, "..") => Ok(false),
            _ => Err(Known::NotExist.into()),
        }
    }

    fn open(&self, cx: &Ctx<'_>, node: &bool, mode: Mode) -> served::Result<Opened<bool>> {
        let owner = portolan::fs::read("#sys/user").unwrap_or_default();
        if mode.removes() || mode.executes() || mode.writes() && cx.user.as_bytes() != owner {
            return Err(Known::Perm.into());
        }
        Ok(Opened { node: *node, qid: qid_of(*node), iounit: 0 })
    }

    fn read(&self, _: &Ctx<'_>, _: &bool, offset: u64, sink: &mut Sink<'_>) -> served::Result<()> {
        sink.part(Control::list(self).as_bytes(), offset)
    }

    fn write(&self, _: &Ctx<'_>, _: &bool, _: u64, source: &mut Source<'_>) -> served::Result<u32> {
        let mut buf = [0; 128];
        let len = source.left();
        let text = buf.get_mut(..len).ok_or(Known::BadCtl)?;
        source.take(text)?;
        self.command(core::str::from_utf8(text).map_err(|_| Known::BadCtl)?)?;
        Ok(len as u32)
    }

    fn list(&self, _: &Ctx<'_>, _: &bool, from: u64, out: &mut Listing<'_, '_>) -> served::Result<()> {
        if from == 0 {
            out.entry(&stat_of(true), 1)?;
        }
        Ok(())
    }

    fn stat(
        &self,
        _: &Ctx<'_>,
        node: &bool,
        out: &mut dyn FnMut(&Stat<'_>) -> served::Result<()>,
    ) -> served::Result<()> {
        out(&stat_of(*node))
    }
}

/// Serves the file; the portal is to be mounted.
pub(super) fn serve(all: &'static [Supervised]) -> portolan::Result<Portal> {
    let limits = Limits { activations: 4, flags: 0, stack: 32 << 10, reserved: 0 };
    served::serve(Control { all }, &limits).map(|(portal, _)| portal)
}
