//! What the fake machine was booted with and what hangs on it: next to nothing.

#[unsafe(no_mangle)]
fn archive() -> &'static [u8] {
    b""
}

#[unsafe(no_mangle)]
fn archive_at() -> u64 {
    0
}

#[unsafe(no_mangle)]
fn command_line() -> &'static [u8] {
    b"fake"
}

#[unsafe(no_mangle)]
fn kernel_bytes() -> u64 {
    0
}

#[unsafe(no_mangle)]
fn stir(_: &[u8]) {}

/// Not random, but never the same twice.
#[unsafe(no_mangle)]
fn entropy() -> [u8; 32] {
    static NEXT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
    [NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed); 32]
}

#[unsafe(no_mangle)]
fn power_off(code: u8) -> ! {
    panic!("power off: {code}")
}

#[unsafe(no_mangle)]
fn irqs() -> usize {
    0
}

#[unsafe(no_mangle)]
fn unmask(_irq: usize) {}

#[unsafe(no_mangle)]
fn port_in(_port: u16, _width: u8) -> u32 {
    u32::MAX
}

#[unsafe(no_mangle)]
fn port_out(_port: u16, _width: u8, _value: u32) {}
