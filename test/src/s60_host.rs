//! Real input: a tree of the host's goes through a machine and comes back, and is the same.
//!
//! The tree has this repository with its history, long and strange names, an empty and a large file, deep folders, one of
//! many entries, and modes. Inside it is walked, searched, summed, copied into memory and copied back. What a share does
//! that vanishes, is read-only, changes under a reader, or brings a new program, is in [`changes`] and [`refused`].

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;
use xtask::image;

/// How large the tree is.
#[derive(Clone, Copy)]
struct Size {
    /// Bytes of the large file.
    large: usize,
    /// Entries of the folder that has many.
    many: usize,
    /// Folders one in the other.
    deep: usize,
    /// What of this repository is checked out beside its history; none without either.
    repository: Option<&'static [&'static str]>,
}

const SMALL: Size = Size { large: 2 << 20, many: 60, deep: 40, repository: None };
const USUAL: Size =
    Size { large: 16 << 20, many: 200, deep: 100, repository: Some(&["doc/sys", "kernel/core/src"]) };
const WHOLE: Size = Size { large: 300 << 20, many: 10_000, deep: 100, repository: Some(&["."]) };

/// Bytes that look like no others.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(len).collect()
}

/// A word that two files of the tree have.
const NEEDLE: &str = "a-needle-in-the-hay";

fn build(ctx: &Ctx, tree: &Path, size: Size) -> Result<(), Failure> {
    let names = tree.join("names");
    fs::create_dir_all(&names)?;
    let long = "x".repeat(255);
    for name in ["with space", "quote's", "-dash", "ünï ☃", "#hash", "a;b&c|d", "$star*?", &long] {
        fs::write(names.join(name), format!("I am {name}\n"))?;
    }
    fs::create_dir(names.join("an empty folder"))?;
    fs::write(tree.join("empty"), "")?;
    fs::write(tree.join("large"), noise(size.large))?;
    let mut deep = tree.join("deep");
    for i in 0..size.deep {
        deep.push(format!("d{i}"));
    }
    fs::create_dir_all(&deep)?;
    fs::write(deep.join("bottom"), format!("{NEEDLE}\n"))?;
    let many = tree.join("many");
    fs::create_dir(&many)?;
    for i in 0..size.many {
        fs::write(many.join(format!("file {i}")), i.to_string())?;
    }
    let modes = tree.join("modes");
    fs::create_dir(&modes)?;
    for mode in [0o400, 0o444, 0o600, 0o644, 0o755, 0o777, 0o505] {
        let file = modes.join(format!("{mode:o}"));
        fs::write(&file, format!("{mode:o} {NEEDLE}\n"))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
    }
    for mode in [0o500, 0o700, 0o711] {
        let dir = modes.join(format!("dir {mode:o}"));
        fs::create_dir(&dir)?;
        fs::write(dir.join("inside"), "in")?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode))?;
    }
    symlink("empty", tree.join("link"))?;
    symlink("/nowhere/at all", tree.join("dangling"))?;
    if let Some(parts) = size.repository {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let to = tree.join("repository");
        // By this address the history comes as one pack.
        let from = format!("file://{}", from.display());
        ctx.run(Command::new("git").args(["clone", "--quiet", "--no-checkout", &from]).arg(&to))?;
        ctx.run(
            Command::new("git").arg("-C").arg(&to).args(["checkout", "--quiet", "HEAD", "--"]).args(parts),
        )?;
    }
    Ok(())
}

/// What a file of a tree is: kind, permissions, seconds of its last change, contents.
#[derive(PartialEq, Eq, Debug)]
struct File {
    folder: bool,
    mode: u32,
    changed: u64,
    contents: Vec<u8>,
}

/// All files of a tree by path. A symbolic link is what hostfs makes of it: a file of its target's words.
fn files(tree: &Path) -> Result<BTreeMap<PathBuf, File>, Failure> {
    let mut all = BTreeMap::new();
    let mut left = vec![tree.to_path_buf()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path)?;
        let contents = if meta.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
            Vec::new()
        } else if meta.is_symlink() {
            fs::read_link(&path)?.into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path)?
        };
        let changed = meta.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_secs();
        let mode = meta.permissions().mode() & 0o777;
        let file = File { folder: meta.is_dir(), mode, changed, contents };
        all.insert(path.strip_prefix(tree)?.to_path_buf(), file);
    }
    Ok(all)
}

fn same(a: &BTreeMap<PathBuf, File>, b: &BTreeMap<PathBuf, File>, what: &str) -> Result<(), Failure> {
    for path in a.keys().chain(b.keys()) {
        let shown =
            |f: Option<&File>| f.map(|f| (f.folder, format!("{:o}", f.mode), f.changed, f.contents.len()));
        let (x, y) = (a.get(path), b.get(path));
        ensure(x == y, || format!("{what}: {}: {:?} became {:?}", path.display(), shown(x), shown(y)))?;
    }
    Ok(())
}

