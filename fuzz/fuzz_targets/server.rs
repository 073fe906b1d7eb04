//! Bytes as what a client sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::server(data));
