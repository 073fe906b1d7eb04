//! bench: the command line of `cargo xtask bench`.

use bench::rows::{Figures, ROWS};
use bench::{linux, machine, profile, scale};
use std::process::ExitCode;
use xtask::{image, size, tell::Done};

const HELP: &str = "\
usage: cargo xtask bench [OPTION…]
Counts what the short paths cost: guest instructions per operation, user, kernel and server together
(median of nine batches), beside their targets and what others take (doc/bench.md).

  --wall           nanoseconds instead: median, least and most
  --against linux  Debian's kernel too, with the same operations under the same flags
  --json FILE      writes the figures as {\"name\": number}
  --profile NAME   by function, where the instructions of one operation go; measures nothing else
  --switches       of each row, what its profile begins with: address spaces loaded, pages of code run; nothing else
  --cpus           calls per second of one client, and of two on two CPUs, on the clock; nothing else
  --scale FILE     rows while open files, mounts, processes and others grow, drawn into an SVG; nothing else";

#[derive(Default)]
struct Asked {
    wall: bool,
    cpus: bool,
    switches: bool,
    linux: bool,
    json: Option<String>,
    profile: Option<String>,
    scale: Option<String>,
}

fn asked(words: &[String]) -> Done<Asked> {
    let mut asked = Asked::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().ok_or(format!("{word} wants a value\n{HELP}"));
        match word.as_str() {
            "--wall" => asked.wall = true,
            "--cpus" => asked.cpus = true,
            "--switches" => asked.switches = true,
            "--against" => match value()?.as_str() {
                "linux" => asked.linux = true,
                other => return Err(format!("--against {other}: only linux is there to compare with")),
            },
            "--json" => asked.json = Some(value()?),
            "--profile" => asked.profile = Some(value()?),
            "--scale" => asked.scale = Some(value()?),
            other => return Err(format!("unknown option {other}\n{HELP}")),
        }
    }
    if asked.wall && asked.linux {
        return Err("--wall and --against linux: the comparison is of instructions".into());
    }
    Ok(asked)
}

/// Rows that are no operation of a program, or (`give_1g`) one whose machine is too large to log.
const OF_THE_MACHINE: [&str; 5] = ["give_1g", "boot_instr", "boot_ms", "kernel_bytes", "memory_min_kib"];

fn run(words: &[String]) -> Done {
    let asked = asked(words)?;
    let kernel = image::build_kernel()?;
    if let Some(name) = &asked.profile {
        if !ROWS.iter().any(|r| r.name == name) {
            return Err(format!("--profile {name}: there is no such row"));
        }
        print!("{}", profile::run(&kernel, name)?);
        return Ok(());
    }
    if asked.switches {
        for row in ROWS.iter().filter(|r| !OF_THE_MACHINE.contains(&r.name)) {
            let text = profile::run(&kernel, row.name)?;
            println!("{}", text.lines().next().unwrap_or_default());
        }
        return Ok(());
    }
    if asked.cpus {
        print!("{}", cpus(&machine::cpus(&kernel)?));
        return Ok(());
    }
    if let Some(file) = &asked.scale {
        print!("{}", scale::run(&kernel, file)?);
        return Ok(());
    }
    let mut figures = machine::figures(&kernel, asked.wall)?;
    if asked.wall {
        wall(&figures);
    } else {
        figures.add("boot_instr", machine::boot_instructions(&kernel)?);
        figures.add("boot_ms", machine::boot_milliseconds(&kernel)?);
        figures.add("kernel_bytes", size::loaded(&kernel)?);
        if let Some(least) = machine::least_memory(&kernel)? {
            figures.add("memory_min_kib", least);
        }
        let linux = if asked.linux { Some(linux::figures()?) } else { None };
        print!("{}", table(&figures, linux.as_ref()));
        print!("{}", linux.as_ref().map_or(String::new(), yardstick));
        for f in linux.iter().flat_map(|l| &l.0) {
            figures.add(&json_name(&f.name), f.median);
        }
    }
    match asked.json {
        Some(file) => std::fs::write(&file, figures.json()).map_err(|e| format!("{file}: {e}")),
        None => Ok(()),
    }
}

