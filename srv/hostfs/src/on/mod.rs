//! The command line, and the way to a server: find the device, agree with the host, serve.

mod link;
mod tree;

use link::Link;
use ninep::dialect::l;
use portolan::alloc::string::String;
use portolan::portal::{self, Limits, Portal};
use portolan::{Error, File, Result, fs, served};
use tree::Host;
use virtio::DeviceType;

const USAGE: &str = "usage: hostfs [-s NAME] [DIR]
Serves the directory that the host shares: posts the server as /srv/NAME (host), mounts it on DIR if
one is given, and returns. `cargo xtask run --share DIR` shares one and starts this on /n/host.";

/// Pages that the device may know, on a machine with memory to spare and on another.
const PAGES: [usize; 2] = [512, 128];
/// From so many free bytes on there is memory to spare.
const SPARE: u64 = 48 << 20;

struct Given {
    name: String,
    dir: Option<String>,
}

fn usage() -> Error {
    portolan::eprintln!("{USAGE}");
    Error::new("usage")
}

fn parse() -> Result<Option<Given>> {
    let mut given = Given { name: String::from("host"), dir: None };
    let mut words = portolan::args().skip(1).map(|a| String::from_utf8_lossy(a).into_owned());
    while let Some(w) = words.next() {
        match &w[..] {
            "-h" | "--help" => return Ok(None),
            "-s" => given.name = words.next().ok_or_else(usage)?,
            w if w.starts_with('-') || given.dir.is_some() => return Err(usage()),
            w => given.dir = Some(String::from(w)),
        }
    }
    portal::check_name(&given.name)?;
    Ok(Some(given))
}

/// Free memory, by the line of `#sys/memory` that tells it.
fn free() -> u64 {
    let all = fs::read("#sys/memory").unwrap_or_default();
    let all = String::from_utf8_lossy(&all).into_owned();
    all.lines().find_map(|l| l.strip_suffix(" free")?.parse().ok()).unwrap_or(0)
}

fn serve(given: &Given) -> Result<Portal> {
    let device = virtio::find(DeviceType::_9P)?;
    let mut device = device.ok_or(Error::new("the host shares nothing: cargo xtask run --share DIR"))?;
    let irq = core::mem::replace(&mut device.irq, File::from_fd(-1));
    let link = Link::new(device, PAGES[usize::from(free() < SPARE)])?;
    portal::meanwhile(move || {
        link.wait_from_now_on();
        // An error here means that the line is gone; requests then wait until they are interrupted.
        while irq.read(&mut [0; 24]).is_ok() {
            link.answered();
        }
    });
    let said = |e: served::Fail| Error::new(e.text());
    let offered = l::Tmsg::Tversion { msize: link.msize(), version: l::VERSION };
    let agreed = link.ask(&offered, |r| match *r {
        l::Rmsg::Rversion { msize, version } => Some(msize == link.msize() && version == l::VERSION),
        _ => None,
    });
    if !agreed.map_err(said)? {
        return Err(Error::new("the host does not speak 9P2000.L"));
    }
    let owner = String::from_utf8_lossy(&fs::read("#sys/user")?).into_owned();
    let tree = Host::new(link, owner).map_err(said)?;
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
    portal::in_background(|| serve(&given))?;
    if let Some(dir) = &given.dir {
        portal::mount(&given.name, dir)?;
    }
    Ok(())
}
