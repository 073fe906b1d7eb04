//! What the README says to type gives what the README says it gives.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use crate::s55_programs::like;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A line that is typed, and what follows it on the standard output.
struct Example {
    script: String,
    output: String,
}

/// The examples of the README's blocks of kind `console`.
fn examples(readme: &str) -> Vec<Example> {
    let mut all: Vec<Example> = Vec::new();
    for block in readme.split("```console\n").skip(1).filter_map(|b| b.split("```").next()) {
        for line in block.lines() {
            let script = line.strip_prefix("$ cargo xtask run -c '").and_then(|s| s.strip_suffix('\''));
            match (script, all.last_mut()) {
                (Some(s), _) => all.push(Example { script: s.into(), output: String::new() }),
                (None, Some(last)) => last.output += &format!("{line}\n"),
                (None, None) => {}
            }
        }
    }
    all
}

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let program = ctx.bin("xtask")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md"))?;
    let examples = examples(&readme);
    ensure(examples.len() >= 4, || format!("only {} examples found", examples.len()))?;
    for e in &examples {
        let done = Command::new(&program).args(["run", "-c", &e.script]).stdin(Stdio::null()).output()?;
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        println!("{}: {:?}\n{out}{err}", e.script, done.status);
        ensure(out == e.output, || format!("{}\ngives\n{out}\ninstead of\n{}\n{err}", e.script, e.output))?;
    }
    let steps = tour(&program, &readme)?;
    let lines = indented(ctx, &program, &root, &readme)?;
    Ok(format!("{} examples, a tour of {steps} lines, {lines} lines by themselves", examples.len()))
}

/// The commands that stand by themselves, each with what there must be to see of it.
fn indented(ctx: &Ctx, program: &Path, root: &Path, readme: &str) -> Result<usize, Failure> {
    let lines = readme.lines().filter_map(|l| l.strip_prefix("    cargo "));
    let lines: Vec<&str> = lines.map(|l| l.split(" # ").next().unwrap_or(l).trim_end()).collect();
    for line in &lines {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match &words[..] {
            ["xtask", "run", .., "-c", _] => {
                let said = ctx.run(Command::new(program).args(&words[1..]).current_dir(root))?;
                let mut want = Vec::new();
                for entry in std::fs::read_dir(root.join("doc"))? {
                    let path = entry?.path();
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    if name.ends_with(".md") && std::fs::read_to_string(&path)?.contains("virtio") {
                        want.push(format!("/n/host/doc/{name}\n"));
                    }
                }
                want.sort();
                ensure(!want.is_empty() && said == want.concat(), || format!("{line}\ngives\n{said}"))?;
            }
            ["xtask", "run", ..] => {
                let typed = "ls / | wc -l\npoweroff\n";
                let said = typed_at(Command::new(program).args(&words[1..]), typed)?;
                ensure(said.contains("13\r\n") || said.contains("13\n"), || {
                    format!("{line}\ngives\n{said}")
                })?;
            }
            // What runs this runs inside it.
            ["xtask", "test"] => {
                ctx.run(Command::new(program).args(["test", "--list"]).current_dir(root))?;
            }
            ["run", "-p", "ramfs", "--", "--listen", "tcp!127.0.0.1!5640"] => {
                // At another port: somebody may have that one.
                let port = ctx.port()?;
                let mut ramfs = Command::new(ctx.bin("ramfs")?);
                let _server = ctx.spawn(ramfs.args(["--listen", &format!("tcp!127.0.0.1!{port}")]))?;
                ctx.await_port(port)?;
            }
            _ => return Err(format!("{line}: nobody knows what it is to give").into()),
        }
    }
    ensure(lines.len() >= 5, || format!("only {} commands", lines.len()))?;
    Ok(lines.len())
}

/// A line's words as a shell makes them of quotes.
fn words(line: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (i, piece) in line.split('\'').enumerate() {
        if i % 2 == 1 {
            all.push(piece.to_string());
        } else {
            all.extend(piece.split_whitespace().map(str::to_string));
        }
    }
    all
}

/// What a command says to what is typed.
fn typed_at(command: &mut Command, typed: &str) -> Result<String, Failure> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut to) = child.stdin.take() {
        to.write_all(typed.as_bytes())?;
    }
    let done = child.wait_with_output()?;
    ensure(done.status.success(), || format!("{}", done.status))?;
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The tour: lines typed one after the other in one machine, and what each gives, errors among it.
fn tour(program: &Path, readme: &str) -> Result<usize, Failure> {
    let block = readme.split("```console tour\n").nth(1).and_then(|b| b.split("```").next()).unwrap_or("");
    let steps: Vec<(&str, &str)> =
        block.split("% ").skip(1).map(|s| s.split_once('\n').unwrap_or((s, ""))).collect();
    ensure(steps.len() >= 10, || format!("only {} lines in the tour", steps.len()))?;
    let mut script = String::new();
    for (line, _) in &steps {
        script += &format!("echo '@@@ '\n{{{line}\n}} </dev/null >[2=1]\n");
    }
    let done = Command::new(program).args(["run", "-c", &script]).stdin(Stdio::null()).output()?;
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    println!("the tour: {:?}\n{out}{err}", done.status);
    let said: Vec<&str> = out.split("@@@ \n").skip(1).collect();
    ensure(said.len() == steps.len(), || format!("{} of {} lines ran\n{err}", said.len(), steps.len()))?;
    for ((line, shown), said) in steps.iter().zip(said) {
        ensure(like(shown, said), || format!("{line}\ngives\n{said}\ninstead of\n{shown}"))?;
    }
    Ok(steps.len())
}
