//! Patterns: what a transcript says of a reply's fields, and whether a reply is like that.
//!
//! | field | patterns |
//! | --- | --- |
//! | number | `*`, a number expression, `$v` (binds, then equals), `<N` `<=N` `>N` `>=N` `!N` |
//! | string | `*`, `$v`, the text itself |
//! | qid | `*`, `{path,vers,kind}` with a number pattern each; the kind also as letters: `d a l t A` or `f` |
//! | qids of a walk | one pattern each, or a lone `*` for any number of them |
//! | data | `*`, the bytes, `len:N` with a number pattern, `dir A B` (whole entries with exactly these names), `dir+ A B` (at least these), `entries:N` (so many whole entries); or two of these |
//! | stat | `key=pattern` each; a field that is not named may be anything |
//!
//! A variable is bound only if the whole reply matches.

use crate::wire::{self, Kind, Message, Qid, Value};
use crate::word::{self, Vars, Word};

/// Does the reply match? The error says which field does not, and why.
pub fn matches(message: &Message, words: &[Word], vars: &mut Vars) -> Result<(), String> {
    let mut bound = vars.clone();
    let mut words = words;
    for (&(name, kind), value) in message.format.fields.iter().zip(&message.values) {
        let used = match kind {
            Kind::Qids | Kind::Data | Kind::Stat => words.len(),
            _ => words.len().min(1),
        };
        let (mine, rest) = words.split_at(used);
        words = rest;
        field(value, mine, &mut bound).map_err(|e| format!("{name}: {e}"))?;
    }
    if let Some(word) = words.first() {
        return Err(format!("{:?} is one pattern too many", word.text));
    }
    *vars = bound;
    Ok(())
}

fn field(value: &Value, words: &[Word], vars: &mut Vars) -> Result<(), String> {
    match (value, words) {
        (_, [word]) if word.is("*") => Ok(()),
        (Value::Int(n), [word]) => int(*n, &word.text, vars),
        (Value::Text(text), [word]) => same_text(text, word, vars),
        (Value::Qid(qid), [word]) => same_qid(*qid, word, vars),
        (Value::Qids(qids), words) if qids.len() == words.len() => {
            qids.iter().zip(words).try_for_each(|(qid, word)| same_qid(*qid, word, vars))
        }
        (Value::Qids(qids), words) => Err(format!("{} qids, not {}", qids.len(), words.len())),
        (Value::Data(bytes), words) => data(bytes, words, vars),
        (Value::Stat(fields), words) => words.iter().try_for_each(|word| stat(fields, word, vars)),
        _ => Err("the transcript says nothing of it".into()),
    }
}

/// The variable that a word would bind, if it is nothing but an unbound one.
fn unbound<'a>(text: &'a str, vars: &Vars) -> Option<&'a str> {
    let name = text.strip_prefix('$')?;
    (name.chars().all(|c| c.is_ascii_alphanumeric()) && !vars.contains_key(name)).then_some(name)
}

fn int(value: u64, text: &str, vars: &mut Vars) -> Result<(), String> {
    if text == "*" {
        return Ok(());
    }
    if let Some(name) = unbound(text, vars) {
        vars.insert(name.into(), value.to_string());
        return Ok(());
    }
    let (relation, rest) = ["<=", ">=", "<", ">", "!"]
        .iter()
        .find_map(|r| text.strip_prefix(r).map(|rest| (*r, rest)))
        .unwrap_or(("=", text));
    let want = word::expand(&Word { text: rest.into(), quoted: false }, vars)?;
    let want = word::number(&want)?;
    let holds = match relation {
        "<=" => value <= want,
        ">=" => value >= want,
        "<" => value < want,
        ">" => value > want,
        "!" => value != want,
        _ => value == want,
    };
    if holds { Ok(()) } else { Err(format!("{value}, not {text}")) }
}

fn same_text(text: &str, word: &Word, vars: &mut Vars) -> Result<(), String> {
    if !word.quoted
        && let Some(name) = unbound(&word.text, vars)
    {
        vars.insert(name.into(), text.into());
        return Ok(());
    }
    let want = word::bytes(word, vars)?;
    if text.as_bytes() == want { Ok(()) } else { Err(format!("{text:?}, not {:?}", word.text)) }
}

fn same_qid(qid: Qid, word: &Word, vars: &mut Vars) -> Result<(), String> {
    let inner =
        word.text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or("a qid is {path,vers,kind}")?;
    if inner == "*" {
        return Ok(());
    }
    let [path, vers, kind] = inner.split(',').collect::<Vec<_>>()[..] else {
        return Err("a qid has three fields".into());
    };
    int(qid.path, path, vars).map_err(|e| format!("path {e}"))?;
    int(qid.vers.into(), vers, vars).map_err(|e| format!("vers {e}"))?;
    same_kind(qid.kind, kind, vars).map_err(|e| format!("kind {e}"))
}

