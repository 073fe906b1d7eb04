//! Text as the line of a message.
#![no_main]

libfuzzer_sys::fuzz_target!(|line: &str| checks::any_text(line));
