//! Transcripts: the text format, and its parser.
//!
//! A file holds cases. A line is empty, a comment (`#`), or one of
//!
//! | line | meaning |
//! | --- | --- |
//! | `case TITLE` | begins a case |
//! | `begin [USER]` | connection `a`: version, attach as USER (default glenda), and fid 0 at a fresh directory of its own, `d0777` |
//! | `join NAME [USER]` | one more connection, likewise at the case's directory |
//! | `dial NAME` | one more connection, with nothing said on it yet |
//! | `on NAME` | what follows is about this connection |
//! | `T... ` | sends a message; the tag is added, or written `Tread@7` |
//! | `+ T...` | sends it and wants the answer of its type: a step on the way, for which intro(5) ("one greater than the type of the T-message") is the authority |
//! | `! T... -- CITE` | sends it and wants an Rerror |
//! | `R... -- CITE` | the answer, with a [pattern](crate::pattern) for each field, to the oldest request that has none yet, or `R...@7`; alternatives stand after `or` |
//! | `eventually R... -- CITE` | sends the last request again until the answer matches |
//! | `closed -- CITE` | the server hangs up; may be an alternative of an answer too |
//! | `none@7 MS -- CITE` | no answer to tag 7 within so long, nor was there any |
//! | `order@7@9 -- CITE` | the answer to 7, if any, came before that to 9 |
//! | `ignore@7` | whether 7 was answered does not matter; from now on it must not be |
//! | `hold`, `send` | collects messages, and sends them in one write |
//! | `drop` | hangs up |
//! | `raw HEX...` | sends bytes |
//! | `rest` | sends what `half` kept back |
//! | `wait MS`, `let V N`, `forget V`, `repeat V FROM TO` ... `done` | as they say; a forgotten variable is bound anew |
//!
//! A T line may be damaged by words before it: `cut N` (that many bytes off its end), `more HEX` (bytes at its end), both
//! with the size set right; `size N` (says N), `type N`, `nwname N`; `half N` (sends N bytes now), `trickle` (a write per byte).
//!
//! CITE is `page(5): the sentence, in short`. An expectation without it is refused: nobody's opinion is a fault.

use crate::word::{self, Word};

/// Pages of section 5 that may be cited.
pub const PAGES: [&str; 11] =
    ["intro", "attach", "clunk", "error", "flush", "open", "read", "remove", "stat", "version", "walk"];

/// The authority for an answer that is only a step.
const STEP: &str = "intro(5): the type of a reply is one greater than its request's, unless it failed";

/// One case.
#[derive(Debug)]
pub struct Case {
    /// Its title.
    pub title: String,
    /// Its steps.
    pub steps: Vec<Step>,
}

/// A step and the line where it stands.
#[derive(Debug)]
pub struct Step {
    /// Line number, from 1.
    pub line: usize,
    /// What to do.
    pub what: What,
}

/// What a line asks for.
#[derive(Debug)]
pub enum What {
    /// Version, attach, a directory of its own.
    Begin(String),
    /// One more connection at the case's directory.
    Join(String, String),
    /// One more connection.
    Dial(String),
    /// Changes the connection.
    On(String),
    /// Sends a message.
    Send(Send),
    /// Sends bytes.
    Raw(Vec<u8>),
    /// Sends the kept half.
    Rest,
    /// Wants an answer.
    Expect(Expect),
    /// Wants none.
    None(u16, u64, String),
    /// Wants this order.
    Order(u16, u16, String),
    /// Does not care for an answer so far.
    Ignore(u16),
    /// Collects writes.
    Hold,
    /// Writes what was collected.
    Release,
    /// Hangs up.
    Drop,
    /// Waits milliseconds.
    Wait(u64),
    /// Unbinds a variable.
    Forget(String),
    /// Sets a variable.
    Let(String, Word),
    /// Runs steps for each number of a range.
    Repeat(String, u64, u64, Vec<Step>),
}

/// A T line.
#[derive(Clone, Debug)]
pub struct Send {
    /// Damage, in order.
    pub damage: Vec<Damage>,
    /// The message's name.
    pub name: String,
    /// Its tag, if written.
    pub tag: Option<u16>,
    /// Its fields.
    pub fields: Vec<Word>,
}

/// What is done to a message before it goes out.
#[derive(Clone, Debug)]
pub enum Damage {
    /// Bytes off the end, size right.
    Cut(usize),
    /// Bytes at the end, size right.
    More(Vec<u8>),
    /// Another size.
    Size(u32),
    /// Another type.
    Type(u8),
    /// A walk's number of names, whatever follows.
    Nwname(u16),
    /// Only so many bytes now.
    Half(usize),
    /// One byte in each write.
    Trickle,
}

/// An R line.
#[derive(Debug)]
pub struct Expect {
    /// The tag, if written.
    pub tag: Option<u16>,
    /// Any of these will do.
    pub alternatives: Vec<Answer>,
    /// Who says so.
    pub cite: String,
    /// Ask again until it is so.
    pub eventually: bool,
}

