//! Bytes as a portal's words and page.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::words(data));
