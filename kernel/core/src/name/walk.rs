//! From a path to a file: as few requests as there are servers on the way.
//!
//! All names up to the next mount point go in one Twalk, at most 16. A server answers with the qids that it reached; if
//! something is mounted on one of them the walk goes on from there. Where a directory is a union, the elements are
//! tried in order until one knows the first name (a walk that breaks off later is not tried elsewhere, as in Plan 9).

use super::file::{File, body_string};
use super::path::elements;
use super::{Head, Path, Scope};
use crate::base::Ref;
use crate::msg::{Data, Fail, Result};
use crate::session;
use crate::tree;
use abi::error::Error;
use abi::file::Qid;
use abi::limit;
use abi::portal::op;

/// A file with the name it was found by, not open.
pub struct Place {
    /// The file.
    pub file: File,
    /// How it was found.
    pub path: Path,
    /// What is mounted there, if it was found through a mount: the file is the union's first then.
    pub union: Option<Ref<Head>>,
}

/// What a walk is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// The file that a program sees there.
    Seen,
    /// The file below whatever is mounted there: to mount on it, to remove it.
    Covered,
}

/// Where a walk stands: a file that belongs to somebody else, or one of its own.
enum At {
    Root(Ref<Place>),
    Mounted(Ref<Head>),
}

/// The names of one Twalk, as they stand in a message page.
struct Names {
    body: [u8; NAMES],
    len: usize,
    count: u8,
}

/// Room for names: the longest fits; longer runs of them are walked in pieces. It is on the stack of every walk, and
/// cleared there.
const NAMES: usize = 288;

const _: () = assert!(NAMES >= limit::NAME + 2);

impl Names {
    /// Takes as many of the elements as fit: are there more?
    fn fill<'p>(&mut self, mut rest: impl Iterator<Item = &'p [u8]>) -> bool {
        self.len = 0;
        self.count = 0;
        loop {
            let Some(name) = rest.next() else { return false };
            if usize::from(self.count) >= limit::WALK {
                return true;
            }
            let Ok(end) = body_string(&mut self.body, self.len, name) else { return true };
            self.len = end;
            self.count = self.count.saturating_add(1);
        }
    }
}

/// How far one request came.
enum Step {
    /// All the way: the file.
    All(File),
    /// So many names, to a file that something is mounted on.
    Mount(usize, Ref<Head>),
    /// So many names.
    Short(usize),
}

/// Walks names from a file and looks for mounts on the way; the last name's only if `last` says so.
fn step(scope: &Scope, from: &File, names: &Names, last: bool) -> Result<Step> {
    let mut new = File::reserve(&from.session)?;
    new.read_only = from.read_only;
    let mut qids = [Qid::default(); limit::WALK];
    let mut m = from.message(op::TWALK);
    m.a = names.count;
    m.fid2 = new.fid();
    m.body = names.body.get(..names.len).unwrap_or(&[]);
    m.data = Data::Qids(&mut qids);
    let asked = usize::from(names.count);
    let got = match session::call(&from.session, &mut m) {
        Ok(r) => usize::try_from(r.count).unwrap_or(0).min(asked),
        Err(e) => {
            new.unused(e);
            return match e {
                Fail::Known(Error::NotExist) => Ok(Step::Short(0)),
                e => Err(e),
            };
        }
    };
    let reached = qids.get(..got).unwrap_or(&[]);
    if got == asked {
        new.qid = reached.last().copied().unwrap_or(from.qid);
    } else {
        new.unused(Fail::Words);
    }
    for (i, &qid) in reached.iter().enumerate() {
        if i.saturating_add(1) == asked && !last {
            break;
        }
        if let Some(head) = scope.ns.find(&from.session, qid) {
            // A file beyond it was reached in vain; it is given back now.
            if got == asked {
                let _ = new.clunk();
            }
            return Ok(Step::Mount(i.saturating_add(1), head));
        }
    }
    Ok(if got == asked { Step::All(new) } else { Step::Short(got) })
}