/// One thing that may be answered.
#[derive(Debug)]
pub enum Answer {
    /// This message, its fields like this. No words: whatever its fields.
    Reply(String, Option<Vec<Word>>),
    /// The end of the connection.
    Closed,
}

/// Parses a transcript. The error names the line.
pub fn parse(text: &str) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    let mut open: Vec<(usize, String, u64, u64, Vec<Step>)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line_number = number + 1;
        let at = |e: String| format!("line {line_number}: {e}");
        let (line, cite) = match line.split_once(" -- ") {
            Some((line, cite)) => (line, Some(cite.trim())),
            None => (line, None),
        };
        if let Some(title) = line.trim().strip_prefix("case ") {
            if !open.is_empty() {
                return Err(at("a repeat is not done".into()));
            }
            cases.push(Case { title: title.trim().into(), steps: Vec::new() });
            continue;
        }
        let words = word::split(line).map_err(at)?;
        let Some(first) = words.first() else { continue };
        let case = cases.last_mut().ok_or_else(|| at("stands before the first case".into()))?;
        let mut steps = Vec::new();
        match first.text.as_str() {
            "repeat" => {
                let [_, name, from, to] = &words[..] else { return Err(at("repeat V FROM TO".into())) };
                let (from, to) = (word::number(&from.text).map_err(at)?, word::number(&to.text).map_err(at)?);
                open.push((line_number, name.text.clone(), from, to, Vec::new()));
                continue;
            }
            "done" => {
                let (line, name, from, to, body) =
                    open.pop().ok_or_else(|| at("nothing repeats here".into()))?;
                steps.push(Step { line, what: What::Repeat(name, from, to, body) });
            }
            _ => {
                for what in parse_line(&words, cite).map_err(at)? {
                    steps.push(Step { line: line_number, what });
                }
            }
        }
        open.last_mut().map_or(&mut case.steps, |(.., body)| body).extend(steps);
    }
    if let Some((line, ..)) = open.last() {
        return Err(format!("line {line}: this repeat is not done"));
    }
    Ok(cases)
}

fn parse_line(words: &[Word], cite: Option<&str>) -> Result<Vec<What>, String> {
    let (first, rest) = words.split_first().ok_or("an empty line")?;
    let name = |at: usize| rest.get(at).map(|w| w.text.clone());
    let (verb, tags) = tags(&first.text)?;
    let user = |at| name(at).unwrap_or_else(|| "glenda".into());
    Ok(vec![match (verb, &tags[..]) {
        ("begin", []) => What::Begin(user(0)),
        ("join", []) => What::Join(name(0).ok_or("join NAME")?, user(1)),
        ("dial", []) => What::Dial(name(0).ok_or("dial NAME")?),
        ("on", []) => What::On(name(0).ok_or("on NAME")?),
        ("ignore", &[tag]) => What::Ignore(tag),
        ("hold", []) => What::Hold,
        ("send", []) => What::Release,
        ("drop", []) => What::Drop,
        ("rest", []) => What::Rest,
        ("wait", []) => What::Wait(word::number(&name(0).ok_or("wait MS")?)?),
        ("forget", []) => What::Forget(name(0).ok_or("forget V")?),
        ("let", []) => What::Let(name(0).ok_or("let V N")?, rest.get(1).ok_or("let V N")?.clone()),
        ("raw", []) => What::Raw(word::hex(&rest.iter().map(|w| w.text.as_str()).collect::<String>())?),
        ("none", &[tag]) => What::None(tag, word::number(&name(0).ok_or("none@TAG MS")?)?, checked(cite)?),
        ("order", &[first, second]) => What::Order(first, second, checked(cite)?),
        ("+", []) => {
            let sent = parse_send(rest)?;
            let answer = Answer::Reply(format!("R{}", &sent.name[1..]), None);
            let (tag, alternatives) = (sent.tag, vec![answer]);
            return Ok(vec![
                What::Send(sent),
                What::Expect(Expect { tag, alternatives, cite: STEP.into(), eventually: false }),
            ]);
        }
        ("!", []) => {
            let sent = parse_send(rest)?;
            let (tag, alternatives) = (sent.tag, vec![Answer::Reply("Rerror".into(), None)]);
            return Ok(vec![
                What::Send(sent),
                What::Expect(Expect { tag, alternatives, cite: checked(cite)?, eventually: false }),
            ]);
        }
        ("eventually", []) => What::Expect(parse_expect(rest, cite, true)?),
        ("closed", _) => What::Expect(parse_expect(words, cite, false)?),
        (verb, _) if verb.starts_with('R') => What::Expect(parse_expect(words, cite, false)?),
        _ => What::Send(parse_send(words)?),
    }])
}

