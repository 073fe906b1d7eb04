//! A client's session in 9P2000.L reads a real tree from diod: what it sees is what the host has.

use crate::client9;
use crate::ctx::{Ctx, Failure, Outcome, ensure};
use ninep::dialect::l::{Dialect, Entries, Rmsg, Tmsg};
use ninep::{Fid, NOFID, Name, Names};
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

/// Rgetattr's `valid`: mode, links, user, group, size and the like.
const BASIC: u64 = 0x7ff;
/// Linux's d_type of a directory.
const DT_DIR: u8 = 4;

pub(crate) fn run(ctx: &mut Ctx) -> Outcome {
    ctx.need_deb(&["diod"])?;
    let export = ctx.scratch().join("export");
    std::fs::create_dir_all(export.join("deep/er"))?;
    let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(export.join("deep/er/numbers"), &content)?;
    let many: Vec<_> = (0..500).map(|n| format!("file {n} ünd")).collect();
    for name in &many {
        std::fs::write(export.join(name), name)?;
    }

    let port = ctx.port()?;
    let mut diod = Command::new("/usr/sbin/diod");
    diod.args(["-f", "-n", "-L", "stderr", "-l", &format!("127.0.0.1:{port}"), "-e"]).arg(&export);
    let _server = ctx.spawn(&mut diod)?;
    ctx.await_port(port)?;

    let mut user = connect(port)?;
    let root = user.fid()?;
    let aname = export.display().to_string();
    let uid = std::fs::metadata(&export)?.uid();
    user.ask(&Tmsg::Tattach { fid: root, afid: NOFID, uname: "", aname: &aname, n_uname: uid }, |_| Ok(()))?;

    let mut entries = user.list(root)?;
    ensure(entries.remove("deep") == Some(DT_DIR), || "deep is no directory".into())?;
    entries.retain(|name, _| !matches!(name.as_str(), "." | ".."));
    ensure(entries.into_keys().eq(sorted(&many)), || "the root's names are not the host's".into())?;

    let (fid, qids) = user.walk(root, &["deep", "er", "numbers"])?;
    ensure(qids == 3, || format!("{qids} qids for three names"))?;
    let inode = std::fs::metadata(export.join("deep/er/numbers"))?;
    user.ask(&Tmsg::Tgetattr { fid, request_mask: BASIC }, |r| match r {
        Rmsg::Rgetattr { size, mode, uid, qid, .. } => {
            let same = (*size, *mode, *uid) == (inode.len(), inode.mode(), inode.uid()) && !qid.is_dir();
            ensure(same, || format!("other attributes than the host's: {r}"))
        }
        other => Err(format!("{other}").into()),
    })?;
    ensure(user.read(fid)? == content, || "the file's contents differ".into())?;

    let missing = user.walk(root, &["deep", "nowhere"]);
    ensure(missing.is_err(), || "walked to a file that is not there".into())?;
    user.ask(&Tmsg::Tclunk { fid }, |_| Ok(()))?;
    let stale = user.ask(&Tmsg::Tgetattr { fid, request_mask: BASIC }, |_| Ok(()));
    ensure(stale.is_err(), || "a clunked fid still works".into())?;
    Ok(format!("{} names, {} bytes, {} messages", many.len() + 1, content.len(), user.messages))
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names
}

type User = client9::User<Dialect, TcpStream>;

fn connect(port: u16) -> Result<User, Failure> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    User::new(stream, 65536)
}

/// What diod is asked for.
trait Ask {
    fn walk(&mut self, fid: Fid, path: &[&str]) -> Result<(Fid, usize), Failure>;
    fn read(&mut self, fid: Fid) -> Result<Vec<u8>, Failure>;
    fn list(&mut self, dir: Fid) -> Result<BTreeMap<String, u8>, Failure>;
}

impl Ask for User {
    /// Walks to a new fid, which it returns with the number of qids.
    fn walk(&mut self, fid: Fid, path: &[&str]) -> Result<(Fid, usize), Failure> {
        let newfid = self.fid()?;
        let names: Vec<_> = path.iter().map(|n| Name::new(n)).collect::<Result<_, _>>()?;
        let wname = Names::new(&names)?;
        self.ask(&Tmsg::Twalk { fid, newfid, wname }, |r| match r {
            Rmsg::Rwalk { wqid } if wqid.len() == path.len() => Ok((newfid, wqid.len())),
            other => Err(format!("walk to {path:?}: {other}").into()),
        })
    }

    fn read(&mut self, fid: Fid) -> Result<Vec<u8>, Failure> {
        self.ask(&Tmsg::Tlopen { fid, flags: 0 }, |_| Ok(()))?;
        let mut all = Vec::new();
        loop {
            let t = Tmsg::Tread { fid, offset: all.len() as u64, count: 60_000 };
            let part = self.ask(&t, |r| match r {
                Rmsg::Rread { data } => Ok(data.to_vec()),
                other => Err(format!("{other}").into()),
            })?;
            if part.is_empty() {
                return Ok(all);
            }
            all.extend(part);
        }
    }

    /// The names in a directory, each with its kind.
    fn list(&mut self, dir: Fid) -> Result<BTreeMap<String, u8>, Failure> {
        let (fid, _) = self.walk(dir, &[])?;
        self.ask(&Tmsg::Tlopen { fid, flags: 0 }, |_| Ok(()))?;
        let (mut names, mut offset) = (BTreeMap::new(), 0);
        loop {
            let before = names.len();
            self.ask(&Tmsg::Treaddir { fid, offset, count: 4000 }, |r| {
                let Rmsg::Rreaddir { data } = r else { return Err(format!("{r}").into()) };
                for entry in Entries::new(data) {
                    let entry = entry?;
                    offset = entry.offset;
                    names.insert(entry.name.as_str().to_string(), entry.kind);
                }
                Ok(())
            })?;
            if names.len() == before {
                self.ask(&Tmsg::Tclunk { fid }, |_| Ok(()))?;
                return Ok(names);
            }
        }
    }
}
