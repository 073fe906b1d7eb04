//! The programs inside the machine: against GNU's on this host, and against their own manual.
//!
//! cmd/tools/tests/same.txt has command lines for both; the examples of doc/man are run inside alone. One machine runs
//! everything under one script.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A command line, and what stands for it on the host.
struct Line {
    program: String,
    inside: String,
    host: String,
}

/// What a line gave.
#[derive(PartialEq, Eq, Debug)]
struct Answer {
    good: bool,
    silent: bool,
    out: String,
}

/// An example of a manual page, with the output that the page shows.
struct Example {
    page: String,
    command: String,
    output: String,
}

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let root = xtask::root();
    let (setup, lines) = lines(&std::fs::read_to_string(root.join("cmd/tools/tests/same.txt"))?)?;
    let programs = xtask::image::commands()?;
    let examples = examples(&root, &programs)?;
    let inside = script(&setup, lines.iter().map(|l| l.inside.as_str())) + &example_script(&examples);
    let mut machine = Command::new(ctx.bin("xtask")?);
    machine.args(["run", "--timeout", "400", "-c", &inside]).stdin(Stdio::null());
    let ran = machine.output()?;
    print!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    ensure(ran.status.success(), || format!("the machine: {}", ran.status))?;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let (said, of_manual) =
        said.split_once("&&& \n").ok_or("the script inside did not come to the manual")?;
    let (here, there) = (host(ctx, &script(&setup, lines.iter().map(|l| l.host.as_str())))?, answers(said)?);
    let mut wrong = every_program_has_lines_or_a_reason(&root, &programs, &lines)?;
    for (n, line) in lines.iter().enumerate() {
        match (there.get(&n), here.get(&n)) {
            (Some(a), Some(b)) if a == b => {}
            (a, b) => writeln!(wrong, "{}: {}\n  inside {a:?}\n  host   {b:?}", line.program, line.inside)?,
        }
    }
    for (said, e) in of_manual.split("@@@ \n").skip(1).zip(&examples) {
        if !like(&e.output, said) {
            let Example { page, command, output } = e;
            writeln!(wrong, "doc/man/{page}: {command}\n  gives {said:?}\n  not   {output:?}")?;
        }
    }
    let ran_examples = of_manual.matches("@@@ \n").count();
    ensure(ran_examples == examples.len(), || format!("{ran_examples} of {} examples ran", examples.len()))?;
    ensure(wrong.is_empty(), || wrong)?;
    Ok(format!(
        "{} programs, {} lines as with GNU's, {} examples",
        programs.len(),
        lines.len(),
        examples.len()
    ))
}

/// The lines that fill the folder, and those that are compared.
fn lines(text: &str) -> Result<(Vec<String>, Vec<Line>), Failure> {
    let (mut setup, mut lines): (Vec<String>, Vec<Line>) = (Vec::new(), Vec::new());
    let mut program = String::new();
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(name) = line.strip_prefix("== ") {
            program = name.into();
        } else if let Some(host) = line.strip_prefix("host: ") {
            lines.last_mut().ok_or("host: without a line before")?.host = host.into();
        } else if program == "inputs" {
            setup.push(line.into());
        } else {
            lines.push(Line { program: program.clone(), inside: line.into(), host: line.into() });
        }
    }
    Ok((setup, lines))
}

/// Every command has a page, and either five lines here or, in its page, the reason why none can be.
fn every_program_has_lines_or_a_reason(
    root: &Path,
    programs: &[String],
    lines: &[Line],
) -> Result<String, Failure> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for l in lines {
        *counts.entry(l.program.as_str()).or_default() += 1;
    }
    let mut wrong = String::new();
    for name in programs {
        let page = std::fs::read_to_string(root.join(format!("doc/man/{name}.md"))).unwrap_or_default();
        if name != "[" && page.is_empty() {
            writeln!(wrong, "{name}: no page doc/man/{name}.md")?;
        }
        let alone = page.contains("## OTHER SYSTEMS\n");
        let n = counts.remove(name.as_str()).unwrap_or(0);
        if n < 5 && !alone && name != "[" {
            writeln!(wrong, "{name}: {n} lines to compare, and no OTHER SYSTEMS in its page")?;
        }
    }
    for name in counts.keys() {
        writeln!(wrong, "{name}: lines for no program")?;
    }
    Ok(wrong)
}

