//! Files and names: ports, the kernel's trees, pipes, namespaces, and bad arguments of every system call on them.

use super::{Test, check, fails};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{
    MAFTER, MBEFORE, MCREATE, MREPL, OEXCL, ORDWR, OREAD, OTRUNC, OWRITE, RFENVG, RFNAMEG,
};
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::{File, Result, fs, process, sys};

pub(super) const TESTS: &[Test] = &[
    ("t20_port_unassigned_leads_nowhere", nowhere),
    ("t20_port_lowest_free_is_assigned", lowest),
    ("t21_env_variables", env),
    ("t21_srv_board", srv),
    ("t21_sys_files", sys_files),
    ("t22_pipe_carries_bytes_both_ways", pipe_bytes),
    ("t22_pipe_ends_are_seen", pipe_ends),
    ("t23_name_bind_and_union", unions),
    ("t23_name_dot_dot_goes_back", dot_dot),
    ("t23_name_namespaces_are_apart", apart),
    ("t24_bad_arguments", bad_arguments),
];

fn names(dir: &str) -> Result<Vec<String>> {
    let mut all = Vec::new();
    fs::each_entry(&File::open(dir, OREAD)?, |s| {
        all.push(String::from(s.name));
        Ok(())
    })?;
    Ok(all)
}

fn nowhere() -> Result<()> {
    for fd in [0, 1, 2, 9, 1000, i32::MAX, -1] {
        fails(read(fd), Known::Nowhere)?;
        fails(write(fd), Known::Nowhere)?;
        let f = File::from_fd(fd);
        fails(fs::fstat(&f), Known::Nowhere)?;
        fails(f.path(), Known::Nowhere)?;
        fails(f.duplicate(), Known::Nowhere)?;
        f.into_fd();
        check!(sys::close(fd).is_none(), "closing {fd} worked");
    }
    Ok(())
}

fn read(fd: i32) -> Result<usize> {
    sys::pread(fd, &mut [0; 4], -1).ok_or_else(portolan::Error::last)
}

fn write(fd: i32) -> Result<usize> {
    sys::pwrite(fd, b"x", -1).ok_or_else(portolan::Error::last)
}

fn lowest() -> Result<()> {
    let all: Vec<File> = (0..10).map(|_| File::open("#sys/null", ORDWR)).collect::<Result<_>>()?;
    check!(all.iter().enumerate().all(|(i, f)| f.fd() == i as i32), "ports are not in order");
    check!(sys::close(4).is_some() && sys::close(2).is_some(), "close failed");
    for want in [2, 4, 10] {
        let fd = File::open("#sys/null", OREAD)?.into_fd();
        check!(fd == want, "got {fd} instead of {want}");
    }
    check!(sys::dup(2, 77) == Some(77), "dup to a number failed");
    check!(sys::pread(77, &mut [0; 1], -1) == Some(0), "the copy does not read");
    for f in all {
        f.into_fd();
    }
    Ok(())
}

fn env() -> Result<()> {
    process::rfork(RFENVG)?;
    portolan::env::set("one", "first")?;
    portolan::env::set("one", "2")?;
    check!(portolan::env::get("one")? == b"2", "a variable keeps its old tail");
    let pid = process::fork(RFENVG)?;
    if pid == 0 {
        let _ = portolan::env::set("one", "child");
        sys::exits(b"");
    }
    process::wait_for(pid)?;
    check!(portolan::env::get("one")? == b"2", "a child with a copy changed ours");
    let big = portolan::alloc::vec![7u8; 70_000];
    fails(portolan::env::set("big", &big), Known::NoSpace)?;
    portolan::env::unset("one")?;
    fails(portolan::env::get("one"), Known::NotExist)
}

