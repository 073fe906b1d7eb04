//! tap9 between client and server: what is only watched, delayed or reordered changes no answer; what is damaged hurts
//! that connection alone.

use std::process::{Command, Stdio};
use std::time::Duration;

use con9::link::{Address, Target};
use con9::run::Options;
use con9::suite;
use con9::word::Vars;

use crate::con9_cases::{self, Ramfs};
use crate::ctx::{Ctx, Failure, Outcome, Proc, ensure};

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["tshark"])?;
    let program = ctx.bin("tap9")?;
    let address = |ctx: &Ctx, name: &str| Address::Unix(ctx.scratch().join(name).display().to_string());
    let start = |ctx: &Ctx, name: &str, to: &Address, options: &[&str]| -> Result<(Address, Proc), Failure> {
        let listen = address(ctx, name);
        let mut command = Command::new(&program);
        command.args(["--listen", &listen.to_string(), "--to", &to.to_string()]).args(options);
        let log = std::fs::File::create(ctx.scratch().join(format!("{name}.trace")))?;
        let process = ctx.spawn(command.stdout(Stdio::null()).stderr(log))?;
        ctx.poll(Duration::from_secs(30), "tap9 does not listen", || listen.dial().is_ok())?;
        Ok((listen, process))
    };

    // Watched, and in another order: the very same answers.
    let ramfs = Ramfs::start(ctx, &address(ctx, "ramfs"))?;
    let capture = ctx.scratch().join("messages.pcap");
    let shown = capture.display().to_string();
    let (watched, tap) = start(ctx, "watched", &ramfs.address, &["--trace", "--reorder", "--pcap", &shown])?;
    // tap9 passes whole messages on; of one that never becomes whole the server hears nothing.
    let never_whole = "a size one above msize is refused";
    let summary = con9_cases::same_as_in_memory_but(never_whole, &watched)?;
    drop(tap);
    let lines = std::fs::read_to_string(ctx.scratch().join("watched.trace"))?.lines().count();
    let mut tshark = Command::new("tshark");
    let dissected =
        ctx.run(tshark.args(["-n", "-r", &shown, "-Y", "9p", "-T", "fields", "-e", "9p.msgtype"]))?;
    let dissected: usize = dissected.lines().map(|line| line.split(',').count()).sum();
    ensure(lines > 10_000, || format!("only {lines} messages were traced"))?;
    // The transcripts hold messages that are none; everything else tshark must know.
    ensure(dissected * 100 > lines * 97, || format!("tshark knows {dissected} of {lines} messages"))?;

    // Late: the same answers, and not a message sooner.
    let (late, tap) = start(ctx, "late", &ramfs.address, &["--delay", "40"])?;
    let files = suite::read(&[con9_cases::folder().join("flush.9p")])?;
    let options = Options { timeout: Duration::from_secs(60), trace: false, vars: Vars::new() };
    let begun = std::time::Instant::now();
    let outcomes = suite::run(&files, &late, &options, |outcome| println!("{outcome}"));
    // Each case has at least its version's way there and back.
    let least = Duration::from_millis(80) * outcomes.len() as u32;
    ensure(outcomes.iter().all(|o| o.result.is_ok()), || "a delay changed an answer".into())?;
    ensure(begun.elapsed() >= least, || format!("{:?} is less than the delays", begun.elapsed()))?;
    drop(tap);

    // Damaged in each way: the client sees faults, and the server stays as it was.
    let options = Options { timeout: Duration::from_millis(200), ..options };
    let walk = suite::read(&[con9_cases::folder().join("walk.9p")])?;
    let mut hurt = Vec::new();
    for (name, trouble) in
        [("truncated", ["--truncate", "5"]), ("corrupted", ["--corrupt", "0.3"]), ("lost", ["--drop", "0.3"])]
    {
        let (listen, tap) = start(ctx, name, &ramfs.address, &trouble)?;
        let outcomes = suite::run(&walk, &listen, &options, |_| {});
        let faults = outcomes.iter().filter(|o| o.result.is_err()).count();
        ensure(faults > outcomes.len() / 2, || format!("{name}: {faults} faults of {}", outcomes.len()))?;
        hurt.push(format!("{name} {faults}"));
        drop(tap);
    }
    // What could not be cleaned up through damage is cleaned up without.
    for number in 1..=walk[0].cases.len() {
        con9::clean::remove(&ramfs.address, &format!("con9-{number}"), Duration::from_secs(60));
    }
    con9_cases::all(&ramfs.address)?;
    Ok(format!("{summary} through it; {} of {} cases fail by design", hurt.join(", "), walk[0].cases.len()))
}
