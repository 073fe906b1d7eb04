//! Files as memory: the tests of segments while everything is evicted all the time, and a file of the host's that is four
//! times as large as the machine's memory, read through a mapping; one that two processes have attached, of whom one
//! changes it; and pages that are moved from file to file.

use crate::ctx::{Ctx, Outcome, ensure};
use crate::s47_swap::word;
use std::process::Command;
use std::time::Duration;
use xtask::image;
use xtask::machine::{self, End, Options, Streams};

/// The code with which ktest says that all passed.
const PASSED: u8 = 16;

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let passed = tortured(ctx)?;
    let evicted = large(ctx)?;
    let (moved, seen) = (moved(ctx)?, seen(ctx)?);
    Ok(format!("{passed} under torture; 64 MiB in 16: {evicted}; {seen}; {moved}"))
}

/// The tests inside the machine whose names begin with t6, with `torture=evict`.
fn tortured(ctx: &mut Ctx) -> Result<usize, crate::ctx::Failure> {
    let (kernel, archive) = (image::build_kernel()?, ctx.scratch().join("archive"));
    std::fs::write(&archive, image::alone("ktest")?.bytes())?;
    let words = ["init=ktest", "ktest=t6", "torture=evict"].map(String::from).to_vec();
    let options = Options { cpus: 2, words, timeout: Some(Duration::from_secs(120)), ..Options::default() };
    let streams = Streams {
        input: Box::new(|| Some(Vec::new())),
        output: Box::new(std::io::stdout()),
        errors: Box::new(std::io::stdout()),
        script: false,
        ready: Box::new(|_, _| ()),
    };
    let ended = machine::run(&options, &kernel, &archive, streams)?;
    println!("{}", ended.log);
    ensure(ended.end == End::Code(PASSED), || format!("{:?}\n{}", ended.end, ended.tail()))?;
    for kind in ["evicted-text", "evicted-clean", "evicted-own", "laundered"] {
        ensure(counter(&ended.log, kind) > 0, || format!("no page is counted as {kind}\n{}", ended.log))?;
    }
    // Those that fill all memory are left out, and say so.
    Ok(ended.log.lines().filter(|l| l.starts_with("ok ")).count())
}

/// What a counter of `#sys/counters` says in a machine's output.
pub(crate) fn counter(out: &str, name: &str) -> u64 {
    out.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
}

/// cp and mv to ramfs, from one tree of it to another: pages are moved, and exist once however many map them.
fn moved(ctx: &mut Ctx) -> Result<String, crate::ctx::Failure> {
    const SCRIPT: &str = "mkdir /tmp/a /tmp/b
ramfs -s a /tmp/a; ramfs -s b /tmp/b
cat /dev/counters | grep given; cp /bin/rc /tmp/a/f; cat /dev/counters | grep given
mv /tmp/a/f /tmp/b/f; cat /dev/counters | grep given; ls /tmp/a; cmp /bin/rc /tmp/b/f && echo same
cat /dev/counters | grep shared; sum -m /tmp/b/f; cat /dev/counters | grep shared
wc -c /tmp/b/f";
    let mut command = Command::new(ctx.bin("xtask")?);
    let said = ctx.run(command.args(["run", "-c", SCRIPT]))?;
    let numbers = |name: &str| -> Vec<u64> {
        said.lines().filter_map(|l| l.strip_prefix(name)?.trim().parse().ok()).collect()
    };
    let size: u64 = said
        .lines()
        .find_map(|l| l.trim().strip_suffix("/tmp/b/f")?.trim().parse().ok().filter(|&n| n > 100_000))
        .ok_or("no size")?;
    ensure(said.lines().any(|l| l == "same"), || "the file is another after cp and mv".into())?;
    let (given, shared) = (numbers("given "), numbers("shared "));
    let ([g0, g1, g2], [s0, s1]) = (&given[..], &shared[..]) else {
        return Err(format!("{given:?}, {shared:?}").into());
    };
    // All but the last page, and the last page too if it is whole.
    let pages = size / 4096;
    ensure(g1 - g0 >= pages && g2 - g1 >= pages, || format!("{given:?} pages given, of {pages} each time"))?;
    ensure(s1 - s0 >= pages, || format!("{shared:?} pages shared, of {pages}"))?;
    Ok(format!("cp and mv moved {} and {} pages, a mapping shared {}", g1 - g0, g2 - g1, s1 - s0))
}

