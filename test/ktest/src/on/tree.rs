//! The kernel's trees: what they show, whom they allow what, and what a process can give up.

use super::{Test, check, fails, imp};
use core::time::Duration;
use portolan::abi::error::Error as Known;
use portolan::abi::file::{
    MAFTER, MBEFORE, MCREATE, MREPL, OCEXEC, ORDWR, OREAD, OWRITE, RFCNAMEG, RFENVG, RFFDG, RFNAMEG, RFNOMNT,
    RFNOTEG,
};
use portolan::abi::trace::{Record, SIZE};
use portolan::alloc::format;
use portolan::alloc::string::{String, ToString};
use portolan::alloc::vec::Vec;
use portolan::{File, Result, fs, process, sys, time};

pub(super) const TESTS: &[Test] = &[
    ("t25_cap_changes_the_user_once", cap),
    ("t25_users_are_kept_apart", users),
    ("t25_auth_is_passed_through", authentic),
    ("t25_srv_permissions", srv_permissions),
    ("t26_proc_files", proc_files),
    ("t26_proc_status_says_whom_it_waits_for", waits_for),
    ("t26_proc_given_up_trees_stay_away", given_up),
    ("t26_proc_confined", confined),
    ("t27_name_mount_points_are_seen_and_kept", mount_points),
    ("t27_name_union_creation", union_creation),
    ("t27_name_only_portals_are_mounted", no_servers),
    ("t27_ns_is_a_script_that_rebuilds", rebuilt),
    ("t27_ns_names_servers_and_their_trees", mounts_in_script),
    ("t28_trace_shows_messages", traced),
];

/// Runs something in a process with groups of its own and waits for it: its failure is ours.
fn apart(flags: u32, run: impl FnOnce() -> Result<()>) -> Result<()> {
    let pid = process::fork(flags | RFFDG | RFENVG)?;
    if pid == 0 {
        match run() {
            Ok(()) => sys::exits(b""),
            Err(e) => sys::exits(e.words().as_bytes()),
        }
    }
    let ended = process::wait_for(pid)?;
    check!(ended.status.is_empty(), "{}", ended.status);
    Ok(())
}

fn text(path: &str) -> Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

fn user() -> Result<String> {
    text("#sys/user")
}

/// Grants a capability for another user and gives its words.
fn grant(to: &str) -> Result<String> {
    let words = format!("{}@{to}@0123456789abcdef", user()?);
    File::open("#cap/grant", OWRITE)?.write_all(words.as_bytes())?;
    Ok(words)
}

fn become_user(words: &str) -> Result<()> {
    File::open("#cap/use", OWRITE)?.write_all(words.as_bytes())
}

fn cap() -> Result<()> {
    let words = grant("guest")?;
    let before = user()?;
    apart(0, || {
        fails(become_user(&words.replace("cdef", "cdeX")), Known::Perm)?;
        become_user(&words)?;
        check!(user()? == "guest", "the user is {}", user()?);
        // Neither again, nor back.
        fails(become_user(&words), Known::Perm)?;
        fails(File::open("#cap/grant", OWRITE), Known::Perm)
    })?;
    check!(user()? == before, "the parent's user has changed");
    fails(become_user(&words), Known::Perm)?;
    for bad in ["a@b", "a@b@short", "a b@c@0123456789abcdef"] {
        fails(become_user(bad), Known::BadCtl)?;
    }
    fails(File::open("#cap/use", OREAD), Known::Perm)
}

/// A server that lets in only those who answer its challenge: the kernel hands both through, and takes for an
/// authentication file only one of that server.
fn authentic() -> Result<()> {
    let imp = imp::mounted("imp", "/mnt", 4)?;
    let other = imp::start("other", 4)?;
    let r = passed_through();
    imp::stop("other", other);
    imp::stop("imp", imp);
    r
}

