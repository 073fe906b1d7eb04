//! [`ErrorText`]: the words of an error, in place.
#![allow(
    unsafe_code,
    reason = "leaves what holds no words as it is: filling it was a quarter of a thread's making"
)]

use abi::limit::ERROR;
use core::mem::MaybeUninit;
use core::slice;

/// A thread's error string.
#[derive(Clone, Debug)]
pub struct ErrorText {
    /// So many bytes have been written; no more than there is room for.
    len: usize,
    bytes: MaybeUninit<[u8; ERROR]>,
}

impl ErrorText {
    /// No words.
    pub(crate) const fn new() -> ErrorText {
        ErrorText { len: 0, bytes: MaybeUninit::uninit() }
    }

    /// The words.
    pub fn get(&self) -> &[u8] {
        // SAFETY: so many bytes have been written.
        unsafe { slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len) }
    }

    /// Replaces the words; what does not fit is cut off at a character's start.
    pub fn set(&mut self, words: &[u8]) {
        let mut len = words.len().min(ERROR);
        while len < words.len() && len > 0 && words.get(len).is_some_and(|b| b & 0xc0 == 0x80) {
            len = len.saturating_sub(1);
        }
        if let Some(words) = words.get(..len) {
            // SAFETY: there is room for all of them, and `self` is borrowed exclusively.
            unsafe { words.as_ptr().copy_to_nonoverlapping(self.bytes.as_mut_ptr().cast(), len) };
            self.len = len;
        }
    }
}
