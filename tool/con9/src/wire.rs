//! The messages of section 5, read and written independently of the codec that the servers use.
//!
//! A runner that shared the crate `ninep` with the server under test would agree with it in every mistake, so this is a
//! second reading of the manual: one table of [`FORMATS`], an encoder for T lines, a decoder for replies. Only con9 and
//! tap9 use it.

use crate::word::{self, Vars, Word};

/// How a field stands in a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A little-endian number of so many bytes.
    Int(usize),
    /// `len[2]` and text.
    Str,
    /// `nwname[2]` and as many strings.
    Names,
    /// `type[1] vers[4] path[8]`.
    Qid,
    /// `nwqid[2]` and as many qids.
    Qids,
    /// `count[4]` and bytes.
    Data,
    /// `n[2]` and a stat record, which begins with its own length.
    Stat,
}

/// A message type.
#[derive(PartialEq, Eq, Debug)]
pub struct Format {
    /// Its name in the manual.
    pub name: &'static str,
    /// Its number.
    pub number: u8,
    /// Its fields after the tag.
    pub fields: &'static [(&'static str, Kind)],
}

macro_rules! formats {
    ($($name:literal $number:literal ($($field:literal $kind:expr),*),)*) => {
        /// Every message of 9P2000, and the few of 9P2000.L without which a server of that dialect can't be asked at all.
        pub static FORMATS: &[Format] = {
            use Kind::*;
            &[$(Format { name: $name, number: $number, fields: &[$(($field, $kind)),*] },)*]
        };
    };
}

formats! {
    "Rlerror" 7 ("ecode" Int(4)),
    "Tlopen" 12 ("fid" Int(4), "flags" Int(4)),
    "Rlopen" 13 ("qid" Qid, "iounit" Int(4)),
    "Tversion" 100 ("msize" Int(4), "version" Str),
    "Rversion" 101 ("msize" Int(4), "version" Str),
    "Tauth" 102 ("afid" Int(4), "uname" Str, "aname" Str),
    "Rauth" 103 ("aqid" Qid),
    "Tattach" 104 ("fid" Int(4), "afid" Int(4), "uname" Str, "aname" Str),
    "Rattach" 105 ("qid" Qid),
    "Rerror" 107 ("ename" Str),
    "Tflush" 108 ("oldtag" Int(2)),
    "Rflush" 109 (),
    "Twalk" 110 ("fid" Int(4), "newfid" Int(4), "wname" Names),
    "Rwalk" 111 ("wqid" Qids),
    "Topen" 112 ("fid" Int(4), "mode" Int(1)),
    "Ropen" 113 ("qid" Qid, "iounit" Int(4)),
    "Tcreate" 114 ("fid" Int(4), "name" Str, "perm" Int(4), "mode" Int(1)),
    "Rcreate" 115 ("qid" Qid, "iounit" Int(4)),
    "Tread" 116 ("fid" Int(4), "offset" Int(8), "count" Int(4)),
    "Rread" 117 ("data" Data),
    "Twrite" 118 ("fid" Int(4), "offset" Int(8), "data" Data),
    "Rwrite" 119 ("count" Int(4)),
    "Tclunk" 120 ("fid" Int(4)),
    "Rclunk" 121 (),
    "Tremove" 122 ("fid" Int(4)),
    "Rremove" 123 (),
    "Tstat" 124 ("fid" Int(4)),
    "Rstat" 125 ("stat" Stat),
    "Twstat" 126 ("fid" Int(4), "stat" Stat),
    "Rwstat" 127 (),
}

/// The fields of a stat record after its length: name and width, 0 for a string.
pub const STAT: [(&str, usize); 13] = [
    ("type", 2),
    ("dev", 4),
    ("qtype", 1),
    ("vers", 4),
    ("path", 8),
    ("mode", 4),
    ("atime", 4),
    ("mtime", 4),
    ("length", 8),
    ("name", 0),
    ("uid", 0),
    ("gid", 0),
    ("muid", 0),
];

/// The format of this name.
pub fn by_name(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|f| f.name == name)
}

/// The format of this number.
pub fn by_number(number: u8) -> Option<&'static Format> {
    FORMATS.iter().find(|f| f.number == number)
}