/// Runs every line in a subshell in the folder `$w`, and prints its number, its status and what it said.
fn script<'a>(setup: &[String], lines: impl Iterator<Item = &'a str>) -> String {
    let mut all = String::from("w=`{pwd}; if(~ $w /) w=/tmp; mkdir $w/w; cd $w/w\n");
    for line in setup {
        all += &format!("{line}\n");
    }
    for (n, line) in lines.enumerate() {
        // A subshell's redirections are the line's own.
        all += &format!(
            "@{{{line}\n}} </dev/null >$w/o >[2]$w/e\ns=$status; e=said; if(test -s $w/e) {{}}\nif not e=silent\n"
        );
        all += &format!("echo '@@@' {n} $e $s; cat $w/o\n");
    }
    all
}

fn example_script(examples: &[Example]) -> String {
    let mut all = String::from("echo '&&& '\n");
    let mut page = "";
    for e in examples {
        if page != e.page {
            page = &e.page;
            all += "cd /tmp; rm -rf /tmp/m; mkdir /tmp/m; cd /tmp/m\n";
        }
        // What one example sets, the next one of the page has, so no subshell; an error of the shell must not end all.
        all += &format!("echo '@@@ '\n{{{}\n}} </dev/null >/tmp/m.out >[2=1]\ncat /tmp/m.out\n", e.command);
    }
    all
}

/// Takes the answers of a script apart, by number.
fn answers(said: &str) -> Result<BTreeMap<usize, Answer>, Failure> {
    let mut all = BTreeMap::new();
    for block in said.split("@@@ ").skip(1) {
        let (head, out) = block.split_once('\n').unwrap_or((block, ""));
        let mut words = head.split(' ');
        let n = words.next().unwrap_or("").parse().map_err(|_| format!("no number in {head:?}"))?;
        let silent = words.next() == Some("silent");
        let good = words.all(|w| w.is_empty() || w.chars().all(|c| c == '0' || c == '|'));
        all.insert(n, Answer { good, silent, out: out.into() });
    }
    Ok(all)
}

/// Runs the script with this host's programs, under our shell.
fn host(ctx: &Ctx, script: &str) -> Result<BTreeMap<usize, Answer>, Failure> {
    let rc = ctx.bin("rc")?;
    let file = ctx.scratch().join("script");
    std::fs::write(&file, script)?;
    let dir = ctx.scratch().join("there");
    std::fs::create_dir(&dir)?;
    let mut command = Command::new(rc);
    command.arg(&file).current_dir(&dir).env_clear().stdin(Stdio::null());
    command.env("PATH", "/usr/bin:/bin").env("HOME", "/tmp").env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    let ran = command.output()?;
    print!("{}", String::from_utf8_lossy(&ran.stderr));
    answers(&String::from_utf8_lossy(&ran.stdout))
}

/// The examples of all pages: indented lines that begin with the prompt, and what follows each.
fn examples(root: &Path, programs: &[String]) -> Result<Vec<Example>, Failure> {
    let mut all: Vec<Example> = Vec::new();
    let mut pages: Vec<_> = std::fs::read_dir(root.join("doc/man"))?.flatten().map(|e| e.path()).collect();
    pages.sort();
    for path in pages {
        let page = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path)?;
        let mut open = false;
        let before = all.len();
        for line in text.lines() {
            match (line.strip_prefix("    % "), line.strip_prefix("    ")) {
                (Some(command), _) => {
                    all.push(Example { page: page.clone(), command: command.into(), output: String::new() });
                    open = true;
                }
                (None, Some(output)) if open => {
                    all.last_mut().ok_or("no example")?.output += &format!("{output}\n");
                }
                _ => open = false,
            }
        }
        let command = page.strip_suffix(".md").is_some_and(|p| programs.iter().any(|c| c == p));
        ensure(all.len() > before || !command, || format!("doc/man/{page}: no example"))?;
    }
    Ok(all)
}

/// Is this the output that the page shows? `…` there stands for anything.
pub(crate) fn like(shown: &str, said: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = said.strip_prefix(parts.next().unwrap_or("")) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}
