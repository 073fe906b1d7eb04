//! seq, true, false, basename, dirname, which, pwd, clear, free, sync and poweroff.

use super::given::{Given, answer, output};
use super::{Outcome, Text, base, join, parent, text};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{DMDIR, ORDWR, OREAD, OWRITE};
use portolan::alloc::format;
use portolan::alloc::string::{String, ToString};
use portolan::alloc::vec::Vec;
use portolan::{Error, File, Result, env, fs, print, println};
use tools::amount;

/// A decimal number: its digits as an integer, and how many stand behind the point.
fn decimal(word: &[u8]) -> Result<(i128, usize)> {
    let wrong = || Error::of(Text(word), "not a number");
    let s = core::str::from_utf8(word).map_err(|_| wrong())?;
    let (whole, behind) = s.split_once('.').unwrap_or((s, ""));
    if behind.len() > 15 || s.len() > 36 || behind.contains(['+', '-']) {
        return Err(wrong());
    }
    let digits = format!("{whole}{behind}");
    Ok((digits.parse().map_err(|_| wrong())?, behind.len()))
}

pub(super) fn seq(g: &mut Given) -> Result<()> {
    let words: [&[u8]; 3] = match g.rest[..] {
        [last] => [b"1", b"1", last],
        [first, last] => [first, b"1", last],
        [first, step, last] => [first, step, last],
        _ => return Err(g.wrong()),
    };
    let mut values = [(0, 0); 3];
    for (v, w) in values.iter_mut().zip(words) {
        *v = decimal(w)?;
    }
    let most = values.iter().map(|v| v.1).max().unwrap_or(0);
    // As many decimals are shown as the first and the step have.
    let shown = values[0].1.max(values[1].1);
    let [mut n, step, last] = values.map(|(n, d)| n * 10i128.pow((most - d) as u32));
    if step == 0 {
        return Err(Error::new("a step of 0 never ends"));
    }
    let show = |n: i128| {
        let n = n / 10i128.pow((most - shown) as u32);
        if shown == 0 {
            return n.to_string();
        }
        let unit = 10u128.pow(shown as u32);
        let (sign, n) = (if n < 0 { "-" } else { "" }, n.unsigned_abs());
        format!("{sign}{}.{:0shown$}", n / unit, n % unit)
    };
    let width = if g.has(b'w') {
        let end = n + (last - n) / step * step;
        show(n).len().max(show(end).len())
    } else {
        0
    };
    let separator = g.value(b's').unwrap_or(b"\n");
    let (mut out, mut first) = (output(), true);
    while if step > 0 { n <= last } else { n >= last } {
        if !first {
            out.put(separator)?;
        }
        first = false;
        let s = show(n);
        let (sign, digits) = match s.strip_prefix('-') {
            Some(d) => ("-", d),
            None => ("", s.as_str()),
        };
        let pad = width.saturating_sub(sign.len());
        out.put(format!("{sign}{digits:0>pad$}").as_bytes())?;
        n += step;
    }
    if !first {
        out.put(b"\n")?;
    }
    out.flush()
}

/// true.
pub(super) fn yes(_: &mut Given) -> Result<()> {
    Ok(())
}

/// false.
pub(super) fn no(_: &mut Given) -> Result<()> {
    answer(false, "false")
}

pub(super) fn basename(g: &mut Given) -> Result<()> {
    let suffix = g.value(b's');
    let (names, suffix) = match (&g.rest[..], suffix) {
        ([], _) => return Err(g.wrong()),
        (all, s) if s.is_some() || g.has(b'a') => (all, s),
        ([name], _) => (core::slice::from_ref(name), None),
        ([name, suffix], _) => (core::slice::from_ref(name), Some(*suffix)),
        _ => return Err(g.wrong()),
    };
    let mut out = output();
    for name in names {
        let mut b = base(name);
        if let Some(cut) = suffix.and_then(|s| b.strip_suffix(s)).filter(|c| !c.is_empty()) {
            b = cut;
        }
        out.put(b)?;
        out.put(b"\n")?;
    }
    out.flush()
}

pub(super) fn dirname(g: &mut Given) -> Result<()> {
    if g.rest.is_empty() {
        return Err(g.wrong());
    }
    let mut out = output();
    for name in &g.rest {
        out.put(parent(name))?;
        out.put(b"\n")?;
    }
    out.flush()
}

/// The folders in which programs are looked for: the shell's `$path`.
fn path() -> Vec<Vec<u8>> {
    let value = env::get("path").unwrap_or_default();
    let dirs: Vec<Vec<u8>> = value.split(|b| *b == 0).filter(|d| !d.is_empty()).map(<[u8]>::to_vec).collect();
    if dirs.is_empty() { Vec::from([b"/bin".to_vec()]) } else { dirs }
}

fn is_program(file: &[u8]) -> bool {
    fs::stat(file).is_ok_and(|a| a.stat().mode & DMDIR == 0 && a.stat().mode & 0o111 != 0)
}

