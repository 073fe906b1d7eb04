//! What the README says to type gives what the README says it gives.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use crate::s55_programs::like;
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
    Ok(format!("{} examples, a tour of {steps} lines", examples.len()))
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
