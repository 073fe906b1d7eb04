//! The same programs on files behind a portal and behind a wire: nothing was added to calls for paging or payload, so a
//! server at the other end of a pipe, which knows nothing of either, serves them too, with bytes.

use crate::ctx::{Ctx, Outcome, ensure};
use std::process::{Command, Stdio};

/// What is done in /n, and told. Names of processes are apart, so that each machine has one server at its end.
const WORK: &str = "\
cp -r /lib/man /n/man; ls /n/man | wc -l
for(f in /lib/man/*) cmp $f /n/man/`{basename $f} || echo differs
seq 60000 >/n/s; sort -n /n/s | tail -1; sum /n/s; sum -m /n/s; grep -c 7 /n/s
cp /n/s /n/t; cmp /n/s /n/t; cp /n/t /tmp/t; cmp /n/s /tmp/t; mv /tmp/t /n/u; cmp /n/s /n/u; mv /n/u /tmp/u; cmp /n/s /tmp/u
cp /bin/cat /n/echo; chmod 755 /n/echo; /n/echo run from there; cmp /bin/cat /n/echo
mkdir /n/d /n/d/e; echo x >/n/d/e/x; mv /n/d /n/dd; cat /n/dd/e/x; rm -r /n/dd; ls /n
echo one >/n/f; echo two >>/n/f; cat /n/f; touch -d 2001-02-03 /n/f; chmod 600 /n/f; ls -l /n/f
cat /n/nothing >[2=1]; mkdir /n/f >[2=1]; rm /n/man >[2=1]; cp /n/f /n/no/f >[2=1]
for(i in `{seq 8}) {cp -r /n/man /n/man$i &}
wait
for(i in `{seq 8}) for(f in /lib/man/*) cmp $f /n/man$i/`{basename $f} || echo differs
find /n | wc -l
";

/// What may not grow by a server that came and went.
const COUNT: &str = "grep -e '^processes' -e '^portals' -e '^lent' -e '^zombies' /dev/counters";

/// The other end goes: who waits is told, and nobody stays.
const END: &str = "\
head -c 3000000 /dev/zero >/tmp/big
for(i in `{seq 6}) {
    {rfork s; exec cp /tmp/big /n/big} &
    sleep 0.0$i; @{echo -n interrupt >/proc/$apid/notepg} >[2]/dev/null; wait
}
cmp /n/s /n/t; cp /n/s /n/after; cmp /n/after /n/t; cp /tmp/big /n/big; cmp /tmp/big /n/big; echo whole
sum </n/s >/tmp/x >[2=1] &
kill ramfs; sleep 3
cat /n/s >[2=1] | head -c 100
unmount /n; rm /srv/far; COUNT >/tmp/counted
ps | grep -c far; echo still here
cmp /tmp/before /tmp/counted || cat /tmp/before /tmp/counted
";

fn machine(program: &std::path::Path, cpus: &str, script: &str) -> Result<String, crate::ctx::Failure> {
    let mut command = Command::new(program);
    command.args(["run", "--cpus", cpus, "--timeout", "200", "-c", script]).stdin(Stdio::null());
    let done = command.output()?;
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    println!("{cpus} CPUs: {:?}\n{out}{err}", done.status);
    ensure(done.status.code() == Some(0) && err.is_empty(), || format!("{:?}: {err}", done.status))?;
    Ok(out.into_owned())
}

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let program = ctx.bin("xtask")?;
    let near = machine(&program, "2", &format!("ramfs -s far /n\n{WORK}"))?;
    ensure(near.lines().count() >= 19 && !near.contains("differs"), || format!("behind a portal:\n{near}"))?;
    for cpus in ["1", "2"] {
        let script = format!("COUNT >/tmp/before\nwire -s far /n ramfs -c\n{WORK}echo '@@'\n{END}exit ''\n");
        let far = machine(&program, cpus, &script.replace("COUNT", COUNT))?;
        let (worked, ended) = far.split_once("@@\n").ok_or(format!("it did not come to its end:\n{far}"))?;
        ensure(worked == near, || format!("behind a portal:\n{near}\nbehind a wire:\n{worked}"))?;
        ensure(
            ended.starts_with("whole\n")
                && ended.contains("server died")
                && ended.ends_with("0\nstill here\n"),
            || format!("at the end:\n{ended}"),
        )?;
    }
    Ok(format!("{} lines as behind a portal", near.lines().count()))
}
