//! What only a socket shows: batches in one write, clients that break off, and hostile ones.

mod common;

use abi::file::*;
use common::{Client, Front, SocketFront, frame, options};
use net9::{Limits, Service};
use ninep::{NOFID, Name, Names, Rmsg, Tmsg};
use ramfs::Ramfs;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn service(limits: Limits) -> Arc<Service<Ramfs>> {
    Service::new(Ramfs::new(&options()).unwrap(), limits)
}

/// Walk, open, read and clunk, as one batch.
fn batch(out: &mut Vec<u8>, n: u32) {
    let (fid, tag) = (1000 + n, (4 * n) as u16);
    let name = [Name::new("f").unwrap()];
    out.extend(frame(tag, &Tmsg::Twalk { fid: 0, newfid: fid, wname: Names::new(&name).unwrap() }));
    out.extend(frame(tag + 1, &Tmsg::Topen { fid, mode: OREAD }));
    out.extend(frame(tag + 2, &Tmsg::Tread { fid, offset: 0, count: 100 }));
    out.extend(frame(tag + 3, &Tmsg::Tclunk { fid }));
}

/// Reads the answers of a batch: are all four right?
fn right(front: &mut SocketFront, n: u32) -> bool {
    let mut answers: Vec<Vec<u8>> = (0..4).map(|_| front.read_frame()).collect();
    answers.sort_by_key(|a| u16::from_le_bytes([a[5], a[6]]));
    answers.iter().enumerate().all(|(i, a)| {
        let (tag, r) = Rmsg::decode(a).unwrap();
        let fits = match i {
            0 => matches!(r, Rmsg::Rwalk { wqid } if wqid.len() == 1),
            1 => matches!(r, Rmsg::Ropen { .. }),
            2 => r == Rmsg::Rread { data: b"contents" },
            _ => r == Rmsg::Rclunk {},
        };
        fits && tag == (4 * n) as u16 + i as u16
    })
}

fn with_a_file(service: &Arc<Service<Ramfs>>) -> Client<SocketFront> {
    let mut c = Client::new(SocketFront::over(service.clone()));
    c.attach(0, "glenda").unwrap();
    c.make(0, 1, "f", 0o666, ORDWR).unwrap();
    c.write(1, 0, b"contents").unwrap();
    c.clunk(1).unwrap();
    c
}

#[test]
fn five_hundred_batches_each_in_one_write_get_five_hundred_right_answers() {
    let mut front = with_a_file(&service(Limits::default())).front;
    let right: usize = (0..500)
        .map(|n| {
            let mut bytes = Vec::new();
            batch(&mut bytes, n);
            front.stream.write_all(&bytes).unwrap();
            usize::from(right(&mut front, n))
        })
        .sum();
    assert_eq!(right, 500);
}

#[test]
fn all_of_them_in_one_write_are_right_too() {
    let mut front = with_a_file(&service(Limits::default())).front;
    let mut bytes = Vec::new();
    (0..500).for_each(|n| batch(&mut bytes, n));
    let mut output = front.stream.try_clone().unwrap();
    // The answers have to be taken while the requests are sent: both together are more than sockets hold.
    let sender = std::thread::spawn(move || output.write_all(&bytes));
    assert_eq!((0..500).filter(|n| right(&mut front, *n)).count(), 500);
    sender.join().unwrap().unwrap();
}

