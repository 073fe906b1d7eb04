//! The ready tree: what it serves, what it refuses, and that a made file is one text for each who opens it.
#![allow(clippy::unwrap_used, reason = "tests")]

use ninep::{Rmsg, Stats, frame, text};
use serve::tree::Tree;
use serve::wire::Connection;
use serve::{Engine, NoWake};
use std::sync::atomic::{AtomicU32, Ordering};

struct Client {
    engine: Engine<Tree<AtomicU32>>,
    connection: Connection<Tree<AtomicU32>>,
}

impl Client {
    fn new() -> Self {
        let mut tree = Tree::new("sys", AtomicU32::new(1)).unwrap();
        let root = tree.root();
        tree.fixed(root, "version", 0o444, b"portolan 0.1\n").unwrap();
        let dir = tree.dir(root, "net").unwrap();
        tree.made(dir, "opens", 0o444, |n, cx| {
            Ok(format!("{} {}", cx.user, n.fetch_add(1, Ordering::SeqCst)).into_bytes())
        })
        .unwrap();
        tree.fixed(dir, "secret", 0o400, b"x").unwrap();
        let mut client = Client { engine: Engine::new(tree), connection: Connection::new(1).unwrap() };
        client.say("Tversion tag NOTAG msize 8192 version 9P2000");
        client.say("Tattach tag 1 fid 0 afid NOFID uname ann aname ''");
        client
    }

    fn bytes(&mut self, line: &str) -> Vec<u8> {
        let mut room = vec![0; 8192];
        let n = text::encode(line, &mut room).unwrap();
        self.connection.receive(&room[..n]).unwrap();
        self.connection.run(&self.engine, &NoWake).unwrap();
        std::mem::take(self.connection.output())
    }

    fn say(&mut self, line: &str) -> String {
        let output = self.bytes(line);
        let Ok(frame::Frame::Whole { frame, rest: [] }) = frame::next(&output, u32::MAX) else {
            panic!("not one answer");
        };
        let (tag, r) = Rmsg::decode(frame).unwrap();
        r.line(tag).to_string()
    }

    fn names(&mut self, fid: u32) -> Vec<String> {
        let output = self.bytes(&format!("Tread tag 1 fid {fid} offset 0 count 4000"));
        let (_, Rmsg::Rread { data }) = Rmsg::decode(&output).unwrap() else { panic!("no Rread") };
        Stats::new(data).map(|s| s.unwrap().name.to_string()).collect()
    }
}

#[test]
fn fixed_files_and_directories_are_there() {
    let mut c = Client::new();
    c.say("Twalk tag 1 fid 0 newfid 1 wname version");
    assert!(c.say("Topen tag 1 fid 1 mode 0").starts_with("Ropen tag 1 qid 1,1,"));
    assert_eq!(c.say("Tread tag 1 fid 1 offset 9 count 3"), "Rread tag 1 count 3 data 0.1");
    assert_eq!(c.say("Tread tag 1 fid 1 offset 99 count 3"), "Rread tag 1 count 0 data ''");
    c.say("Twalk tag 1 fid 0 newfid 2 wname net .. net");
    c.say("Topen tag 1 fid 2 mode 0");
    assert_eq!(c.names(2), ["opens", "secret"]);
    c.say("Topen tag 1 fid 0 mode 0");
    assert_eq!(c.names(0), ["version", "net"]);
}

#[test]
fn a_walk_binds_a_fid_that_is_free_and_only_as_a_whole() {
    let mut c = Client::new();
    let in_use = "Rerror tag 1 ename 'fid already in use'";
    let unknown = "Rerror tag 1 ename 'unknown fid'";
    assert!(c.say("Twalk tag 1 fid 0 newfid 1 wname net secret").starts_with("Rwalk tag 1 nwqid 2"));
    assert_eq!(c.say("Twalk tag 1 fid 0 newfid 1 wname version"), in_use);
    assert_eq!(
        c.say("Twalk tag 1 fid 0 newfid 1 wname net nothing"),
        in_use,
        "nor if the walk would be partial"
    );
    assert_eq!(c.say("Twalk tag 1 fid 0 newfid NOFID wname version"), unknown);
    assert!(c.say("Twalk tag 1 fid 0 newfid 2 wname net nothing").starts_with("Rwalk tag 1 nwqid 1"));
    assert!(c.say("Twalk tag 1 fid 0 newfid 2 wname version below").starts_with("Rwalk tag 1 nwqid 1"));
    assert_eq!(c.say("Tclunk tag 1 fid 2"), unknown);
    assert!(c.say("Twalk tag 1 fid 1 newfid 2 wname below").starts_with("Rerror"), "beneath a file");
    // Without names the fid is copied; onto itself nothing is left to do.
    assert_eq!(c.say("Twalk tag 1 fid 0 newfid 2"), "Rwalk tag 1 nwqid 0");
    assert_eq!(c.say("Twalk tag 1 fid 2 newfid 2"), "Rwalk tag 1 nwqid 0");
    assert!(c.say("Twalk tag 1 fid 2 newfid 2 wname net").starts_with("Rwalk tag 1 nwqid 1"));
    c.say("Topen tag 1 fid 2 mode 0");
    assert_eq!(c.names(2), ["opens", "secret"]);
}

#[test]
fn a_made_file_is_made_once_for_each_open() {
    let mut c = Client::new();
    for fid in [1, 2] {
        c.say(&format!("Twalk tag 1 fid 0 newfid {fid} wname net opens"));
        assert!(c.say(&format!("Topen tag 1 fid {fid} mode 0")).contains(",0,"), "never cached");
    }
    assert_eq!(c.say("Tread tag 1 fid 1 offset 0 count 4"), "Rread tag 1 count 4 data 'ann '");
    assert_eq!(c.say("Tread tag 1 fid 2 offset 4 count 9"), "Rread tag 1 count 1 data 2");
    assert_eq!(c.say("Tread tag 1 fid 1 offset 4 count 9"), "Rread tag 1 count 1 data 1");
}

#[test]
fn nothing_can_be_changed_and_permissions_hold() {
    let mut c = Client::new();
    c.say("Twalk tag 1 fid 0 newfid 1 wname net secret");
    assert_eq!(c.say("Topen tag 1 fid 1 mode 0"), "Rerror tag 1 ename 'permission denied'");
    c.say("Twalk tag 1 fid 0 newfid 2 wname version");
    let refused = "Rerror tag 1 ename 'read only file system'";
    assert_eq!(c.say("Topen tag 1 fid 2 mode 1"), refused);
    assert_eq!(c.say("Topen tag 1 fid 2 mode 16"), refused);
    assert_eq!(c.say("Tcreate tag 1 fid 0 name f perm 0o666 mode 0"), refused);
    assert_eq!(c.say("Twstat tag 1 fid 2 name g"), refused);
    assert_eq!(c.say("Tremove tag 1 fid 2"), refused);
}
