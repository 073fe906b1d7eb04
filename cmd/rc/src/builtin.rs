//! The commands that only the shell itself can run.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ast::Mode;
use crate::os;
use crate::print;
use crate::shell::{Run, Shell, Stop, join};

/// The builtins' names.
pub(crate) const NAMES: [&[u8]; 12] = [
    b".", b"builtin", b"cd", b"eval", b"exec", b"exit", b"finit", b"flag", b"rfork", b"shift", b"wait",
    b"whatis",
];

/// Is it the name of a builtin?
pub(crate) fn is(name: &[u8]) -> bool {
    NAMES.contains(&name)
}

/// Runs the builtin that `args` begins with.
pub(crate) fn run(sh: &mut Shell, args: &[Vec<u8>]) -> Run {
    let (name, rest) = args.split_first().map_or((b"".as_slice(), args), |(n, r)| (n.as_slice(), r));
    match name {
        b"." => dot(sh, rest),
        b"builtin" => builtin(sh, rest),
        b"cd" => cd(sh, rest),
        b"eval" => eval(sh, rest),
        b"exec" => exec(sh, rest),
        b"exit" => exit(sh, rest),
        b"finit" => Ok(()), // Functions are read from the environment at the start.
        b"flag" => flag(sh, rest),
        b"rfork" => rfork(sh, rest),
        b"shift" => shift(sh, rest),
        b"wait" => wait(sh, rest),
        _ => whatis(sh, rest),
    }
}

fn usage(sh: &mut Shell, text: &[u8]) -> Run {
    sh.say(&[b"usage: ", text]);
    sh.set_status(b"usage");
    Ok(())
}

fn dot(sh: &mut Shell, args: &[Vec<u8>]) -> Run {
    let (prompting, args) = match args.split_first() {
        Some((flag, rest)) if flag == b"-i" => (true, rest),
        _ => (false, args),
    };
    let Some((file, args)) = args.split_first() else {
        return sh.fail(&[b"usage: . [-i] file [arg ...]"]);
    };
    let dirs =
        if file.starts_with(b"/") || file.starts_with(b"./") { Vec::new() } else { sh.var(b"path").to_vec() };
    let mut opened = os::open(file, Mode::Read);
    for dir in dirs {
        if opened.is_ok() {
            break;
        }
        opened = os::open(&[&dir, b"/".as_slice(), file].concat(), Mode::Read).or(opened);
    }
    let fd = sh.check(&[b".: can't open ", file], opened)?;
    let saved_args = sh.set(b"*", Arc::new(args.to_vec()));
    let saved_name = sh.set(b"0", Arc::new(Vec::from([file.clone()])));
    let result = sh.run_file(file, fd.number(), prompting);
    sh.set(b"0", saved_name);
    sh.set(b"*", saved_args);
    result
}

fn builtin(sh: &mut Shell, args: &[Vec<u8>]) -> Run {
    match args.first() {
        None => sh.fail(&[b"usage: builtin command [arg ...]"]),
        Some(name) if is(name) => run(sh, args),
        Some(_) => sh.program(args),
    }
}

fn cd(sh: &mut Shell, args: &[Vec<u8>]) -> Run {
    let dir = match args {
        [] => match sh.var(b"home").first() {
            Some(home) => home.clone(),
            None => {
                sh.say(&[b"can't cd: $home is empty"]);
                sh.set_status(b"can't cd");
                return Ok(());
            }
        },
        [dir] => dir.clone(),
        _ => return usage(sh, b"cd [dir]"),
    };
    let searched = !dir.starts_with(b"/") && !dir.starts_with(b"./") && !dir.starts_with(b"../");
    let path = if searched { sh.var(b"cdpath").to_vec() } else { Vec::new() };
    for parent in path {
        let full = if parent.is_empty() || parent == b"." {
            dir.clone()
        } else {
            [&parent, b"/".as_slice(), &dir].concat()
        };
        if os::chdir(&full).is_ok() {
            sh.set_status(b"");
            if full != dir {
                let _ = os::write(sh.ports.resolve(1), &[&full, b"\n".as_slice()].concat());
            }
            return Ok(());
        }
    }
    match os::chdir(&dir) {
        Ok(()) => sh.set_status(b""),
        Err(e) => {
            sh.say(&[b"can't cd ", &dir, b": ", e.words()]);
            sh.set_status(b"can't cd");
        }
    }
    Ok(())
}

