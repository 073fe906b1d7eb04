//! Random valid messages for comparing the codec with others, made as ninep's own tests make them.

#[path = "../../ninep/tests/common/mod.rs"]
mod common;

use common::{Parts, Random, messages};
use ninep::{Rmsg, Tmsg};

/// A message in two forms.
pub(crate) struct Message {
    pub(crate) request: bool,
    pub(crate) bytes: Vec<u8>,
    /// As ninep writes it in text.
    pub(crate) line: String,
}

/// Every message so many times over, with different contents each time and always the same ones.
pub(crate) fn sample(times: u64) -> Vec<Message> {
    let mut sample = Vec::new();
    for seed in 0..times {
        let mut r = Random::new(seed);
        let parts = Parts::new(&mut r);
        for which in 0..messages() {
            let bytes = parts.bytes(which, r.below(0xffff) as u16);
            let request = which < Tmsg::ALL.len();
            let line = match request {
                true => Tmsg::decode(&bytes).map(|(tag, t)| t.line(tag).to_string()),
                false => Rmsg::decode(&bytes).map(|(tag, r)| r.line(tag).to_string()),
            };
            sample.push(Message { request, bytes, line: line.unwrap_or_default() });
        }
    }
    sample
}