/// A qid as it stands in a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Qid {
    /// Bits of the file's kind.
    pub kind: u8,
    /// Version.
    pub vers: u32,
    /// Path.
    pub path: u64,
}

/// A field's value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A number.
    Int(u64),
    /// A string, which the decoder has found to be UTF-8 without NUL.
    Text(String),
    /// One qid.
    Qid(Qid),
    /// Qids of a walk.
    Qids(Vec<Qid>),
    /// Bytes.
    Data(Vec<u8>),
    /// A stat record's fields, in order.
    Stat(Vec<(&'static str, Value)>),
    /// Names of a walk.
    Names(Vec<String>),
}

/// A message, decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its type.
    pub format: &'static Format,
    /// Its tag.
    pub tag: u16,
    /// Its fields' values, in order.
    pub values: Vec<Value>,
}

/// Encodes a line's words after the name. The size stands in the first four bytes.
pub fn encode(format: &Format, tag: u16, words: &[Word], vars: &Vars) -> Result<Vec<u8>, String> {
    let mut out = vec![0, 0, 0, 0, format.number];
    out.extend(tag.to_le_bytes());
    let mut words = words.iter();
    for &(name, kind) in format.fields {
        let mut next = || words.next().ok_or_else(|| format!("{} lacks its {name}", format.name));
        match kind {
            Kind::Int(width) => put_int(&mut out, width, &word::expand(next()?, vars)?)?,
            Kind::Str => put_str(&mut out, &word::bytes(next()?, vars)?)?,
            Kind::Data => {
                let data = word::bytes(next()?, vars)?;
                out.extend(u32::try_from(data.len()).map_err(|e| e.to_string())?.to_le_bytes());
                out.extend(data);
            }
            Kind::Names => {
                let names = words.as_slice();
                words = [].iter();
                out.extend(u16::try_from(names.len()).map_err(|e| e.to_string())?.to_le_bytes());
                for name in names {
                    put_str(&mut out, &word::bytes(name, vars)?)?;
                }
            }
            Kind::Stat => {
                let record = stat(words.as_slice(), vars)?;
                words = [].iter();
                put_str(&mut out, &record)?;
            }
            Kind::Qid | Kind::Qids => return Err(format!("{} is not for a client to send", format.name)),
        }
    }
    if let Some(extra) = words.next() {
        return Err(format!("{}: {:?} is one word too many", format.name, extra.text));
    }
    set_size(&mut out)?;
    Ok(out)
}

/// Writes the length of the whole message to its front.
pub fn set_size(message: &mut [u8]) -> Result<(), String> {
    let size = u32::try_from(message.len()).map_err(|e| e.to_string())?;
    message.get_mut(..4).ok_or("shorter than a size")?.copy_from_slice(&size.to_le_bytes());
    Ok(())
}

fn put_int(out: &mut Vec<u8>, width: usize, text: &str) -> Result<(), String> {
    let value = if text == "~0" { u64::MAX >> (64 - 8 * width) } else { word::number(text)? };
    let bytes = value.to_le_bytes();
    if bytes[width..].iter().any(|&b| b != 0) {
        return Err(format!("{text} does not fit {width} bytes"));
    }
    out.extend(&bytes[..width]);
    Ok(())
}

fn put_str(out: &mut Vec<u8>, text: &[u8]) -> Result<(), String> {
    out.extend(u16::try_from(text.len()).map_err(|_| "a string is too long")?.to_le_bytes());
    out.extend(text);
    Ok(())
}

/// A stat record of `key=value` words, the others "don't touch"; or raw bytes, in one `hex:` word.
fn stat(words: &[Word], vars: &Vars) -> Result<Vec<u8>, String> {
    if let [word] = words
        && word.text.starts_with("hex:")
    {
        return word::bytes(word, vars);
    }
    let mut given = Vec::new();
    for word in words {
        let (key, value) =
            word.text.split_once('=').ok_or_else(|| format!("{:?} is not key=value", word.text))?;
        if !STAT.iter().any(|&(name, _)| name == key) {
            return Err(format!("a stat record has no {key:?}"));
        }
        given.push((key, Word { text: value.into(), quoted: word.quoted }));
    }
    let mut out = vec![0, 0];
    for (name, width) in STAT {
        let value = given.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
        match (value, width) {
            (None, 0) => put_str(&mut out, b"")?,
            (None, width) => put_int(&mut out, width, "~0")?,
            (Some(value), 0) => put_str(&mut out, &word::bytes(value, vars)?)?,
            (Some(value), width) => put_int(&mut out, width, &word::expand(value, vars)?)?,
        }
    }
    let size = u16::try_from(out.len() - 2).map_err(|_| "a stat record is too long")?;
    out[..2].copy_from_slice(&size.to_le_bytes());
    Ok(out)
}