/// Waits for something that another thread is about to do.
fn soon(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_client_that_vanishes_leaves_nothing() {
    let service = service(Limits::default());
    let mut honest = with_a_file(&service);
    let used = service.server().used();
    let mut gone = Client::new(SocketFront::over(service.clone()));
    gone.attach(0, "glenda").unwrap();
    for i in 1..200 {
        gone.make(0, i, &format!("t{i}"), 0o666, ORDWR | ORCLOSE).unwrap();
        gone.write(i, 0, &[1; 5000]).unwrap();
    }
    assert!(service.server().used() > used + 199 * 5000);
    // Half a message is on its way.
    gone.front.stream.write_all(&[100, 0, 0, 0, 116]).unwrap();
    drop(gone);
    soon("the files and the memory go", || service.server().used() == used);
    soon("the connection goes", || service.connections() == 1);
    honest.walk(0, 1, &["t1"]).unwrap_err();
    honest.walk(0, 1, &["f"]).unwrap();
}

#[test]
fn floods_hit_their_own_limits_and_nobody_else() {
    let service = service(Limits { connections: 8 });
    let mut honest = with_a_file(&service);
    // Fids without end.
    let mut flood = Client::new(SocketFront::over(service.clone()));
    flood.attach(0, "glenda").unwrap();
    let refused = (1..).map_while(|i| flood.walk(0, i, &[]).is_ok().then_some(i)).last();
    assert_eq!(refused, Some(serve::wire::FIDS as u32 - 1));
    honest.walk(0, 1, &["f"]).unwrap();
    // A message of 4 GiB ends the connection.
    let mut huge = Client::new(SocketFront::over(service.clone()));
    huge.front.stream.write_all(&[0xff; 7]).unwrap();
    soon("the liar is cut off", || service.connections() == 2);
    // So does one smaller than its own head.
    let mut tiny = Client::new(SocketFront::over(service.clone()));
    tiny.front.stream.write_all(&[3, 0, 0, 0, 0, 0, 0]).unwrap();
    soon("the liar is cut off", || service.connections() == 2);
    honest.clunk(1).unwrap();
    // Connections without end: one that says nothing makes room for a newcomer, one that has a fid does not.
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(SocketFront::over(service.clone()));
    }
    let mut late = Client::new(SocketFront::over(service.clone()));
    late.attach(0, "glenda").unwrap();
    drop(late);
    soon("the late one goes", || service.connections() == 7);
    let attached: Vec<_> = (0..6)
        .map(|_| {
            let mut c = Client::new(SocketFront::over(service.clone()));
            c.attach(0, "glenda").unwrap();
            c
        })
        .collect();
    let (_ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    assert!(service.begin(net9::Stream::Unix(theirs)).is_err());
    honest.walk(0, 1, &["f"]).unwrap();
    drop((crowd, attached, flood));
    soon("the crowd goes", || service.connections() == 1);
}

#[test]
fn odd_message_sizes_are_answered_and_bounded() {
    let service = service(Limits::default());
    let mut front = SocketFront::over(service);
    for (msize, fine) in [(0, false), (255, false), (u32::MAX, true), (8192, true)] {
        let a = front.call(&frame(ninep::NOTAG, &Tmsg::Tversion { msize, version: "9P2000" }));
        match Rmsg::decode(&a).unwrap().1 {
            Rmsg::Rversion { msize: agreed, .. } => {
                assert!(fine && agreed <= msize && agreed <= serve::wire::MSIZE);
            }
            r => assert!(!fine, "{r}"),
        }
    }
    // The last one holds: no answer is longer.
    let attach = Tmsg::Tattach { fid: 0, afid: NOFID, uname: "glenda", aname: "" };
    front.call(&frame(1, &attach));
    front.call(&frame(1, &Tmsg::Tcreate { fid: 0, name: Name::new("f").unwrap(), perm: 0o666, mode: ORDWR }));
    for i in 0..5 {
        front.call(&frame(1, &Tmsg::Twrite { fid: 0, offset: i * 4000, data: &[1; 4000] }));
    }
    let a = front.call(&frame(1, &Tmsg::Tread { fid: 0, offset: 0, count: u32::MAX }));
    assert_eq!(a.len(), 8192);
}

#[test]
fn a_client_that_never_reads_is_not_read_either() {
    let service = service(Limits::default());
    let mut honest = with_a_file(&service);
    let mut deaf = Client::new(SocketFront::over(service.clone()));
    deaf.attach(0, "glenda").unwrap();
    let mut front = deaf.front;
    front.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut bytes = Vec::new();
    (0..500).for_each(|n| batch(&mut bytes, n));
    // Sooner or later its own writes wait, whatever the size of the sockets' buffers.
    let stuck = (0..1000).any(|_| front.stream.write_all(&bytes).is_err());
    assert!(stuck);
    honest.walk(0, 1, &["f"]).unwrap();
    drop(front);
    soon("it goes", || service.connections() == 1);
}
