//! What a process can do to others by asking for too much, or by handing in what is no program: nothing; and that vector
//! registers are a process's own.
#![allow(unsafe_code, reason = "fills and reads vector registers")]

use super::call::{child, words};
use super::fault::stay_on;
use super::{Test, check, imp};
use core::sync::atomic::{AtomicU32, Ordering};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{OREAD, RFENVG, RFFDG};
use portolan::abi::note::ALARM;
use portolan::abi::sys::Sys;
use portolan::alloc::format;
use portolan::alloc::vec;
use portolan::alloc::vec::Vec;
use portolan::{Error, File, Result, fs, note, process, sys};

pub(super) const TESTS: &[Test] = &[
    ("t36_limit_memory_used_up_beside_others", used_up),
    ("t36_limit_processes_until_memory_ends", processes),
    ("t37_limit_programs_cut_and_spoilt", spoilt),
    ("t38_limit_vectors_are_a_process_own", vectors),
];

/// One takes all memory and touches it; another goes on calling a server. It may be told that there is no memory for what
/// it asks, but is not ended, and serves itself again when the other has gone.
fn used_up() -> Result<()> {
    let imp = imp::mounted("imp", "/mnt", 4)?;
    let r = beside();
    imp::stop("imp", imp);
    r
}

fn beside() -> Result<()> {
    let f = File::open("/mnt/data", OREAD)?;
    let mut buf = vec![1u8; 20_000];
    let greedy = child(|| {
        let mut all: Vec<Vec<u8>> = vec![];
        loop {
            let mut piece = Vec::new();
            if piece.try_reserve_exact(1 << 18).is_err() {
                return Ok(());
            }
            piece.resize(1 << 18, 1);
            all.push(piece);
        }
    })?;
    let (mut served, mut refused) = (0, 0);
    while fs::exists(format!("/proc/{greedy}/status")) {
        match f.read_at(&mut buf, 7) {
            Ok(n) if n == buf.len() && buf.iter().all(|&b| b == 7) => served += 1,
            Err(e) if e.is(Known::NoMemory) => refused += 1,
            other => return Err(Error::new(&format!("a reader beside it got {other:?}"))),
        }
        buf.fill(1);
    }
    let status = words(greedy)?;
    check!(status.is_empty() || status.contains("memory"), "it ended with {status:?}");
    check!(served > 0, "nobody was served, {refused} refused");
    check!(f.read_at(&mut buf, 9)? == buf.len(), "the memory did not come back");
    Ok(())
}

/// Processes without end: who forks is told that memory is out, or ended where it can't even have a page of its own;
/// nobody else is, and all of them can be ended.
fn processes() -> Result<()> {
    let [near, far] = sys::pipe().ok_or_else(Error::last)?;
    let forker = child(|| {
        let _ = sys::close(near);
        let _ = sys::pread(far, &mut [0], -1);
        loop {
            match process::fork(RFFDG) {
                Ok(0) => {
                    // Until the last writer has gone.
                    let _ = sys::pread(far, &mut [0], -1);
                    sys::exits(b"");
                }
                Ok(_) => {}
                Err(e) => return Err(e),
            }
        }
    })?;
    // What this process will write to is its own from now on, not shared with the forker.
    core::hint::black_box(&mut [1u8; 16 << 10]);
    drop(core::hint::black_box(vec![1u8; 16 << 10]));
    let begun = sys::pwrite(near, b"x", -1);
    let status = words(forker)?;
    let closed = sys::close(near);
    let _ = sys::close(far);
    check!(begun == Some(1) && closed.is_some(), "the pipe failed");
    check!(status.contains("out of memory"), "the forker ended with {status:?}");
    let mut tries = 0;
    let last = loop {
        match child(|| Ok(())) {
            Ok(pid) => break pid,
            Err(_) if tries < 200 => tries += 1,
            Err(e) => return Err(e),
        }
        let _ = sys::sleep(10_000_000);
    };
    check!(words(last)?.is_empty(), "the memory did not come back");
    check!(last > forker + 50, "only {} processes", last - forker);
    while (forker + 1..last).any(|pid| fs::exists(format!("/proc/{pid}/status"))) {
        tries += 1;
        check!(tries < 2000, "processes are left");
        let _ = sys::sleep(10_000_000);
    }
    Ok(())
}

const TEXT: u64 = 0x20_0000;
/// Bytes of the headers; the code stands behind them.
const HEADERS: usize = 64 + 56;

