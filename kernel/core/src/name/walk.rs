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
enum At<'a> {
    Root(&'a Place),
    Mounted(Ref<Head>),
    File(File),
}

impl<'a> At<'a> {
    /// Goes on from another place. A file of the walk's own is given back now.
    fn go(&mut self, to: At<'a>) {
        if let At::File(old) = core::mem::replace(self, to) {
            let _ = old.clunk();
        }
    }

    /// Has it been found by a way that changes nothing?
    fn read_only(&self) -> bool {
        match self {
            At::Root(place) => place.file.read_only,
            At::Mounted(head) => head.union.iter().any(|m| m.place.file.read_only),
            At::File(file) => file.read_only,
        }
    }
}

/// The names of one Twalk, as they stand in a message page.
struct Names<'b> {
    body: &'b mut [u8],
    len: usize,
    count: u8,
}

/// Room for names: the longest fits; longer runs of them are walked in pieces. It is on the stack of a walk, and
/// cleared there.
const NAMES: usize = 288;

/// Room for what most paths have. A text that is shorter than this has no name that does not fit.
const SHORT: usize = 64;

const _: () = assert!(NAMES >= limit::NAME + 2);

impl Names<'_> {
    /// With none yet, takes as many of a text's elements as fit: the text of the others.
    fn fill<'p>(&mut self, text: &'p [u8]) -> &'p [u8] {
        let mut rest = text;
        while let Some((name, after)) = first(rest)
            && usize::from(self.count) < limit::WALK
            && let Ok(end) = body_string(self.body, self.len, name)
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
fn step(scope: &Scope, from: &File, names: &Names<'_>, last: bool) -> Result<Step> {
    let mut new = File::reserve(&from.session)?;
    new.read_only = from.read_only;
    // Most have one name, and to clear room for sixteen takes 80 instructions.
    let (mut one, mut all);
    let qids: &mut [Qid] = if names.count <= 1 {
        one = [Qid::default()];
        &mut one
    } else {
        all = [Qid::default(); limit::WALK];
        &mut all
    };
    let mut m = from.message(op::TWALK);
    m.a = names.count;
    m.fid2 = new.fid();
    m.body = names.body.get(..names.len).unwrap_or(&[]);
    m.data = Data::Qids(qids);
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
fn step_from(scope: &Scope, at: &At<'_>, names: &Names<'_>, last: bool) -> Result<Step> {
    let head = match at {
        At::File(file) | At::Root(Place { file, union: None, .. }) => return step(scope, file, names, last),
        At::Root(Place { union: Some(head), .. }) | At::Mounted(head) => head,
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

/// The file that the text below a root names, and what is mounted there. `root` is the namespace's, or a tree's of the
/// kernel; the text is a path's, or as many of its elements.
pub fn walk(scope: &Scope, root: &Place, text: &[u8], want: Want) -> Result<(File, Option<Ref<Head>>)> {
    let mut text = text;
    let mut at = match scope.ns.find(&root.file.session, root.file.qid) {
        Some(head) => At::Mounted(scope.ns.live(head)),
        None if root.path.tree().is_some() => At::Root(root),
        None => match first_mount(scope, root, text, want) {
            Some((head, after)) => {
                text = after;
                At::Mounted(scope.ns.live(head))
            }
            None => At::Root(root),
        },
    };
    // Was a mount on the way one through which nothing can be changed, nor beyond it?
    let mut read_only = false;
    while !text.is_empty() {
        let (mut short, mut long);
        let body: &mut [u8] = if text.len() < SHORT {
            short = [0; SHORT];
            &mut short
        } else {
            long = [0; NAMES];
            &mut long
        };
        let mut batch = Names { body, len: 0, count: 0 };
        // Names are taken anew after each step, for a mount point may lie before the end of what was asked.
        let rest = batch.fill(text);
        match step_from(scope, &at, &batch, !rest.is_empty() || want == Want::Seen)? {
            Step::All(file) => {
                text = rest;
                at.go(At::File(file));
            }
            Step::Mount(n, head) => {
                text = pass(text, n);
                read_only |= at.read_only();
                at.go(At::Mounted(scope.ns.live(head)));
            }
            // The element after the last one reached is missing, or what was reached is no directory.
            Step::Short(_) => return Err(Error::NotExist.into()),
        }
    }
    let (mut file, union) = match at {
        At::File(file) => (file, None),
        At::Mounted(head) if want == Want::Covered => (head.on.file.copy()?, None),
        At::Mounted(head) => {
            let first = head.union.first().ok_or(Error::NotMounted)?;
            (first.place.file.copy()?, Some(head))
        }
        At::Root(place) => (place.file.copy()?, place.union.clone()),
    };
    file.read_only |= read_only;
    Ok((file, union))
}