/// Where the program of this name is.
pub(super) fn program(name: &[u8]) -> Result<Vec<u8>> {
    if name.contains(&b'/') || name.starts_with(b"#") {
        return Ok(name.to_vec());
    }
    let found = path().iter().map(|d| join(d, name)).find(|f| is_program(f));
    found.ok_or_else(|| Error::of(Text(name), "no program of that name (help lists them)"))
}

pub(super) fn which(g: &mut Given) -> Result<()> {
    if g.rest.is_empty() {
        return Err(g.wrong());
    }
    let mut all = true;
    for name in &g.rest {
        let named = name.contains(&b'/');
        let places =
            if named { Vec::from([name.to_vec()]) } else { path().iter().map(|d| join(d, name)).collect() };
        let mut found = places.iter().filter(|f| is_program(f)).peekable();
        all &= found.peek().is_some();
        for f in found.take(if g.has(b'a') { usize::MAX } else { 1 }) {
            println!("{}", Text(f));
        }
    }
    answer(all, "not found")
}

pub(super) fn pwd(g: &mut Given) -> Result<()> {
    let [] = g.exactly()?;
    println!("{}", Text(&fs::current_dir()?));
    Ok(())
}

pub(super) fn clear(g: &mut Given) -> Result<()> {
    let [] = g.exactly()?;
    // The cursor home, the screen, and the lines that were scrolled away.
    print!("\x1b[H\x1b[2J\x1b[3J");
    Ok(())
}

pub(super) fn free(g: &mut Given) -> Result<()> {
    let [] = g.exactly()?;
    let all = text(&fs::read("/dev/memory").map_err(|e| Error::of("/dev/memory", e))?);
    let value = |name: &str| -> u64 {
        let mut lines = all.lines().filter_map(|l| l.split_once(' '));
        lines.find(|(_, n)| *n == name).and_then(|(v, _)| v.parse().ok()).unwrap_or(0)
    };
    let (total, free, kernel) = (value("bytes"), value("free"), value("kernel"));
    let show = |n: u64| match g.last(b"bkmh") {
        Some(b'b') => n.to_string(),
        Some(b'm') => (n >> 20).to_string(),
        Some(b'h') => amount::human(n),
        _ => (n >> 10).to_string(),
    };
    let rows: [[String; 4]; 2] = [
        ["total", "used", "free", "kernel"].map(String::from),
        [show(total), show(total.saturating_sub(free)), show(free), show(kernel)],
    ];
    for (title, row) in ["", "Mem:"].iter().zip(rows) {
        println!("{title:8}{:>12}{:>12}{:>12}{:>12}", row[0], row[1], row[2], row[3]);
    }
    Ok(())
}

pub(super) fn sync(g: &mut Given) -> Result<()> {
    let mut outcome = Outcome::default();
    for path in &g.rest {
        match File::open(path, OREAD).and_then(|f| f.sync()) {
            Err(e) if e.is(Known::NotSupported) => {}
            r => {
                outcome.note(path, r);
            }
        }
    }
    outcome.end()
}

/// Where the kernel takes a descriptor's number, and tells of the file.
const SWAP: &str = "/dev/swap";

pub(super) fn swap(g: &mut Given) -> Result<()> {
    let tell = |what: &str| {
        let done = File::open(SWAP, OWRITE).and_then(|f| f.write_all(what.as_bytes()));
        done.map_err(|e| Error::of(Text(g.rest.first().map_or(SWAP.as_bytes(), |f| f)), e))
    };
    let path = match g.rest[..] {
        [] if g.has(b'd') => return tell("off"),
        [] if g.value(b's').is_none() => {
            let all = fs::read(SWAP).map_err(|e| Error::of(SWAP, e))?;
            print!("{}", text(&all));
            return Ok(());
        }
        [path] if !g.has(b'd') => path,
        _ => return Err(g.wrong()),
    };
    let size = match g.value(b's').map(|s| (s, amount::parse(&text(s)))) {
        None => 0,
        Some((_, Some(n))) => n,
        Some((s, None)) => return Err(Error::of(Text(s), "not a size")),
    };
    let mut file = File::open(path, ORDWR);
    if size > 0 && file.as_ref().is_err_and(|e| e.is(Known::NotExist)) {
        file = File::create(path, u32::from(ORDWR), 0o600);
    }
    let file = file.map_err(|e| Error::of(Text(path), e))?;
    if size > fs::fstat(&file)?.stat().length {
        // As long as it has a byte at its end; what is before that takes no room where the server knows of holes.
        file.write_at(&[0], size - 1).map_err(|e| Error::of(Text(path), e))?;
    }
    tell(&file.fd().to_string())
}

pub(super) fn poweroff(g: &mut Given) -> Result<()> {
    let [] = g.exactly()?;
    File::open("#sys/power", OWRITE)?.write_all(b"off")
}
