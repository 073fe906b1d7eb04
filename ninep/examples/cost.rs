//! Repeats one operation of the codec or of a session, to be counted from outside: `cost OPERATION TIMES`.
//!
//! The scenario `host_codec_cost` runs it under valgrind and takes the difference of two runs.

use ninep::session::{Client, ClientEvent, Event, Limits, Server};
use ninep::{Rmsg, Tmsg, frame, portal, text};
use std::hint::black_box;

/// A frame of this line.
fn bytes(line: &str) -> Vec<u8> {
    let mut room = vec![0; 1024];
    let n = text::encode(line, &mut room).expect("a message");
    room.truncate(n);
    room
}

/// Decodes a request.
fn decode(line: &str, times: u64) {
    let frame = bytes(line);
    for _ in 0..times {
        black_box(Tmsg::decode(black_box(&frame)).is_ok());
    }
}

/// Encodes an answer.
fn encode(r: &Rmsg<'_>, times: u64) {
    let mut room = [0; 1024];
    for _ in 0..times {
        black_box(black_box(r).encode(1, black_box(&mut room)).is_ok());
    }
}

/// Sends a read through a client's session, a server's session, and the answer back.
fn round_trip(times: u64) {
    let mut server = Server::new(Limits { msize: 8192, requests: 64 });
    let mut client: Client = Client::new(8192, 64);
    server.receive(client.output(), |_, _| ()).expect("room");
    client.sent(usize::MAX);
    server.next_event();
    let mut room = [0; 1024];
    let n = server.transmit(&mut room);
    assert_eq!(client.receive(&room[..n]), Ok(ClientEvent::Ready));
    for _ in 0..times {
        client.submit(&Tmsg::Tread { fid: 1, offset: 0, count: 1 }).expect("room");
        server.receive(client.output(), |_, _| ()).expect("room");
        client.sent(usize::MAX);
        let Some(Event::Start { ticket, .. }) = server.next_event() else {
            unreachable!("it starts at once")
        };
        let tag = server.finish(ticket).expect("the same session");
        let n = frame::encode_read::<ninep::Error>(tag, 1, &mut room, |_| Ok(1)).expect("room");
        assert!(matches!(client.receive(&room[..n]), Ok(ClientEvent::Answer(..))));
    }
}

/// Puts a read into a portal's words and takes it out again.
fn words(times: u64) {
    let mut page = [0; 4096];
    let t = Tmsg::Tread { fid: 1, offset: 0, count: 1 };
    for _ in 0..times {
        let words = portal::request(1, black_box(&t), &mut page).expect("it fits");
        black_box(portal::tmsg(black_box(&words), &page, &[]).is_ok());
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (operation, times) = (args.next().unwrap_or_default(), args.next().and_then(|n| n.parse().ok()));
    let times = times.expect("usage: cost OPERATION TIMES");
    let qid = ninep::Qid { kind: 0, vers: 1, path: 2 };
    match operation.as_str() {
        "decode_tread" => decode("Tread tag 1 fid 2 offset 3 count 4", times),
        "decode_twalk_3" => decode("Twalk tag 1 fid 2 newfid 3 wname usr glenda lib", times),
        "encode_rread_1" => encode(&Rmsg::Rread { data: b"x" }, times),
        "encode_ropen" => encode(&Rmsg::Ropen { qid, iounit: 0 }, times),
        "portal_tread" => words(times),
        "sessions_tread" => round_trip(times),
        other => panic!("no operation {other:?}"),
    }
}
