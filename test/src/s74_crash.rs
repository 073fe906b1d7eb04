//! A crash tells the program, the cause, the address and the functions on the way to it; a server's tells its supervisor.

use crate::ctx::{Ctx, Failure, Outcome, ensure};
use crate::s70_supervise::machine;
use std::process::Command;
use xtask::image;
use xtask::machine::End;

/// The supervisor learns of an end in its own time, for which the script leaves some.
const SCRIPT: &str = r"
misfit crash; echo status: $status
misfit panic; echo status: $status
cat /n/crash
failed=$status; sleep 1; exit $failed
";

/// The scenario.
pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["qemu-system-x86"])?;
    let kernel = image::build_kernel()?;
    let services = "cons /dev /bin/cons\nmisfit /n restart=9/60 /bin/misfit\n";
    let ran = machine(ctx, &kernel, services, SCRIPT)?;
    // Each line of what is wanted, in this order; between them may be others.
    let mut lines = ran.err.lines();
    for wanted in [
        "misfit: sys: trap: fault read pc=0x",
        " misfit::on::deeper",
        " misfit::on::crash",
        " portolan_main",
        "misfit: panicked at test/misfit/src/on.rs:",
        "a value that is not there",
        " misfit::on::panics",
        " portolan_main",
    ] {
        ensure(lines.any(|l| l.contains(wanted)), || format!("no line with {wanted}:\n{}", ran.err))?;
    }
    ensure(ran.out.contains("status: sys: trap: fault read pc=0x"), || ran.out.clone())?;
    ensure(ran.out.contains("status: panic\n"), || ran.out.clone())?;
    let said = |words: &str| ran.log.lines().any(|l| l.starts_with("init: misfit: ") && l.contains(words));
    ensure(said("sys: trap: fault read pc=0x") && said(" in misfit::on::deeper"), || ran.log.clone())?;
    // The server itself tells the way to it, in the call.
    let mut lines = ran.log.lines();
    for wanted in
        ["misfit: sys: trap: fault read pc=0x", " misfit::on::deeper", " misfit::on::crash", "served::enter"]
    {
        ensure(lines.any(|l| l.contains(wanted)), || format!("no line with {wanted}:\n{}", ran.log))?;
    }
    ensure(ran.end == End::Code(1), || format!("{:?}", ran.end))?;
    let names = debugger(ctx)?;
    ensure(names.contains("rc::start::") && names.contains("kernel_core::entry::"), || names)?;
    Ok("2 crashes, a panic, the debugger's names".into())
}

/// What gdb knows of addresses in a program and in the kernel by the script of `xtask run --gdb`; there is no machine for
/// it to talk to.
fn debugger(ctx: &Ctx) -> Result<String, Failure> {
    ctx.need_deb(&["gdb"])?;
    let script = std::fs::read_to_string(image::gdb_script()?)?;
    let file = ctx.scratch().join("script");
    std::fs::write(&file, script.replace("target remote :1234\n", ""))?;
    let mut gdb = Command::new("gdb");
    gdb.args(["-batch", "-nx", "-x"]).arg(file);
    gdb.args(["-ex", "program rc", "-ex", "info functions -q rc::start::"]);
    // Of an address, since a debugger lists by name only what the compiler described.
    let table = String::from_utf8_lossy(&image::symbols::table(&image::read(&image::kernel())?)).into_owned();
    let entry = table.lines().find(|l| l.contains(" kernel_core::entry::")).ok_or("no such names")?;
    let address = entry.split(' ').next().unwrap_or("");
    gdb.args(["-ex", &format!("info symbol 0x{address}")]);
    ctx.run(&mut gdb)
}