/// The name of a figure of Linux.
fn json_name(row: &str) -> String {
    // What tmpfs serves has no server.
    format!("linux_{}", row.trim_end_matches("_server"))
}

fn table(figures: &Figures, linux: Option<&Figures>) -> String {
    let here = if linux.is_some() { format!("{:>12}", "Linux here") } else { String::new() };
    let mut text =
        format!("{:<24}{:>12}{:>12}{:>7}{here}  peers\n", "operation", "measured", "target", "ratio");
    for r in ROWS {
        let is = figures.get(r.name);
        let measured = is.map_or("absent".into(), |n| n.to_string());
        let ratio = is.map_or(String::new(), |n| format!("{:.2}", n as f64 / r.target as f64));
        let here = linux.map_or(String::new(), |l| {
            format!("{:>12}", l.get(r.name).map_or(String::new(), |n| n.to_string()))
        });
        text += &format!("{:<24}{measured:>12}{:>12}{ratio:>7}{here}  {}\n", r.name, r.target, r.peers);
    }
    text
}

/// What one client and two did, and how many times a lock was found held.
fn cpus(output: &str) -> String {
    let mut text = format!(
        "{:<24}{:>12}{:>12}{:>7}{:>11}\n",
        "calls per second", "one CPU", "two", "ratio", "contended"
    );
    for line in output.lines().filter_map(|l| l.strip_prefix("cpus ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [name, one, two, contended] = words[..]
            && let (Ok(first), Ok(both)) = (one.parse::<f64>(), two.parse::<f64>())
        {
            text += &format!("{name:<24}{one:>12}{two:>12}{:>7.2}{contended:>11}\n", both / first);
        }
    }
    text
}

/// Linux' figures by the same method elsewhere: what is measured here is to come out within [`TOLERANCE`] of them.
const KNOWN: [(&str, u64); 3] = [("null_syscall", 338), ("read1_server", 1504), ("open_close", 6655)];
const TOLERANCE: f64 = 0.1;

/// The check of the yardstick, a line.
fn yardstick(linux: &Figures) -> String {
    let mut text = String::from("yardstick, Linux here beside Linux elsewhere:");
    for (name, known) in KNOWN {
        let ratio = linux.get(name).map_or(0.0, |n| n as f64 / known as f64);
        let verdict = if (ratio - 1.0).abs() <= TOLERANCE { "" } else { " (IS NOT)" };
        text += &format!(" {name} {ratio:.2}{verdict}");
    }
    text + "\n"
}

fn wall(figures: &Figures) {
    println!("{:<24}{:>12}{:>12}{:>12}  (ns)", "operation", "median", "least", "most");
    for f in &figures.0 {
        println!("{:<24}{:>12}{:>12}{:>12}", f.name, f.median, f.least, f.most);
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|w| ["help", "-h", "--help"].contains(&w.as_str())) {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("bench: {words}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(String::from).collect()
    }

    #[test]
    fn options_are_read_and_checked() {
        let a = asked(&words("--against linux --json f")).unwrap();
        assert!(a.linux && !a.wall && a.json.as_deref() == Some("f"));
        for wrong in ["--against plan9", "--json", "--what", "--wall --against linux"] {
            assert!(asked(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_yardstick_that_is_another_is_said_to_be() {
        let mut linux = Figures::default();
        for (name, n) in [("null_syscall", 320), ("read1_server", 1350), ("open_close", 6000)] {
            linux.add(name, n);
        }
        let text = yardstick(&linux);
        assert!(
            text.contains("null_syscall 0.95 ") && text.contains("read1_server 0.90 (IS NOT) "),
            "{text}"
        );
    }

    #[test]
    fn absent_rows_are_said_to_be_absent() {
        let mut f = Figures::default();
        f.add("stat", 5200);
        let text = table(&f, None);
        assert!(text.lines().any(|l| l.starts_with("stat") && l.contains("5200") && l.contains("2.00")));
        assert!(text.lines().any(|l| l.starts_with("pipe_rt") && l.contains("absent")));
        assert_eq!(json_name("read1_server"), "linux_read1");
    }
}
