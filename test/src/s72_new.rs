//! `cargo xtask new`: a server and a program begun outside of the workspace build on stable Rust, and run on the host over a
//! socket and in the machine; doc/write-a-server.md shows that very server, which is mounted and traced here.

use crate::ctx::{Ctx, Outcome, ensure};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What the machine is told to do with the two programs, which it finds on the host.
const SCRIPT: &str = "/n/host/notes; mount /srv/notes /mnt; ls /mnt; cat /mnt/note
echo kept >/mnt/note; cat /mnt/note; cat /mnt/nosuch >[2]/dev/null || echo none
trace cat /mnt/note >[2]/tmp/t; grep -c notes /tmp/t >/dev/null && echo traced
echo one >/tmp/l; echo two >>/tmp/l; cp /n/host/count /tmp; /tmp/count /tmp/l
";
const WANT: &str = "note\nnothing yet\nkept\nnone\nkept\ntraced\n/tmp/l 2\n";

/// Seconds after which what was begun runs, from nothing built.
const MINUTE: u64 = 60;

fn cargo(dir: &Path) -> Command {
    let mut cargo = xtask::cargo();
    cargo.current_dir(dir);
    cargo
}

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let new = ctx.bin("new")?;
    let at = |name: &str| ctx.scratch().join(name);
    for (name, kind) in [("notes", "--server"), ("count", "--program")] {
        let said = ctx.run(Command::new(&new).arg(at(name)).arg(kind))?;
        ensure(said.contains("cargo run -- "), || said)?;
        let again = Command::new(&new).arg(at(name)).arg(kind).output()?;
        ensure(again.status.code() == Some(2), || "what is there was written over".into())?;
    }
    let begun = std::fs::read_to_string(at("notes").join("src/main.rs"))?;
    let doc = std::fs::read_to_string(xtask::root().join("doc/write-a-server.md"))?;
    ensure(doc.contains(&begun), || "doc/write-a-server.md shows another server than `new` begins".into())?;

    let begun = Instant::now();
    // On the host: the server answers a Tversion on its socket, the program counts lines.
    ctx.run(cargo(&at("notes")).args(["build", "--quiet"]))?;
    let socket = at("socket");
    let _server = ctx.spawn(
        Command::new(at("notes").join("target/debug/notes")).arg(format!("unix!{}", socket.display())),
    )?;
    ctx.poll(Duration::from_secs(20), "no socket", || socket.exists())?;
    let mut stream = UnixStream::connect(&socket)?;
    let mut version = vec![19, 0, 0, 0, 100, 0xff, 0xff, 0, 32, 0, 0, 6, 0];
    version.extend(b"9P2000");
    stream.write_all(&version)?;
    let mut answer = vec![0; version.len()];
    stream.read_exact(&mut answer)?;
    ensure(answer[4] == 101 && answer.ends_with(b"9P2000"), || format!("{answer:?}"))?;
    let on_host = begun.elapsed();
    let counted = ctx.run(cargo(&at("count")).args(["run", "--quiet", "--", "src/main.rs"]))?;
    ensure(counted.starts_with("src/main.rs "), || counted)?;

    // In the machine.
    let begun = Instant::now();
    let programs = at("programs");
    std::fs::create_dir_all(&programs)?;
    for name in ["notes", "count"] {
        let mut build = cargo(&at(name));
        ctx.run(build.args(["--config", ".cargo/portolan.toml", "build", "--quiet", "--release"]))?;
        let built = at(name).join("target/portolan/x86_64-unknown-linux-gnu/release").join(name);
        std::fs::copy(built, programs.join(name))?;
    }
    let mut run = Command::new(ctx.bin("xtask")?);
    run.args(["run", "--timeout", "60", "--share"]).arg(&programs).args(["-c", SCRIPT]);
    let out = ctx.run(&mut run)?;
    ensure(out == WANT, || format!("the machine said\n{out}for\n{WANT}"))?;
    let (on_host, inside) = (on_host.as_secs(), begun.elapsed().as_secs());
    ensure(on_host.max(inside) < MINUTE, || format!("after {on_host} s on the host, {inside} s inside"))?;
    Ok(format!("a server and a program, on the host ({on_host} s) and in the machine ({inside} s)"))
}