fn passed_through() -> Result<()> {
    let (server, other) = (File::open("/srv/imp", ORDWR)?, File::open("/srv/other", ORDWR)?);
    let fauth = |f: &File| sys::fauth(f.fd(), b"auth").map(File::from_fd).ok_or_else(portolan::Error::last);
    let mount = |server: &File, afd: i32| {
        sys::mount(server.fd(), afd, b"/n", MREPL, b"auth").ok_or_else(portolan::Error::last)
    };
    fails(mount(&server, -1), Known::Perm)?;
    let auth = fauth(&server)?;
    let mut buf = [0; 32];
    let n = auth.read(&mut buf)?;
    check!(&buf[..n] == b"challenge", "the challenge is {:?}", &buf[..n]);
    fails(mount(&server, auth.fd()), Known::Perm)?;
    fails(auth.write_all(b"guess"), Known::Perm)?;
    fails(mount(&server, auth.fd()), Known::Perm)?;
    auth.write_all(b"response")?;
    // Neither a file of another server nor one that is none of this kind stands for it.
    let (wrong, null) = (fauth(&other)?, File::open("#sys/null", ORDWR)?);
    let plain = File::open("/mnt/data", OREAD)?;
    for f in [&wrong, &null, &plain] {
        fails(mount(&server, f.fd()), Known::BadArg)?;
    }
    mount(&server, auth.fd())?;
    check!(File::open("/n/data", OREAD)?.read(&mut buf)? == buf.len(), "the tree does not serve");
    fs::unmount("", "/n")
}

fn users() -> Result<()> {
    let words = grant("guest")?;
    let mine = format!("#proc/{}", process::id());
    apart(0, || {
        become_user(&words)?;
        for (path, mode) in [
            ("#hw/io", ORDWR),
            (&format!("{mine}/ctl"), OWRITE),
            (&format!("{mine}/note"), OWRITE),
            (&format!("{mine}/notepg"), OWRITE),
            (&format!("{mine}/args"), OWRITE),
        ] {
            fails(File::open(path, mode), Known::Perm)?;
        }
        let power = File::open("#sys/power", OWRITE)?;
        fails(power.write_all(b"off"), Known::Perm)?;
        check!(text(&format!("{mine}/status"))?.contains(' '), "the status of others can't be read");
        // Its own process is its own.
        File::open(format!("#proc/{}/ctl", process::id()), OWRITE).map(drop)
    })
}

fn srv_permissions() -> Result<()> {
    let null = File::open("#sys/null", ORDWR)?;
    for (name, perm) in [("closed", 0o600), ("readable", 0o644), ("open", 0o666)] {
        let post = File::create(format!("#srv/{name}"), u32::from(OWRITE), perm)?;
        post.write_all(format!("{}", null.fd()).as_bytes())?;
    }
    let words = grant("guest")?;
    apart(0, || {
        become_user(&words)?;
        fails(File::open("#srv/closed", OREAD), Known::Perm)?;
        File::open("#srv/readable", OREAD)?;
        fails(File::open("#srv/readable", OWRITE), Known::Perm)?;
        File::open("#srv/open", ORDWR)?;
        fails(fs::remove("#srv/open"), Known::Perm)?;
        // What one posts one can take down, and the owner can.
        File::create("#srv/theirs", u32::from(OWRITE), 0o600)?.write_all(b"0").ok();
        Ok(())
    })?;
    for name in ["closed", "readable", "open", "theirs"] {
        fs::remove(format!("#srv/{name}"))?;
    }
    Ok(())
}

