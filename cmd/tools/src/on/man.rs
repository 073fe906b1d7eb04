//! help and man: what there is, and its manual.

use super::given::{Given, output};
use super::more;
use super::table::COMMANDS;
use super::{Text, text};
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::{Error, Result, fs};

/// Where the archive keeps the pages.
const PAGES: &str = "/lib/man";

/// The programs that are not in the table.
const OTHERS: &[u8] = b"rc        the shell: run programs, pipes, variables, functions
sandbox   run a program with the files that you name and no others
ramfs     serve files in memory
hostfs    serve the host's shared folder
wire      mount what a command serves as bytes of 9P2000
cons, rng serve the terminal and randomness; init starts them
";

/// Prints every command with what it does.
pub(super) fn list() -> Result<()> {
    let mut out = output();
    for c in COMMANDS {
        let summary = c.help.lines().next().unwrap_or("");
        out.put(format!("{:9} {summary}\n", c.name).as_bytes())?;
    }
    out.put(OTHERS)?;
    out.put(b"\nNAME -h explains a command, man NAME shows its manual, man rc that of the shell.\n")?;
    out.flush()
}

pub(super) fn help(g: &mut Given) -> Result<()> {
    let [] = g.exactly()?;
    list()
}

pub(super) fn man(g: &mut Given) -> Result<()> {
    let names = match g.rest[..] {
        [] => return Err(g.wrong()),
        ref names => names,
    };
    for name in names {
        let path = format!("{PAGES}/{}.md", if *name == b"[" { "test".into() } else { text(name) });
        if name.contains(&b'/') {
            return Err(Error::of(Text(name), "not the name of a page"));
        }
        let page =
            fs::read(&path).map_err(|_| Error::of(Text(name), "no such page (help lists the commands)"))?;
        show(&text(&page))?;
    }
    Ok(())
}

/// A page as it is read: titles bold, the marks of Markdown gone.
fn show(page: &str) -> Result<()> {
    let mut lines = Vec::new();
    for line in page.lines() {
        let plain = line.replace('`', "").replace("\\|", "|");
        let title = plain.trim_start_matches('#');
        lines.push(match line.strip_prefix("    ") {
            Some(_) => String::from(line),
            None if title.len() < plain.len() => format!("{}{}", more::BOLD, title.trim()),
            None => plain,
        });
    }
    more::show(&lines)
}
