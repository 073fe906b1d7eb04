//! The kernel binary: what runs the portable kernel on a bare machine.
//!
//! Everything that knows the processor is in [`arch`]; here are only what the language wants of a program without an
//! operating system. `kernel_core` holds the kernel itself.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(clippy::unwrap_used, clippy::panic)]

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod log;

/// Memory for kernel objects.
#[cfg(target_os = "none")]
#[global_allocator]
static HEAP: kernel_core::mem::heap::Heap = kernel_core::mem::heap::Heap::new();

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("kernel: runs on a bare machine: cargo xtask run");
    std::process::exit(1);
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    // Formatting would cost a quarter of the kernel's size; a message that is no plain text is told by its place.
    let message = info.message().as_str().unwrap_or("panic");
    let (file, line) = info.location().map_or(("?", 0), |l| (l.file(), l.line()));
    log::line(&[
        "kernel panic: ".into(),
        message.into(),
        " at ".into(),
        file.into(),
        ":".into(),
        line.into(),
    ]);
    arch::stop(log::PANIC)
}
