//! tshark's 9P dissector finds, in a capture file of our messages, every field where and what we say it is.
//!
//! The capture is written here: one TCP segment for each message, requests to port 564 and answers from it. tshark
//! tells the bytes of each field that it found (`-T pdml`), and they are compared with the message, field by field.

use crate::codec_messages::{Message, sample};
use crate::ctx::{Ctx, Outcome, ensure};
use ninep::{Names, Qid, Rmsg, Stat, Tmsg};
use std::process::Command;

/// What tshark calls a field, and the bytes that it should show.
type Field = (&'static str, Vec<u8>);

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["tshark"])?;
    let messages = sample(40);
    let capture = ctx.scratch().join("messages.pcap");
    std::fs::write(&capture, pcap(&messages))?;
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-d", "tcp.port==564,9p", "-T", "pdml", "-r"]).arg(&capture);
    let said = tshark.output()?;
    ensure(said.status.success(), || String::from_utf8_lossy(&said.stderr).into_owned())?;
    let said = String::from_utf8(said.stdout)?;

    let packets: Vec<_> = said.split("<packet>").skip(1).collect();
    ensure(packets.len() == messages.len(), || format!("{} packets of {}", packets.len(), messages.len()))?;
    let mut compared = 0;
    for (message, packet) in messages.iter().zip(packets) {
        compared += compare(message, packet).map_err(|why| format!("{}: {why}", message.line))?;
    }
    Ok(format!("{} messages, {compared} fields", messages.len()))
}

/// Compares a packet's fields with the message's: how many there were.
fn compare(message: &Message, packet: &str) -> Result<usize, String> {
    let (_, found) = packet.split_once("<proto name=\"9p\"").ok_or("tshark sees no 9P there")?;
    if packet.contains("_ws.malformed") {
        return Err("tshark finds it malformed".into());
    }
    let expected = match message.request {
        true => Tmsg::decode(&message.bytes).map(|(tag, t)| (tag, request(&t))),
        false => Rmsg::decode(&message.bytes).map(|(tag, r)| (tag, answer(&r))),
    };
    let (tag, mut expected) = expected.map_err(|e| e.to_string())?;
    let len = message.bytes.len() as u32;
    expected.extend([int("9p.msglen", len), int("9p.msgtype", message.bytes[4]), int("9p.tag", tag)]);
    for (name, _) in &expected {
        let want: Vec<_> = expected.iter().filter(|f| f.0 == *name).map(|f| hex(&f.1)).collect();
        let mut have = values(found, name);
        // tshark shows a zero-length string as nothing to be pointed at.
        have.retain(|v| !v.is_empty());
        let want: Vec<_> = want.into_iter().filter(|v| !v.is_empty()).collect();
        if have != want {
            return Err(format!("{name} is {want:?}, tshark finds {have:?}"));
        }
    }
    Ok(expected.len())
}

