//! The manual's pages of the system calls agree with the list, with the stubs and with the words of errors.
//!
//! A page is `doc/sys/NAME.md`. The index is made from the list and the pages' first lines:
//! `MANUAL=write cargo test -p portolan-abi --test manual` writes it anew.

use abi::error::Error;
use abi::sys::Sys;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const HEADINGS: [&str; 5] = ["NAME", "SYNOPSIS", "DESCRIPTION", "ERRORS", "EXAMPLE"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn page(call: Sys) -> String {
    read(&format!("doc/sys/{}.md", call.name()))
}

/// What a page has under a heading.
fn part<'p>(page: &'p str, heading: &str) -> &'p str {
    let start =
        page.find(&format!("# {heading}\n")).unwrap_or_else(|| panic!("no {heading}")) + heading.len() + 3;
    let rest = &page[start..];
    rest.find("\n# ").map_or(rest, |end| &rest[..end]).trim()
}

fn index() -> String {
    let mut text = String::from(
        "# System calls\n\nMade from the list in `abi/src/sys.rs`; see `abi/tests/manual.rs`.\n\n",
    );
    text += "| number | call | what it does |\n| --- | --- | --- |\n";
    for (number, &call) in Sys::ALL.iter().enumerate() {
        let page = page(call);
        let what = part(&page, "NAME").split_once(": ").expect("NAME is `call: what it does`").1;
        text += &format!("| {number} | [{0}]({0}.md) | {what} |\n", call.name());
    }
    text
}

#[test]
fn every_call_has_a_page_and_every_page_a_call() {
    let calls: BTreeSet<String> = Sys::ALL.iter().map(|c| format!("{}.md", c.name())).collect();
    let pages: BTreeSet<String> = fs::read_dir(root().join("doc/sys"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n != "README.md")
        .collect();
    assert_eq!(pages, calls);
}

#[test]
fn pages_have_their_headings_in_order() {
    for &call in Sys::ALL {
        let page = page(call);
        let found: Vec<&str> = page.lines().filter_map(|l| l.strip_prefix("# ")).collect();
        assert_eq!(found, HEADINGS, "{}", call.name());
        for h in HEADINGS {
            assert!(!part(&page, h).is_empty(), "{}: nothing under {h}", call.name());
        }
        let what = part(&page, "NAME");
        assert!(what.starts_with(&format!("{}: ", call.name())), "{what}");
    }
}

#[test]
fn synopses_are_those_of_the_list_and_of_the_stubs() {
    let stubs = read("lib/rt/src/sys.rs");
    for (number, &call) in Sys::ALL.iter().enumerate() {
        let page = page(call);
        let synopsis = part(&page, "SYNOPSIS");
        let raw = format!("Number {number}: `{}({})`", call.name(), call.args().join(", "));
        assert!(synopsis.contains(&raw), "{}: wants {raw}", call.name());
        let stub = synopsis.lines().find_map(|l| l.strip_prefix("rt::sys::")).expect("a stub's signature");
        assert!(stubs.contains(&format!("fn {stub} {{")), "{}: lib/rt has no such stub: {stub}", call.name());
        assert!(stubs.contains(&format!("call!({call:?}")), "{}: no stub makes the call", call.name());
    }
}

#[test]
fn every_call_has_a_handler_and_a_test() {
    let handlers = read("kernel/core/src/syscall/mod.rs");
    let tests = read("test/ktest/src/on/bad.rs");
    for &call in Sys::ALL {
        assert!(handlers.contains(&format!("Sys::{call:?} => ")), "{}: no handler", call.name());
        assert!(tests.contains(&format!("Sys::{call:?}")), "{}: no test of its arguments", call.name());
    }
}

#[test]
fn errors_are_quoted_with_their_words() {
    for &call in Sys::ALL {
        let page = page(call);
        let mut seen = BTreeSet::new();
        for line in part(&page, "ERRORS").lines().filter(|l| l.starts_with("- ")) {
            let words = line.split('`').nth(1).unwrap_or_else(|| panic!("{}: {line}", call.name()));
            assert!(Error::from_text(words).is_some(), "{}: no error has the words {words:?}", call.name());
            assert!(seen.insert(words), "{}: {words:?} twice", call.name());
        }
    }
}

#[test]
fn links_lead_to_pages() {
    for &call in Sys::ALL {
        let page = page(call);
        for link in page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(l, _)| l) {
            let there = root().join("doc/sys").join(link).exists();
            assert!(there, "{}: {link} leads nowhere", call.name());
        }
    }
}

#[test]
fn the_index_is_up_to_date() {
    let path = root().join("doc/sys/README.md");
    if std::env::var_os("MANUAL").is_some_and(|v| v == "write") {
        fs::write(&path, index()).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), index(), "MANUAL=write makes it anew");
}
