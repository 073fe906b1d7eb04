//! What changes the tree or a file's attributes: remove, and wstat, which checks everything before it changes anything.

use crate::entries::Name;
use crate::inode::{File, Meta};
use crate::users::Who;
use crate::{Node, Ramfs, refuse};
use abi::file::{DMAPPEND, DMDIR, DMEXCL, DMTMP, DMWRITE, NOCHANGE32, NOCHANGE64, Qid};
use ninep::{NOCHANGE, Stat};
use serve::{Error, Result};
use sync::Shared;

/// Bits of the mode that wstat sets.
const SETTABLE: u32 = DMAPPEND | DMEXCL | DMTMP | 0o777;

/// A rename that has been found possible: the directory, and the new name.
struct Rename {
    dir: File,
    name: Shared<Name>,
}

impl Ramfs {
    /// Takes a file out of its directory; it lives on for those who have it open.
    pub(crate) fn unlink(&self, node: &Node) -> Result<()> {
        let _tree = self.tree.lock();
        let (dir, name) = {
            let meta = node.file.meta.lock();
            if meta.removed {
                return refuse(Error::NotExist);
            }
            (meta.parent.clone().ok_or(Error::Perm)?, meta.name.clone())
        };
        let mut parent = dir.meta.lock();
        parent.check(&node.who, DMWRITE)?;
        let mut meta = node.file.meta.lock();
        if !meta.entries.is_empty() {
            return refuse(Error::NotEmpty);
        }
        meta.removed = true;
        let up = meta.parent.take();
        drop(meta);
        let entry = parent.entries.remove(&name);
        parent.changed(&node.who, (self.now)());
        drop(parent);
        // Their drops may end files, which lock themselves.
        drop((up, entry));
        Ok(())
    }

    /// wstat(5): all of it, or nothing.
    pub(crate) fn change(&self, node: &Node, stat: &Stat<'_>) -> Result<()> {
        let _tree = self.tree.lock();
        let rename = self.check_rename(node, stat.name)?;
        let mut meta = node.file.meta.lock();
        self.check_fixed(node, &meta, stat)?;
        let (owner, leader) = (node.who.name() == meta.uid.name(), node.who.leads(&meta.gid));
        if stat.length != NOCHANGE64 && stat.length != meta.length {
            meta.check(&node.who, DMWRITE)?;
            if meta.is_dir() || meta.mode & DMAPPEND != 0 {
                return refuse(Error::Perm);
            }
            if stat.length > crate::MOST {
                return refuse(Error::BadOffset);
            }
        }
        let mode = if stat.mode == NOCHANGE32 { meta.mode } else { stat.mode };
        if mode & !(SETTABLE | DMDIR) != 0 {
            return refuse(Error::NotSupported);
        }
        let touches = mode != meta.mode || (stat.mtime != NOCHANGE32 && stat.mtime != meta.mtime);
        if touches && !owner && !leader {
            return refuse(Error::Perm);
        }
        let group = self.check_group(node, &meta, stat.gid, owner, leader)?;
        // Only memory for the tail of a shortened file could still be missing, so that comes first.
        if stat.length != NOCHANGE64 && stat.length != meta.length {
            self.resize(&mut meta, stat.length)?;
            meta.changed(&node.who, (self.now)());
        }
        meta.mode = mode;
        if let Some(group) = group {
            meta.gid = group;
        }
        if stat.mtime != NOCHANGE32 {
            meta.mtime = stat.mtime;
        }
        if stat.atime != NOCHANGE32 {
            meta.atime = stat.atime;
        }
        drop(meta);
        if let Some(rename) = rename {
            self.rename(node, rename);
        }
        Ok(())
    }

    /// What wstat can't change has to be untouched, or as it is.
    fn check_fixed(&self, node: &Node, meta: &Meta, stat: &Stat<'_>) -> Result<()> {
        let is = node.file.stat(meta);
        let owner = node.who.name() == meta.uid.name();
        let same = |word: &str, is: &str| word.is_empty() || word == is;
        let qid: Qid = stat.qid;
        let kept = (stat.kind == NOCHANGE.kind || stat.kind == is.kind)
            && (stat.dev == NOCHANGE.dev || stat.dev == is.dev)
            && (qid == NOCHANGE.qid || qid == is.qid)
            && (stat.atime == NOCHANGE32 || stat.atime == is.atime || (self.posix && owner))
            && same(stat.uid, is.uid)
            // Linux puts the user there; he will be the one who changed it.
            && (same(stat.muid, is.muid) || stat.muid == node.who.name());
        if kept { Ok(()) } else { refuse(Error::Perm) }
    }

    /// The owner may change the group to one that he is in, the group's leader to one that he leads too (stat(5)).
    fn check_group(
        &self,
        node: &Node,
        meta: &Meta,
        gid: &str,
        owner: bool,
        leader: bool,
    ) -> Result<Option<Who>> {
        if gid.is_empty() || gid == meta.gid.name() {
            return Ok(None);
        }
        let group = self.users.find(gid)?;
        if (owner && node.who.is_member(&group)) || (leader && node.who.leads(&group)) {
            return Ok(Some(group));
        }
        refuse(Error::Perm)
    }

    /// A new name needs permission to write in the directory, and must not be there (stat(5)).
    fn check_rename(&self, node: &Node, new: &str) -> Result<Option<Rename>> {
        let (dir, old) = {
            let meta = node.file.meta.lock();
            if new.is_empty() || *new == **meta.name {
                return Ok(None);
            }
            (meta.parent.clone().ok_or(Error::Perm)?, meta.name.clone())
        };
        let mut parent = dir.meta.lock();
        parent.check(&node.who, DMWRITE)?;
        let name = Name::new(self.key, new)?;
        if let Some(there) = parent.entries.get_name(&name) {
            let may_replace = self.posix && !there.dir && !node.file.dir;
            if !may_replace || *new == **old {
                return refuse(Error::Exists);
            }
        }
        parent.entries.reserve()?;
        drop(parent);
        Ok(Some(Rename { dir, name }))
    }

    /// Cannot fail: [`Ramfs::check_rename`] has reserved what it needs, and the tree has been locked since.
    fn rename(&self, node: &Node, rename: Rename) {
        let Rename { dir, name } = rename;
        let mut parent = dir.meta.lock();
        let replaced = parent.entries.remove(&name);
        if let Some(file) = &replaced {
            let mut meta = file.meta.lock();
            meta.removed = true;
            meta.parent = None;
        }
        let old = core::mem::replace(&mut node.file.meta.lock().name, name.clone());
        parent.entries.rename(&old, name);
        parent.changed(&node.who, (self.now)());
        drop(parent);
        drop(replaced);
    }
}
