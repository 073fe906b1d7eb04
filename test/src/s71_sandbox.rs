//! Sandbox: a program names what its profile gives it and nothing else, and what it tries is on record.

use crate::ctx::{Ctx, Outcome, ensure};
use std::fmt::Write;
use std::process::{Command, Stdio};

/// What a program in a sandbox with `-r /tmp/in -w /tmp/out` tries, and what it says. The secret is in /tmp/secret.
const TRIES: &[(&str, &str)] = &[
    // What it was given.
    ("cat /tmp/in/f", "given"),
    ("echo new >/tmp/out/f; cat /tmp/out/f", "new"),
    ("ls -p /", "bin/ dev/ lib/ tmp/"),
    ("ls -p /tmp", "in/ out/"),
    ("cp /tmp/in/f /tmp/out/g && cat /tmp/out/g", "given"),
    ("echo void >/dev/null && echo null", "null"),
    // Names that lead elsewhere.
    ("cat /tmp/secret", ""),
    ("cat /tmp/in/../secret", ""),
    ("cd /tmp/in; cat ../secret", ""),
    ("cat /tmp/in/../../tmp/./secret", ""),
    ("cd /; cat tmp/secret", ""),
    // The kernel's trees, services, other processes, descriptors.
    ("cat '#root/cmdline'", ""),
    ("ls '#srv'", ""),
    ("cat '#proc/1/status'", ""),
    ("ls '#env'", ""),
    ("cat '#dup/5'", ""),
    ("cat '#sys/user'", ""),
    ("ls /srv", ""),
    ("ls /proc", ""),
    ("ls /env", ""),
    ("ls /boot", ""),
    ("cat /fd/5", ""),
    ("cat <[0=5]", ""),
    // Mounting, and another sandbox inside.
    ("mount /srv/tmp /tmp", ""),
    ("bind /tmp/secret /tmp/out/f && cat /tmp/out/f", ""),
    ("bind '#root' /tmp/out && ls /tmp/out", ""),
    ("unmount / && cat /tmp/secret", ""),
    ("unmount /tmp/in && cat /tmp/in/f", ""),
    ("rfork N; cat /cmdline /archive", ""),
    ("rfork n; unmount /; cat /tmp/secret", ""),
    ("bind /tmp/in / && cat /tmp/secret /cmdline", ""),
    ("sandbox cat /tmp/secret", ""),
    // What it may only read.
    ("echo x >/tmp/in/f; cat /tmp/in/f", ""),
    ("echo x >/tmp/in/new", ""),
    ("rm /tmp/in/f", ""),
    ("rm /tmp/in/d/g", ""),
    ("mkdir /tmp/in/e", ""),
    ("chmod 777 /tmp/in/f", ""),
    ("mv /tmp/in/f /tmp/in/h", ""),
    ("bind -c /tmp/in/d /tmp/out && echo x >/tmp/out/new", ""),
    ("echo x >/bin/new", ""),
    ("cat /tmp/in/f /tmp/in/d/g", "given deep"),
];

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let program = ctx.bin("xtask")?;
    let mut script = String::from(
        "mkdir /tmp/in /tmp/in/d /tmp/out; echo given >/tmp/in/f; echo deep >/tmp/in/d/g; echo hidden >/tmp/secret\n\
         fn try {echo '@' $1; {sandbox -l /tmp/audit -r /tmp/in -w /tmp/out rc -c $2 >[2]/dev/null | cat} <[5]/tmp/secret}\n",
    );
    for (i, (text, _)) in TRIES.iter().enumerate() {
        writeln!(script, "try {i} '{}'", text.replace('\'', "''"))?;
    }
    script += "echo @ rest; cat /tmp/secret /tmp/in/f /tmp/in/d/g /tmp/out/f; ls /tmp/in /tmp/out\n";
    // A profile of its own, an entry in another place, no network, and what is wrong.
    script += "echo r /bin >/tmp/p; echo r /tmp/in /data >>/tmp/p; echo r /net >>/tmp/p\n\
               sandbox -n -f /tmp/p cat /data/f\n\
               sandbox -f /tmp/p cat /data/f >[2]/dev/null || echo no network to give\n\
               echo x /bin >/tmp/q; sandbox -f /tmp/q cat >[2=1]; sandbox -f /tmp/nosuch cat >[2=1]\n\
               sandbox -n -f /tmp/p -r /tmp/nosuch cat >[2=1]; sandbox >[2]/dev/null || echo usage\n\
               sandbox -n -f /tmp/p nosuch >[2=1]\n\
               echo @ audit; cat /tmp/audit\n";
    let mut command = Command::new(program);
    command.args(["run", "--timeout", "100", "-c", &script]).stdin(Stdio::null());
    let ran = command.output()?;
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    println!("{out}\n{}", String::from_utf8_lossy(&ran.stderr));
    let blocks: Vec<(&str, String)> = out
        .split("@ ")
        .skip(1)
        .map(|b| b.split_once('\n').unwrap_or((b, "")))
        .map(|(name, text)| (name, text.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect();
    let block = |name: &str| blocks.iter().find(|b| b.0 == name).map_or("", |b| b.1.as_str());
    let mut wrong = String::new();
    for (i, (text, want)) in TRIES.iter().enumerate() {
        let have = block(&i.to_string());
        if have != *want {
            writeln!(wrong, "{text}: {have:?} for {want:?}")?;
        }
    }
    ensure(wrong.is_empty() && blocks.len() == TRIES.len() + 2, || wrong)?;
    let rest = block("rest");
    let want = "hidden given deep new /tmp/in: d f /tmp/out: f g given no network to give \
                sandbox: /tmp/q: line 1: begins with neither r nor w \
                sandbox: /tmp/nosuch: file does not exist sandbox: /tmp/nosuch: file does not exist usage \
                sandbox: /bin/nosuch: file does not exist";
    ensure(rest == want, || format!("after all:\n{rest}\nwanted\n{want}"))?;
    let audit = block("audit");
    for tried in [
        "cat /tmp/secret",
        "cat /#root/cmdline",
        "cat /#proc/1/status",
        "ls /srv",
        "ls /proc",
        "cat /fd/5",
        "rc write /tmp/in/f",
        "rc write /tmp/in/new",
        "rm write /tmp/in/f",
        "mkdir write /tmp/in/e",
        "chmod write /tmp/in/f",
        "rc write /tmp/out/new",
        "unmount mount /tmp/in",
        "unmount mount / ",
    ] {
        ensure(audit.contains(tried), || format!("not on record: {tried}\n{audit}"))?;
    }
    ensure(!audit.replace("write /tmp/in", "").replace("mount /tmp/in", "").contains("/tmp/in"), || {
        format!("what was given is on record:\n{audit}")
    })?;
    Ok(format!("{} tries", TRIES.len()))
}
