//! date, sleep, time and uptime.

use super::given::Given;
use super::{Text, text};
use core::time::Duration;
use portolan::abi::file::{RFENVG, RFFDG};
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::{Error, Result, eprintln, exit, fs, note, print, println, process, time};
use tools::date::{self, Date};

pub(super) fn date(g: &mut Given) -> Result<()> {
    let now = time::since_1970();
    let (seconds, nanoseconds) = match (g.value(b'd'), g.value(b'r')) {
        (Some(d), _) => {
            let wrong = || Error::of(Text(d), "not a time (YYYY-MM-DD HH:MM:SS or @SECONDS)");
            (date::parse(&text(d)).ok_or_else(wrong)?, 0)
        }
        (_, Some(f)) => (u64::from(fs::stat(f).map_err(|e| Error::of(Text(f), e))?.stat().mtime), 0),
        _ => (now.as_secs(), u64::from(now.subsec_nanos())),
    };
    let format = match g.rest[..] {
        [] if g.value(b'I').is_some() => match g.value(b'I') {
            Some(b"seconds" | b"s") => "%FT%T+00:00".into(),
            _ => "%F".into(),
        },
        [] => String::from(date::USUAL),
        [f] if f.starts_with(b"+") => text(&f[1..]),
        [f, ..] => return Err(Error::of(Text(f), "a format begins with +; the clock can't be set")),
    };
    println!("{}", Date::new(seconds).format(&format, nanoseconds));
    Ok(())
}

/// A time span as sleep takes it.
fn span(word: &[u8]) -> Result<f64> {
    let (digits, unit) = match word.split_last() {
        Some((b's', d)) => (d, 1.0),
        Some((b'm', d)) => (d, 60.0),
        Some((b'h', d)) => (d, 3600.0),
        Some((b'd', d)) => (d, 86400.0),
        _ => (word, 1.0),
    };
    let s: Option<f64> = core::str::from_utf8(digits).ok().and_then(|d| d.parse().ok());
    s.map(|s| s * unit)
        .filter(|s| (0.0..1e9).contains(s))
        .ok_or_else(|| Error::of(Text(word), "not a time (seconds, or a number with s, m, h or d)"))
}

pub(super) fn sleep(g: &mut Given) -> Result<()> {
    if g.rest.is_empty() {
        return Err(g.wrong());
    }
    let mut all = 0.0;
    for word in &g.rest {
        all += span(word)?;
    }
    time::sleep(Duration::from_nanos((all * 1e9) as u64))
}

fn seconds(d: Duration) -> String {
    format!("{}.{:03}s", d.as_secs(), d.subsec_millis())
}

pub(super) fn time(g: &mut Given) -> Result<()> {
    let Some(&command) = g.rest.first() else { return Err(g.wrong()) };
    let program = super::system::program(command)?;
    // An interrupt is for the command; this process says how long it took.
    note::handle(|n| if n == "interrupt" { note::Then::Continue } else { note::Then::Default })?;
    let begun = time::now();
    let pid = process::fork(RFFDG | RFENVG)?;
    if pid == 0 {
        let _ = note::default();
        let e = process::exec(&program, &g.rest);
        eprintln!("time: {}: {e}", Text(command));
        exit(e.words());
    }
    let ended = loop {
        match process::wait_for(pid) {
            Err(e) if e.words() == "interrupted" => {}
            other => break other?,
        }
    };
    let real = time::now() - begun;
    eprintln!("real {}", seconds(real));
    exit(&ended.status)
}

pub(super) fn uptime(g: &mut Given) -> Result<()> {
    let [] = g.exactly()?;
    let up = time::now().as_secs();
    if g.has(b's') {
        let since = time::since_1970().as_secs() - up;
        println!("{}", Date::new(since).format("%F %T", 0));
        return Ok(());
    }
    print!(" {}", Date::new(time::since_1970().as_secs()).format("%T", 0));
    println!(" up {}", date::span(up));
    Ok(())
}
