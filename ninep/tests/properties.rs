//! Properties of the codec: every message survives every form, and any input is either understood or refused.
#![cfg(feature = "alloc")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../../fuzz/src/checks.rs"]
mod checks;
mod common;

use common::{Parts, Random, messages};
use ninep::{Rmsg, Tmsg};
use proptest::prelude::*;
use std::time::{Duration, Instant};

proptest! {
    #[test]
    fn a_message_that_is_written_reads_as_itself(seed: u64, tag: u16) {
        let parts = Parts::new(&mut Random::new(seed));
        for which in 0..messages() {
            let bytes = parts.bytes(which, tag);
            match which.checked_sub(Tmsg::ALL.len()) {
                None => parts.request(which, |t| assert_eq!(Tmsg::decode(&bytes), Ok((tag, t)))),
                Some(which) => assert_eq!(Rmsg::decode(&bytes), Ok((tag, parts.answer(which)))),
            }
            checks::message(&bytes);
        }
    }

    #[test]
    fn a_message_that_is_cut_or_grown_is_refused(seed: u64, tag: u16) {
        let parts = Parts::new(&mut Random::new(seed));
        for which in 0..messages() {
            let whole = parts.bytes(which, tag);
            for len in 0..whole.len() + 2 {
                let mut bytes = whole.clone();
                bytes.resize(len, 0);
                // With the size it should have and with the size that it has.
                for size in [whole.len(), len] {
                    if let Some(head) = bytes.first_chunk_mut::<4>() {
                        *head = (size as u32).to_le_bytes();
                    }
                    let tagged = if len >= 7 { tag } else { ninep::NOTAG };
                    let (t, r) = (Tmsg::decode(&bytes), Rmsg::decode(&bytes));
                    if len != whole.len() {
                        assert_eq!(t.unwrap_err().tag, tagged);
                        assert_eq!(r.unwrap_err().tag, tagged);
                    }
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(op in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = (body.len() as u32 + 7).to_le_bytes().to_vec();
        bytes.extend([op, 1, 0]);
        bytes.extend(&body);
        checks::message(&bytes);
        checks::message(&body);
        checks::words(&body);
        checks::server(&bytes);
        checks::client(&bytes);
    }

    #[test]
    fn arbitrary_text_does_no_harm(line in "[TR](version|walk|read|write|wstat|stat)( tag| fid| wname| data| %[0-9a-f]*| '[^']*'?| [0-9]+| .*){0,8}") {
        checks::any_text(&line);
    }
}

/// Changes a few bytes, mostly to values at an edge, and now and then the length.
fn mutate(bytes: &mut Vec<u8>, r: &mut Random) {
    for _ in 0..r.below(4) {
        let at = r.below(bytes.len().max(1));
        let Some(b) = bytes.get_mut(at) else { break };
        *b = match r.below(5) {
            0 => 0,
            1 => 0xff,
            2 => b.wrapping_add(1),
            3 => *b ^ 1 << r.below(8),
            _ => r.next() as u8,
        };
    }
    if r.chance(4) {
        bytes.truncate(r.below(bytes.len() + 1));
    }
    if r.chance(4) {
        bytes.extend((0..r.below(4)).map(|_| r.next() as u8));
    }
    if r.chance(2) && bytes.len() >= 4 {
        let len = (bytes.len() as u32).to_le_bytes();
        bytes[..4].copy_from_slice(&len);
    }
}

/// The fuzzers' checks over mutated messages, for ten seconds or as many rounds as are plenty.
#[test]
fn mutated_messages_do_no_harm() {
    let end = Instant::now() + Duration::from_secs(10);
    let (mut understood, mut refused) = (0, 0);
    for seed in 0..20_000u64 {
        let r = &mut Random::new(seed);
        let parts = Parts::new(r);
        let mut stream = Parts::new(r).bytes(0, ninep::NOTAG);
        stream[7..11].copy_from_slice(&4096u32.to_le_bytes());
        let version = b"\x06\x009P2000";
        stream.splice(11.., version.iter().copied());
        stream[0] = stream.len() as u8;
        let mut answers = b"\x13\x00\x00\x00\x65\xff\xff\x00\x10\x00\x00\x06\x009P2000".to_vec();
        for _ in 0..12 {
            let mut bytes = parts.bytes(r.below(messages()), r.below(12) as u16);
            if r.chance(2) {
                mutate(&mut bytes, r);
            }
            checks::message(&bytes);
            checks::words(&bytes);
            match Tmsg::decode(&bytes).is_ok() || Rmsg::decode(&bytes).is_ok() {
                true => understood += 1,
                false => refused += 1,
            }
            let to = if r.chance(2) { &mut stream } else { &mut answers };
            to.extend(&bytes);
        }
        checks::server(&stream);
        checks::client(&answers);
        if Instant::now() > end {
            break;
        }
    }
    assert!(understood > 100 && refused > 100, "{understood} understood, {refused} refused");
}
