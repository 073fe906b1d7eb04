//! Linux mounts the ramfs and works there: the same session on the mount and on tmpfs must say the same.
//!
//! The session unpacks Lua's source, builds it with tcc, runs it, and keeps it in git. `dbench` then loads both file systems
//! for some seconds, and fails the scenario on any operation that goes wrong.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use crate::linux::{self, Linux};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use xtask::tell;

/// The crate that carries the program's source.
const SOURCE: (&str, &str, &str) = ("lua-src", "551.1.0", "lua-5.4.9");
/// Folders of headers that the build needs.
const HEADERS: [&str; 6] = [
    "/usr/include/x86_64-linux-gnu/bits",
    "/usr/include/x86_64-linux-gnu/sys",
    "/usr/include/x86_64-linux-gnu/gnu",
    "/usr/include/x86_64-linux-gnu/asm",
    "/usr/include/linux",
    "/usr/include/asm-generic",
];
/// What the linker reads.
const LINKED: [&str; 7] =
    ["crt1.o", "crti.o", "crtn.o", "libc.so", "libc_nonshared.a", "libm.so", "libmvec.so.1"];
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";
/// Lines of dbench's load that are used: all of it would take a third of the machine's memory.
const LOAD: usize = 20_000;

/// The interpreter's `main`, which that source leaves out.
const MAIN: &str = r#"#include <stdio.h>
#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"
int main(int argc, char **argv) {
  lua_State *l = luaL_newstate();
  luaL_openlibs(l);
  if (argc != 2 || luaL_dofile(l, argv[1])) { fprintf(stderr, "%s\n", lua_tostring(l, -1)); return 1; }
  lua_close(l);
  return 0;
}
"#;

/// A program for the interpreter: it writes, reads back, renames and removes files of its own.
const PROGRAM: &str = r#"local f = assert(io.open("out.txt", "w"))
for i = 1, 20000 do f:write(i, " ", i * i % 9973, "\n") end
f:close()
local sum = 0
for line in io.lines("out.txt") do sum = (sum * 31 + #line) % 1000000007 end
assert(os.rename("out.txt", "kept.txt"))
f = assert(io.open("kept.txt", "a+")); f:seek("set", 100000); f:write("end\n"); f:close()
print(_VERSION, sum, io.open("out.txt") == nil)
"#;

/// The session, in the folder `$1`. Everything that it writes has to be the same anywhere.
const SESSION: &str = r#"set -e
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' GIT_EXEC_PATH=/usr/lib/git-core
export GIT_CONFIG_COUNT=3 GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0=n GIT_CONFIG_KEY_1=user.email GIT_CONFIG_VALUE_1=n@m
export GIT_CONFIG_KEY_2=safe.directory GIT_CONFIG_VALUE_2='*'
mkdir $1; cd $1
tar xzf /source.crate
cd SOURCE
cp /main.c /program.lua .
find . -type f | sort | xargs md5sum
tcc -o lua *.c -lm
md5sum lua
./lua program.lua
git init -q -b main .
git add .
git commit -q -m one
sed -i 's/luaL_openlibs/luaL_openlibs /' main.c
echo '-- changed' >> program.lua
git rm -q lapi.h
git mv lua.h moved.h
git status --short
git diff
git commit -q -a -m two
git log --format='%H %s' --stat
git checkout -q HEAD~1
ls
git checkout -q main
git repack -q -a -d
git fsck --full
ls -l | awk '{ print $1, $5, $9 }' | grep -v ^total
ln -s a b 2>/dev/null && rm b
rm -r .git
cd /; rm -r $1
ls $2
"#;

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&[&linux::PACKAGES[..], &["git", "tcc", "libc6-dev", "dbench"]].concat())?;
    let (_server, port) = linux::ramfs(ctx)?;
    let mut machine = Linux::new(ctx)?;
    add_tools(ctx, &mut machine)?;
    let source = format!("{}-{}/{}", SOURCE.0, SOURCE.1, SOURCE.2);
    machine.file("session", 0o755, SESSION.replace("SOURCE", &source).into());
    let script = "mkdir /tmp/tree\n\
        for at in /tmp/tree /mnt; do echo \"=== $at\"; start=$(cut -d. -f1 /proc/uptime); sh /session $at/work $at >/tmp/out 2>&1 || echo \"failed: $?\" >>/tmp/out; cat /tmp/out\n\
        echo \"=== seconds $(($(cut -d. -f1 /proc/uptime) - start))\"; done\n\
        for at in /tmp/tree /mnt; do echo \"=== load $at\"; dbench -c /load -D $at -t 10 2 2>&1; done\n";
    let said = machine.run(ctx, port, script, Duration::from_secs(500))?;
    std::fs::write(ctx.scratch().join("said"), &said)?;

    let parts: Vec<&str> = said.split("=== ").collect();
    let part = |head: &str| {
        let found = parts.iter().filter_map(|p| p.strip_prefix(head)).find(|p| p.starts_with('\n'));
        found.ok_or_else(|| {
            Failure::Cause(format!("no part {head:?} in the guest's words\n{}", tell::tail(&said, 15)))
        })
    };
    let (here, there) = (part("/tmp/tree")?, part("/mnt")?);
    ensure(here.contains("Lua 5.4") && here.contains(" two\n") && !here.contains("failed:"), || {
        tell::tail(here, 20)
    })?;
    ensure(here == there, || first_difference(here, there))?;
    let (here, there) = (load(part("load /tmp/tree")?)?, load(part("load /mnt")?)?);
    let seconds: Vec<&str> = parts.iter().filter_map(|p| p.strip_prefix("seconds ")).map(str::trim).collect();
    Ok(format!(
        "session as on tmpfs, {} s against {} s; dbench {there} against {here} MB/s",
        seconds.get(1).unwrap_or(&"?"),
        seconds.first().unwrap_or(&"?")
    ))
}

