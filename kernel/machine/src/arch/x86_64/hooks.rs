//! Where this machine enters the portable kernel.

use abi::note::Frame;
use kernel_core::entry::{Fault, Outcome};

pub(super) fn boot() -> ! {
    if kernel_core::machine::cpu() == 0 {
        super::stop(1)
    }
    loop {
        kernel_core::machine::idle();
    }
}
pub(super) fn syscall(_number: u64, _args: [u64; 6]) -> Outcome {
    Outcome { value: u64::MAX, pending: 0 }
}
pub(super) fn deliver(_frame: &mut Frame) {}
pub(super) fn fault(_at: u64, _kind: Fault, _pc: u64) {}
pub(super) fn kernel_fault(_at: u64, _kind: Fault) -> bool {
    false
}
pub(super) fn pending() -> bool {
    false
}
pub(super) fn timer() {}
pub(super) fn reschedule() {}
pub(super) fn irq(_line: usize) {}
