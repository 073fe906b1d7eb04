//! What the language wants of a program without an operating system: memory for kernel objects, and what to do when all
//! is lost.

use crate::{arch, log};

#[global_allocator]
static HEAP: kernel_core::mem::heap::Heap = kernel_core::mem::heap::Heap::new();

/// The place tells what it was: words would bring the library's formatting with them.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("?", 0), |l| (l.file(), l.line()));
    log::line(&["kernel panic: at ".into(), file.into(), ":".into(), line.into()]);
    arch::stop(log::PANIC)
}