fn srv() -> Result<()> {
    let [a, b] = sys::pipe().ok_or_else(portolan::Error::last)?;
    let post = File::create("/srv/box", u32::from(OWRITE), 0o600)?;
    fails(File::create("/srv/box", u32::from(OWRITE) | OEXCL, 0o600), Known::Exists)?;
    fails(File::open("/srv/box", ORDWR), Known::NotExist)?;
    fails(post.write_all(b"999"), Known::Nowhere)?;
    fails(post.write_all(b"x"), Known::BadCtl)?;
    post.write_all(format!("{b}").as_bytes())?;
    let again = File::open("/srv/box", ORDWR)?;
    again.write_all(b"through")?;
    let mut buf = [0; 16];
    let n = sys::pread(a, &mut buf, -1).unwrap_or(0);
    check!(&buf[..n] == b"through", "the posted end is another");
    check!(names("/srv")?.iter().any(|n| n == "box"), "the board does not list it");
    fs::remove("/srv/box")?;
    fails(File::open("/srv/box", ORDWR), Known::NotExist)
}

fn sys_files() -> Result<()> {
    let mut buf = [0; 64];
    let random = File::open("#sys/random", OREAD)?;
    let n = random.read_full(&mut buf)?;
    check!(n == 64 && buf != [0; 64], "no randomness");
    check!(File::open("#sys/null", ORDWR)?.write(b"gone")? == 4, "null does not take everything");
    let zero = File::open("#sys/zero", OREAD)?.read_full(&mut buf)?;
    check!(zero == 64 && buf == [0; 64], "zero is not zero");
    fails(File::open("#sys/time", OWRITE), Known::Perm)?;
    fails(File::open("#nosuch", OREAD), Known::NotExist)?;
    let all = names("#sys")?;
    check!(all.len() >= 8 && all.iter().any(|n| n == "counters"), "#sys lists {all:?}");
    Ok(())
}

fn pipe_bytes() -> Result<()> {
    let [a, b] = sys::pipe().ok_or_else(portolan::Error::last)?;
    let (a, b) = (File::from_fd(a), File::from_fd(b));
    let text: Vec<u8> = (0..100_000u32).map(|i| (i * 7) as u8).collect();
    let pid = process::fork(0)?;
    if pid == 0 {
        let back = a.read_full(&mut [0; 3]).is_ok();
        let r = a.write_all(&text);
        sys::exits(if r.is_ok() && back { b"" } else { b"the writer failed" });
    }
    b.write_all(b"go!")?;
    let mut got = portolan::alloc::vec![0u8; text.len()];
    check!(b.read_full(&mut got)? == text.len(), "bytes are missing");
    check!(got == text, "bytes are wrong");
    let status = process::wait_for(pid)?.status;
    check!(status.is_empty(), "{status}");
    Ok(())
}

fn pipe_ends() -> Result<()> {
    let [a, b] = sys::pipe().ok_or_else(portolan::Error::last)?;
    let (a, b) = (File::from_fd(a), File::from_fd(b));
    a.write_all(b"last words")?;
    drop(a);
    let mut buf = [0; 32];
    check!(b.read(&mut buf)? == 10, "what was written before the close is lost");
    check!(b.read(&mut buf)? == 0, "no end of file");
    portolan::note::handle(|_| portolan::note::Then::Continue)?;
    fails(b.write(b"x"), Known::Hungup)
}

fn unions() -> Result<()> {
    process::rfork(RFNAMEG)?;
    let at_first = names("/mnt")?;
    check!(at_first.is_empty(), "/mnt holds {at_first:?}");
    fs::bind("#sys", "/mnt", MREPL)?;
    check!(fs::exists("/mnt/null") && !fs::exists("/mnt/cmdline"), "a bind does not replace");
    fs::bind("#root", "/mnt", MAFTER)?;
    check!(fs::exists("/mnt/null") && fs::exists("/mnt/cmdline"), "a union is not one");
    let both = names("/mnt")?;
    check!(both.iter().any(|n| n == "null") && both.iter().any(|n| n == "cmdline"), "it lists {both:?}");
    fs::bind("#env", "/mnt", MBEFORE | MCREATE)?;
    fs::write("/mnt/made", "here")?;
    check!(fs::read("#env/made")? == b"here", "it was made in another element");
    fs::remove("/mnt/made")?;
    fs::unmount("#sys", "/mnt")?;
    check!(!fs::exists("/mnt/null") && fs::exists("/mnt/cmdline"), "unmount took another");
    fs::unmount("", "/mnt")?;
    check!(names("/mnt")?.is_empty(), "something is left");
    fails(fs::unmount("", "/mnt"), Known::NotMounted)?;
    fails(fs::bind("#sys/null", "/mnt", MREPL), Known::MountKind)?;
    fs::bind("#sys/null", "#root/cmdline", MREPL)?;
    check!(fs::read("/cmdline")?.is_empty(), "a file is not replaced by a file");
    fs::unmount("", "/cmdline")?;
    fails(fs::write("/mnt/x", ""), Known::Perm)
}

