//! The command line of the machine's `ramfs`: `ramfs [-s NAME] [-m OCTAL] [-q BYTES] [DIR]`, and `ramfs -c`.

use portolan::abi::file::OREAD;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::portal::{self, Limits};
use portolan::{Error, File, Result, fs, served, time};
use ramfs::{Options, Ramfs};

/// Bytes that are read of a connection at once.
#[cfg(feature = "connection")]
const ROOM: usize = 64 << 10;

const USAGE: &str = "usage: ramfs [-s NAME] [-m OCTAL] [-q BYTES] [DIR]
       ramfs -c [-m OCTAL] [-q BYTES]
Serves files in memory: posts the server as /srv/NAME (ramfs), mounts it on DIR if one is given,
and returns. Its files go with its process, whose name is NAME.
  -c        serves one connection instead: 9P2000 on the standard input and output, to its end
  -m OCTAL  permissions of the root (777)
  -q BYTES  most memory that the files may take (half of what is free)";

struct Given {
    name: String,
    mode: u32,
    size: u64,
    dir: Option<String>,
    connection: bool,
}

fn usage() -> Error {
    portolan::eprintln!("{USAGE}");
    Error::new("usage")
}

fn parse() -> Result<Option<Given>> {
    let mut given =
        Given { name: String::from("ramfs"), mode: 0o777, size: free() / 2, dir: None, connection: false };
    let words: Vec<String> =
        portolan::args().skip(1).map(|a| String::from_utf8_lossy(a).into_owned()).collect();
    let mut words = words.into_iter();
    while let Some(w) = words.next() {
        let mut value = || words.next().ok_or_else(usage);
        match &w[..] {
            "-h" | "--help" => return Ok(None),
            "-c" => given.connection = true,
            "-s" => given.name = value()?,
            "-m" => given.mode = u32::from_str_radix(&value()?, 8).map_err(|_| usage())?,
            "-q" => given.size = value()?.parse().map_err(|_| usage())?,
            w if w.starts_with('-') || given.dir.is_some() => return Err(usage()),
            w => given.dir = Some(String::from(w)),
        }
    }
    if given.connection && given.dir.is_some() {
        return Err(usage());
    }
    portal::check_name(&given.name)?;
    Ok(Some(given))
}

/// A line of `#sys/memory`: a number and what it counts.
fn free() -> u64 {
    let all = fs::read("#sys/memory").unwrap_or_default();
    let all = String::from_utf8_lossy(&all).into_owned();
    all.lines().find_map(|l| l.strip_suffix(" free")?.parse().ok()).unwrap_or(64 << 20)
}

fn now() -> u32 {
    time::since_1970().as_secs() as u32
}

fn tree(given: &Given) -> Result<Ramfs> {
    let mut key = [0; 16];
    File::open("#sys/random", OREAD)?.read_full(&mut key)?;
    let (a, b) = key.split_at(8);
    let half = |b: &[u8]| b.iter().fold(0, |n, &b| n << 8 | u64::from(b));
    let user = fs::read("#sys/user")?;
    let options = Options {
        size: given.size,
        quota: given.size,
        owner: String::from_utf8_lossy(&user).into_owned(),
        root_mode: given.mode,
        groups: Vec::new(),
        open: true,
        posix: false,
        now,
        key: (half(a), half(b)),
    };
    Ramfs::new(&options).map_err(|_| Error::new("no memory for a tree"))
}

/// The smallest machine has no room for it.
#[cfg(not(feature = "connection"))]
fn connection(_: &Given) -> Result<()> {
    Err(Error::new("connections are not served by this machine's ramfs"))
}

/// Serves the client at the standard input and output until it is gone.
#[cfg(feature = "connection")]
fn connection(given: &Given) -> Result<()> {
    use portolan::{STDIN, STDOUT};
    use serve::wire::Connection;
    use serve::{Engine, NoWake};
    let said = |e: serve::Fail| Error::new(e.text());
    let engine = Engine::new(tree(given)?);
    let mut connection = Connection::new(1).map_err(said)?;
    let (input, output) = (File::from_fd(STDIN), File::from_fd(STDOUT));
    let mut room = Vec::new();
    room.try_reserve_exact(ROOM).map_err(|_| Error::new("no memory for a connection"))?;
    room.resize(ROOM, 0);
    loop {
        let n = input.read(&mut room)?;
        if n == 0 {
            return Ok(());
        }
        connection.receive(room.get(..n).unwrap_or_default()).map_err(said)?;
        loop {
            let more = connection.run(&engine, &NoWake);
            let answers = connection.output();
            output.write_all(answers)?;
            answers.clear();
            if !more.map_err(|_| Error::new("the client does not speak 9P2000"))? {
                break;
            }
        }
    }
}

fn serve(given: &Given) -> Result<portal::Portal> {
    let tree = tree(given)?;
    let limits = Limits { activations: 32, flags: 0, stack: 0, reserved: 0 };
    let (portal, _) = served::serve(tree, &limits)?;
    portal.post_as(&given.name)?;
    Ok(portal)
}

pub(crate) fn main() -> Result<()> {
    let Some(given) = parse()? else {
        portolan::println!("{USAGE}");
        return Ok(());
    };
    if given.connection {
        return connection(&given);
    }
    portal::in_background(|| serve(&given))?;
    if let Some(dir) = &given.dir {
        portal::mount(&given.name, dir)?;
    }
    Ok(())
}