fn same_kind(kind: u8, text: &str, vars: &mut Vars) -> Result<(), String> {
    if text.is_empty() || !text.chars().all(|c| "dfaltA".contains(c)) {
        return int(kind.into(), text, vars);
    }
    let want = text.chars().fold(0, |bits, c| {
        bits | match c {
            'd' => 0x80,
            'a' => 0x40,
            'l' => 0x20,
            'A' => 0x08,
            't' => 0x04,
            _ => 0,
        }
    });
    if kind == want { Ok(()) } else { Err(format!("{kind:#04x}, not {text}")) }
}

fn data(bytes: &[u8], words: &[Word], vars: &mut Vars) -> Result<(), String> {
    let Some((first, names)) = words.split_first() else {
        return Err("the transcript says nothing of it".into());
    };
    if first.is("dir") || first.is("dir+") {
        return directory(bytes, names, first.is("dir"), vars);
    }
    if let Some((second, rest)) = names.split_first() {
        data(bytes, std::slice::from_ref(first), vars)?;
        data(bytes, std::slice::from_ref(second), vars)?;
        return if rest.is_empty() { Ok(()) } else { Err("data has at most two patterns".into()) };
    }
    if let Some(pattern) = first.text.strip_prefix("len:").filter(|_| !first.quoted) {
        return int(bytes.len() as u64, pattern, vars).map_err(|e| format!("length {e}"));
    }
    if let Some(pattern) = first.text.strip_prefix("entries:").filter(|_| !first.quoted) {
        return int(wire::entries(bytes)?.len() as u64, pattern, vars).map_err(|e| format!("entries {e}"));
    }
    let want = word::bytes(first, vars)?;
    if bytes == want { Ok(()) } else { Err(format!("{}, not {:?}", Value::Data(bytes.into()), first.text)) }
}

/// Whole entries with these names, in any order.
fn directory(bytes: &[u8], names: &[Word], exact: bool, vars: &Vars) -> Result<(), String> {
    let mut found = Vec::new();
    for entry in wire::entries(bytes)? {
        let Value::Stat(fields) = entry else { continue };
        if let Some((_, Value::Text(name))) = fields.into_iter().find(|(key, _)| *key == "name") {
            found.push(name);
        }
    }
    let mut wanted = names.iter().map(|name| word::expand(name, vars)).collect::<Result<Vec<_>, _>>()?;
    found.sort();
    wanted.sort();
    let right = if exact { found == wanted } else { wanted.iter().all(|name| found.contains(name)) };
    if right { Ok(()) } else { Err(format!("names {found:?}, not {wanted:?}")) }
}

fn stat(fields: &[(&str, Value)], word: &Word, vars: &mut Vars) -> Result<(), String> {
    let (key, pattern) =
        word.text.split_once('=').ok_or_else(|| format!("{:?} is not key=pattern", word.text))?;
    let (_, value) =
        fields.iter().find(|(name, _)| *name == key).ok_or_else(|| format!("no field {key:?}"))?;
    let word = Word { text: pattern.into(), quoted: word.quoted };
    field(value, &[word], vars).map_err(|e| format!("{key} {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::split;

    fn check(message: &[u8], line: &str, vars: &mut Vars) -> Result<(), String> {
        matches(&wire::decode(message).unwrap(), &split(line).unwrap(), vars)
    }

    const WALK: &[u8] = b"\x16\0\0\0\x6f\x01\0\x01\0\x80\x05\0\0\0\x07\0\0\0\0\0\0\0";

    #[test]
    fn qids_match_by_field_and_bind() {
        let mut vars = Vars::new();
        for good in ["*", "{*}", "{7,5,d}", "{*,>=5,d}", "{$p,*,128}", "{$p,<6,d}"] {
            assert_eq!(check(WALK, good, &mut vars), Ok(()), "{good}");
        }
        assert_eq!(vars["p"], "7");
        for bad in ["", "{*} {*}", "{8,*,*}", "{7,!5,d}", "{!$p,*,d}", "{7,5,f}", "{7,5,da}"] {
            assert!(check(WALK, bad, &mut vars).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_bound_by_a_reply_that_does_not_match() {
        let mut vars = Vars::new();
        assert!(check(WALK, "{$p,6,d}", &mut vars).is_err());
        assert!(vars.is_empty());
    }

    #[test]
    fn data_matches_as_bytes_and_by_length() {
        let read = b"\x0e\0\0\0\x75\x01\0\x03\0\0\0abc";
        let mut vars = Vars::new();
        for good in ["abc", "hex:616263", "len:3", "len:$n", "len:<=$n", "*"] {
            assert_eq!(check(read, good, &mut vars), Ok(()), "{good}");
        }
        for bad in ["abd", "len:4", "dir", "entries:1", "abc x", "'*'"] {
            assert!(check(read, bad, &mut vars).is_err(), "{bad}");
        }
    }
}