/// As [`step`], from wherever the walk stands.
fn step_from(scope: &Scope, at: &At, names: &Names, last: bool) -> Result<Step> {
    let head = match at {
        At::Root(place) => match &place.union {
            None => return step(scope, &place.file, names, last),
            Some(head) => head,
        },
        At::Mounted(head) => head,
    };
    let mut outcome = Ok(Step::Short(0));
    for m in head.union.iter() {
        match step(scope, &m.place.file, names, last) {
            Ok(Step::Short(0)) => {}
            // An element whose server fails hides none of those after it.
            Err(e @ (Fail::Words | Fail::Known(_))) if e != Error::Interrupted.into() => outcome = Err(e),
            found => return found,
        }
    }
    outcome
}

/// Leaves names behind that have been walked.
fn pass<'p>(names: &mut impl Iterator<Item = &'p [u8]>, n: usize) {
    if let Some(last) = n.checked_sub(1) {
        names.nth(last);
    }
}

/// What is mounted on the first name of a path below the namespace's root, where most walks leave the root at once.
fn first_mount(scope: &Scope, root: &Place, path: &Path, want: Want) -> Option<Ref<Head>> {
    let mut names = elements(path.below());
    let qid = tree::below_root(names.next()?)?;
    if want == Want::Covered && names.next().is_none() {
        return None;
    }
    scope.ns.find(&root.file.session, qid)
}

/// Walks the names of a path: the file, or none if the last of them leads to what `at` says then; and whether a mount on
/// the way was one through which nothing can be changed, nor beyond it.
fn follow(scope: &Scope, at: &mut At, path: &Path, want: Want) -> Result<(Option<File>, bool)> {
    let mut file: Option<File> = None;
    let mut read_only = false;
    let mut rest = elements(path.below());
    if let At::Root(place) = &*at
        && path.tree().is_none()
        && let Some(head) = first_mount(scope, place, path, want)
    {
        *at = At::Mounted(scope.ns.live(head));
        rest.next();
    }
    let mut batch = Names { body: [0; NAMES], len: 0, count: 0 };
    loop {
        // Names are taken anew after each step, for a mount point may lie before the end of what was asked.
        let more = batch.fill(rest.clone());
        if batch.count == 0 {
            break;
        }
        let seen = more || want == Want::Seen;
        match match &file {
            Some(f) => step(scope, f, &batch, seen)?,
            None => step_from(scope, at, &batch, seen)?,
        } {
            Step::All(f) => {
                pass(&mut rest, usize::from(batch.count));
                if let Some(old) = file.replace(f) {
                    let _ = old.clunk();
                }
                if !more {
                    break;
                }
            }
            Step::Mount(n, head) => {
                pass(&mut rest, n);
                read_only |= match (&file, &*at) {
                    (Some(f), _) => f.read_only,
                    (None, At::Mounted(h)) => h.union.iter().any(|m| m.place.file.read_only),
                    (None, At::Root(p)) => p.file.read_only,
                };
                *at = At::Mounted(scope.ns.live(head));
                if let Some(old) = file.take() {
                    let _ = old.clunk();
                }
            }
            // The element after the last one reached is missing, or what was reached is no directory.
            Step::Short(_) => return Err(Error::NotExist.into()),
        }
    }
    Ok((file, read_only))
}

/// The place that a path names. `root` is where its root leads: the namespace's, or a tree's of the kernel.
pub fn walk(scope: &Scope, root: &Ref<Place>, path: Path, want: Want) -> Result<Place> {
    let mut at = At::Root(root.clone());
    if let Some(head) = scope.ns.find(&root.file.session, root.file.qid) {
        at = At::Mounted(scope.ns.live(head));
    }
    let (file, read_only) = follow(scope, &mut at, &path, want)?;
    let (mut file, union) = match (file, at) {
        (Some(file), _) => (file, None),
        (None, At::Mounted(head)) if want == Want::Covered => (head.on.file.copy()?, None),
        (None, At::Mounted(head)) => {
            let first = head.union.first().ok_or(Error::NotMounted)?;
            (first.place.file.copy()?, Some(head))
        }
        (None, At::Root(place)) => (place.file.copy()?, place.union.clone()),
    };
    file.read_only |= read_only;
    Ok(Place { file, path, union })
}
