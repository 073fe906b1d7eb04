//! Ctrl-C in everything: every program is set to something that does not end, and ends by an interrupt.
//!
//! A server that hangs keeps whoever asks it for anything; those that ask nobody wait, or work for ever. What reads the
//! terminal is interrupted by its key in `s31_terminal`, where the same note comes from `cons`.

use crate::ctx::{Ctx, Outcome, ensure};
use crate::s70_supervise::machine;
use std::fmt::Write;
use xtask::image;
use xtask::machine::End;

/// What each program is to do for ever. /n is the server that hangs.
const WAITING: &[&str] = &[
    "[ -e /n/x ]",
    "bind /n/x /mnt",
    "cat /n/x",
    "chmod 600 /n/x",
    "cmp /n/x /n/ok",
    "cmp /dev/zero /dev/zero",
    "cp /n/x /tmp/x",
    "cp /dev/zero /dev/null",
    "du /n",
    "edit /n/x",
    "find /n",
    "grep x /n/x",
    "grep -r x /n",
    "head /n/x",
    "ls /n",
    "ls -l /n/x",
    "mkdir -p /n/x/y",
    "more /n/x",
    "mount /srv/misfit /mnt",
    "mv /tmp/here /n/x",
    "ramfs -s other /n/x",
    "rc -c 'cat /n/x'",
    "rc -c 'cat </n/x'",
    "rc -c 'while() {}'",
    "rc -c 'echo /n/*'",
    "rc -c 'cat /n/x | cat'",
    "recv",
    "rm /n/x",
    "sandbox -r /n cat /n/x",
    "send -r $box words",
    "seq 1000000000",
    "sleep 100000",
    "sort /n/x",
    "sum /n/x",
    "sum /dev/zero",
    "sum -m /n/x",
    "swap /n/x",
    "sync /n/x",
    "tail /n/x",
    "tee /n/x",
    "test -e /n/x",
    "time cat /n/x",
    "touch /n/x",
    "trace cat /n/x",
    "uniq /n/x",
    "unmount /n/x /mnt",
    "wc /n/x",
    "wc /dev/zero",
    "which /n/x",
    "xd /n/x",
];

/// Programs that only tell or do something at once, and ask no server but their machine's own.
const BRIEF: &[&str] = &[
    "basename", "clear", "date", "dirname", "echo", "false", "free", "help", "kill", "man", "ns", "poweroff",
    "ps", "pwd", "svc", "true", "uptime",
];

/// Begins each in a note group of its own, as a terminal's commands are.
const BEFORE: &str = "
echo here >/tmp/here
cat /n/hang >[2]/dev/null &
recv >/dev/null >[2=1] &
box=$apid
sleep 0.5
echo stop >/proc/$box/ctl
pids=()
fn begin {{rfork s; exec $*} </dev/zero >/dev/null >[2=1] &; pids=($pids $apid)}
";

/// All that still run are interrupted; how each ended, and who is left.
const AFTER: &str = "
sleep 2
for(p in $pids) if(test -e /proc/$p) {echo waits $p; echo -n interrupt >/proc/$p/notepg}
for(p in $pids) {wait $p; echo ended $p $status}
sleep 1
ps
";

/// Who is there before and afterwards.
const STAY: &[&str] = &["init", "cons", "tmp", "misfit", "rc", "cat", "recv", "ps"];

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    for name in image::commands()? {
        let tried = WAITING.iter().filter_map(|w| w.split(' ').next());
        ensure(tried.chain(BRIEF.iter().copied()).any(|t| t == name), || format!("{name} is not tried"))?;
    }
    let mut script = String::from(BEFORE);
    for line in WAITING {
        writeln!(script, "begin {line}\necho begun $apid '{}'", line.replace('\'', "''"))?;
    }
    script += AFTER;
    let services = "cons /dev /bin/cons\ntmp /tmp create /bin/ramfs -s tmp\nmisfit /n /bin/misfit\n";
    let ran = machine(ctx, &image::build_kernel()?, services, &script)?;
    ensure(ran.end == End::Code(0), || format!("{:?}", ran.end))?;
    let begun = ran.out.lines().filter_map(|l| l.strip_prefix("begun ")?.split_once(' '));
    let mut wrong = String::new();
    for (pid, line) in begun.clone() {
        let told = |word: &str| {
            ran.out.lines().find_map(|l| l.strip_prefix(&format!("{word} {pid}"))).map(str::trim)
        };
        if told("waits").is_none() {
            writeln!(wrong, "{line}: did not wait")?;
        } else if told("ended").is_none_or(|s| !s.contains("interrupt")) {
            writeln!(wrong, "{line}: {:?}", told("ended"))?;
        }
    }
    // Of those who wait for others nobody may leave them behind.
    let left = ran.out.lines().filter(|l| l.split(' ').nth(2) == Some("glenda"));
    let left: Vec<&str> = left.filter_map(|l| l.split(' ').nth(1)).filter(|n| !STAY.contains(n)).collect();
    let kept = ran.out.lines().filter(|l| l.contains(" cat glenda ")).count();
    ensure(left.is_empty() && kept == 1, || format!("left: {left:?}, {kept} of cat"))?;
    ensure(wrong.is_empty(), || wrong)?;
    ensure(begun.count() == WAITING.len(), || "not all have begun".into())?;
    Ok(format!("{} interrupted, {} programs end by themselves", WAITING.len(), BRIEF.len()))
}