/// A citation of a page of section 5, or an error.
fn checked(cite: Option<&str>) -> Result<String, String> {
    let cite = cite.ok_or("an expectation needs its citation: -- page(5): sentence")?;
    let (page, sentence) = cite.split_once("(5): ").ok_or("a citation is page(5): sentence")?;
    if !PAGES.contains(&page) {
        return Err(format!("section 5 has no page {page:?}"));
    }
    if sentence.trim().len() < 10 { Err("the citation says nothing".into()) } else { Ok(cite.into()) }
}

/// Takes `word@1@2` apart.
fn tags(text: &str) -> Result<(&str, Vec<u16>), String> {
    let mut parts = text.split('@');
    let verb = parts.next().unwrap_or_default();
    let number = |t: &str| u16::try_from(word::number(t)?).map_err(|_| format!("{t} is no tag"));
    Ok((verb, parts.map(number).collect::<Result<_, _>>()?))
}

fn parse_send(words: &[Word]) -> Result<Send, String> {
    let mut damage = Vec::new();
    let mut words = words.iter();
    let first = loop {
        let word = words.next().ok_or("a message is missing")?;
        let mut text = || words.next().map(|w| w.text.as_str()).ok_or("a number is missing");
        damage.push(match word.text.as_str() {
            "cut" => Damage::Cut(word::number(text()?)? as usize),
            "more" => Damage::More(word::hex(text()?)?),
            "size" => Damage::Size(word::number(text()?)? as u32),
            "type" => Damage::Type(word::number(text()?)? as u8),
            "nwname" => Damage::Nwname(word::number(text()?)? as u16),
            "half" => Damage::Half(word::number(text()?)? as usize),
            "trickle" => Damage::Trickle,
            _ => break word,
        });
    };
    let (name, tags) = tags(&first.text)?;
    if !name.starts_with('T') || crate::wire::by_name(name).is_none() {
        return Err(format!("{:?} is not understood", first.text));
    }
    Ok(Send { damage, name: name.into(), tag: tags.first().copied(), fields: words.cloned().collect() })
}

fn parse_expect(words: &[Word], cite: Option<&str>, eventually: bool) -> Result<Expect, String> {
    let mut tag = None;
    let mut alternatives = Vec::new();
    for part in words.split(|w| w.is("or")) {
        let (first, fields) = part.split_first().ok_or("an alternative is missing")?;
        let (name, tags) = tags(&first.text)?;
        tag = tag.or(tags.first().copied());
        alternatives.push(if name == "closed" {
            Answer::Closed
        } else if crate::wire::by_name(name).is_some_and(|f| f.number % 2 == 1) {
            let any = fields.is_empty() || (fields.len() == 1 && fields[0].is("*"));
            Answer::Reply(name.into(), if any { None } else { Some(fields.to_vec()) })
        } else {
            return Err(format!("{name:?} is no answer"));
        });
    }
    Ok(Expect { tag, alternatives, cite: checked(cite)?, eventually })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_without_authority_is_refused() {
        let refused = |line: &str| parse(&format!("case x\n{line}")).unwrap_err();
        assert!(refused("Rclunk").contains("needs its citation"));
        assert!(refused("! Tclunk 1").contains("needs its citation"));
        assert!(refused("none@1 5").contains("needs its citation"));
        assert!(refused("Rclunk -- lore(5): they say that it is so").contains("no page"));
        assert!(refused("Rclunk -- clunk(5): yes").contains("says nothing"));
        assert!(refused("Rclunk -- because").contains("page(5)"));
        assert!(parse("case x\nRclunk -- clunk(5): the fid is no longer needed").is_ok());
    }

    #[test]
    fn lines_become_steps() {
        let text = "case one\nbegin\n+ Twalk 0 1\nrepeat i 0 3\n cut 2 Tclunk@9 $i\n R@9\ndone\n".replace(
            " R@9",
            " Rerror@9 or closed -- intro(5): the size is the length of the complete message",
        );
        let cases = parse(&text).unwrap();
        assert_eq!((cases.len(), cases[0].steps.len()), (1, 4));
        let What::Repeat(name, 0, 3, body) = &cases[0].steps[3].what else { panic!("no repeat") };
        assert_eq!((name.as_str(), body.len(), body[1].line), ("i", 2, 6));
        let What::Expect(e) = &body[1].what else { panic!("no expectation") };
        assert_eq!((e.tag, e.alternatives.len()), (Some(9), 2));
    }

    #[test]
    fn mistakes_are_named_by_line() {
        for (text, what) in [
            ("Tclunk 1", "line 1: stands before"),
            ("case x\nTclank 1", "line 2: \"Tclank\""),
            ("case x\nrepeat i 0 3", "line 2: this repeat"),
            ("case x\n\ndone", "line 3: nothing repeats"),
            ("case x\nTclunk@70000 1", "is no tag"),
            ("case x\nraw 0", "hexadecimal"),
        ] {
            let e = parse(text).unwrap_err();
            assert!(e.contains(what), "{text:?}: {e}");
        }
    }
}