/// The machine's part: lists, searches and sums go into files of the share, as the tree's copy does.
const SCRIPT: &str = "cd /n/host || exit 1
find in >walked || exit 2
cat in/many/* >numbers
sum <in/large >sum
cp -rp in /tmp/tree || exit 3
cd /tmp
{grep -rl a-needle-in-the-hay tree | sort} >/n/host/found
cmp tree/large /n/host/in/large || exit 4
sum <tree/large >>/n/host/sum
cp -rp tree /n/host/out || exit 5
";

/// A machine's kind, CPUs and MiB.
type Machine = (&'static str, u32, u32);

fn xtask(program: &Path, machine: Machine, share: &[&OsStr], script: &str) -> Command {
    let (kind, cpus, memory) = machine;
    let mut command = Command::new(program);
    command.args(["run", "--timeout", "1500", "--machine", kind]).args(share);
    command.args(["--cpus", &cpus.to_string(), "--memory", &memory.to_string(), "-c", script]);
    command
}

/// One machine takes the tree in and gives it back.
fn round(ctx: &Ctx, program: &Path, machine: Machine, share: &Path, size: Size) -> Result<usize, Failure> {
    for old in ["out", "walked", "numbers", "sum", "found"] {
        let old = share.join(old);
        let _ = if old.is_dir() { fs::remove_dir_all(old) } else { fs::remove_file(old) };
    }
    let before = files(&share.join("in"))?;
    ctx.run(&mut xtask(program, machine, &["--share".as_ref(), share.as_os_str()], SCRIPT))?;
    let name = format!("{machine:?}");
    same(&before, &files(&share.join("in"))?, &format!("{name}: the tree itself"))?;
    same(&before, &files(&share.join("out"))?, &name)?;
    let read = |file: &str| fs::read_to_string(share.join(file));
    let sums = read("sum")?;
    let sums: Vec<&str> = sums.lines().collect();
    ensure(sums.len() == 2 && sums[0] == sums[1], || format!("{name}: sums {sums:?}"))?;
    let mut numbers: Vec<(String, String)> =
        (0..size.many).map(|i| (format!("file {i}"), i.to_string())).collect();
    numbers.sort();
    let numbers: String = numbers.into_iter().map(|(_, n)| n).collect();
    ensure(read("numbers")? == numbers, || format!("{name}: cat of many files"))?;
    let walked = read("walked")?;
    let mut walked: Vec<&str> = walked.lines().collect();
    walked.sort_unstable();
    let there = before.keys().map(|p| Path::new("in").join(p).display().to_string());
    let mut there: Vec<String> = there.map(|p| p.trim_end_matches('/').to_string()).collect();
    there.sort_unstable();
    ensure(walked == there, || format!("{name}: find saw {} files of {}", walked.len(), there.len()))?;
    let hits =
        before.iter().filter(|(_, f)| f.contents.windows(NEEDLE.len()).any(|w| w == NEEDLE.as_bytes()));
    let mut hits: Vec<String> = hits.map(|(p, _)| format!("tree/{}", p.display())).collect();
    hits.sort();
    let found = read("found")?;
    ensure(found.lines().eq(hits.iter()), || format!("{name}: grep found {found} for {hits:?}"))?;
    Ok(before.len())
}

/// A machine that is spoken with while it runs.
struct Talk {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Talk {
    fn new(command: &mut Command) -> Result<Talk, Failure> {
        println!("$ {}", xtask::tell::shown(command));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let (Some(to), Some(from)) = (to, from) else { return Err("no streams".into()) };
        Ok(Talk { child, to, from: BufReader::new(from) })
    }

    /// Lets it go on, and hears its next line.
    fn next(&mut self) -> Result<String, Failure> {
        // It may have ended: then there is no line.
        let _ = self.to.write_all(b"go\n").and_then(|()| self.to.flush());
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        println!("{}", line.trim_end());
        Ok(line.trim_end().to_string())
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Each line follows a word of the host's, which may have changed something before.
const TALK: &str = "fn say {go=`{head -n 1} $* >/tmp/said >[2=1]; head -n 1 /tmp/said}
fn open {$* <[0=6]}
cd /n/host
say echo ready
{say echo it is open; say open cat; say open wc -c; say open sum} <[6]g
say cat f
say cat f
say ./prog
say ./prog
say ./echo built
kill host
sleep 0.5
say cat f
say cat f
say mkdir d
";

/// A share that changes, brings programs, is served anew and vanishes.
fn changes(program: &Path, machine: Machine, share: &Path) -> Result<(), Failure> {
    fs::create_dir_all(share)?;
    let executable = |name: &str, contents: &[u8]| -> Result<(), Failure> {
        // A new file in the place of the old, as linkers do.
        let new = share.join("new");
        fs::write(&new, contents)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
        Ok(fs::rename(new, share.join(name))?)
    };
    let tools = fs::read(image::build_programs(&["tools"])?.join("tools"))?;
    fs::write(share.join("f"), "one\n")?;
    fs::write(share.join("g"), "old\n".repeat(1000))?;
    let mut talk = Talk::new(&mut xtask(program, machine, &["--share".as_ref(), share.as_os_str()], TALK))?;
    let mut expect = |want: &str| {
        let got = talk.next()?;
        ensure(got.contains(want), || format!("{machine:?}: {got:?} instead of {want}"))
    };
    expect("ready")?;
    // What a reader has open changes, ends before where it is, and goes.
    expect("it is open")?;
    fs::write(share.join("g"), "new\n".repeat(500))?;
    expect("new")?;
    fs::write(share.join("g"), "short\n")?;
    expect("0")?;
    fs::remove_file(share.join("g"))?;
    expect("00000     0")?;
    expect("one")?;
    fs::write(share.join("f"), "two\n")?;
    expect("two")?;
    executable("prog", b"#!/bin/rc\necho first\n")?;
    expect("first")?;
    executable("prog", b"#!/bin/rc\necho other\n")?;
    expect("other")?;
    executable("echo", &tools)?;
    expect("built")?;
    expect("two")?;
    fs::remove_dir_all(share)?;
    expect("file does not exist")?;
    expect("file does not exist")
}

/// Everything that would change a tree, each with the reason why it can't.
const FORBIDDEN: &str = "cd /n/host
fn no {@{$*} >[2]/tmp/why; grep -c 'read only file system' /tmp/why}
no eval 'echo x >f'
no eval 'echo x >new'
no mkdir d
no rm f
no chmod 600 f
no mv f g
no cp f g
no touch -d 2000-01-01 f
cat f
";

/// A share that may only be read, and shares that can't be.
fn refused(ctx: &Ctx, program: &Path, machine: Machine, share: &Path) -> Result<(), Failure> {
    fs::create_dir_all(share)?;
    fs::write(share.join("f"), "as it was\n")?;
    let before = files(share)?;
    let out =
        ctx.run(&mut xtask(program, machine, &["--share-ro".as_ref(), share.as_os_str()], FORBIDDEN))?;
    ensure(out == "1\n".repeat(8) + "as it was\n", || format!("{machine:?}: a read-only share says {out}"))?;
    same(&before, &files(share)?, "a read-only share")?;
    let file = share.join("f");
    for (dir, why) in [(Path::new("/no/such folder"), "No such file"), (&file, "not a folder")] {
        let done = xtask(program, machine, &["--share".as_ref(), dir.as_os_str()], "echo").output()?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        ensure(done.status.code() == Some(2) && said.contains(why), || {
            format!("{}: {} {said}", dir.display(), done.status)
        })?;
    }
    let done = xtask(program, machine, &[], "hostfs /n/host || exit 9").output()?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    ensure(done.status.code() == Some(9) && said.contains("the host shares nothing"), || {
        format!("without a share: {} {said}", done.status)
    })
}

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let program = ctx.bin("xtask")?;
    changes(&program, ("microvm", 2, 64), &ctx.scratch().join("changing"))?;
    refused(ctx, &program, ("q35", 1, 64), &ctx.scratch().join("fixed"))?;
    let small = trees(ctx, &program, &[("microvm", 1, 256), ("q35", 4, 65536)], SMALL)?;
    let usual = trees(ctx, &program, &[("microvm", 2, 1024)], USUAL)?;
    Ok(format!("{small}; {usual}"))
}

/// The usual tree on every kind of machine, and the whole one in two.
pub(crate) fn whole(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let program = ctx.bin("xtask")?;
    changes(&program, ("q35", 4, 64), &ctx.scratch().join("changing"))?;
    let every = |kind| [1, 2, 4].map(|cpus| [256, 65536].map(|memory| (kind, cpus, memory)));
    let machines: Vec<Machine> = ["microvm", "q35"].into_iter().flat_map(every).flatten().collect();
    let usual = trees(ctx, &program, &machines, USUAL)?;
    let whole = trees(ctx, &program, &[("microvm", 2, 2048), ("q35", 4, 65536)], WHOLE)?;
    Ok(format!("{usual}; {whole}"))
}

/// A tree through some machines.
fn trees(ctx: &Ctx, program: &Path, machines: &[Machine], size: Size) -> Outcome {
    let share = ctx.scratch().join(format!("tree of {}", size.many));
    build(ctx, &share.join("in"), size)?;
    let (begun, mut count) = (Instant::now(), 0);
    for machine in machines {
        count = round(ctx, program, *machine, &share, size)?;
    }
    let took = begun.elapsed().as_secs();
    fs::remove_dir_all(&share)?;
    Ok(format!("{count} files through {} machines in {took} s", machines.len()))
}
