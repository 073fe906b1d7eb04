//! 9P2000: codec and sans-IO sessions.
#![no_std]
#![forbid(unsafe_code)]
