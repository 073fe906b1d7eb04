//! Processes: fork and wait, memory, notes, groups, semaphores, threads.

use super::call::sharing_child as child;
use super::{Test, check, fails};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use portolan::abi::error::Error as Known;
use portolan::abi::file::{OWRITE, RFNOTEG};
use portolan::abi::note::ALARM;
use portolan::alloc::format;
use portolan::alloc::sync::Arc;
use portolan::alloc::vec;
use portolan::alloc::vec::Vec;
use portolan::{Error, File, Mutex, Result, fs, note, process, sys, thread, time};

pub(super) const TESTS: &[Test] = &[
    ("t30_proc_fork_and_wait", fork_and_wait),
    ("t30_proc_memory_is_copied", memory),
    ("t31_proc_faults_end_the_program_alone", faults),
    ("t32_proc_notes", notes),
    ("t32_proc_note_group", note_group),
    ("t32_proc_kill", kill),
    ("t33_proc_threads_share_and_lock", threads),
    ("t34_proc_sleep_and_clock", sleep),
    ("t35_proc_rendezvous", rendezvous),
    ("t36_proc_out_of_memory_is_an_error", out_of_memory),
    ("t37_proc_exec_of_nonsense", exec_nonsense),
];

fn fork_and_wait() -> Result<()> {
    let mut pids = vec![];
    for i in 0..20 {
        pids.push(child(|| Err(Error::new(&format!("number {i}"))))?);
    }
    for (i, pid) in pids.into_iter().enumerate().rev() {
        // Others that end first are forgotten by wait_for; so each is waited for in turn from the last.
        if i == 19 {
            let e = process::wait_for(pid)?;
            check!(e.status == "number 19", "status {:?}", e.status);
        }
    }
    while process::wait().is_ok() {}
    fails(process::wait(), Known::NoChild)
}

fn memory() -> Result<()> {
    let mut here = vec![1u8; 100_000];
    let pid = child(|| {
        here.fill(2);
        check!(here.iter().all(|&b| b == 2), "the child's own memory is wrong");
        Ok(())
    })?;
    let e = process::wait_for(pid)?;
    check!(e.status.is_empty(), "{}", e.status);
    check!(here.iter().all(|&b| b == 1), "the child wrote to the parent");
    Ok(())
}

/// What a program may not do, and what the processor stops it at.
const CRIMES: &[&str] = &[
    "write to nothing",
    "write to the kernel",
    "write to text",
    "run data",
    "undefined instruction",
    "halt",
    "port",
    "divide by zero",
    "jump away",
    "no address",
];

#[allow(unsafe_code, reason = "faults on purpose: every block ends the child that enters it")]
fn commit(crime: &str) {
    let target = match crime {
        "write to nothing" => 8usize,
        "write to the kernel" => 0xffff_8000_0000_0000,
        "write to text" => 0x20_0000,
        "no address" => 0x8000_0000_0000_0000,
        "undefined instruction" => {
            // SAFETY: the processor stops here.
            return unsafe { core::arch::asm!("ud2") };
        }
        "halt" => {
            // SAFETY: the processor stops here, at user level.
            return unsafe { core::arch::asm!("hlt") };
        }
        "port" => {
            // SAFETY: the processor stops here, without the right to ports.
            return unsafe { core::arch::asm!("out 0xf4, al", in("al") 0u8) };
        }
        "divide by zero" => {
            // SAFETY: the processor stops here.
            return unsafe {
                core::arch::asm!("xor ecx, ecx", "div ecx", out("ecx") _, inout("eax") 1 => _, inout("edx") 1 => _);
            };
        }
        "jump away" => {
            // SAFETY: nothing is mapped there, so the fetch faults.
            return unsafe { core::arch::asm!("jmp {}", in(reg) 0x1234_5678u64) };
        }
        _ => {
            let code = [0xc3u8; 16];
            // SAFETY: the stack can't be executed, so the fetch faults.
            return unsafe { core::arch::asm!("call {}", in(reg) code.as_ptr(), clobber_abi("C")) };
        }
    };
    // SAFETY: none of these addresses may be written by a program, so the store faults.
    unsafe { (target as *mut u8).write_volatile(1) }
}

fn faults() -> Result<()> {
    for &name in CRIMES {
        let pid = child(|| {
            commit(name);
            Ok(())
        })?;
        let e = process::wait_for(pid)?;
        check!(!e.status.is_empty(), "{name} went unpunished");
    }
    Ok(())
}

static SEEN: AtomicU32 = AtomicU32::new(0);

fn see(text: &str) -> note::Then {
    if text == "hello" || text == ALARM {
        SEEN.fetch_add(1, Ordering::SeqCst);
        note::Then::Continue
    } else {
        note::Then::Default
    }
}

