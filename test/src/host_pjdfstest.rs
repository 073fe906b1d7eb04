//! Linux mounts the ramfs by plain 9P2000 and runs pjdfstest on it: all passes but what the dialect can't express.
//!
//! Which cases those are stands in doc/linux-mount.md, each with the field that is missing; this scenario asserts
//! exactly that list, both ways.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use crate::linux::{self, Linux};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The suite's configuration: 9P2000 counts time in whole seconds, so its pauses are longer than one.
const CONFIGURATION: &str = "\
[features]
utimensat = {}
utime_now = {}
posix_fallocate = {}
rename_ctime = {}
secondary_fs = \"/tmp\"
[settings]
naptime = 1.3
allow_remount = false
[dummy_auth]
entries = [[\"nobody\", \"nobody\"], [\"tests\", \"tests\"]]
";

/// The groups of cases; they run beside each other, since most of their time is pauses. A word stands for every
/// name that contains it, so `link` is `unlink` and `symlink` too.
const GROUPS: [&str; 6] = [
    "chmod chown utimensat",
    "link",
    "mkdir mkfifo mknod",
    "open",
    "rename rmdir",
    "truncate posix_fallocate chflags",
];

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&linux::PACKAGES)?;
    let suite = ctx.crate_bin("pjdfstest", "0.2.2", "-C target-feature=+crt-static")?;
    let (_server, port) = linux::ramfs(ctx)?;
    let mut machine = Linux::new(ctx)?;
    machine.file("bin/pjdfstest", 0o755, std::fs::read(suite)?);
    machine.file("pjdfstest.toml", 0o644, CONFIGURATION.into());
    let alone = CONFIGURATION.replace("allow_remount = false", "allow_remount = true");
    machine.file("remount.toml", 0o644, alone.into());
    let said = machine.run(ctx, port, &script(), Duration::from_secs(500))?;
    std::fs::write(ctx.scratch().join("said"), &said)?;

    let results = results(&said);
    let passed = results.values().filter(|r| r.as_str() == "ok").count();
    let failed: BTreeSet<&str> =
        results.iter().filter(|(_, r)| r.as_str() != "ok").map(|(name, _)| name.as_str()).collect();
    ensure(results.len() == 398, || format!("{} cases ran, not 398", results.len()))?;
    let document = std::fs::read_to_string(xtask::root().join("doc/linux-mount.md"))?;
    let listed: BTreeSet<&str> = document.lines().filter_map(listed_case).collect();
    compare(&failed, &listed)?;
    Ok(format!("{passed} passed, {} of {} not expressible", failed.len(), results.len()))
}

fn script() -> String {
    let each = |(number, names): (usize, &&str)| {
        let patterns: Vec<String> = names.split(' ').map(|n| format!("{n}::")).collect();
        format!(
            "mkdir /mnt/{number}; chmod 777 /mnt/{number}\npjdfstest -c /pjdfstest.toml -p /mnt/{number} {} >/tmp/{number} 2>&1 &\n",
            patterns.join(" ")
        )
    };
    let starts: String = GROUPS.iter().enumerate().map(each).collect();
    // What makes the whole mount read-only comes last and alone.
    let alone = "pjdfstest -c /remount.toml -p /mnt/0 erofs >/tmp/last 2>&1 || true\n";
    format!("{starts}wait\n{alone}cat /tmp/[0-9]* /tmp/last\n")
}

/// Each case with what became of it: `ok`, `FAILED` or `skipped`.
fn results(said: &str) -> BTreeMap<String, String> {
    let line = |line: &str| -> Option<(String, String)> {
        let mut words = line.split_whitespace();
        let (name, result) = (words.next()?, words.next()?);
        (name.contains("::") && words.next().is_none()).then(|| (name.to_string(), result.to_string()))
    };
    said.lines().filter_map(line).collect()
}

/// The case named by a line of the document's lists: "- `chmod::x`".
fn listed_case(line: &str) -> Option<&str> {
    line.strip_prefix("- `")?.strip_suffix('`')
}

fn compare(failed: &BTreeSet<&str>, listed: &BTreeSet<&str>) -> Result<(), Failure> {
    let new: Vec<&&str> = failed.difference(listed).collect();
    let gone: Vec<&&str> = listed.difference(failed).collect();
    ensure(new.is_empty() && gone.is_empty(), || {
        format!("not as doc/linux-mount.md says\nfail, not listed: {new:?}\nlisted, but pass: {gone:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_suite_and_of_the_document_are_read() {
        let read = results("unlink::a::b   ok\nnoise\nopen::c FAILED\n\tReason: it::self is x\n");
        assert_eq!(read.len(), 2);
        assert_eq!(read["open::c"], "FAILED");
        assert_eq!(listed_case("- `open::c`"), Some("open::c"));
        assert_eq!(listed_case("text"), None);
    }

    #[test]
    fn the_list_is_exact_both_ways() {
        let (a, b) = (BTreeSet::from(["x"]), BTreeSet::from(["x", "y"]));
        assert!(compare(&a, &a).is_ok() && compare(&a, &b).is_err() && compare(&b, &a).is_err());
    }
}
