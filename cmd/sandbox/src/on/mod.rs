//! What the program does: reads the profile, serves the way to its entries, and runs a child that sees only that.
//!
//! The child's namespace is a copy with another root: a tree served by this process, which has the directories that lead
//! to the entries and nothing else. Each entry is bound in its place, read-only where the profile says so. Then the
//! child gives up every descriptor but the first three, the kernel's trees and mounting, and becomes the program. Whoever
//! walks anywhere else comes to this process, which notes it.

mod skeleton;

use getargs::{Opt, Options};
use portolan::abi::file::{MCREATE, MRDONLY, MREPL, OREAD, RFENVG, RFFDG, RFNAMEG, RFNOMNT, RFREND};
use portolan::alloc::format;
use portolan::alloc::string::{String, ToString};
use portolan::alloc::vec::Vec;
use portolan::portal::Portal;
use portolan::{Error, File, Result, args, eprintln, exit, fs, note, println, process, sys};
use sandbox::{Entry, Tree};

const USAGE: &str = "\
usage: sandbox [-n] [-f PROFILE] [-r PATH] [-w PATH] ... [-l LOG] CMD [ARG ...]
Runs CMD with a namespace of the profile and nothing else: no other file, no kernel tree, no /srv, no mounting.
  -f PROFILE  lines `r PATH [INSIDE]` and `w PATH [INSIDE]` (/lib/sandbox)
  -r PATH     CMD may also read what is at PATH and below
  -w PATH     CMD may also read and write it
  -n          no network, whatever the profile says
  -l LOG      append denied walks to this file (the machine's log)";

/// Where the new root is put together: none of these may be above an entry.
const PLACES: [&str; 4] = ["/mnt", "/n", "/boot", "/lib"];

struct Given {
    profile: String,
    entries: Vec<Entry>,
    network: bool,
    log: String,
    command: Vec<&'static [u8]>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A path as the user gave it, from the root.
fn whole(path: &[u8]) -> Result<String> {
    if path.starts_with(b"/") {
        return Ok(text(path));
    }
    let here = text(&fs::current_dir()?);
    Ok(format!("{}/{}", here.trim_end_matches('/'), text(path)))
}

fn entry(writable: bool, path: &[u8]) -> Result<Entry> {
    let path = whole(path)?;
    Entry::new(writable, &path, &path).map_err(|e| Error::of(&path, e))
}

fn given() -> Result<Option<Given>> {
    let mut given = Given {
        profile: String::from("/lib/sandbox"),
        entries: Vec::new(),
        network: true,
        log: String::from("#log/log"),
        command: Vec::new(),
    };
    let words: Vec<&'static [u8]> = args().skip(1).collect();
    let mut options = Options::new(words.into_iter());
    let wrong = || {
        eprintln!("{USAGE}");
        Error::new("usage")
    };
    while let Some(option) = options.next_opt().map_err(|_| wrong())? {
        let mut value = || options.value().map_err(|_| wrong());
        match option {
            Opt::Short(b'h') | Opt::Long(b"help") => return Ok(None),
            Opt::Short(b'n') => given.network = false,
            Opt::Short(b'f') => given.profile = text(value()?),
            Opt::Short(b'l') => given.log = text(value()?),
            Opt::Short(b'r') => given.entries.push(entry(false, value()?)?),
            Opt::Short(b'w') => given.entries.push(entry(true, value()?)?),
            _ => return Err(wrong()),
        }
    }
    given.command = options.positionals().collect();
    if given.command.is_empty() { Err(wrong()) } else { Ok(Some(given)) }
}

/// All entries: the profile's and the command line's.
fn entries(given: &Given) -> Result<Vec<Entry>> {
    let profile = text(&fs::read(&given.profile).map_err(|e| Error::of(&given.profile, e))?);
    let mut all = sandbox::parse(&profile)
        .map_err(|(line, why)| Error::of(format!("{}: line {line}", given.profile), why))?;
    all.extend(given.entries.iter().cloned());
    all.retain(|e| given.network || !e.is_network());
    Ok(all)
}

/// Opens the log, at its end.
fn open_log(path: &str) -> Result<File> {
    let open = || File::open(path, portolan::abi::file::OWRITE);
    let f = match open() {
        Err(e) if e.is(portolan::abi::error::Error::NotExist) => fs::write(path, b"").and_then(|()| open()),
        other => other,
    };
    let f = f.map_err(|e| Error::of(path, e))?;
    let _ = sys::seek(f.fd(), 0, 2);
    Ok(f)
}

/// Makes the namespace of this process that of the entries: what failed, in the error.
fn confine(portal: &Portal, entries: &[Entry]) -> Result<()> {
    process::rfork(RFNAMEG)?;
    let covers = |place: &str, e: &Entry| e.from == place || e.from.starts_with(&format!("{place}/"));
    let place = PLACES.iter().find(|p| !entries.iter().any(|e| covers(p, e)));
    let place =
        place.ok_or(Error::new("the profile has entries in /mnt, /n, /boot and /lib: use one fewer"))?;
    fs::mount(portal.file(), place, MREPL, "")?;
    for e in entries {
        let flags = if e.writable { MREPL | MCREATE } else { MREPL | MRDONLY };
        fs::bind(&e.from, format!("{place}{}", e.at), flags).map_err(|why| Error::of(&e.from, why))?;
    }
    fs::bind(place, "/", MREPL)?;
    fs::change_dir("/")?;
    // Whatever is open beyond the three streams would be a way out.
    let mut open = Vec::new();
    fs::each_entry(&File::open("#dup", OREAD)?, |s| {
        open.extend(s.name.parse::<i32>().ok().filter(|fd| *fd > 2));
        Ok(())
    })?;
    for fd in open {
        let _ = sys::close(fd);
    }
    process::rfork(RFNOMNT)
}

/// The child: becomes the command, or ends with the reason.
fn child(portal: &Portal, entries: &[Entry], command: &[&[u8]]) -> ! {
    let name = command.first().copied().unwrap_or(b"");
    let path = if name.contains(&b'/') { name.to_vec() } else { [b"/bin/", name].concat() };
    let e = match confine(portal, entries) {
        Ok(()) => Error::of(text(&path), process::exec(&path, command)),
        Err(e) => e,
    };
    eprintln!("sandbox: {e}");
    exit(e.words())
}

pub(crate) fn main() -> Result<()> {
    let Some(given) = given()? else {
        println!("{USAGE}");
        return Ok(());
    };
    let entries = entries(&given)?;
    let mut paths = Vec::new();
    for e in &entries {
        let record = fs::stat(&e.from).map_err(|why| Error::of(&e.from, why))?;
        paths.push((e.at.as_str(), record.stat().qid.is_dir()));
    }
    let portal = skeleton::serve(Tree::new(paths), open_log(&given.log)?)?;
    let pid = process::fork(RFFDG | RFENVG | RFREND)?;
    if pid == 0 {
        child(&portal, &entries, &given.command);
    }
    // An interrupt is the command's to take; this process stays as long as that does.
    note::handle(|_| note::Then::Continue)?;
    loop {
        match process::wait_for(pid) {
            Ok(ended) if ended.status.is_empty() => return Ok(()),
            Ok(ended) => exit(&ended.status.to_string()),
            Err(e) if e.is(portolan::abi::error::Error::Interrupted) => {}
            Err(e) => return Err(e),
        }
    }
}