fn proc_files() -> Result<()> {
    let (me, pid) = (format!("#proc/{}", process::id()), process::id());
    let status = text(&format!("{me}/status"))?;
    check!(status.starts_with(&format!("{pid} ")) && status.ends_with('\n'), "status is {status:?}");
    File::open(format!("{me}/args"), OWRITE)?.write_all(b"renamed")?;
    let status = text(&format!("{me}/status"))?;
    check!(status.split(' ').nth(1) == Some("renamed"), "after a write to args the status is {status:?}");
    let held = File::open("#sys/time", OREAD)?;
    let fds = text(&format!("{me}/fd"))?;
    let line = fds.lines().find(|l| l.starts_with(&format!("{} r ", held.fd())));
    check!(line.is_some_and(|l| l.ends_with("#sys/time")), "fd says {fds:?}");
    check!(text(&format!("{me}/segment"))?.lines().count() >= 2, "segments are missing");
    let ctl = File::open(format!("{me}/ctl"), OWRITE)?;
    for bad in ["", "nonsense", "pri", "pri x", "nodev nosuch", "kill me"] {
        check!(ctl.write_all(bad.as_bytes()).is_err() || bad.is_empty(), "ctl took {bad:?}");
    }
    fails(File::open(format!("{me}/status"), OWRITE), Known::Perm)?;
    for missing in ["#proc/0", "#proc/x", "#proc/4294967295", &format!("{me}/nosuch")] {
        fails(File::open(missing, OREAD), Known::NotExist)?;
    }
    // A process that has ended: its directory is gone, and an open file of it answers so.
    let child = process::fork(RFFDG)?;
    if child == 0 {
        loop {
            let _ = sys::sleep(1_000_000_000);
        }
    }
    let status = File::open(format!("#proc/{child}/status"), OREAD)?;
    File::open(format!("#proc/{child}/ctl"), OWRITE)?.write_all(b"kill")?;
    let ended = process::wait_for(child)?;
    check!(ended.status == "killed", "the status is {:?}", ended.status);
    fails(status.read_at(&mut [0; 64], 0), Known::NoProc)?;
    fails(File::open(format!("#proc/{child}"), OREAD), Known::NotExist)
}

/// The fourth word of a process's status, when it does not say that it runs.
fn state(pid: u32) -> Result<String> {
    for _ in 0..200 {
        let status = text(&format!("#proc/{pid}/status"))?;
        let state = status.split(' ').nth(3).unwrap_or("");
        if state != "Running" && !state.is_empty() {
            return Ok(state.to_string());
        }
        time::sleep(Duration::from_millis(10))?;
    }
    Ok(String::from("Running"))
}

fn waits_for() -> Result<()> {
    let imp = imp::mounted("imp", "/mnt", 4)?;
    let named = |how: &str, want: &str| -> Result<()> {
        let pid = process::fork(RFFDG)?;
        if pid == 0 {
            let _ = fs::read(format!("/mnt/{how}"));
            sys::exits(b"");
        }
        time::sleep(Duration::from_millis(50))?;
        let state = state(pid)?;
        File::open(format!("#proc/{pid}/ctl"), OWRITE)?.write_all(b"kill")?;
        process::wait_for(pid)?;
        check!(state.starts_with(want) && state.ends_with("ms"), "{how}: the state is {state:?}");
        Ok(())
    };
    let server = text(&format!("#proc/{imp}/status"))?;
    let want = format!("Call:{}:read:", server.split(' ').nth(1).unwrap_or("?"));
    let r = named("block", &want).and_then(|()| named("wait", &want));
    imp::stop("imp", imp);
    r?;
    let sleeper = process::fork(RFFDG)?;
    if sleeper == 0 {
        let _ = sys::sleep(1_000_000_000_000);
    }
    let state = state(sleeper)?;
    File::open(format!("#proc/{sleeper}/ctl"), OWRITE)?.write_all(b"kill")?;
    process::wait_for(sleeper)?;
    check!(state.starts_with("Sleep:"), "the state is {state:?}");
    Ok(())
}

fn given_up() -> Result<()> {
    let nested = || {
        fails(File::open("#env", OREAD), Known::Perm)?;
        File::open("#sys/null", ORDWR).map(drop)
    };
    apart(RFNAMEG, || {
        File::open("#env", OREAD)?;
        File::open(format!("#proc/{}/ctl", process::id()), OWRITE)?.write_all(b"nodev env")?;
        nested()?;
        // Children too, and a change of namespace brings nothing back.
        apart(RFNAMEG, nested)?;
        apart(RFCNAMEG, nested)?;
        // What is bound in the namespace was given before, and stays.
        File::open("/env", OREAD).map(drop)
    })?;
    File::open("#env", OREAD).map(drop)
}

