//! How a shell begins and ends: flags, the environment, where its commands come from.

use alloc::vec::Vec;

use crate::ast::Mode;
use crate::os;
use crate::print;
use crate::shell::{Run, Shell, Stop, join};

/// What the command line asks for.
#[derive(Default)]
struct Request {
    flags: Vec<u8>,
    command: Option<Vec<u8>>,
    args: Vec<Vec<u8>>,
}

const USAGE: &[u8] = b"usage: rc [-srdiIlxepvV] [-c command] [file [arg ...]]\n";

/// Runs a shell with these arguments, its own name first; its status.
pub fn main(args: &[Vec<u8>]) -> Vec<u8> {
    let (name, rest) = args.split_first().map_or((b"rc".as_slice(), args), |(n, r)| (n.as_slice(), r));
    let Some(mut request) = request(rest) else {
        let _ = os::write(2, USAGE);
        return b"usage".to_vec();
    };
    if name.starts_with(b"-") {
        request.flags.push(b'l');
    }
    let mut sh = Shell::new();
    for &letter in &request.flags {
        sh.set_flag(letter, true);
    }
    if sh.flag(b'I') {
        sh.set_flag(b'i', false);
    } else if request.command.is_none() && request.args.is_empty() && os::is_terminal(0) {
        sh.set_flag(b'i', true);
    }
    sh.initialize(name, &request);
    let result = sh.commands(&request);
    if result == Err(Stop::Error) && sh.status().is_empty() {
        sh.assign(b"status", Vec::from([b"error".to_vec()]));
    }
    sh.finish()
}

fn request(args: &[Vec<u8>]) -> Option<Request> {
    let mut request = Request::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let Some(letters) = arg.strip_prefix(b"-").filter(|l| !l.is_empty()) else {
            request.args.push(arg.clone());
            break;
        };
        if letters == b"-" {
            break;
        }
        for (n, &letter) in letters.iter().enumerate() {
            match letter {
                b'c' => {
                    let rest = letters.get(n + 1..).unwrap_or_default();
                    request.command =
                        Some(if rest.is_empty() { args.next()?.clone() } else { rest.to_vec() });
                    break;
                }
                b's' | b'r' | b'd' | b'i' | b'I' | b'l' | b'x' | b'e' | b'p' | b'v' | b'V' => {
                    request.flags.push(letter)
                }
                _ => return None,
            }
        }
        if request.command.is_some() {
            break;
        }
    }
    request.args.extend(args.cloned());
    Some(request)
}

/// Variables that belong to one process and are not handed on.
const PRIVATE: [&[u8]; 5] = [b"*", b"0", b"apid", b"pid", b"status"];

impl Shell {
    /// Variables and functions from the environment, and those that every shell has.
    fn initialize(&mut self, name: &[u8], request: &Request) {
        for (name, value) in os::environment() {
            match name.strip_prefix(b"fn#") {
                Some(function) => self.import_function(function, value),
                None if PRIVATE.contains(&name.as_slice()) || name.is_empty() => {}
                None => {
                    let end = if value.contains(&0) { 0 } else { 1 };
                    let value = value.strip_suffix(&[0]).unwrap_or(&value);
                    self.assign(&name, value.split(|&c| c == end).map(<[u8]>::to_vec).collect());
                }
            }
        }
        if !os::ENV_TREE {
            self.import_host();
        }
        let mut default = |name: &[u8], values: &[&[u8]]| {
            if self.var(name).is_empty() {
                self.assign(name, values.iter().map(|v| v.to_vec()).collect());
            }
        };
        default(b"path", &[b".", b"/bin"]);
        default(b"home", &[b"/"]);
        default(b"ifs", &[b" \t\n"]);
        default(b"prompt", &[b"% ", b"\t"]);
        self.assign(b"pid", Vec::from([alloc::format!("{}", os::pid()).into_bytes()]));
        let (script, args) = match (&request.command, request.args.split_first()) {
            (None, Some((script, args))) => (script.clone(), args.to_vec()),
            _ => (name.to_vec(), request.args.clone()),
        };
        self.assign(b"0", Vec::from([script]));
        self.assign(b"*", args);
        self.stale.clear();
    }

