//! From a path to a file: as few requests as there are servers on the way.
//!
//! All names up to the next mount point go in one Twalk, at most 16. A server answers with the qids that it reached; if
//! something is mounted on one of them the walk goes on from there. Where a directory is a union, the elements are
//! tried in order until one knows the first name (a walk that breaks off later is not tried elsewhere, as in Plan 9).

use super::file::{File, body_string};
use super::path::first;
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
    /// Takes as many of a text's elements as fit: the text of the others.
    fn fill<'p>(&mut self, text: &'p [u8]) -> &'p [u8] {
        let mut rest = text;
        self.len = 0;
        self.count = 0;
        while let Some((name, after)) = first(rest)
            && usize::from(self.count) < limit::WALK
            && let Ok(end) = body_string(&mut self.body, self.len, name)
        {
            self.len = end;
            self.count = self.count.saturating_add(1);
            rest = after;
        }
        rest
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
fn pass(mut text: &[u8], n: usize) -> &[u8] {
    for _ in 0..n {
        text = first(text).map_or(&[], |(_, after)| after);
    }
    text
}

/// What is mounted on the first name of a path below the namespace's root, where most walks leave the root at once, and
/// the names after it.
fn first_mount<'p>(scope: &Scope, root: &Place, text: &'p [u8], want: Want) -> Option<(Ref<Head>, &'p [u8])> {
    let (name, after) = first(text)?;
    let qid = tree::below_root(name)?;
    if want == Want::Covered && after.is_empty() {
        return None;
    }
    Some((scope.ns.find(&root.file.session, qid)?, after))
}

/// Walks the names of a text: the file, or none if the last of them leads to what `at` says then; and whether a mount on
/// the way was one through which nothing can be changed, nor beyond it.
fn follow(scope: &Scope, at: &mut At, text: &[u8], want: Want) -> Result<(Option<File>, bool)> {
    let mut file: Option<File> = None;
    let mut read_only = false;
    let mut text = text;
    if let At::Root(place) = &*at
        && place.path.tree().is_none()
        && let Some((head, after)) = first_mount(scope, place, text, want)
    {
        *at = At::Mounted(scope.ns.live(head));
        text = after;
    }
    let mut batch = Names { body: [0; NAMES], len: 0, count: 0 };
    while !text.is_empty() {
        // Names are taken anew after each step, for a mount point may lie before the end of what was asked.
        let rest = batch.fill(text);
        let seen = !rest.is_empty() || want == Want::Seen;
        match match &file {
            Some(f) => step(scope, f, &batch, seen)?,
            None => step_from(scope, at, &batch, seen)?,
        } {
            Step::All(f) => {
                text = rest;
                if let Some(old) = file.replace(f) {
                    let _ = old.clunk();
                }
            }
            Step::Mount(n, head) => {
                text = pass(text, n);
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

/// The file that the text below a root names, and what is mounted there. `root` is the namespace's, or a tree's of the
/// kernel; the text is a path's, or as many of its elements.
pub fn walk(scope: &Scope, root: &Ref<Place>, text: &[u8], want: Want) -> Result<(File, Option<Ref<Head>>)> {
    let mut at = At::Root(root.clone());
    if let Some(head) = scope.ns.find(&root.file.session, root.file.qid) {
        at = At::Mounted(scope.ns.live(head));
    }
    let (file, read_only) = follow(scope, &mut at, text, want)?;
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
    Ok((file, union))
}
