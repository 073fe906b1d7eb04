//! Swap: programs that need more memory than there is, in a machine of 16 MiB whose swap is a file of the host's.
//!
//! `sort` of a file larger than memory fails alone, by a word of its own, and gives what the host's gives once there is
//! swap. Programs that together touch 256 MiB of their own memory and of files find every byte right, and so does the
//! host in the files.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use crate::s45_segments::counter;
use std::path::Path;
use std::process::Command;
use xtask::image;

/// Bytes of the file that is sorted.
const SORTED: usize = 24 << 20;
/// Each of two programs' own memory, MiB.
const OWN: usize = 48;
/// The files that are written, and only read, as memory: MiB.
const WRITTEN: usize = 64;
const READ: usize = 96;

const SCRIPT: &str = "\
cd /n/host
if(sort text >alone >[2]why) exit alone
cat why
rc -c './toucher own OWN 1' >[2=1]
swap -s 160M swapfile || exit swap
sort text >sorted || exit sorted
echo sorted
./toucher own OWN 1 >one >[2=1] &
./toucher own OWN 2 >two >[2=1] &
./toucher file written 3 >three >[2=1] &
sum -m read >sum >[2=1] &
wait
cat one two three sum
cat /dev/counters /dev/swap
";

fn noise(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// Lines of some 16 KiB, so that the first pages of all of them fit into memory when they are compared.
fn lines() -> Vec<u8> {
    let mut seed = 0x2545_f491_4f6c_dd1d;
    let mut all = Vec::with_capacity(SORTED + 32_000);
    while all.len() < SORTED {
        all.extend_from_slice(format!("{:016x}", noise(&mut seed)).as_bytes());
        let end = all.len() + 8000 + (noise(&mut seed) % 16_000) as usize;
        all.resize(end, b'a' + (end % 26) as u8);
        all.push(b'\n');
    }
    all
}

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let share = ctx.scratch().join("share");
    std::fs::create_dir_all(&share)?;
    let text = lines();
    std::fs::write(share.join("text"), &text)?;
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let read: Vec<u8> = (0..READ << 17).flat_map(|_| noise(&mut seed).to_le_bytes()).collect();
    std::fs::write(share.join("read"), &read)?;
    std::fs::copy(image::build_programs(&["toucher"])?.join("toucher"), share.join("toucher"))?;
    let mut sorted: Vec<&[u8]> = text.split_inclusive(|&b| b == b'\n').collect();
    sorted.sort_unstable();
    let (program, sorted) = (ctx.bin("xtask")?, sorted.concat());
    let one = round(ctx, &program, 1, &share, (&sorted, &read))?;
    let two = round(ctx, &program, 2, &share, (&sorted, &read))?;
    Ok(format!("24 MiB sorted and {} touched in 16: {one:?}, on two CPUs {two:?}", 2 * OWN + WRITTEN + READ))
}

/// One machine does all of it: what it evicted, by kind.
fn round(
    ctx: &Ctx,
    program: &Path,
    cpus: u32,
    share: &Path,
    (sorted, read): (&[u8], &[u8]),
) -> Result<[(&'static str, u64); 4], Failure> {
    std::fs::write(share.join("written"), vec![0; WRITTEN << 20])?;
    let _ = std::fs::remove_file(share.join("swapfile"));
    let script = SCRIPT.replace("OWN", &OWN.to_string());
    let mut command = Command::new(program);
    command.args(["run", "--memory", "16", "--cpus", &cpus.to_string(), "--timeout", "600", "--share"]);
    let said = ctx.run(command.arg(share).args(["-c", &script]))?;
    let alone = said.lines().next().unwrap_or("");
    ensure(alone.contains("out of memory"), || format!("without swap: {said}"))?;
    let trapped = said.lines().nth(1).unwrap_or("");
    ensure(
        trapped.starts_with("./toucher ") && trapped.ends_with(": out of memory (swap FILE makes room)"),
        || format!("who traps without swap: {said}"),
    )?;
    ensure(said.contains("\nsorted\n"), || format!("sort did not end: {said}"))?;
    ensure(std::fs::read(share.join("sorted"))? == sorted, || "sorted wrongly".into())?;
    ensure(said.matches("all right\n").count() == 3, || format!("touchers: {said}"))?;
    let sum = read.iter().fold(0u32, |s, &b| ((s >> 1) + ((s & 1) << 15) + u32::from(b)) & 0xffff);
    let want = format!("{sum:05} {:5} read", READ << 10);
    ensure(said.lines().any(|l| l == want), || format!("no line {want:?}: {said}"))?;
    let written = std::fs::read(share.join("written"))?;
    let wrong = written.chunks_exact(8).enumerate().find(|(i, b)| **b != word(3, 8 * i).to_le_bytes());
    ensure(wrong.is_none(), || format!("the host's file is wrong at word {:?}", wrong.map(|w| w.0)))?;
    // What was not freed would show as used when all have ended.
    ensure(said.contains("swapfile 167772160 0\n"), || format!("swap is not empty: {said}"))?;
    let kinds = ["evicted-text", "evicted-clean", "laundered", "evicted-own"].map(|k| (k, counter(&said, k)));
    ensure(kinds.iter().all(|k| k.1 > 0), || format!("{cpus} CPUs: {kinds:?}"))?;
    Ok(kinds)
}

/// The rule by which toucher fills memory.
pub(crate) fn word(seed: u64, at: usize) -> u64 {
    ((at as u64).wrapping_add(seed << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
}
