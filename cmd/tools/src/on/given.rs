//! What a command is given: its options, its operands, its input.

use super::table::Command;
use super::{Outcome, Text};
use portolan::abi::error::Error as Known;
use portolan::abi::file::OREAD;
use portolan::alloc::vec::Vec;
use portolan::{Buffered, Error, File, Result, STDIN, STDOUT, env, eprintln, exit, fs, println};

/// The arguments, options taken out.
pub(super) struct Given {
    pub(super) usage: &'static Command,
    flags: Vec<(u8, &'static [u8])>,
    /// The operands.
    pub(super) rest: Vec<&'static [u8]>,
}

fn explains(word: &[u8]) -> bool {
    matches!(word, b"-h" | b"--help")
}

impl Given {
    /// Reads the arguments. The command's letters say which are options: a colon follows one with a value, a
    /// semicolon one whose value may be left out, `+` ends
    /// the options at the first operand, `#` leaves numbers with a sign among the operands, `!` leaves everything.
    pub(super) fn read(usage: &'static Command, words: &[&'static [u8]]) -> Result<Given> {
        let letters = usage.letters.as_bytes();
        let mut g = Given { usage, flags: Vec::new(), rest: Vec::new() };
        if let [only] = words
            && explains(only)
        {
            g.explain();
        }
        if letters == b"!" {
            g.rest = words.to_vec();
            return Ok(g);
        }
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            match word {
                b"--" => {
                    g.rest.extend(words);
                    break;
                }
                b"--help" => g.explain(),
                [b'-', b'-', ..] => {
                    eprintln!("{}: no option {} here; {0} -h lists those there are", usage.name, Text(word));
                    return Err(g.wrong());
                }
                [b'-', b'0'..=b'9' | b'.', ..] if letters.contains(&b'#') => g.rest.push(word),
                [b'-', first, ..] if *first != b'-' => g.letters(&word[1..], &mut words)?,
                operand => {
                    g.rest.push(operand);
                    if letters.contains(&b'+') {
                        g.rest.extend(words);
                        break;
                    }
                }
            }
        }
        Ok(g)
    }

    fn letters(&mut self, word: &'static [u8], more: &mut impl Iterator<Item = &'static [u8]>) -> Result<()> {
        let letters = self.usage.letters.as_bytes();
        for (i, &l) in word.iter().enumerate() {
            let at = letters.iter().position(|&k| k == l && l.is_ascii_alphanumeric());
            let Some(at) = at else {
                if l == b'h' {
                    self.explain();
                }
                let l = &word[i..];
                let l = &l[..l
                    .utf8_chunks()
                    .next()
                    .map_or(1, |c| c.valid().chars().next().map_or(1, char::len_utf8))];
                eprintln!("{}: no option -{} here; {0} -h lists those there are", self.usage.name, Text(l));
                return Err(self.wrong());
            };
            let rest = &word[i + 1..];
            match letters.get(at + 1) {
                Some(b':') => {}
                Some(b';') => {
                    self.flags.push((l, rest));
                    break;
                }
                _ => {
                    self.flags.push((l, b""));
                    continue;
                }
            }
            let value = if rest.is_empty() { more.next() } else { Some(rest) };
            let Some(value) = value else {
                eprintln!("{}: -{} wants a value behind it", self.usage.name, char::from(l));
                return Err(self.wrong());
            };
            self.flags.push((l, value));
            break;
        }
        Ok(())
    }

    /// Was the flag given?
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags.iter().any(|f| f.0 == flag)
    }

    /// Which of these flags was given last?
    pub(super) fn last(&self, of: &[u8]) -> Option<u8> {
        self.flags.iter().rev().map(|f| f.0).find(|f| of.contains(f))
    }

    /// The value of a flag, the last if there are several.
    pub(super) fn value(&self, flag: u8) -> Option<&'static [u8]> {
        self.flags.iter().rev().find(|f| f.0 == flag).map(|f| f.1)
    }

    /// All values of a flag.
    pub(super) fn values(&self, flag: u8) -> impl Iterator<Item = &'static [u8]> {
        self.flags.iter().filter(move |f| f.0 == flag).map(|f| f.1)
    }

    /// The number given with a flag.
    pub(super) fn number<T: core::str::FromStr>(&self, flag: u8) -> Result<Option<T>> {
        self.value(flag).map(super::number).transpose()
    }

    /// Prints how the command is used, and ends.
    pub(super) fn explain(&self) -> ! {
        let c = self.usage;
        println!("usage: {} {}\n{}\nmore: man {0}", c.name, c.usage, c.help);
        exit("")
    }

    /// How the command is used, as an error.
    pub(super) fn wrong(&self) -> Error {
        eprintln!("usage: {} {}", self.usage.name, self.usage.usage);
        exit("usage")
    }

    /// The operands, of which there must be so many.
    pub(super) fn exactly<const N: usize>(&self) -> Result<[&'static [u8]; N]> {
        <[_; N]>::try_from(&self.rest[..]).map_err(|_| self.wrong())
    }

    /// The operands; if there are none, the standard input as `-`.
    pub(super) fn inputs(&self) -> Vec<&'static [u8]> {
        if self.rest.is_empty() { Vec::from([&b"-"[..]]) } else { self.rest.clone() }
    }
}