/// A program of one segment that ends with the status `well`.
fn program() -> Vec<u8> {
    let mut b = vec![0u8; HEADERS];
    b[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    let mut put = |at: usize, bytes: &[u8]| b[at..at + bytes.len()].copy_from_slice(bytes);
    put(16, &2u16.to_le_bytes());
    put(18, &62u16.to_le_bytes());
    put(20, &1u32.to_le_bytes());
    put(24, &(TEXT + HEADERS as u64).to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(52, &64u16.to_le_bytes());
    put(54, &56u16.to_le_bytes());
    put(56, &1u16.to_le_bytes());
    put(64, &1u32.to_le_bytes());
    put(68, &5u32.to_le_bytes());
    put(80, &TEXT.to_le_bytes());
    // lea rdi, [rip + text]; mov esi, 4; mov eax, exits; syscall; ud2; text
    b.extend_from_slice(&[0x48, 0x8d, 0x3d, 14, 0, 0, 0, 0xbe, 4, 0, 0, 0, 0xb8]);
    b.extend_from_slice(&(Sys::Exits as u32).to_le_bytes());
    b.extend_from_slice(&[0x0f, 0x05, 0x0f, 0x0b]);
    b.extend_from_slice(b"well");
    let len = (b.len() as u64).to_le_bytes();
    b[96..104].copy_from_slice(&len);
    b[104..112].copy_from_slice(&len);
    b
}

/// Runs bytes as a program: its status, or why it is none.
fn tried(bytes: &[u8]) -> Result<portolan::alloc::string::String> {
    portolan::env::set("program", bytes)?;
    let pid = child(|| Err(process::exec("#env/program", &["program"])))?;
    words(pid)
}

fn spoilt() -> Result<()> {
    process::rfork(RFENVG)?;
    let whole = program();
    let said = tried(&whole)?;
    check!(said == "well", "a whole program ended with {said:?}");
    for len in (0..whole.len() - 4).step_by(3) {
        let said = tried(&whole[..len])?;
        check!(!said.is_empty() && said != "well", "cut at {len} it ended with {said:?}");
    }
    // Every field of the headers, wrong in several ways: refused, or ended by what it does.
    for at in (0..HEADERS).step_by(2) {
        for wrong in [0x00, 0x7f, 0xff] {
            let mut b = whole.clone();
            b[at..at + 2].fill(wrong);
            tried(&b)?;
        }
    }
    // Two segments in one place, and one where the kernel is.
    let mut two = whole.clone();
    two[56] = 2;
    let header: Vec<u8> = two[64..HEADERS].to_vec();
    two.splice(HEADERS..HEADERS, header);
    let said = tried(&two)?;
    check!(said == Known::BadExec.text(), "with segments that overlap it ended with {said:?}");
    let mut high = whole.clone();
    high[80..88].copy_from_slice(&0xffff_8000_0000_0000u64.to_le_bytes());
    let said = tried(&high)?;
    check!(said == Known::BadExec.text(), "in the kernel's place it ended with {said:?}");
    check!(tried(&whole)? == "well", "a whole program does not run any more");
    Ok(())
}

/// Fills all vector registers, computes for a while, and looks at them: are they as they were?
fn kept(seed: u8) -> bool {
    let mut all = [[0u8; 16]; 16];
    for (i, r) in all.iter_mut().enumerate() {
        r.fill(seed.wrapping_add(i as u8));
    }
    let before = all;
    // SAFETY: reads and writes the 256 bytes of `all`, and names every register that it changes.
    unsafe {
        core::arch::asm!(
            "movdqu xmm0, [{p}]", "movdqu xmm1, [{p} + 16]", "movdqu xmm2, [{p} + 32]", "movdqu xmm3, [{p} + 48]",
            "movdqu xmm4, [{p} + 64]", "movdqu xmm5, [{p} + 80]", "movdqu xmm6, [{p} + 96]", "movdqu xmm7, [{p} + 112]",
            "movdqu xmm8, [{p} + 128]", "movdqu xmm9, [{p} + 144]", "movdqu xmm10, [{p} + 160]", "movdqu xmm11, [{p} + 176]",
            "movdqu xmm12, [{p} + 192]", "movdqu xmm13, [{p} + 208]", "movdqu xmm14, [{p} + 224]", "movdqu xmm15, [{p} + 240]",
            "2:", "dec {n}", "jnz 2b",
            "movdqu [{p}], xmm0", "movdqu [{p} + 16], xmm1", "movdqu [{p} + 32], xmm2", "movdqu [{p} + 48], xmm3",
            "movdqu [{p} + 64], xmm4", "movdqu [{p} + 80], xmm5", "movdqu [{p} + 96], xmm6", "movdqu [{p} + 112], xmm7",
            "movdqu [{p} + 128], xmm8", "movdqu [{p} + 144], xmm9", "movdqu [{p} + 160], xmm10", "movdqu [{p} + 176], xmm11",
            "movdqu [{p} + 192], xmm12", "movdqu [{p} + 208], xmm13", "movdqu [{p} + 224], xmm14", "movdqu [{p} + 240], xmm15",
            p = in(reg) &raw mut all, n = inout(reg) 40_000_000u64 => _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm6") _,
            out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _,
            out("xmm14") _, out("xmm15") _,
        );
    }
    all == before
}

/// Nanoseconds from one note to the next.
const TICK: u64 = 500_000;
static TICKS: AtomicU32 = AtomicU32::new(0);

fn tick(text: &str) -> note::Then {
    if text != ALARM {
        return note::Then::Default;
    }
    TICKS.fetch_add(1, Ordering::Relaxed);
    let _ = sys::alarm(TICK);
    note::Then::Continue
}

/// Several processes on one CPU, each with registers full of its own; and what the kernel does not keep, wider registers,
/// no program is told to have.
fn vectors() -> Result<()> {
    let osxsave = core::arch::x86_64::__cpuid(1).ecx & 1 << 27;
    check!(osxsave == 0, "the processor says that wider registers are kept");
    let mut all = vec![];
    for seed in [1, 64, 128] {
        all.push(child(|| {
            stay_on(process::id(), 0)?;
            check!(kept(seed), "another's vector registers, or none");
            // Notes that come meanwhile, often just before the others' turn, change nothing.
            note::handle(tick)?;
            let _ = sys::alarm(TICK);
            check!(kept(seed), "after notes another's vector registers, or none");
            check!(TICKS.load(Ordering::Relaxed) > 10, "only {} notes", TICKS.load(Ordering::Relaxed));
            Ok(())
        })?);
    }
    for _ in all {
        let said = process::wait()?.status;
        check!(said.is_empty(), "{said}");
    }
    Ok(())
}
