//! The table of services: what init starts before the first shell and starts again when it ends, one line each.
//!
//! ```text
//! # name   where it is mounted   terms                      command, which posts /srv/NAME
//! cons     /dev                  restart=5/60               /bin/cons
//! tmp      /tmp                  create restart=5/60        /bin/ramfs -s tmp
//! net      -                                                /bin/net
//! ```
//!
//! Words are separated by blanks; `#` begins a comment; `-` says that init mounts nothing. The terms:
//!
//! | term | |
//! | --- | --- |
//! | `restart=N/S` | start it again when it ends, but not more than N times in S seconds; without it, never |
//! | `grace=S` | kill it when it has not answered for S seconds |
//! | `create` | files may be created where it is mounted, and it replaces what was there |
//! | `once` | no service: a program that is started with the others, and does its work while they go on |
//! | `unmount` | take the mount away while the service is down, instead of leaving it to say `server died` |

use alloc::string::String;
use alloc::vec::Vec;

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name, which is also that of its file in /srv.
    pub name: String,
    /// Where init mounts it, if it does.
    pub mount: Option<String>,
    /// So many restarts in so many seconds are allowed.
    pub restart: (u32, u32),
    /// Seconds that it may be silent; 0 for ever.
    pub grace: u32,
    /// Is the mount for creation?
    pub create: bool,
    /// Does the mount go with the service?
    pub unmount: bool,
    /// Is it no server, but a program that ends?
    pub once: bool,
    /// The program's path and its arguments.
    pub command: Vec<String>,
}

/// A line that is no service: its number, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLine(pub usize);

/// Reads the table.
pub fn parse(table: &str) -> Result<Vec<Service>, BadLine> {
    let mut all = Vec::new();
    for (i, line) in table.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("");
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        let service = service(name, words).filter(|_| !name.contains('/')).ok_or(BadLine(i + 1))?;
        all.push(service);
    }
    Ok(all)
}

fn service<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> Option<Service> {
    let mut words = words.peekable();
    let mount = Some(words.next()?).filter(|m| *m != "-").map(String::from);
    let mut s = Service { name: String::from(name), mount, ..Service::default() };
    while let Some(term) = words.next_if(|w| !w.starts_with('/')) {
        match term.split_once('=') {
            Some(("restart", times)) => {
                let (n, seconds) = times.split_once('/')?;
                s.restart = (n.parse().ok()?, seconds.parse().ok().filter(|s| *s > 0)?);
            }
            Some(("grace", seconds)) => s.grace = seconds.parse().ok().filter(|s| *s > 0)?,
            None if term == "create" => s.create = true,
            None if term == "once" => s.once = true,
            None if term == "unmount" => s.unmount = true,
            _ => return None,
        }
    }
    s.command = words.map(String::from).collect();
    (!s.command.is_empty()).then_some(s)
}

/// When a service that ended is started again.
///
/// The pause doubles from [`Pace::FIRST`] milliseconds to [`Pace::LONGEST`] with each end, and is short again after a run
/// of the whole time in which restarts are counted.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// When it was started again, in milliseconds, those of the counted time.
    starts: Vec<u64>,
    pause: u64,
}

impl Pace {
    /// The first pause, in milliseconds.
    pub const FIRST: u64 = 50;
    /// The longest.
    pub const LONGEST: u64 = 10_000;

    /// At `now` a run of `ran` milliseconds ended: how long to wait before the next; none if there were too many.
    pub fn next(&mut self, (most, seconds): (u32, u32), ran: u64, now: u64) -> Option<u64> {
        let window = u64::from(seconds) * 1000;
        self.starts.retain(|at| now.saturating_sub(*at) < window);
        if self.starts.len() >= most as usize {
            return None;
        }
        self.starts.push(now);
        self.pause = if ran >= window { 0 } else { self.pause };
        self.pause = (self.pause * 2).clamp(Self::FIRST, Self::LONGEST);
        Some(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_service_and_comments_are_none() {
        let t = parse("# all\n\ncons /dev /bin/cons # the terminal\ntmp - /bin/ramfs -s tmp /tmp\n").unwrap();
        assert_eq!(t.len(), 2);
        assert_eq!((&t[0].name[..], t[0].mount.as_deref()), ("cons", Some("/dev")));
        assert_eq!(t[1].command, ["/bin/ramfs", "-s", "tmp", "/tmp"]);
        assert_eq!((t[1].mount.as_deref(), t[1].restart, t[1].grace), (None, (0, 0), 0));
    }

    #[test]
    fn terms_stand_between_the_mount_and_the_command() {
        let t =
            parse("a /a create unmount restart=3/60 grace=5 /bin/a restart=1/1\nb - once /bin/b\n").unwrap();
        assert!(!t[0].once && t[1].once);
        assert_eq!((t[0].restart, t[0].grace, t[0].create, t[0].unmount), ((3, 60), 5, true, true));
        assert_eq!(t[0].command, ["/bin/a", "restart=1/1"]);
    }

    #[test]
    fn a_line_that_is_no_service_is_named() {
        assert_eq!(parse("a /x /bin/a\nb /dev\n"), Err(BadLine(2)));
        for wrong in [
            "a",
            "a/b - /bin/x",
            "a - restart=3 /bin/x",
            "a - restart=3/0 /x",
            "a - grace=0 /x",
            "a - no /x",
            "a - create",
        ] {
            assert_eq!(parse(wrong), Err(BadLine(1)), "{wrong}");
        }
    }

    #[test]
    fn restarts_get_slower_and_end_at_the_limit() {
        let mut pace = Pace::default();
        let pauses: Vec<_> = (0..5).map(|i| pace.next((4, 60), 10, i * 1000)).collect();
        assert_eq!(pauses, [Some(50), Some(100), Some(200), Some(400), None]);
        // The first is forgotten after its minute.
        assert_eq!(pace.next((4, 60), 10, 60_000), Some(800));
        // A long run makes the pause short again.
        assert_eq!(pace.next((9, 60), 60_000, 200_000), Some(50));
        assert_eq!(Pace::default().next((0, 0), 10, 0), None);
    }

    #[test]
    fn the_pause_has_an_end() {
        let mut pace = Pace::default();
        let last = (0..20).map(|i| pace.next((100, 60), 10, i)).last();
        assert_eq!(last, Some(Some(Pace::LONGEST)));
    }
}