fn add_tools(ctx: &Ctx, machine: &mut Linux) -> Result<(), Failure> {
    for program in ["/usr/bin/git", "/usr/bin/tcc", "/usr/bin/dbench"] {
        machine.program(ctx, Path::new(program))?;
    }
    machine.link("/usr/lib/git-core/git", "/usr/bin/git");
    machine.tree(Path::new(&format!("{LIBRARIES}/tcc")))?;
    HEADERS.iter().try_for_each(|folder| machine.tree(Path::new(folder)))?;
    for entry in std::fs::read_dir("/usr/include")? {
        let path = entry?.path();
        if path.is_file() {
            machine.file(&path.to_string_lossy(), 0o644, std::fs::read(&path)?);
        }
    }
    for name in LINKED {
        let path = format!("{LIBRARIES}/{name}");
        machine.file(&path, 0o644, std::fs::read(&path)?);
    }
    // The linker's scripts and what it links name the libraries by both folders.
    machine.link("lib/x86_64-linux-gnu/libmvec.so.1", &format!("{LIBRARIES}/libmvec.so.1"));
    machine.file("source.crate", 0o644, std::fs::read(ctx.crate_file(SOURCE.0, SOURCE.1)?)?);
    machine.file("main.c", 0o644, MAIN.into());
    machine.file("program.lua", 0o644, PROGRAM.into());
    let load =
        ctx.run(Command::new("head").args(["-n", &LOAD.to_string(), "/usr/share/dbench/client.txt"]))?;
    machine.file("load", 0o644, load.into());
    Ok(())
}

/// Megabytes a second in dbench's last line; its complaints are failures.
fn load(said: &str) -> Result<&str, Failure> {
    // Its note about a semaphore says only that none was left from an earlier run.
    let complaint = said
        .lines()
        .filter(|l| !l.contains("barrier semaphore"))
        .find(|l| l.contains("ERROR") || l.contains("failed") || l.contains("expected"));
    ensure(complaint.is_none(), || format!("dbench: {}", complaint.unwrap_or_default()))?;
    let line = said.lines().find_map(|l| l.strip_prefix("Throughput "));
    Ok(line
        .and_then(|l| l.split(' ').next())
        .ok_or_else(|| format!("dbench said no throughput\n{}", tell::tail(said, 10)))?)
}

fn first_difference(here: &str, there: &str) -> String {
    let differs = here.lines().zip(there.lines()).find(|(a, b)| a != b);
    let (a, b) = differs.unwrap_or(("", "one of them ends early"));
    format!("the session differs\ntmpfs: {a}\nmount: {b}\n{}", tell::tail(there, 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_complaints_of_dbench_are_found() {
        assert_eq!(
            load("failed to create barrier semaphore \nThroughput 12.5 MB/sec  2 clients\n").ok(),
            Some("12.5")
        );
        assert!(load("[12] unlink failed\nThroughput 1 MB/sec").is_err() && load("").is_err());
    }

    #[test]
    fn a_difference_is_shown() {
        assert!(first_difference("a\nb", "a\nc").contains("mount: c"));
    }
}
