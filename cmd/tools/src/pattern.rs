//! grep's patterns: POSIX regular expressions, basic and extended, and plain strings, for the crate `regex`.
//!
//! [`translate`] writes a pattern in that crate's syntax. It never means more than the POSIX pattern did: what has
//! no counterpart there (back references) is an error in words.

use alloc::string::String;
use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};

/// Patterns, any of which may match.
#[derive(Debug)]
pub struct Pattern {
    regex: Regex,
    /// A single one without operators: a search for bytes is many times faster.
    plain: Option<Finder<'static>>,
}

impl Pattern {
    /// Is it in this line?
    pub fn is_match(&self, line: &[u8]) -> bool {
        match &self.plain {
            Some(f) => f.find(line).is_some(),
            None => self.regex.is_match(line),
        }
    }

    /// Where in this line it is.
    pub fn find_iter<'a>(&'a self, line: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.regex.find_iter(line).map(|m| m.as_bytes())
    }

    /// What is in no line.
    pub fn nothing() -> Result<Pattern, String> {
        let regex = Regex::new("[^\\s\\S]").map_err(|_| "no pattern")?;
        Ok(Pattern { regex, plain: None })
    }
}

/// How a pattern is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `\(`, `\|` and `\+` are operators, `(`, `|` and `+` are text.
    Basic,
    /// The other way round.
    Extended,
    /// All is text.
    Plain,
}

/// What else is asked of a pattern.
#[derive(Clone, Copy, Default, Debug)]
pub struct Options {
    /// ASCII letters match in either case.
    pub fold: bool,
    /// Only whole words.
    pub word: bool,
    /// Only whole lines.
    pub line: bool,
}

/// Most bytes that a compiled pattern may take.
const SIZE: usize = 4 << 20;

/// Compiles patterns, any of which may match.
pub fn compile(patterns: &[&str], kind: Kind, options: Options) -> Result<Pattern, String> {
    let plain = match patterns {
        [one] if !(options.fold || options.word || options.line) => {
            let text = kind == Kind::Plain || !one.contains(|c| "\\.[]*^$+?|(){}".contains(c));
            text.then(|| Finder::new(one).into_owned())
        }
        _ => None,
    };
    let mut all = String::new();
    for (i, p) in patterns.iter().enumerate() {
        let p = translate(p, kind, options.fold)?;
        all.push_str(if i > 0 { "|(?:" } else { "(?:" });
        all.push_str(&p);
        all.push(')');
    }
    if options.line {
        all = alloc::format!("^(?:{all})$");
    } else if options.word {
        all = alloc::format!("(?-u:\\b{{start-half}})(?:{all})(?-u:\\b{{end-half}})");
    }
    let regex = RegexBuilder::new(&all).size_limit(SIZE).build().map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => "the pattern is too large".into(),
        e => {
            let text = alloc::format!("{e}");
            let last = text.lines().last().unwrap_or("bad pattern");
            String::from(last.strip_prefix("error: ").unwrap_or(last))
        }
    })?;
    Ok(Pattern { regex, plain })
}

/// A pattern in the syntax of the crate `regex`.
pub fn translate(pattern: &str, kind: Kind, fold: bool) -> Result<String, String> {
    let mut t = Translation { out: String::new(), fold, start: true };
    if kind == Kind::Plain {
        pattern.chars().for_each(|c| t.literal(c));
        return Ok(t.out);
    }
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let c = rest.chars().next().ok_or("a pattern ends with a backslash")?;
                rest = &rest[c.len_utf8()..];
                t.escaped(c, kind)?;
            }
            '[' => rest = t.bracket(rest)?,
            '.' => t.operator("."),
            '*' if t.start => t.literal('*'),
            '*' => t.operator("*"),
            '^' if kind == Kind::Extended || t.start => t.anchor("^"),
            '$' if kind == Kind::Extended || ends(rest) => t.anchor("$"),
            '+' | '?' | '|' | '(' | ')' if kind == Kind::Extended => t.special(c),
            '{' if kind == Kind::Extended && counts(rest) => t.operator("{"),
            '}' if kind == Kind::Extended => t.operator(if t.open_count() { "}" } else { "\\}" }),
            c => t.literal(c),
        }
    }
    Ok(t.out)
}

/// Is this the end of a basic pattern's branch, where `$` is an anchor?
fn ends(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with("\\)") || rest.starts_with("\\|")
}

/// Do digits follow, as in `{3,5}`?
fn counts(rest: &str) -> bool {
    let end = rest.find('}').unwrap_or(0);
    end > 0
        && rest[..end].chars().all(|c| c.is_ascii_digit() || c == ',')
        && rest.starts_with(|c: char| c != ',')
}

struct Translation {
    out: String,
    fold: bool,
    /// At the start of a branch, where a star is text.
    start: bool,
}

impl Translation {
    fn operator(&mut self, text: &str) {
        self.out.push_str(text);
        self.start = false;
    }

