//! Many at once: twenty shells work in one ramfs, each with a pipeline of five processes. Nothing hangs, nothing is mixed
//! up, and what the kernel counts is afterwards what it was.

use crate::ctx::{Ctx, Outcome, ensure};
use crate::s45_segments::counter;
use std::collections::BTreeMap;
use std::process::Command;

/// Shells at once.
const SHELLS: usize = 20;

/// What each does, and what is written down before and after.
const SCRIPT: &str = "\
ramfs -s many /n
fn one {
	mkdir /n/$1
	for(n in 1 2 3 4) {
		echo $1 $n in many words, said by one of many >/n/$1/$n
		cat /n/$1/$n | cat | cat | cat >/n/$1/copy || exit copy
		said = `{cat /n/$1/copy}
		if(! ~ $said(1) $1 || ! ~ $said(2) $n) { echo wrong $1 $n $said; exit wrong }
	}
	rm -r /n/$1
	echo done $1
}
one 0
sleep 1
cat /dev/counters >/tmp/before
for(i in NUMBERS) one $i &
wait
sleep 1
cat /dev/counters >/tmp/after
ls /n
echo before; cat /tmp/before
echo after; cat /tmp/after
";

/// How many activations the pools may have grown by, each of some 80 KiB.
const ACTIVATIONS: u64 = 16;

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let program = ctx.bin("xtask")?;
    let numbers: Vec<String> = (1..=SHELLS).map(|i| i.to_string()).collect();
    let script = SCRIPT.replace("NUMBERS", &numbers.join(" "));
    let said =
        ctx.run(Command::new(program).args(["run", "--memory", "128", "--timeout", "150", "-c", &script]))?;
    let (work, counted) = said.split_once("before\n").ok_or("no counters")?;
    for i in 0..=SHELLS {
        ensure(work.lines().any(|l| l == format!("done {i}")), || format!("shell {i} is not done:\n{work}"))?;
    }
    ensure(work.lines().count() == SHELLS + 1, || format!("more was said, or files are left:\n{work}"))?;
    let (before, after) = counted.split_once("after\n").ok_or("no counters afterwards")?;
    let switches = counter(after, "switches") - counter(before, "switches");
    let (before, after) = (counters(before), counters(after));
    for name in ["fids", "frames"] {
        ensure(before.contains_key(name), || format!("the counters have no {name}"))?;
    }
    for (name, was) in &before {
        let is = after.get(name).copied().unwrap_or(0);
        // Caches keep some, and pools the activations that were needed at once.
        let same = match name.as_str() {
            "frames" => is < was + 128 + 20 * ACTIVATIONS,
            // Each has a thread.
            "activations" | "threads" => (*was..=was + ACTIVATIONS).contains(&is),
            _ => is == *was,
        };
        ensure(same, || format!("{name} went from {was} to {is}"))?;
    }
    Ok(format!("{SHELLS} shells, {switches} switches"))
}

/// Those that fall again: what comes from `switches` on only rises.
fn counters(text: &str) -> BTreeMap<String, u64> {
    let pair = |l: &str| l.split_once(' ').and_then(|(name, n)| Some((name.to_string(), n.parse().ok()?)));
    text.lines().take_while(|l| !l.starts_with("switches ")).filter_map(pair).collect()
}
