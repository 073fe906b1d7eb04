//! initfs: the boot archive as a file server. A read names the archive's memory, which the kernel copies from once.

use init::archive::{Archive, Entry};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{DMDIR, QTDIR, QTFILE, Qid};
use portolan::fs::Stat;
use portolan::portal::{Limits, Portal};
use portolan::served::{self, Ctx, Listing, Mode, Opened, Server, Sink};

/// The tree. Nodes are the archive's entries by number.
struct Initfs {
    archive: Archive,
    bytes: &'static [u8],
}

impl Initfs {
    fn entry(&self, node: usize) -> served::Result<&Entry> {
        self.archive.get(node).ok_or_else(|| Known::NotExist.into())
    }
}

fn qid_of(e: &Entry) -> Qid {
    // The archive never changes, so its files' one version is good for ever.
    Qid { kind: if e.dir { QTDIR } else { QTFILE }, vers: 1, path: e.file as u64 }
}

fn stat_of(node: usize, e: &Entry) -> Stat<'_> {
    Stat {
        qid: qid_of(e),
        mode: e.perm & 0o555 | if e.dir { DMDIR } else { 0 },
        atime: e.mtime,
        mtime: e.mtime,
        length: e.data.len() as u64,
        name: if node == 0 { "/" } else { &e.name },
        uid: "sys",
        gid: "sys",
        muid: "sys",
        kind: 0,
        dev: 0,
    }
}

impl Server for Initfs {
    type Node = usize;

    fn attach(&self, _: &Ctx<'_>, _: Option<&usize>, _: &str) -> served::Result<usize> {
        Ok(0)
    }

    fn qid(&self, node: &usize) -> Qid {
        self.archive.get(*node).map_or(Qid::default(), qid_of)
    }

    fn walk(&self, _: &Ctx<'_>, from: &usize, name: &str) -> served::Result<usize> {
        let e = self.entry(*from)?;
        if !e.dir {
            return Err(Known::NotDir.into());
        }
        if name == ".." {
            return Ok(e.parent);
        }
        self.archive.find(*from, name).ok_or_else(|| Known::NotExist.into())
    }

    fn open(&self, _: &Ctx<'_>, node: &usize, mode: Mode) -> served::Result<Opened<usize>> {
        let e = self.entry(*node)?;
        if mode.writes() || mode.truncates() || mode.removes() {
            return Err(Known::ReadOnly.into());
        }
        if mode.executes() && !e.dir && e.perm & 0o111 == 0 {
            return Err(Known::Perm.into());
        }
        Ok(Opened { node: *node, qid: qid_of(e), iounit: 0 })
    }

    fn read(&self, _: &Ctx<'_>, node: &usize, offset: u64, sink: &mut Sink<'_>) -> served::Result<()> {
        let data = self.bytes.get(self.entry(*node)?.data.clone()).unwrap_or(&[]);
        let at = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
        sink.fixed(&data[at..])
    }

    fn list(&self, _: &Ctx<'_>, dir: &usize, from: u64, out: &mut Listing<'_, '_>) -> served::Result<()> {
        for (i, e) in self.archive.list(*dir, from as usize) {
            if !out.entry(&stat_of(i, e), i as u64 + 1)? {
                break;
            }
        }
        Ok(())
    }

    fn stat(
        &self,
        _: &Ctx<'_>,
        node: &usize,
        out: &mut dyn FnMut(&Stat<'_>) -> served::Result<()>,
    ) -> served::Result<()> {
        out(&stat_of(*node, self.entry(*node)?))
    }
}

/// Serves the archive and posts it as /srv/boot.
pub(super) fn serve() -> portolan::Result<Portal> {
    let bytes = portolan::segment::boot_archive()?;
    let archive = Archive::read(bytes);
    if !archive.complete {
        super::log("init: the boot archive is cut off; what is whole is served\n");
    }
    let limits = Limits { activations: 16, flags: 0, stack: 0, reserved: 0 };
    let (portal, _) = served::serve(Initfs { archive, bytes }, &limits)?;
    portal.post("boot")?;
    Ok(portal)
}