fn confined() -> Result<()> {
    apart(RFNAMEG, || {
        process::rfork(RFNOMNT)?;
        fails(File::open("#sys/null", OREAD), Known::Perm)?;
        fails(fs::bind("#sys", "/mnt", MREPL), Known::Perm)?;
        File::open("/dev/null", OREAD)?;
        let null = File::open("/dev/null", ORDWR)?;
        check!(fs::mount(&null, "/mnt", MREPL, "").is_err(), "a file that is no portal was mounted");
        apart(RFNAMEG, || fails(File::open("#sys/null", OREAD), Known::Perm))
    })
}

/// A line of `ns` carried out.
fn carry_out(line: &str) -> Result<()> {
    let mut words: Vec<&str> = line.split(' ').map(|w| w.trim_matches('\'')).collect();
    let mut flags = MREPL;
    if words.get(1).is_some_and(|w| w.starts_with('-')) {
        for c in words.remove(1).chars() {
            flags |= match c {
                'a' => MAFTER,
                'b' => MBEFORE,
                'c' => MCREATE,
                _ => 0,
            };
        }
    }
    match words[..] {
        ["bind", new, old] => fs::bind(new, old, flags),
        ["cd", dir] => fs::change_dir(dir),
        _ => Err(portolan::Error::new(&format!("ns has the line {line:?}"))),
    }
}

fn rebuilt() -> Result<()> {
    apart(RFNAMEG, || {
        // Each needs the one before; the kernel keeps them in no such order.
        fs::bind("#sys", "/lib", MREPL)?;
        fs::bind("/lib", "/boot", MREPL)?;
        fs::bind("/boot", "/bin", MBEFORE)?;
        fs::bind("/bin", "/tmp", MREPL)?;
        fs::bind("#env", "/tmp", MREPL | MCREATE)?;
        fs::bind("/dev", "/mnt", MAFTER)?;
        fs::bind("/proc", "/mnt", MBEFORE)?;
        fs::bind("/mnt", "/n", MREPL)?;
        fs::change_dir("/dev")?;
        let script = text(&format!("#proc/{}/ns", process::id()))?;
        apart(RFCNAMEG, || {
            check!(File::open("/dev/null", OREAD).is_err(), "an empty namespace is not");
            for line in script.lines() {
                carry_out(line).map_err(|e| portolan::Error::of(line, e))?;
            }
            let got = text(&format!("#proc/{}/ns", process::id()))?;
            check!(got == script, "rebuilt as {got} instead of {script}");
            File::open("null", OREAD).map(drop)
        })
    })
}

fn mounts_in_script() -> Result<()> {
    let imp = imp::start("imp", 2)?;
    let r = apart(RFNAMEG, || {
        let server = File::open("/srv/imp", ORDWR)?;
        fs::mount(&server, "/mnt", MREPL, "")?;
        fs::mount(&server, "/n", MAFTER, "some tree")?;
        let script = text(&format!("#proc/{}/ns", process::id()))?;
        let end = "\nmount /srv/imp /mnt\nmount -a /srv/imp /n 'some tree'\ncd ";
        check!(script.contains(end), "ns says {script}");
        Ok(())
    });
    imp::stop("imp", imp);
    r
}