fn eval(sh: &mut Shell, args: &[Vec<u8>]) -> Run {
    if args.is_empty() {
        return sh.fail(&[b"usage: eval cmd ..."]);
    }
    sh.run_text(b"eval", join(args, b" "))
}

fn exec(sh: &mut Shell, args: &[Vec<u8>]) -> Run {
    if !args.is_empty() {
        sh.become_program(args);
        return Ok(());
    }
    sh.keep_ports = true;
    sh.set_status(b"");
    Ok(())
}

fn exit(sh: &mut Shell, args: &[Vec<u8>]) -> Run {
    match args {
        [] => {}
        [status] => sh.set_status(status),
        _ => {
            sh.say(&[b"usage: exit [status]; exiting anyway"]);
            sh.set_status(b"usage");
        }
    }
    Err(Stop::Exit)
}

fn flag(sh: &mut Shell, args: &[Vec<u8>]) -> Run {
    let (letter, how) = match args {
        [f] => (f, None),
        [f, how] if how == b"+" || how == b"-" => (f, Some(how == b"+")),
        _ => return usage(sh, b"flag f [+-]"),
    };
    let &[letter] = letter.as_slice() else { return usage(sh, b"flag f [+-]") };
    match how {
        Some(on) => {
            sh.set_flag(letter, on);
            sh.set_status(b"");
        }
        None => sh.set_status(if sh.flag(letter) { b"" } else { b"flag not set" }),
    }
    Ok(())
}

fn rfork(sh: &mut Shell, args: &[Vec<u8>]) -> Run {
    let letters: &[u8] = match args {
        [] => b"ens",
        [letters] if letters.iter().all(|c| b"nNeEsfFm".contains(c)) => letters,
        _ => return usage(sh, b"rfork [nNeEsfFm]"),
    };
    match os::rfork(letters) {
        Ok(()) => sh.set_status(b""),
        Err(e) => {
            sh.say(&[b"rc: rfork failed: ", e.words()]);
            sh.set_status(b"rfork failed");
        }
    }
    Ok(())
}

fn shift(sh: &mut Shell, args: &[Vec<u8>]) -> Run {
    let count = match args {
        [] => Some(1),
        [n] => core::str::from_utf8(n).ok().and_then(|n| n.parse::<usize>().ok()),
        _ => None,
    };
    let Some(count) = count else { return usage(sh, b"shift [n]") };
    let rest = sh.var(b"*").iter().skip(count).cloned().collect();
    sh.assign(b"*", rest);
    sh.set_status(b"");
    Ok(())
}

fn wait(sh: &mut Shell, args: &[Vec<u8>]) -> Run {
    match args {
        [] => {
            while sh.children.values().any(Option::is_none) && sh.wait_any()? {
                sh.notes()?;
            }
            let last = sh
                .var(b"apid")
                .first()
                .and_then(|p| number(p))
                .and_then(|p| sh.children.remove(&p).flatten());
            sh.children.clear();
            sh.set_status(&last.unwrap_or_default());
            Ok(())
        }
        [pid] => {
            let status = match number(pid) {
                Some(pid) => sh.wait_for(pid)?,
                None => return usage(sh, b"wait [pid]"),
            };
            sh.set_status(&status);
            Ok(())
        }
        _ => usage(sh, b"wait [pid]"),
    }
}

fn number(text: &[u8]) -> Option<u32> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

fn whatis(sh: &mut Shell, args: &[Vec<u8>]) -> Run {
    if args.is_empty() {
        return usage(sh, b"whatis name ...");
    }
    let mut missing = false;
    let mut out = Vec::new();
    for name in args {
        let value = sh.var(name);
        let mut found = !value.is_empty();
        if found {
            out.extend_from_slice(&print::assignment(name, &value));
            out.push(b'\n');
        }
        if let Some(body) = sh.functions.get(name) {
            out.extend_from_slice(&print::function(name, body));
            out.push(b'\n');
            continue;
        }
        if is(name) {
            out.extend_from_slice(&[b"builtin ", name.as_slice(), b"\n"].concat());
            continue;
        }
        if let Ok(path) = sh.find(name) {
            out.extend_from_slice(&path);
            out.push(b'\n');
            found = true;
        }
        if !found {
            sh.say(&[name, b": not found"]);
            missing = true;
        }
    }
    let result = os::write(sh.ports.resolve(1), &out);
    sh.check(&[b"whatis"], result)?;
    sh.set_status(if missing { b"not found" } else { b"" });
    Ok(())
}