/// What is left to decode.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (head, rest) = self.0.split_at_checked(count).ok_or("it is too short for its fields")?;
        self.0 = rest;
        Ok(head)
    }
    fn int(&mut self, width: usize) -> Result<u64, String> {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(self.take(width)?);
        Ok(u64::from_le_bytes(bytes))
    }
    fn count(&mut self, width: usize) -> Result<usize, String> {
        usize::try_from(self.int(width)?).map_err(|e| e.to_string())
    }
    fn text(&mut self) -> Result<String, String> {
        let length = self.count(2)?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| "a string in it is not UTF-8")?;
        if text.contains('\0') { Err("a string in it holds a NUL".into()) } else { Ok(text.into()) }
    }
    fn qid(&mut self) -> Result<Qid, String> {
        Ok(Qid { kind: self.int(1)? as u8, vers: self.int(4)? as u32, path: self.int(8)? })
    }
    fn stat(&mut self) -> Result<Value, String> {
        let length = self.count(2)?;
        let mut record = Rest(self.take(length)?);
        let mut fields = Vec::new();
        for (name, width) in STAT {
            let value = if width == 0 { Value::Text(record.text()?) } else { Value::Int(record.int(width)?) };
            fields.push((name, value));
        }
        if record.0.is_empty() {
            Ok(Value::Stat(fields))
        } else {
            Err("a stat record is longer than its fields".into())
        }
    }
}

/// Decodes a whole message, its size included.
pub fn decode(bytes: &[u8]) -> Result<Message, String> {
    let mut rest = Rest(bytes);
    if rest.count(4)? != bytes.len() {
        return Err("its size is not its length".into());
    }
    let number = rest.int(1)? as u8;
    let format = by_number(number).ok_or_else(|| format!("no message has the type {number}"))?;
    let tag = rest.int(2)? as u16;
    let mut values = Vec::new();
    for &(_, kind) in format.fields {
        values.push(value(&mut rest, kind).map_err(|e| format!("{}: {e}", format.name))?);
    }
    if !rest.0.is_empty() {
        return Err(format!("{} has {} bytes too many", format.name, rest.0.len()));
    }
    Ok(Message { format, tag, values })
}

fn value(rest: &mut Rest<'_>, kind: Kind) -> Result<Value, String> {
    Ok(match kind {
        Kind::Int(width) => Value::Int(rest.int(width)?),
        Kind::Str => Value::Text(rest.text()?),
        Kind::Qid => Value::Qid(rest.qid()?),
        Kind::Qids => {
            let count = rest.count(2)?;
            Value::Qids((0..count).map(|_| rest.qid()).collect::<Result<_, _>>()?)
        }
        Kind::Names => {
            let count = rest.count(2)?;
            Value::Names((0..count).map(|_| rest.text()).collect::<Result<_, _>>()?)
        }
        Kind::Data => {
            let count = rest.count(4)?;
            Value::Data(rest.take(count)?.into())
        }
        Kind::Stat => {
            let length = rest.count(2)?;
            let mut record = Rest(rest.take(length)?);
            let stat = record.stat()?;
            if !record.0.is_empty() {
                return Err("the stat record is shorter than its field".into());
            }
            stat
        }
    })
}

/// Takes the data of a directory read apart; a part of an entry at its end is an error.
pub fn entries(data: &[u8]) -> Result<Vec<Value>, String> {
    let mut rest = Rest(data);
    let mut out = Vec::new();
    while !rest.0.is_empty() {
        out.push(rest.stat().map_err(|e| format!("entry {}: {e}", out.len()))?);
    }
    Ok(out)
}

