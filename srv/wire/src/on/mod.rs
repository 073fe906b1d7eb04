//! The command line, and the way to a server: start the command at one end of a pipe, agree with it, serve.

mod link;
mod tree;

use link::Link;
use portolan::alloc::boxed::Box;
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::portal::{self, Limits, Portal};
use portolan::{Error, File, Result, process, served, sys, thread};
use tree::Far;

const USAGE: &str = "usage: wire [-s NAME] DIR COMMAND [ARGUMENT…]
Starts the command, which is to serve 9P2000 on its standard input and output, and mounts what it
serves on DIR; posts it as /srv/NAME (wire) and returns. The command's end ends the service.";

struct Given {
    name: String,
    dir: String,
    command: Vec<String>,
}

fn usage() -> Error {
    portolan::eprintln!("{USAGE}");
    Error::new("usage")
}

fn parse() -> Result<Option<Given>> {
    let mut given = Given { name: String::from("wire"), dir: String::new(), command: Vec::new() };
    let mut words = portolan::args().skip(1).map(|a| String::from_utf8_lossy(a).into_owned());
    while let Some(w) = words.next() {
        match &w[..] {
            "-h" | "--help" => return Ok(None),
            "-s" => given.name = words.next().ok_or_else(usage)?,
            w if w.starts_with('-') => return Err(usage()),
            w => {
                given.dir = String::from(w);
                given.command.extend(&mut words);
            }
        }
    }
    if given.command.is_empty() {
        return Err(usage());
    }
    portal::check_name(&given.name)?;
    Ok(Some(given))
}

/// Where a command is: a name without a path is in /bin.
fn program(name: &str) -> String {
    if name.contains('/') { String::from(name) } else { format!("/bin/{name}") }
}

fn serve(given: &Given) -> Result<Portal> {
    let [mine, theirs] = sys::pipe().ok_or_else(Error::last)?;
    let wire = File::from_fd(mine).not_inherited()?;
    let theirs = File::from_fd(theirs).not_inherited()?;
    let name = given.command.first().map_or("", |c| c);
    process::spawn(program(name), &given.command, [theirs.fd(), theirs.fd(), 2])
        .map_err(|e| Error::of(name, e))?;
    drop(theirs);
    let link: &'static Link = Box::leak(Box::new(Link::new(wire)));
    let owner = process::id();
    thread::spawn(move || link.write(owner))?;
    link.begin().map_err(|e| Error::of(name, e))?;
    let limits = Limits { activations: 32, flags: 0, stack: 0, reserved: 0 };
    let (portal, _) = served::serve(Far::new(link), &limits)?;
    portal.post_as(&given.name)?;
    portal::meanwhile(|| link.read());
    Ok(portal)
}

pub(crate) fn main() -> Result<()> {
    let Some(given) = parse()? else {
        portolan::println!("{USAGE}");
        return Ok(());
    };
    portal::in_background(|| serve(&given))?;
    portal::mount(&given.name, &given.dir)
}
