//! Bytes as what a server sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::client(data));