fn notes() -> Result<()> {
    note::handle(see)?;
    for i in 1..=5 {
        note::send(process::id(), "hello")?;
        check!(SEEN.load(Ordering::SeqCst) == i, "a note to itself was not taken at once");
    }
    let _ = sys::alarm(30_000_000);
    fails(time::sleep(Duration::from_secs(30)), Known::Interrupted)?;
    check!(SEEN.load(Ordering::SeqCst) == 6, "the alarm was not taken");
    // Values in registers and vectors survive a note.
    let (mut x, mut f) = (1u64, 1.0f64);
    for i in 0..200_000u64 {
        if i % 50_000 == 0 {
            let _ = sys::alarm(1_000_000);
        }
        x = x.wrapping_mul(6364136223846793005).wrapping_add(i);
        f += i as f64;
    }
    check!(f == 1.0 + 199_999.0 * 200_000.0 / 2.0 && x != 0, "arithmetic went wrong: {f}");
    let _ = sys::alarm(0);
    let pid = child(|| {
        note::default()?;
        time::sleep(Duration::from_secs(30))
    })?;
    time::sleep(Duration::from_millis(50)).or(Ok::<_, Error>(()))?;
    note::send(pid, "unknown")?;
    let e = process::wait_for(pid)?;
    check!(e.status.contains("unknown"), "an unknown note ended it with {:?}", e.status);
    Ok(())
}

fn note_group() -> Result<()> {
    process::rfork(RFNOTEG)?;
    note::handle(see)?;
    let mut pids = vec![];
    for _ in 0..3 {
        pids.push(child(|| {
            note::default()?;
            time::sleep(Duration::from_secs(30))
        })?);
    }
    time::sleep(Duration::from_millis(50)).or(Ok::<_, Error>(()))?;
    fs::write(format!("/proc/{}/notepg", pids[0]), "hello")?;
    for _ in 0..3 {
        let e = process::wait()?;
        check!(e.status.contains("hello"), "{:?}", e.status);
    }
    check!(SEEN.load(Ordering::SeqCst) >= 1, "the group's other members have not seen it");
    Ok(())
}

fn kill() -> Result<()> {
    let stubborn = child(|| {
        note::handle(|_| note::Then::Continue)?;
        loop {
            core::hint::spin_loop();
        }
    })?;
    time::sleep(Duration::from_millis(50))?;
    File::open(format!("/proc/{stubborn}/ctl"), OWRITE)?.write_all(b"kill")?;
    let e = process::wait_for(stubborn)?;
    check!(!e.status.is_empty(), "killed, it ended well");
    fails(File::open(format!("/proc/{stubborn}/ctl"), OWRITE), Known::NotExist)
}

fn threads() -> Result<()> {
    let sum = Arc::new(Mutex::new(0u64));
    let mut all = vec![];
    for _ in 0..4 {
        let sum = sum.clone();
        all.push(thread::spawn(move || {
            for _ in 0..5000 {
                *sum.lock() += 1;
            }
        })?);
    }
    for t in all {
        t.join()?;
    }
    let sum = *sum.lock();
    check!(sum == 20_000, "counted {sum}");
    Ok(())
}

fn sleep() -> Result<()> {
    let start = time::now();
    time::sleep(Duration::from_millis(30))?;
    let slept = time::now() - start;
    check!(slept >= Duration::from_millis(30), "slept only {slept:?}");
    check!(time::since_1970() > Duration::from_secs(1_000_000_000), "the epoch is wrong");
    Ok(())
}

fn rendezvous() -> Result<()> {
    let pid = child(|| match sys::rendezvous(77, 1) {
        Some(2) => Ok(()),
        other => Err(Error::new(&format!("got {other:?}"))),
    })?;
    let got = sys::rendezvous(77, 2);
    check!(got == Some(1), "got {got:?}");
    let e = process::wait_for(pid)?;
    check!(e.status.is_empty(), "{}", e.status);
    Ok(())
}

fn out_of_memory() -> Result<()> {
    let pid = child(|| {
        let mut all: Vec<Vec<u8>> = vec![];
        loop {
            let mut piece = Vec::new();
            if piece.try_reserve_exact(1 << 20).is_err() {
                check!(all.len() > 4, "no memory after {} MiB", all.len());
                return Ok(());
            }
            piece.resize(1 << 20, 1);
            all.push(piece);
        }
    })?;
    let e = process::wait_for(pid)?;
    // Memory that is promised when asked for and missing when touched ends the program by a note.
    check!(e.status.is_empty() || e.status.contains("memory"), "{}", e.status);
    // And nobody else.
    let more = vec![1u8; 100_000];
    check!(more.iter().all(|&b| b == 1), "memory is wrong");
    Ok(())
}

fn exec_nonsense() -> Result<()> {
    for path in ["#sys/null", "#root/cmdline", "/proc", "/nosuch"] {
        let e = process::exec(path, &[path]);
        check!(!e.words().is_empty(), "no reason");
    }
    Ok(())
}
