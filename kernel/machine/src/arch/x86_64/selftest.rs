//! Tests of the machine itself, run at boot by the command line's word `selftest`; the last line is the verdict.
//!
//! They run before the portable kernel starts, on the first CPU, with the others waiting: what fails here would make
//! every later failure a riddle.
#![allow(unsafe_code, reason = "looks at the machine from below")]

use super::page;
use crate::log;
use abi::limit::{PAGE, TEXT, USER_END};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use kernel_core::machine::{self, Context, Frame, Rights};
use kernel_core::mem::frames::{self, For};
use kernel_core::msg::UserBuf;

/// A test: its name, and whether it went well.
type Test = (&'static str, fn() -> bool);

/// Every test, in the order in which one builds on the other.
const TESTS: [Test; 9] = [
    ("frames", frames_are_distinct),
    ("map", pages_come_and_go),
    ("rights", the_image_is_protected),
    ("copies", copies_stop_at_what_is_not_there),
    ("stacks", stacks_have_holes),
    ("switch", switches_go_there_and_back),
    ("clock", the_clock_runs),
    ("timer", the_timer_wakes),
    ("shootdown", all_cpus_forget),
];

/// Runs them all and stops the machine; `overflow` instead runs off a kernel stack's end, which must be noticed.
pub(super) fn run(what: &[u8]) -> ! {
    if what == b"overflow" {
        overflow();
    }
    let mut failed = 0u64;
    for (name, test) in TESTS {
        let before = frames::stats();
        let ok = test();
        let after = frames::stats();
        let whole =
            before.free + before.pooled == after.free + after.pooled || name == "stacks" || name == "switch";
        failed += u64::from(!(ok && whole));
        let word = match (ok, whole) {
            (true, true) => "ok ",
            (true, false) => "LEAKS ",
            (false, _) => "FAILED ",
        };
        log::line(&[word.into(), "selftest ".into(), name.into()]);
    }
    log::line(&[(TESTS.len() as u64 - failed).into(), " passed, ".into(), failed.into(), " failed".into()]);
    super::stop(if failed == 0 { log::PASSED } else { log::FAILED })
}

#[expect(unconditional_recursion, reason = "that is the test")]
extern "C" fn deeper(depth: usize) -> ! {
    let room = core::hint::black_box([depth; 64]);
    deeper(core::hint::black_box(room[1]) + 1)
}

fn overflow() {
    let Some(stack) = machine::new_stack() else { return };
    let mut main = Context { sp: 0, vector: 0 };
    machine::switch(&mut main, &machine::new_context(stack, deeper, 0));
}

fn frames_are_distinct() -> bool {
    let mut all = [Frame(0); 64];
    for (i, slot) in all.iter_mut().enumerate() {
        let Ok(f) = frames::zeroed(For::Kernel) else { return false };
        machine::write_frame(f, 0, &(i as u64).to_le_bytes());
        *slot = f;
    }
    let mut good = true;
    for (i, &f) in all.iter().enumerate() {
        let mut b = [0; 8];
        machine::read_frame(f, 0, &mut b);
        good &= b == (i as u64).to_le_bytes();
        machine::read_frame(f, PAGE - 8, &mut b);
        good &= b == [0; 8];
        frames::free(f);
    }
    good
}

fn pages_come_and_go() -> bool {
    let (Some(root), Ok(frame)) = (machine::new_root(), frames::zeroed(For::Kernel)) else { return false };
    let mut good = true;
    for addr in [TEXT, TEXT + 0x20_0000, 0x6000_0000_0000, USER_END - 2 * PAGE as u64] {
        for rights in [Rights::Read, Rights::Write, Rights::Exec] {
            good &= machine::lookup(root, addr).is_none() && machine::unmap(root, addr).is_none();
            good &= machine::map(root, addr, frame, rights);
            good &= machine::lookup(root, addr + 5) == Some((frame, rights));
            good &= machine::next_mapped(root, 0, USER_END) == Some((addr, frame, rights));
            good &= machine::next_mapped(root, 0, addr).is_none();
            good &= machine::unmap(root, addr) == Some((frame, rights));
        }
    }
    good &= machine::lookup(root, page::DIRECT).is_none();
    frames::free(frame);
    machine::free_root(root);
    good
}

/// Constants can't be written, and what can be written can't be executed.
fn the_image_is_protected() -> bool {
    let [code, constants, variables, _] = page::image();
    let flags = |at| page::kernel_flags(at);
    flags(code) == Some((false, true))
        && flags(constants) == Some((false, false))
        && flags(variables) == Some((true, false))
        && page::kernel_flags(page::DIRECT + 0x20_0000).is_none_or(|f| f == (true, false))
}

fn copies_stop_at_what_is_not_there() -> bool {
    let (Some(root), Ok(frame)) = (machine::new_root(), frames::zeroed(For::Kernel)) else { return false };
    let mut good = machine::map(root, TEXT, frame, Rights::Write);
    machine::load(root);
    let at = |addr, len| UserBuf { addr, len };
    let text = *b"what a long sentence";
    good &= machine::copy_out(at(TEXT + 3, text.len()), &text);
    let mut back = [0; 20];
    good &= machine::copy_in(&mut back, at(TEXT + 3, 20)) && back == text;
    let end = TEXT + PAGE as u64;
    for n in 1..20 {
        // One byte too far, whatever the length.
        good &= !machine::copy_out(at(end - n + 1, n as usize), &text[..n as usize]);
        good &= !machine::copy_in(&mut back[..n as usize], at(end - n + 1, n as usize));
        good &= machine::copy_out(at(end - n, n as usize), &text[..n as usize]);
    }
    for addr in [0, USER_END - 1, USER_END, page::DIRECT, u64::MAX - 5, u64::MAX] {
        good &= !machine::copy_out(at(addr, 20), &text);
        good &= !machine::copy_in(&mut back, at(addr, 20));
    }
    good &= machine::copy_in(&mut [], at(u64::MAX, 0));
    good &= machine::copy_out(at(TEXT, 20), &text) && machine::frame_from_user(frame, 100, at(TEXT, 20));
    good &= machine::frame_to_user(frame, 100, at(TEXT + 50, 20));
    machine::read_frame(frame, 50, &mut back);
    good &= back == text && !machine::frame_to_user(frame, 100, at(end - 1, 2));
    machine::write_frame(frame, 8, &5i32.to_le_bytes());
    good &= machine::add_in_frame(frame, 8, -5) == Some(0) && machine::add_in_frame(frame, 8, -1).is_none();
    machine::leave(root);
    machine::unmap(root, TEXT);
    good &= machine::map(root, TEXT, frame, Rights::Read);
    machine::load(root);
    good &= !machine::copy_out(at(TEXT, 1), b"x") && machine::copy_in(&mut back, at(TEXT, 20));
    machine::leave(root);
    machine::unmap(root, TEXT);
    frames::free(frame);
    machine::free_root(root);
    good
}

fn stacks_have_holes() -> bool {
    let (Some(a), Some(b)) = (machine::new_stack(), machine::new_stack()) else { return false };
    let size = machine::KERNEL_STACK as u64;
    let good = a != b
        && page::kernel_flags(a - 8) == Some((true, false))
        && page::kernel_flags(a - size) == Some((true, false))
        && page::kernel_flags(a - size - 8).is_none();
    machine::free_stack(a);
    machine::free_stack(b);
    good && machine::new_stack() == Some(b) && {
        machine::free_stack(b);
        true
    }
}

static TURNS: AtomicU32 = AtomicU32::new(0);
static CONTEXTS: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

extern "C" fn other_side(arg: usize) -> ! {
    let [main, other] = &CONTEXTS;
    loop {
        TURNS.fetch_add(arg as u32, Ordering::Relaxed);
        // SAFETY: both contexts live in the frame of the test below, which waits.
        unsafe {
            let main = &*(main.load(Ordering::Relaxed) as *const Context);
            machine::switch(&mut *(other.load(Ordering::Relaxed) as *mut Context), main);
        }
    }
}

fn switches_go_there_and_back() -> bool {
    let Some(stack) = machine::new_stack() else { return false };
    let mut main = Context { sp: 0, vector: 0 };
    let mut other = machine::new_context(stack, other_side, 7);
    CONTEXTS[0].store(&raw mut main as usize, Ordering::Relaxed);
    CONTEXTS[1].store(&raw mut other as usize, Ordering::Relaxed);
    let before = TURNS.load(Ordering::Relaxed);
    for _ in 0..100 {
        let other = CONTEXTS[1].load(Ordering::Relaxed) as *const Context;
        // SAFETY: `other` lives in this frame.
        machine::switch(&mut main, unsafe { &*other });
    }
    machine::free_stack(stack);
    TURNS.load(Ordering::Relaxed) - before == 700
}

fn the_clock_runs() -> bool {
    let start = machine::now();
    let mut last = start;
    for _ in 0..1000 {
        let now = machine::now();
        if now < last {
            return false;
        }
        last = now;
    }
    last > start && machine::entropy() != machine::entropy()
}

fn the_timer_wakes() -> bool {
    let start = machine::now();
    machine::set_timer(start + 2_000_000);
    // It can't be asked here whether the interrupt came; without it the CPU would stay halted for ever.
    machine::idle();
    let slept = machine::now() - start;
    // The upper bound only catches a timer that counts in other units: hosts can be slow.
    (1_900_000..2_000_000_000).contains(&slept)
}

fn all_cpus_forget() -> bool {
    for _ in 0..100 {
        kernel_core::mem::shootdown::everywhere();
    }
    true
}
