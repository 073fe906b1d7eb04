//! Many cases from many files against one target, and what came of them.

use std::path::{Path, PathBuf};

use crate::link::Target;
use crate::run::{self, Fault, Options};
use crate::script::{self, Case};

/// A transcript file.
pub struct File {
    /// Its name without folder and `.9p`.
    pub name: String,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// What became of a case.
pub struct Outcome {
    /// `FILE: TITLE`.
    pub name: String,
    /// What was answered, or the fault.
    pub result: Result<Vec<String>, Fault>,
}

/// Reads transcripts: each path is a file, or a folder whose `.9p` files are read in order.
pub fn read(paths: &[PathBuf]) -> Result<Vec<File>, String> {
    let mut files = Vec::new();
    for path in paths {
        let found = if path.is_dir() { folder(path)? } else { vec![path.clone()] };
        for path in found {
            let at = |e: String| format!("{}: {e}", path.display());
            let text = std::fs::read_to_string(&path).map_err(|e| at(e.to_string()))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            files.push(File { name, cases: script::parse(&text).map_err(at)? });
        }
    }
    Ok(files)
}

fn folder(path: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|e| format!("{}: {e}", path.display()))? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.extension().is_some_and(|e| e == "9p") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Runs all cases in order and tells of each as it ends.
pub fn run(
    files: &[File],
    target: &dyn Target,
    options: &Options,
    mut tell: impl FnMut(&Outcome),
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for file in files {
        for case in &file.cases {
            let directory = format!("con9-{}", outcomes.len() + 1);
            let result = run::run(case, &directory, target, options);
            let outcome = Outcome { name: format!("{}: {}", file.name, case.title), result };
            tell(&outcome);
            outcomes.push(outcome);
        }
    }
    outcomes
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.result {
            Ok(_) => write!(f, "ok {}", self.name),
            Err(fault) => {
                write!(f, "FAULT {}\n  line {}: {}", self.name, fault.line, fault.what)?;
                if fault.cite.is_empty() { Ok(()) } else { write!(f, "\n  {}", fault.cite) }
            }
        }
    }
}

/// What was answered in all cases, as text to compare.
pub fn record(outcomes: &[Outcome]) -> String {
    let mut out = String::new();
    for outcome in outcomes {
        out.push_str(&format!("{}\n", outcome.name));
        match &outcome.result {
            Ok(lines) => lines.iter().for_each(|line| out.push_str(&format!("  {line}\n"))),
            Err(_) => out.push_str("  FAULT\n"),
        }
    }
    out
}