/// Opens an input; `-` is the standard one.
pub(super) fn open_input(path: &[u8]) -> Result<File> {
    if path == b"-" {
        return File::from_fd(STDIN).duplicate();
    }
    let f = File::open(path, OREAD)?;
    if fs::fstat(&f).is_ok_and(|a| a.stat().qid.is_dir()) {
        return Err(Known::IsDir.into());
    }
    Ok(f)
}

/// Calls `each` with every input in turn; what fails is said and the others are done all the same.
pub(super) fn each_input(
    paths: &[&'static [u8]],
    mut each: impl FnMut(&'static [u8], File) -> Result<()>,
) -> Outcome {
    let mut outcome = Outcome::default();
    for &path in paths {
        let shown = if path == b"-" { b"standard input" } else { path };
        if let Some(f) = outcome.note(shown, open_input(path)) {
            outcome.note(shown, each(path, f));
        }
    }
    outcome
}

/// The lines of a file, of any length.
pub(super) struct Lines {
    file: File,
    buf: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Lines {
    /// The lines from here on.
    pub(super) fn new(file: File) -> Lines {
        Lines { file, buf: Vec::new(), at: 0, ended: false }
    }

    /// The next line with its newline, which only the last may lack. What `out` holds is shown before a read.
    pub(super) fn next(&mut self, out: &mut Buffered) -> Result<Option<&[u8]>> {
        let mut seen = self.at;
        loop {
            if let Some(n) = memchr::memchr(b'\n', &self.buf[seen..]) {
                let from = self.at;
                self.at = seen + n + 1;
                return Ok(Some(&self.buf[from..self.at]));
            }
            if self.ended {
                let from = self.at;
                self.at = self.buf.len();
                return Ok((from < self.at).then(|| &self.buf[from..]));
            }
            out.flush()?;
            self.buf.drain(..self.at);
            self.at = 0;
            seen = self.buf.len();
            self.refill()?;
        }
    }

    fn refill(&mut self) -> Result<()> {
        let len = self.buf.len();
        let step = len.clamp(16 << 10, 1 << 20);
        self.buf.try_reserve(step).map_err(|_| Known::NoMemory)?;
        self.buf.resize(len + step, 0);
        let n = self.file.read(&mut self.buf[len..]);
        self.buf.truncate(len + *n.as_ref().unwrap_or(&0));
        self.ended = n? == 0;
        Ok(())
    }
}

/// A line without its newline.
pub(super) fn chomp(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// How many columns the terminal has that the standard output goes to. The shell says it in `$COLUMNS` when a person
/// types at it: a script's output is somebody else's input, whatever it goes through.
pub(super) fn columns() -> Option<usize> {
    let out = core::mem::ManuallyDrop::new(File::from_fd(STDOUT));
    if !out.path().is_ok_and(|p| p.ends_with(b"/cons")) {
        return None;
    }
    let value = env::get("COLUMNS").ok()?;
    super::number(value.strip_suffix(b"\0").unwrap_or(&value)).ok()
}

/// The standard output, collected.
pub(super) fn output() -> Buffered {
    Buffered::new(STDOUT)
}

/// Ends a command whose answer is its status alone.
pub(super) fn answer(yes: bool, words: &str) -> Result<()> {
    if yes { Ok(()) } else { exit(words) }
}