fn traced() -> Result<()> {
    let ctl = File::open("#trace/ctl", OWRITE | OCEXEC)?;
    fails(File::open("#trace/ctl", OWRITE), Known::Exclusive)?;
    fails(ctl.write_all(b"nonsense"), Known::BadCtl)?;
    apart(RFNOTEG, || {
        ctl.write_all(b"group")?;
        let f = File::open("#sys/null", ORDWR)?;
        f.write_all(b"abc")?;
        fails(File::open("#sys/nosuch", OREAD), Known::NotExist)
    })?;
    // Not of the group: not seen.
    File::open("#sys/zero", OREAD)?;
    ctl.write_all(b"stop")?;
    let mut all = String::new();
    let data = File::open("#trace/data", OREAD)?;
    let mut buf = [0; 8 * SIZE];
    fails(data.read(&mut buf[..SIZE - 1]).map(drop), Known::ShortBuffer)?;
    loop {
        let n = data.read(&mut buf)?;
        if n == 0 {
            break;
        }
        let (records, rest) = buf[..n].as_chunks();
        check!(rest.is_empty(), "{n} bytes are no records");
        records.iter().for_each(|r| all += &format!("{}\n", Record(r)));
    }
    for wanted in [
        " sys Twalk ",
        " null -> Rwalk nwqid 1 ",
        " sys Topen ",
        " sys Twrite ",
        "count 3",
        "Rerror 'file does",
    ] {
        check!(all.contains(wanted), "no {wanted:?} in {all}");
    }
    check!(!all.contains("zero"), "a message of another group in {all}");
    drop((data, ctl));
    // Closed is closed: it can be had again.
    File::open("#trace/ctl", OWRITE).map(drop)
}

/// The stat of a name in a directory's listing.
fn listed(dir: &str, name: &str) -> Result<Option<(u64, u32)>> {
    let mut found = None;
    fs::each_entry(&File::open(dir, OREAD)?, |s| {
        if s.name == name {
            found = Some((s.qid.path, s.mode));
        }
        Ok(())
    })?;
    Ok(found)
}

fn mount_points() -> Result<()> {
    apart(RFNAMEG, || {
        let before = listed("/", "mnt")?;
        let sys = fs::stat("#sys")?.stat().name.to_string();
        fs::bind("#env", "/mnt", MREPL)?;
        fs::bind("#sys/null", "/cmdline", MREPL)?;
        let after = listed("/", "mnt")?;
        check!(before != after && after.is_some(), "a listing shows what is covered: {before:?}, {after:?}");
        let null = fs::stat("#sys/null")?;
        check!(
            listed("/", "cmdline")?.is_some_and(|(_, mode)| mode == null.stat().mode),
            "a file's entry is the covered one's"
        );
        check!(fs::stat("/mnt")?.stat().name == "mnt", "the name is {:?}", fs::stat("/mnt")?.stat().name);
        check!(sys != "mnt", "the tree's own name is {:?}", sys);
        // What is mounted on is protected, and only that.
        fails(fs::remove("/mnt"), Known::MountPoint)?;
        fs::write("#env/victim", "x")?;
        fs::bind("#sys/null", "/mnt/victim", MREPL)?;
        fails(fs::remove("/mnt/victim"), Known::MountPoint)?;
        fs::unmount("", "/mnt/victim")?;
        fs::remove("/mnt/victim")
    })
}

fn union_creation() -> Result<()> {
    apart(RFNAMEG, || {
        // No element allows it; the covered directory would, if it could.
        fs::bind("#sys", "/mnt", MREPL)?;
        fs::bind("#env", "/mnt", MAFTER)?;
        fails(File::create("/mnt/new", u32::from(OWRITE), 0o666), Known::NoCreate)?;
        fs::unmount("#env", "/mnt")?;
        fs::bind("#env", "/mnt", MAFTER | MCREATE)?;
        File::create("/mnt/new", u32::from(OWRITE), 0o666)?;
        check!(fs::exists("#env/new"), "it was made elsewhere");
        // One of that name in an earlier element is found first, and truncated instead.
        File::create("/mnt/null", u32::from(OWRITE), 0o666)?;
        check!(!fs::exists("#env/null"), "a hidden file was made");
        fs::remove("#env/new")
    })
}

fn no_servers() -> Result<()> {
    let null = File::open("#sys/null", ORDWR)?;
    fails(fs::mount(&null, "/mnt", MREPL, ""), Known::BadMount)?;
    let auth = sys::fauth(null.fd(), b"").ok_or_else(portolan::Error::last);
    fails(auth, Known::BadMount)?;
    fails(sys::fauth(99, b"").ok_or_else(portolan::Error::last), Known::Nowhere)
}