fn dot_dot() -> Result<()> {
    process::rfork(RFNAMEG)?;
    fs::bind("#sys", "/mnt", MREPL)?;
    fs::change_dir("/mnt")?;
    check!(fs::exists("null"), "not there");
    fs::change_dir("..")?;
    check!(fs::current_dir()? == b"/" && fs::exists("mnt/null"), "`..` does not go back");
    fs::change_dir("/mnt/./../mnt//")?;
    check!(fs::current_dir()? == b"/mnt", "the path is not clean");
    fails(fs::change_dir("null"), Known::NotDir)?;
    fs::change_dir("#proc")?;
    fs::change_dir("../../..")?;
    check!(fs::current_dir()? == b"#proc", "`..` left a tree of the kernel");
    Ok(())
}

fn apart() -> Result<()> {
    let pid = process::fork(RFNAMEG)?;
    if pid == 0 {
        let r = fs::bind("#sys", "/mnt", MREPL);
        sys::exits(if r.is_ok() && fs::exists("/mnt/null") { b"" } else { b"the child's bind failed" });
    }
    let status = process::wait_for(pid)?.status;
    check!(status.is_empty(), "{status}");
    check!(!fs::exists("/mnt/null"), "a copy of the namespace is shared");
    Ok(())
}

/// Every argument of the calls on files, wrong in many ways: an error each time, and nothing worse.
fn bad_arguments() -> Result<()> {
    use portolan::abi::sys::Sys;
    const WORDS: &[u64] = &[
        0,
        1,
        7,
        0xfff,
        0x1000,
        0x7fff_ffff,
        0xffff_ffff,
        0x7fff_ffff_ffff,
        0x8000_0000_0000,
        0xffff_8000_0000_0000,
        u64::MAX - 4095,
        u64::MAX - 1,
        u64::MAX,
    ];
    let skip = [Sys::Exits, Sys::Rfork, Sys::Reply, Sys::Sleep, Sys::Alarm, Sys::Rendezvous, Sys::Exchange];
    let skip_more = [Sys::Semacquire, Sys::Noted, Sys::Await, Sys::Segdetach, Sys::Segbrk, Sys::Notify];
    let mut calls = 0u32;
    for &s in Sys::ALL {
        if skip.contains(&s) || skip_more.contains(&s) {
            continue;
        }
        for (i, &a) in WORDS.iter().enumerate() {
            for &b in WORDS {
                let rest = [WORDS[(i + 3) % WORDS.len()], WORDS[(i + 5) % WORDS.len()]];
                #[allow(unsafe_code, reason = "that is the test: no argument may do harm")]
                // SAFETY: no address of the list is mapped, or it is the program's own text, which is read-only.
                let _ = unsafe { sys::call(s, [a, b, rest[0], rest[1], b, a]) };
                calls += 1;
            }
        }
    }
    let _ = sys::alarm(0);
    check!(calls > 1000, "only {calls} calls");
    // An unknown number is an error, too.
    fails(fs::write("/nosuch/x", ""), Known::NotExist)?;
    fails(File::open("", OREAD | 8), Known::BadOpen)?;
    fails(File::open("/cmdline", OWRITE | OTRUNC), Known::Perm)
}