    fn anchor(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn open_count(&self) -> bool {
        self.out.rfind('{').is_some_and(|at| {
            !self.out[..at].ends_with('\\')
                && self.out[at + 1..].chars().all(|c| c.is_ascii_digit() || c == ',')
        })
    }

    fn special(&mut self, c: char) {
        match c {
            // A repetition of nothing is text.
            '+' | '?' if self.start => return self.literal(c),
            '(' => self.out.push_str("(?:"),
            c => self.out.push(c),
        }
        self.start = matches!(c, '(' | '|');
    }

    fn literal(&mut self, c: char) {
        if self.fold && c.is_ascii_alphabetic() {
            self.out.push('[');
            self.out.push(c.to_ascii_lowercase());
            self.out.push(c.to_ascii_uppercase());
            self.out.push(']');
        } else {
            if c.is_ascii_punctuation() {
                self.out.push('\\');
            }
            self.out.push(c);
        }
        self.start = false;
    }

    fn escaped(&mut self, c: char, kind: Kind) -> Result<(), String> {
        match c {
            '(' | ')' | '|' | '+' | '?' if kind == Kind::Basic => self.special(c),
            '{' | '}' if kind == Kind::Basic => self.operator(if c == '{' { "{" } else { "}" }),
            '1'..='9' => return Err("back references such as \\1 are not known here".into()),
            'w' => self.operator("[A-Za-z0-9_]"),
            'W' => self.operator("[^A-Za-z0-9_]"),
            's' => self.operator("[ \\t\\r\\n\\f\\v]"),
            'S' => self.operator("[^ \\t\\r\\n\\f\\v]"),
            'b' => self.operator("(?-u:\\b)"),
            'B' => self.operator("(?-u:\\B)"),
            '<' => self.operator("(?-u:\\b{start})"),
            '>' => self.operator("(?-u:\\b{end})"),
            c => self.literal(c),
        }
        Ok(())
    }

    /// A bracket expression; returns what follows it.
    fn bracket<'a>(&mut self, rest: &'a str) -> Result<&'a str, String> {
        self.out.push('[');
        let mut body = rest;
        if let Some(b) = body.strip_prefix('^') {
            self.out.push('^');
            body = b;
        }
        let mut first = true;
        loop {
            let c = body.chars().next().ok_or("[ without ]")?;
            if c == ']' && !first {
                self.out.push(']');
                self.start = false;
                return Ok(&body[1..]);
            }
            first = false;
            if let Some(class) = body.strip_prefix("[:") {
                let end = class.find(":]").ok_or("[: without :]")?;
                let name = &class[..end];
                // Of a folded pattern either case is any case.
                let name = if self.fold && matches!(name, "upper" | "lower") { "alpha" } else { name };
                self.out.push_str(&alloc::format!("[:{name}:]"));
                body = &class[end + 2..];
                continue;
            }
            body = &body[c.len_utf8()..];
            let range = body.strip_prefix('-').filter(|b| !b.is_empty() && !b.starts_with(']'));
            let (high, next) = match range {
                Some(b) => {
                    let h = b.chars().next().unwrap_or(c);
                    (h, &b[h.len_utf8()..])
                }
                None => (c, body),
            };
            if high < c {
                return Err("a range in [ ] goes backwards".into());
            }
            self.range(c, high);
            body = next;
        }
    }

    fn range(&mut self, low: char, high: char) {
        let mut put = |low: char, high: char| {
            for (i, c) in [low, high].into_iter().enumerate() {
                if i == 1 {
                    if high == low {
                        break;
                    }
                    self.out.push('-');
                }
                if c.is_ascii_punctuation() {
                    self.out.push('\\');
                }
                self.out.push(c);
            }
        };
        put(low, high);
        if self.fold && low.is_ascii_alphabetic() && high.is_ascii_alphabetic() {
            let flip = |c: char| {
                if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
            };
            if low.is_ascii_lowercase() == high.is_ascii_lowercase() {
                put(flip(low), flip(high));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(p: &str, kind: Kind, text: &str) -> bool {
        compile(&[p], kind, Options::default()).unwrap().is_match(text.as_bytes())
    }

    #[test]
    fn basic_and_extended_differ_in_what_is_text() {
        for (p, text, basic, extended) in [
            ("a+", "aa", false, true),
            ("a\\+", "aa", true, false),
            ("a+", "a+", true, true),
            ("(a)", "(a)", true, true),
            ("\\(ab\\)*c", "ababc", true, false),
            ("a|b", "b", false, true),
            ("a\\|b", "b", true, false),
            ("a{2}", "aa", false, true),
            ("a\\{2\\}", "aa", true, false),
            ("*a", "*a", true, true),
            ("a*$", "b", true, true),
            ("a$b", "a$b", true, false),
            ("^a^b", "a^b", true, false),
            ("[[:digit:]-]x", "-x", true, true),
            ("[]a]b", "]b", true, true),
            ("[^a]b", "ab", false, false),
            ("{", "{", true, true),
            ("a.c", "aéc", true, true),
            ("\\bword\\b", "a word.", true, true),
            ("\\<or", "word", false, false),
        ] {
            assert_eq!(hit(p, Kind::Basic, text), basic, "basic {p} {text}");
            assert_eq!(hit(p, Kind::Extended, text), extended, "extended {p} {text}");
        }
        assert!(hit("a.[*", Kind::Plain, "xa.[*"));
    }

    #[test]
    fn folding_words_and_lines() {
        let on = |p: &str, o: Options, text: &str| {
            compile(&[p], Kind::Basic, o).unwrap().is_match(text.as_bytes())
        };
        let fold = Options { fold: true, ..Options::default() };
        assert!(on("aB[c-d]", fold, "AbD") && on("[[:upper:]]", fold, "x"));
        let word = Options { word: true, ..Options::default() };
        assert!(on("or", word, "a or b") && !on("or", word, "word"));
        let line = Options { line: true, ..Options::default() };
        assert!(on("a\\|bc", line, "bc") && !on("a\\|bc", line, "abc"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for p in ["[a", "a\\", "\\(a", "\\(a\\)\\1", "[b-a]", "a\\{9999999\\}"] {
            assert!(compile(&[p], Kind::Basic, Options::default()).is_err(), "{p}");
        }
    }
}
