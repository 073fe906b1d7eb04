//! The program rc on this host: prompts, interrupts, errors, the environment; what no script of tests/scripts can show.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

fn rc() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rc"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/tmp");
    command
}

fn run(script: &str) -> Output {
    rc().args(["-c", script]).stdin(Stdio::null()).output().unwrap()
}

fn out(script: &str) -> String {
    String::from_utf8(run(script).stdout).unwrap()
}

fn err(script: &str) -> String {
    String::from_utf8(run(script).stderr).unwrap()
}

/// An interactive shell fed with these lines.
fn session(lines: &str) -> (String, String, Option<i32>) {
    let mut child =
        rc().arg("-i").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |b| String::from_utf8(b).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

#[test]
fn an_interactive_shell_prompts_and_survives_errors() {
    let (out, err, code) =
        session("echo a\nif(\n~ a a)\n echo b\necho )\necho c\ncat </nonexistent\necho d^()\necho e\n");
    assert_eq!(out, "a\nb\nc\ne\n");
    assert_eq!(err.matches("% ").count(), 8, "{err}");
    assert_eq!(err.matches('\t').count(), 2, "the second prompt, for each line that goes on: {err}");
    assert!(
        err.contains("near ')'") && err.contains("/nonexistent: No such file") && err.contains("null list"),
        "{err}"
    );
    assert_eq!(code, Some(0));
}

#[test]
fn the_end_of_input_ends_an_interactive_shell_with_its_status() {
    assert_eq!(session("@{exit 5}\n").2, Some(5));
    assert_eq!(session("exit 6\necho no\n"), (String::new(), "% ".into(), Some(6)));
}

#[test]
fn an_interrupt_leads_back_to_the_prompt() {
    let mut child = rc()
        .arg("-i")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for (before, after) in
        [("{echo on; sleep 1000; echo no}", "echo 1"), ("while() {echo on; sleep 1000}", "echo 2")]
    {
        writeln!(stdin, "{before}").unwrap();
        line.clear();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "on\n");
        // To the shell and its program, as from a terminal.
        let group = format!("-{}", child.id());
        assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
        writeln!(stdin, "{after}").unwrap();
        line.clear();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, after.replace("echo ", "") + "\n", "the rest of the command is dropped");
    }
    drop(stdin);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("", Some(0)));
}

#[test]
fn a_function_takes_a_note() {
    let script = "fn sigint {echo caught}; kill -INT $pid; echo next; fn sigint; kill -INT $pid; echo no";
    let output = run(script);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "caught\nnext\n");
    assert_eq!(output.status.code(), None, "ended by the signal");
}

#[test]
fn endless_recursion_is_an_error() {
    for script in [
        "fn f {f}; f",
        "fn f {@{f}}; eval 'fn g {eval g}; g'",
        "x='eval $x'; eval $x",
        "fn f {x=`{g}; f}; fn g {}; f",
    ] {
        let output = run(script);
        assert_eq!(output.status.code(), Some(1), "{script}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("nested too deeply"), "{script}");
    }
}

#[test]
fn a_descriptor_that_leads_nowhere_has_the_systems_words() {
    for script in ["cat <[0=9]", "echo a >[1=9]", "cat <[0=150]", "cat <[0=4000000000]", "{cat <[0=5]} <[5=]"]
    {
        let output = run(script);
        assert_eq!(output.status.code(), Some(1), "{script}");
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(words.contains("Bad file descriptor"), "{script}: {words}");
    }
}

#[test]
fn unknown_commands_of_other_shells_get_a_hint() {
    for (script, form) in [
        ("export x=1", "name=value"),
        ("local x=1", "name=value command"),
        ("unset x", "name=()"),
        ("source f", ". file"),
        ("alias l=ls", "fn ll"),
        ("trap x EXIT", "sigexit"),
        ("function f", "fn name"),
        ("done", "for(x in a b c)"),
    ] {
        assert!(err(script).contains(form), "{script}: {}", err(script));
    }
    assert!(!err("nosuchcommand").contains("rc:"));
}

#[test]
fn variables_and_functions_pass_through_the_environment() {
    let rc = env!("CARGO_BIN_EXE_rc");
    let script = format!(
        "x=(a 'b c' ''); fn f {{cat <<e\n$x(2) $1\ne\n}}; fn 'odd name' {{echo odd}}; {rc} -c 'echo $#x $x(2); f 1; ''odd name''; whatis f'"
    );
    assert_eq!(out(&script), "3 b c\na b c (2) 1\nodd\nfn f {cat <<e\n$x(2) $1\ne\n}\n");
    assert_eq!(out("path=(/a $path); printenv PATH"), "/a:/usr/bin:/bin\n");
    let hostile = rc_with("fn#f", "{echo hidden}; echo ran >[1=2]", "f");
    assert_eq!(
        (hostile.stdout.as_slice(), hostile.stderr.as_slice()),
        (b"".as_slice(), b"f: No such file or directory\n".as_slice())
    );
}

fn rc_with(name: &str, value: &str, script: &str) -> Output {
    rc().env(name, value).args(["-c", script]).output().unwrap()
}

#[test]
fn a_reader_that_leaves_ends_its_writers() {
    assert_eq!(out("{yes} | {head -1}"), "y\n");
    assert_eq!(out("fn writer {yes; echo $status >[1=2]}; x=`{writer | head -3}; echo $#x"), "3\n");
}

#[test]
fn no_descriptor_of_the_shell_leaks_into_programs() {
    let listed = out("{ls /proc/self/fd <{echo}} <[5]/dev/null >[7]/dev/null | cat");
    let numbers =
        |listed: &str| -> Vec<u32> { listed.split_whitespace().filter_map(|n| n.parse().ok()).collect() };
    // What this test was started with goes through.
    let without = Command::new("ls").arg("/proc/self/fd").output().unwrap().stdout;
    let inherited = numbers(&String::from_utf8(without).unwrap());
    let numbers = numbers(&listed);
    assert!([0, 1, 2, 5, 7, 199].iter().all(|n| numbers.contains(n)), "{listed}");
    assert!(numbers.iter().all(|n| *n < rc::os::RESERVED || inherited.contains(n)), "{listed}");
}

#[test]
fn hard_limits_are_errors() {
    assert_ne!(run("echo a >[200]/dev/null").status.code(), Some(0));
    assert!(err("echo a >[200]/dev/null").contains("too large"));
    assert!(err("echo a >[99999999999]/dev/null").contains("too large"));
}
