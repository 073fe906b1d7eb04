//! The command line of the host's `ramfs`.

use net9::{Address, Limits, Listener, Service};
use ramfs::{Group, Options, Ramfs};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

const HELP: &str = "\
usage: ramfs --listen ADDRESS... [option]...

Serves a tree of files in memory by 9P2000.

  --listen ADDRESS      where to listen: 'tcp!host!port' or 'unix!path' (quote the !);
                        give it several times to listen at several places
  --insecure            allow addresses that other machines can reach; nobody is authenticated
  --size BYTES          memory for all files; K, M and G may follow (default 1G)
  --quota BYTES         memory for the files of one user (default: all of it)
  --owner USER          who owns the root (default: $USER, or none)
  --mode OCTAL          permissions of the root (default 777)
  -g NAME:LEADER:MEMBER,...
                        a group; LEADER may be empty. Every user is a group of the same name
  --users-listed        let in only users that a -g names
  --posix               what POSIX clients expect and section 5 forbids: a rename replaces a file of that
                        name, owners set the access time, a directory doesn't limit the permissions of
                        what is created in it
  --connections N       most connections at once (default 256)
  --help                this text
";

struct Command {
    options: Options,
    listen: Vec<Address>,
    insecure: bool,
    limits: Limits,
}

pub(crate) fn main() -> ExitCode {
    match parse(std::env::args().skip(1)).and_then(|c| c.map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("ramfs: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), String> {
    if command.listen.is_empty() {
        return Err("nowhere to listen: give --listen 'tcp!127.0.0.1!5640', or --help".into());
    }
    if let Some(far) = command.listen.iter().find(|a| !a.is_local() && !command.insecure) {
        return Err(format!(
            "other machines could reach {far}, and nobody is authenticated: give --insecure if that is meant"
        ));
    }
    let server = Ramfs::new(&command.options).map_err(|e| e.text().to_string())?;
    let service = Service::new(server, command.limits);
    let mut listeners = Vec::new();
    for address in &command.listen {
        listeners.push(Listener::bind(address).map_err(|e| format!("can't listen on {address}: {e}"))?);
    }
    std::thread::scope(|scope| {
        for listener in &listeners {
            if let Ok(address) = listener.address() {
                println!("ramfs: listening on {address}");
            }
            let service = &service;
            scope.spawn(move || {
                if let Err(e) = service.listen(listener) {
                    eprintln!("ramfs: {e}");
                }
            });
        }
    });
    Ok(())
}

/// The command, or `None` if help was all that was asked for.
fn parse(args: impl Iterator<Item = String>) -> Result<Option<Command>, String> {
    let mut command = Command {
        options: Options {
            size: 1 << 30,
            quota: u64::MAX,
            owner: std::env::var("USER").unwrap_or_else(|_| "none".into()),
            root_mode: 0o777,
            groups: Vec::new(),
            open: true,
            posix: false,
            now,
            key: secret(),
        },
        listen: Vec::new(),
        insecure: false,
        limits: Limits::default(),
    };
    let mut args = args;
    while let Some(arg) = args.next() {
        let (name, inline) = match arg.split_once('=') {
            Some((name, value)) => (name.to_string(), Some(value.to_string())),
            None => (arg, None),
        };
        let mut value = || {
            inline.clone().or_else(|| args.next()).ok_or_else(|| format!("{name} needs a value; see --help"))
        };
        let options = &mut command.options;
        match name.as_str() {
            "--listen" => {
                command.listen.push(value()?.parse().map_err(|e: net9::BadAddress| e.to_string())?);
            }
            "--insecure" => command.insecure = true,
            "--size" => options.size = bytes(&value()?)?,
            "--quota" => options.quota = bytes(&value()?)?,
            "--owner" => options.owner = value()?,
            "--mode" => {
                let text = value()?;
                options.root_mode =
                    u32::from_str_radix(&text, 8).map_err(|_| format!("'{text}' is no octal mode"))?;
            }
            "-g" | "--group" => {
                let text = value()?;
                let group =
                    Group::parse(&text).ok_or_else(|| format!("'{text}' is not NAME:LEADER:MEMBERS"))?;
                options.groups.push(group);
            }
            "--users-listed" => options.open = false,
            "--posix" => options.posix = true,
            "--connections" => {
                let text = value()?;
                command.limits.connections =
                    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("'{text}' is no number"))?;
            }
            "--help" | "-h" => {
                print!("{HELP}");
                return Ok(None);
            }
            _ => return Err(format!("{name} is no option of ramfs; see --help")),
        }
    }
    Ok(Some(command))
}

/// A number of bytes: `64M`.
fn bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("'{text}' is no number of bytes");
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (text.len() - 1, 10),
        Some(b'M' | b'm') => (text.len() - 1, 20),
        Some(b'G' | b'g') => (text.len() - 1, 30),
        _ => (text.len(), 0),
    };
    let n: u64 = text.get(..digits).and_then(|t| t.parse().ok()).ok_or_else(bad)?;
    n.checked_mul(1 << shift).ok_or_else(bad)
}

fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as u32)
}

/// A number that clients can't know: the standard library's hash maps have one.
fn secret() -> (u64, u64) {
    use std::hash::{BuildHasher, RandomState};
    (RandomState::new().hash_one(0), RandomState::new().hash_one(1))
}