    /// What other shells of the host call the same.
    fn import_host(&mut self) {
        let path = self.var(b"PATH");
        if let Some(path) = path.first() {
            self.assign(b"path", path.split(|&c| c == b':').map(<[u8]>::to_vec).collect());
        }
        let home = self.var(b"HOME");
        if self.var(b"home").is_empty() && !home.is_empty() {
            self.assign(b"home", home.to_vec());
        }
    }

    fn import_function(&mut self, name: &[u8], value: Vec<u8>) {
        let text = if value.starts_with(b"{") {
            let mut text = b"fn ".to_vec();
            print::quote(name, &mut text);
            text.push(b' ');
            text.extend_from_slice(&value);
            text
        } else {
            value
        };
        // Only a definition is taken from there, whatever else the text says.
        let mut parser = crate::parse::Text::default();
        if let Ok(Some(crate::ast::Cmd::Fn { body: Some(body), .. })) = parser.next(&mut Some(text)) {
            self.functions.insert(name.to_vec(), body);
            self.heed(name);
        }
    }

    /// The environment as strings.
    pub(crate) fn strings(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        if os::ENV_TREE {
            return Vec::new();
        }
        let mut out = Vec::new();
        for (name, value) in &self.vars {
            if PRIVATE.contains(&name.as_slice())
                || name.contains(&b'=')
                || name.contains(&0)
                || name.is_empty()
            {
                continue;
            }
            let value = match name.as_slice() {
                b"PATH" => join(&self.var(b"path"), b":"),
                _ => join(value, b"\x01"),
            };
            if !value.contains(&0) {
                out.push((name.clone(), value));
            }
        }
        for (name, body) in &self.functions {
            if !name.contains(&b'=') && !name.contains(&0) {
                out.push(([b"fn#".as_slice(), name].concat(), print::braces(body)));
            }
        }
        out
    }

    /// Brings the environment's tree up to date.
    pub(crate) fn publish(&mut self) {
        for name in core::mem::take(&mut self.stale) {
            if PRIVATE.contains(&name.as_slice()) {
                continue;
            }
            match name.strip_prefix(b"fn#") {
                Some(function) => match self.functions.get(function) {
                    Some(body) => os::publish(&name, Some(&print::function(function, body))),
                    None => os::publish(&name, None),
                },
                None => match self.vars.get(&name) {
                    Some(value) => {
                        let value: Vec<u8> =
                            value.iter().flat_map(|v| [v, b"\0".as_slice()].concat()).collect();
                        os::publish(&name, Some(&value));
                    }
                    None => os::publish(&name, None),
                },
            }
        }
    }

    /// Runs what there is to run.
    fn commands(&mut self, request: &Request) -> Run {
        let interactive = self.flag(b'i');
        if interactive {
            self.interactive = true;
            os::catch(os::Note::Interrupt, true);
        }
        if self.flag(b'l') {
            self.profile()?;
        }
        self.set_status(b"");
        match (&request.command, request.args.first()) {
            (Some(command), _) => self.run_text(b"-c", command.clone()),
            (None, Some(script)) => {
                let opened = os::open(script, Mode::Read);
                let fd = self.check(&[b"can't open ", script], opened)?;
                self.run_file(script, fd.number(), interactive)
            }
            (None, None) => self.run_file(b"stdin", 0, interactive),
        }
    }

    fn profile(&mut self) -> Run {
        let profile = [join(&self.var(b"home"), b""), b"/lib/profile".to_vec()].concat();
        match os::open(&profile, Mode::Read) {
            Ok(fd) => match self.run_file(&profile, fd.number(), false) {
                Err(Stop::Error) if self.flag(b'i') => Ok(()),
                other => other,
            },
            Err(_) => Ok(()),
        }
    }
}