impl std::fmt::Display for Qid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{{},{},{:#04x}}}", self.path, self.vers, self.kind)
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Int(n) => write!(f, "{n}"),
            Value::Text(text) => f.write_str(&word::quote(text)),
            Value::Qid(qid) => write!(f, "{qid}"),
            Value::Qids(qids) => {
                for (i, qid) in qids.iter().enumerate() {
                    write!(f, "{}{qid}", if i == 0 { "" } else { " " })?;
                }
                Ok(())
            }
            Value::Names(names) => {
                let names: Vec<String> = names.iter().map(|name| word::quote(name)).collect();
                f.write_str(&names.join(" "))
            }
            Value::Data(data) => show_data(f, data),
            Value::Stat(fields) => {
                for (i, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{name}={value}", if i == 0 { "" } else { " " })?;
                }
                Ok(())
            }
        }
    }
}

/// Short text as it is, other bytes in hexadecimal, long ones by their length and beginning.
fn show_data(f: &mut std::fmt::Formatter<'_>, data: &[u8]) -> std::fmt::Result {
    const SHOWN: usize = 32;
    let shown = &data[..data.len().min(SHOWN)];
    write!(f, "len:{} ", data.len())?;
    match std::str::from_utf8(shown) {
        Ok(text) if !text.chars().any(char::is_control) => f.write_str(&word::quote(text))?,
        _ => {
            f.write_str("hex:")?;
            shown.iter().try_for_each(|b| write!(f, "{b:02x}"))?;
        }
    }
    if data.len() > SHOWN { f.write_str("...") } else { Ok(()) }
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.format.name, self.tag)?;
        for value in &self.values {
            write!(f, " {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<u8> {
        let words = word::split(text).unwrap();
        encode(by_name(&words[0].text).unwrap(), 3, &words[1..], &Vars::new()).unwrap()
    }

    #[test]
    fn a_walk_stands_as_the_manual_draws_it() {
        let walk = line("Twalk 1 2 ab c");
        assert_eq!(walk, b"\x18\0\0\0\x6e\x03\0\x01\0\0\0\x02\0\0\0\x02\0\x02\0ab\x01\0c");
        assert_eq!(decode(&walk).unwrap().to_string(), "Twalk@3 1 2 ab c");
    }

    #[test]
    fn a_wstat_says_its_size_twice_and_leaves_the_rest_alone() {
        let bytes = line("Twstat 9 mode=0600 name=x");
        assert_eq!(bytes.len(), 7 + 4 + 2 + 2 + 2 + 4 + 13 + 4 + 4 + 4 + 8 + 2 + 1 + 2 + 2 + 2);
        let Value::Stat(fields) = &decode(&bytes).unwrap().values[1] else { panic!("no stat") };
        assert_eq!(fields[5], ("mode", Value::Int(0o600)));
        assert_eq!(fields[8], ("length", Value::Int(u64::MAX)));
        assert_eq!(fields[9], ("name", Value::Text("x".into())));
    }

    #[test]
    fn whatever_is_cut_or_lengthened_is_refused() {
        for text in ["Twalk 1 2 ab c", "Twstat 9 name=x", "Twrite 1 0 data", "Tversion 8192 9P2000"] {
            let bytes = line(text);
            for end in 0..bytes.len() {
                assert!(decode(&bytes[..end]).is_err());
                let mut cut = bytes[..end].to_vec();
                if set_size(&mut cut).is_ok() {
                    assert!(decode(&cut).is_err(), "{text} cut to {end}");
                }
            }
            let mut longer = bytes.clone();
            longer.push(0);
            set_size(&mut longer).unwrap();
            assert!(decode(&longer).is_err());
        }
    }

    #[test]
    fn bad_lines_are_named() {
        let fails = |text: &str| {
            let words = word::split(text).unwrap();
            encode(by_name(&words[0].text).unwrap(), 3, &words[1..], &Vars::new()).unwrap_err()
        };
        assert!(fails("Topen 1").contains("lacks its mode"));
        assert!(fails("Tclunk 1 2").contains("too many"));
        assert!(fails("Topen 1 256").contains("does not fit"));
        assert!(fails("Twstat 1 size=3").contains("has no"));
        assert!(entries(&[1]).is_err());
    }
}
