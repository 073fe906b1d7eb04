//! A client's session in 9P2000.u against a server that is not ours: the tree in memory of PyPI's aio9p.
//!
//! What the dialect adds is used and read back: numeric users, a special file's text, and errors by number.

use crate::client9;
use crate::ctx::{Ctx, Failure, Outcome, ensure};
use ninep::dialect::u::{Dialect, NONUNAME, Rmsg, Stat, Tmsg};
use ninep::{Fid, NOFID, Name, Names};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

const OREAD: u8 = 0;
const ORDWR: u8 = 2;
const DMSYMLINK: u32 = 0x0200_0000;
/// Linux's number of a file that is not there.
const ENOENT: u32 = 2;

type User = client9::User<Dialect, UnixStream>;

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    let python = ctx.python(&["aio9p==0.3.3"])?;
    let socket = ctx.scratch().join("socket");
    let script = include_str!("host_client_u.py");
    let _server = ctx.spawn(Command::new(python).args(["-c", script]).arg(&socket))?;
    ctx.poll(Duration::from_secs(60), "aio9p does not listen", || UnixStream::connect(&socket).is_ok())?;
    let stream = UnixStream::connect(&socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;

    let mut user: User = client9::User::new(stream, 65536)?;
    let root = user.fid()?;
    let attach = Tmsg::Tattach { fid: root, afid: NOFID, uname: "ann", aname: "", n_uname: NONUNAME };
    user.ask(&attach, |r| match r {
        Rmsg::Rattach { qid } if qid.is_dir() => Ok(()),
        other => Err(format!("{other}").into()),
    })?;

    // A file with contents, in pieces.
    let contents: Vec<u8> = (0..50_000u32).flat_map(u32::to_le_bytes).collect();
    let file = create(&mut user, root, "numbers", 0o644, "")?;
    for (i, part) in contents.chunks(30_000).enumerate() {
        let t = Tmsg::Twrite { fid: file, offset: i as u64 * 30_000, data: part };
        user.ask(&t, |r| match r {
            Rmsg::Rwrite { count } if *count as usize == part.len() => Ok(()),
            other => Err(format!("{other}").into()),
        })?;
    }
    let mut read = Vec::new();
    while read.len() < contents.len() {
        let before = read.len();
        user.ask(&Tmsg::Tread { fid: file, offset: before as u64, count: 60_000 }, |r| match r {
            Rmsg::Rread { data } => {
                read.extend_from_slice(data);
                Ok(())
            }
            other => Err(format!("{other}").into()),
        })?;
        ensure(read.len() > before, || format!("the file ends after {before} bytes"))?;
    }
    ensure(read == contents, || "other contents than were written".into())?;

    // What only this dialect can say.
    let link = create(&mut user, root, "link", DMSYMLINK | 0o777, "numbers")?;
    stat(&mut user, link, |s| {
        let right = (s.name, s.extension, s.n_uid, s.n_gid) == ("link", "numbers", 0, 0);
        ensure(right, || format!("the link's attributes: {s:?}"))
    })?;
    stat(&mut user, file, |s| {
        ensure((s.name, s.length, s.extension) == ("numbers", contents.len() as u64, ""), || format!("{s:?}"))
    })?;

    // The directory's records, which are longer than plain ones.
    let dir = walk(&mut user, root, &[])?;
    user.ask(&Tmsg::Topen { fid: dir, mode: OREAD }, |_| Ok(()))?;
    user.ask(&Tmsg::Tread { fid: dir, offset: 0, count: 8192 }, |r| {
        let Rmsg::Rread { data } = r else { return Err(format!("{r}").into()) };
        names(data).and_then(|names| {
            ensure(names == ["link", "numbers"], || format!("the directory holds {names:?}"))
        })
    })?;

    let missing = walk(&mut user, root, &["nowhere"]).err().map(|e| format!("{e:?}")).unwrap_or_default();
    ensure(missing.contains(&format!("errno {ENOENT}")), || format!("a walk to nothing answers {missing}"))?;
    user.ask(&Tmsg::Tremove { fid: link }, |_| Ok(()))?;
    ensure(walk(&mut user, root, &["link"]).is_err(), || "a removed file is still there".into())?;
    user.ask(&Tmsg::Tclunk { fid: file }, |_| Ok(()))?;
    Ok(format!("{} messages, {} bytes", user.messages, contents.len()))
}

fn create(user: &mut User, dir: Fid, name: &str, perm: u32, extension: &str) -> Result<Fid, Failure> {
    let fid = walk(user, dir, &[])?;
    let t = Tmsg::Tcreate { fid, name: Name::new(name)?, perm, mode: ORDWR, extension };
    user.ask(&t, |r| match r {
        Rmsg::Rcreate { .. } => Ok(fid),
        other => Err(format!("{other}").into()),
    })
}

fn walk(user: &mut User, fid: Fid, path: &[&str]) -> Result<Fid, Failure> {
    let newfid = user.fid()?;
    let names: Vec<_> = path.iter().map(|n| Name::new(n)).collect::<Result<_, _>>()?;
    user.ask(&Tmsg::Twalk { fid, newfid, wname: Names::new(&names)? }, |r| match r {
        Rmsg::Rwalk { wqid } if wqid.len() == path.len() => Ok(newfid),
        other => Err(format!("{other}").into()),
    })
}

fn stat(
    user: &mut User,
    fid: Fid,
    then: impl FnOnce(&Stat<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    user.ask(&Tmsg::Tstat { fid }, |r| match r {
        Rmsg::Rstat { stat } => then(stat),
        other => Err(format!("{other}").into()),
    })
}

/// The names in a directory's data.
fn names(data: &[u8]) -> Result<Vec<String>, Failure> {
    let (mut names, mut rest) = (Vec::new(), data);
    while let Some(size) = rest.first_chunk::<2>() {
        let len = usize::from(u16::from_le_bytes(*size)) + 2;
        let record = rest.get(..len).ok_or("half a record")?;
        names.push(Stat::decode(record)?.name.to_string());
        rest = &rest[len..];
    }
    Ok(names)
}