/// The bytes of every field of this name, in hexadecimal. (Within an element there may be line ends, but no quote or bracket.)
fn values(found: &str, name: &str) -> Vec<String> {
    let begins = format!("name=\"{name}\"");
    let elements = found.split("<field ").filter(|e| e.starts_with(&begins));
    let value = |element: &str| {
        let (_, value) = element.split_once(" value=\"")?;
        value.split_once('"').map(|(value, _)| value.to_string())
    };
    elements.map(|e| value(e).unwrap_or_default()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A number's field.
fn int(name: &'static str, n: impl Into<Number>) -> Field {
    (name, n.into().0)
}

/// A number's bytes as they stand on the wire.
struct Number(Vec<u8>);

macro_rules! number {
    ($($int:ident)*) => {$(
        impl From<$int> for Number {
            fn from(n: $int) -> Number {
                Number(n.to_le_bytes().to_vec())
            }
        }
    )*};
}

number!(u8 u16 u32 u64);

fn text(name: &'static str, s: &str) -> Field {
    (name, s.as_bytes().to_vec())
}

fn qid(q: Qid) -> Vec<Field> {
    vec![int("9p.qidtype", q.kind), int("9p.qidvers", q.vers), int("9p.qidpath", q.path)]
}

fn names(wname: &Names<'_>) -> Vec<Field> {
    let mut fields = vec![int("9p.nwalk", wname.len() as u16)];
    fields.extend(wname.iter().map(|n| text("9p.wname", n.as_str())));
    fields
}

fn stat(s: &Stat<'_>) -> Vec<Field> {
    let mut fields = qid(s.qid);
    fields.extend([
        int("9p.sdlen", s.size() as u16 - 2),
        int("9p.stattype", s.kind),
        int("9p.dev", s.dev),
        int("9p.statmode", s.mode),
        int("9p.atime", s.atime),
        int("9p.mtime", s.mtime),
        int("9p.length", s.length),
        text("9p.filename", s.name),
        text("9p.user", s.uid),
        text("9p.group", s.gid),
        text("9p.muid", s.muid),
    ]);
    fields
}

fn request(t: &Tmsg<'_>) -> Vec<Field> {
    let fid = t.fid().map(|fid| int("9p.fid", fid));
    let mut fields: Vec<_> = fid.filter(|_| !matches!(t, Tmsg::Tauth { .. })).into_iter().collect();
    fields.extend(match *t {
        Tmsg::Tversion { msize, version } => vec![int("9p.maxsize", msize), text("9p.version", version)],
        Tmsg::Tauth { afid, uname, aname } | Tmsg::Tattach { afid, uname, aname, .. } => {
            vec![int("9p.afid", afid), text("9p.uname", uname), text("9p.aname", aname)]
        }
        Tmsg::Tflush { oldtag } => vec![int("9p.oldtag", oldtag)],
        Tmsg::Twalk { newfid, ref wname, .. } => [vec![int("9p.newfid", newfid)], names(wname)].concat(),
        Tmsg::Topen { mode, .. } => vec![int("9p.mode", mode)],
        Tmsg::Tcreate { name, perm, mode, .. } => {
            vec![text("9p.filename", name.as_str()), int("9p.perm", perm), int("9p.mode", mode)]
        }
        Tmsg::Tread { offset, count, .. } => vec![int("9p.offset", offset), int("9p.count", count)],
        Tmsg::Twrite { offset, data, .. } => {
            vec![int("9p.offset", offset), int("9p.count", data.len() as u32)]
        }
        Tmsg::Tclunk { .. } | Tmsg::Tremove { .. } | Tmsg::Tstat { .. } => vec![],
        Tmsg::Twstat { stat: ref s, .. } => stat(s),
    });
    fields
}

fn answer(r: &Rmsg<'_>) -> Vec<Field> {
    match *r {
        Rmsg::Rversion { msize, version } => vec![int("9p.maxsize", msize), text("9p.version", version)],
        Rmsg::Rauth { aqid: q } | Rmsg::Rattach { qid: q } => qid(q),
        Rmsg::Rerror { ename } => vec![text("9p.ename", ename)],
        Rmsg::Ropen { qid: q, iounit } | Rmsg::Rcreate { qid: q, iounit } => {
            [qid(q), vec![int("9p.iounit", iounit)]].concat()
        }
        Rmsg::Rwalk { wqid } => {
            let mut fields = vec![int("9p.nqid", wqid.len() as u16)];
            fields.extend(wqid.iter().flat_map(qid));
            fields
        }
        Rmsg::Rread { data } => vec![int("9p.count", data.len() as u32)],
        Rmsg::Rwrite { count } => vec![int("9p.count", count)],
        Rmsg::Rstat { stat: ref s } => stat(s),
        Rmsg::Rflush {} | Rmsg::Rclunk {} | Rmsg::Rremove {} | Rmsg::Rwstat {} => vec![],
    }
}

/// A capture file (pcap, raw IPv4) with a segment for each message.
fn pcap(messages: &[Message]) -> Vec<u8> {
    const RAW_IP: u32 = 101;
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 1 << 18, RAW_IP] {
        file.extend(word.to_le_bytes());
    }
    // The bytes that each side has sent: the next sequence number.
    let mut sent = [1u32, 1];
    for (at, message) in messages.iter().enumerate() {
        let (from, to, side) = if message.request { (40_000u16, 564u16, 0) } else { (564, 40_000, 1) };
        let len = 40 + message.bytes.len();
        for word in [at as u32, 0, len as u32, len as u32] {
            file.extend(word.to_le_bytes());
        }
        let (client, server) = ([127, 0, 0, 1], [127, 0, 0, 2]);
        let (source, target) = if message.request { (client, server) } else { (server, client) };
        file.extend([0x45, 0]);
        file.extend((len as u16).to_be_bytes());
        file.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        file.extend([source, target].concat());
        file.extend(from.to_be_bytes());
        file.extend(to.to_be_bytes());
        file.extend(sent[side].to_be_bytes());
        file.extend(sent[1 - side].to_be_bytes());
        file.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
        file.extend(&message.bytes);
        sent[side] = sent[side].wrapping_add(message.bytes.len() as u32);
    }
    file
}