/// Two processes have a file of 64 MiB attached, and one sees what the other writes; after a sync the host has just that.
/// Each page comes in once.
fn seen(ctx: &mut Ctx) -> Result<String, crate::ctx::Failure> {
    const PAGES: usize = 64 << 8;
    const SCRIPT: &str = "cd /n/host; cat /dev/counters | grep fetched
./toucher pair both 6; sync both; cat /dev/counters | grep fetched; grep dirty /dev/counters";
    let share = ctx.scratch().join("pair");
    std::fs::create_dir_all(&share)?;
    let filled = |seed| (0..PAGES << 9).flat_map(|i| word(seed, 8 * i).to_le_bytes()).collect::<Vec<u8>>();
    std::fs::write(share.join("both"), filled(6))?;
    std::fs::copy(image::build_programs(&["toucher"])?.join("toucher"), share.join("toucher"))?;
    let mut command = Command::new(ctx.bin("xtask")?);
    command.args(["run", "--memory", "256", "--timeout", "200", "--share"]).arg(&share);
    let said = ctx.run(command.args(["-c", SCRIPT]))?;
    ensure(said.matches("all right\n").count() == 2, || format!("the pair says {said}"))?;
    ensure(std::fs::read(share.join("both"))? == filled(7), || "the host's file is another".into())?;
    let fetched: Vec<usize> =
        said.lines().filter_map(|l| l.strip_prefix("fetched ")?.trim().parse().ok()).collect();
    let [before, after] = fetched[..] else { return Err(format!("counters: {said}").into()) };
    // Of the programs that ran meanwhile something came too.
    let came = after - before;
    ensure((PAGES..PAGES + PAGES / 50).contains(&came), || format!("{came} pages came in, for {PAGES}"))?;
    ensure(counter(&said, "dirty") == 0, || format!("not all was written: {said}"))?;
    Ok(format!("{came} pages came in for two processes and {PAGES} pages"))
}

/// Sums a file of 64 MiB through a mapping in a machine of 16 MiB.
fn large(ctx: &mut Ctx) -> Result<String, crate::ctx::Failure> {
    const LEN: usize = 64 << 20;
    let share = ctx.scratch().join("share");
    std::fs::create_dir_all(&share)?;
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut bytes = Vec::with_capacity(LEN);
    while bytes.len() < LEN {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        bytes.extend_from_slice(&seed.to_le_bytes());
    }
    std::fs::write(share.join("big"), &bytes)?;
    // sum(1) of BSD: rotate to the right, add.
    let sum = bytes.iter().fold(0u32, |s, &b| ((s >> 1) + ((s & 1) << 15) + u32::from(b)) & 0xffff);
    let mut command = Command::new(ctx.bin("xtask")?);
    command.args(["run", "--memory", "16", "--timeout", "400", "--share"]).arg(&share);
    let said = ctx.run(command.args(["-c", "sum -m /n/host/big; cat /dev/counters /dev/memory"]))?;
    let want = format!("{sum:05} {:5} /n/host/big", LEN / 1024);
    ensure(said.lines().any(|l| l == want), || format!("no line {want:?}"))?;
    let (text, clean) = (counter(&said, "evicted-text"), counter(&said, "evicted-clean"));
    // All but what fits went on the way; of the programs something may have.
    let least = (LEN as u64 - (16 << 20)) / 4096;
    ensure(clean >= least, || format!("{clean} pages were evicted, of at least {least}"))?;
    Ok(format!("{clean} clean and {text} text pages evicted"))
}
