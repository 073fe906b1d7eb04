//! Supervision: servers that end, crash and hang are started again, mounts lead to the new ones, `svc` shows and steers.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use xtask::image;
use xtask::machine::{self, End, Options, Streams};

/// What the first machine does: a line of the answer for each thing that must hold.
const SCRIPT: &str = r"
# Says what the file holds, as soon as it can be read.
fn ok {while(! cat /n/ok >/dev/null >[2]/dev/null) sleep 0.1; echo $1: `{cat /n/ok}}
mount -a /srv/misfit /n
ok before
# A file that is open at the crash stays dead, and its reader is told; a new walk finds the new server.
{cat /n/end; cat <[0=5] >[2]/dev/null || echo open: dead; ok end; cat <[0=5] >[2]/dev/null || echo open: still dead} <[5]/n/ok
cat /n/crash >[2]/dev/null; ok crash
cat /n/panic >[2]/dev/null; ok panic
# Nobody but its watcher can tell that it hangs.
{cat /n/hang >[2]/dev/null; echo hang: left} &
hung=$apid
wait $hung; ok hang
# A namespace of its own finds the new server too, and a bind of the mount's root.
bind /n /mnt
@{rfork n; cat /n/end >[2]/dev/null; ok apart}
echo bound: `{cat /mnt/ok}
svc stop misfit
cat /n/ok >[2]/dev/null || echo stopped: dead
svc start misfit && echo started: `{cat /n/ok}
svc restart misfit && echo restarted: `{cat /n/ok}
svc restart nosuch >[2]/dev/null || echo nosuch: refused
@{echo nonsense >[2]/dev/null >/dev/svc} || echo nonsense: refused
svc
";

/// What it prints up to the table of `svc`.
const WANT: &str = "before: fine
open: dead
end: fine
open: still dead
crash: fine
panic: fine
hang: left
hang: fine
apart: fine
bound: fine
stopped: dead
started: fine
restarted: fine
nosuch: refused
nonsense: refused
";

/// A file system that ends more often than its table allows stays down until somebody starts it.
const LIMIT: &str = r"
cat /tmp/x >[2]/dev/null || echo empty
echo text >/tmp/x
for(i in 1 2 3 4) {kill tmp; while(~ `{svc} *pause*) sleep 0.1; cat /tmp/x >[2]/dev/null && echo kept; @{echo text >[2]/dev/null >/tmp/x}}
cat /tmp/x >[2]/dev/null || echo given up
svc start tmp && echo text >/tmp/x && cat /tmp/x
";

/// What a machine's run gave.
pub(crate) struct Ran {
    pub(crate) end: End,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) log: String,
}

/// What a machine writes, kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Ok(mut kept) = self.0.lock() {
            kept.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        self.0.lock().map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }
}

/// Boots the ordinary machine with misfit and a table of services of our own.
pub(crate) fn machine(ctx: &Ctx, kernel: &Path, services: &str, script: &str) -> Result<Ran, Failure> {
    let mut archive = image::ordinary()?;
    let misfit = image::build_programs(&["misfit"])?.join("misfit");
    let misfit = image::read(&misfit)?;
    archive.file("lib/sym/misfit", 0o444, image::symbols::table(&misfit));
    archive.file("bin/misfit", 0o755, image::loaded_part(&misfit));
    archive.file("lib/services", 0o644, services.into());
    archive.file("script", 0o644, script.into());
    let file = ctx.scratch().join("archive");
    std::fs::write(&file, archive.bytes())?;
    let options = Options {
        words: vec!["script".into()],
        timeout: Some(Duration::from_secs(60)),
        ..Options::default()
    };
    let (out, err) = (Kept::default(), Kept::default());
    let streams = Streams {
        input: Box::new(|| Some(Vec::new())),
        output: Box::new(out.clone()),
        errors: Box::new(err.clone()),
        script: true,
        ready: Box::new(|_, _| ()),
    };
    let ended = machine::run(&options, kernel, &file, streams)?;
    println!("{:?}\n{}\n{}\n{}", ended.end, out.text(), err.text(), ended.log);
    Ok(Ran { end: ended.end, out: out.text(), err: err.text(), log: ended.log })
}

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let kernel = image::build_kernel()?;
    let services = "cons /dev /bin/cons\ntmp /tmp create /bin/ramfs -s tmp\n\
                    misfit - restart=20/60 grace=2 /bin/misfit\n";
    let ran = machine(ctx, &kernel, services, SCRIPT)?;
    let table = ran.out.strip_prefix(WANT).ok_or(format!("the script said\n{}", ran.out))?;
    let line = table.lines().find(|l| l.starts_with("misfit")).unwrap_or("");
    let words: Vec<&str> = line.split_whitespace().collect();
    ensure(words.get(1) == Some(&"up") && words.get(3) == Some(&"8"), || format!("svc: {table}"))?;
    for cause in ["ended on purpose", "sys: trap: fault read", "panic", "hung: no answer"] {
        let said = ran.log.lines().any(|l| l.starts_with("init: misfit: ") && l.contains(cause));
        ensure(said, || format!("the log does not tell of: {cause}\n{}", ran.log))?;
    }
    ensure(ran.end == End::Code(0), || format!("{:?}", ran.end))?;

    let services = "cons /dev /bin/cons\ntmp /tmp create restart=3/60 /bin/ramfs -s tmp\n";
    let ran = machine(ctx, &kernel, services, LIMIT)?;
    ensure(ran.out == "empty\ngiven up\ntext\n", || format!("the limit: {}", ran.out))?;
    ensure(ran.log.contains("init: tmp: killed; not started again"), || ran.log.clone())?;
    Ok("7 ends, 2 machines".into())
}
