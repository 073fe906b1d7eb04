//! Tests of the namespace against a model: random binds and unmounts over trees whose files are computed, then walks.
//!
//! The model knows nothing of requests, heads or batches: it goes name by name and keeps plain lists. What it finds for a
//! path, or that it finds nothing, must be what [`walk`] finds.

use super::{File, Ns, Path, Place, Scope, Want, walk};
use crate::base::Ref;
use crate::msg::{Data, Msg, Reply, Result};
use crate::session::{Serve, Session};
use crate::tree::strings;
use abi::error::Error;
use abi::file::{MAFTER, MBEFORE, MCREATE, MREPL, QTDIR, QTFILE, Qid};
use abi::portal::op;
use std::collections::HashMap;

/// A tree of directories `a`, `b`, `c` and a file `f` in each, of which some are missing, others in each session.
/// A file's number has a digit for each name on the way to it, from 1; the session's seed chooses what is missing.
struct Computed(u64);

const NAMES: [&str; 4] = ["a", "b", "c", "f"];
const DEPTH: u32 = 4;

fn child(seed: u64, dir: u64, name: &str) -> Option<u64> {
    let digit = NAMES.iter().position(|&n| n == name)? as u64 + 1;
    let path = dir * 8 + digit;
    let missing = (path ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 62 == 0;
    (!missing && path < 8u64.pow(DEPTH)).then_some(path)
}

fn parent(path: u64) -> u64 {
    path / 8
}

fn is_dir(path: u64) -> bool {
    path % 8 != 4
}

fn qid(path: u64) -> Qid {
    Qid { kind: if is_dir(path) { QTDIR } else { QTFILE }, vers: 0, path }
}

impl Serve for Computed {
    fn answer(&self, _: &Ref<Session>, m: &mut Msg<'_>) -> Result<Reply> {
        if m.op != op::TWALK {
            return Ok(Reply { qid: m.qid, ..Reply::default() });
        }
        let mut at = m.qid.path;
        let mut count = 0;
        if let Data::Qids(out) = &mut m.data {
            for (name, slot) in strings(m.body).zip(out.iter_mut()) {
                let name = std::str::from_utf8(name).unwrap();
                let next = match name {
                    ".." => Some(parent(at)),
                    _ if !is_dir(at) => None,
                    _ => child(self.0, at, name),
                };
                match next {
                    Some(path) => at = path,
                    None if count == 0 => return Err(Error::NotExist.into()),
                    None => break,
                }
                *slot = qid(at);
                count += 1;
            }
        }
        Ok(Reply { count, qid: qid(at), iounit: 0 })
    }
}

static TREES: [Computed; 3] = [Computed(1), Computed(2), Computed(3)];

/// A file in the model: which tree, which file of it.
type Node = (usize, u64);

/// The mount table of the model: the union on a file.
#[derive(Default)]
struct Model(HashMap<Node, Vec<Node>>);

impl Model {
    fn step(&self, at: Node, name: &str) -> Option<Node> {
        let union = self.0.get(&at).cloned().unwrap_or_else(|| vec![at]);
        union.into_iter().find_map(|(t, path)| {
            let found = if is_dir(path) { child(TREES[t].0, path, name) } else { None };
            found.map(|p| (t, p))
        })
    }

    /// The file below whatever is mounted at the last name.
    fn covered(&self, path: &str) -> Option<Node> {
        let mut at = (0, 0);
        for name in path.split('/').filter(|n| !n.is_empty()) {
            at = self.step(at, name)?;
        }
        Some(at)
    }

    fn seen(&self, path: &str) -> Option<Node> {
        let at = self.covered(path)?;
        Some(self.0.get(&at).map_or(at, |u| u[0]))
    }

    fn bind(&mut self, new: &str, old: &str, flags: u32) -> bool {
        let (Some(first), Some(old)) = (self.seen(new), self.covered(old)) else { return false };
        if is_dir(first.1) != is_dir(old.1) || (flags & (MBEFORE | MAFTER) != 0 && !is_dir(old.1)) {
            return false;
        }
        // A union brings all its elements.
        let added = self.covered(new).and_then(|n| self.0.get(&n)).filter(|u| u.len() > 1);
        let added = added.cloned().unwrap_or_else(|| vec![first]);
        let kept = self.0.get(&old).cloned().unwrap_or_else(|| vec![old]);
        let union = match flags & (MBEFORE | MAFTER) {
            MBEFORE => [added, kept].concat(),
            MAFTER => [kept, added].concat(),
            _ => added,
        };
        self.0.insert(old, union);
        true
    }

    fn unmount(&mut self, new: Option<&str>, old: &str) -> bool {
        let Some(old) = self.covered(old) else { return false };
        let Some(union) = self.0.get(&old).cloned() else { return false };
        let Some(new) = new else { return self.0.remove(&old).is_some() };
        let Some(new) = self.seen(new) else { return false };
        let left: Vec<Node> = union.iter().copied().filter(|&n| n != new).collect();
        if left.len() == union.len() {
            return false;
        }
        if left.is_empty() || left == [old] {
            self.0.remove(&old);
        } else {
            self.0.insert(old, left);
        }
        true
    }
}

/// The kernel's side.
struct Real {
    scope: Scope,
    roots: Vec<Ref<Place>>,
}

impl Real {
    fn new() -> Real {
        let place = |t: &'static Computed| {
            let file = File::tree(Session::tree(t).unwrap(), qid(0));
            Ref::new(Place { file, path: Path::root().unwrap(), union: None }).unwrap()
        };
        let roots: Vec<_> = TREES.iter().map(place).collect();
        let scope = Scope { ns: Ns::new().unwrap(), dot: roots[0].clone(), trees: 0 };
        Real { scope, roots }
    }

    fn find(&self, path: &str, want: Want) -> Result<Place> {
        let path = Path::resolve(&Path::root().unwrap(), path.as_bytes()).unwrap();
        let (file, union) = walk(&self.scope, &self.roots[0], path.below(), want)?;
        Ok(Place { file, path, union })
    }

    fn node(&self, p: &Place) -> Node {
        let tree = self.roots.iter().position(|r| Ref::same(&r.file.session, &p.file.session)).unwrap();
        (tree, p.file.qid.path)
    }

    fn seen(&self, path: &str) -> Option<Node> {
        self.find(path, Want::Seen).ok().map(|p| self.node(&p))
    }

    fn bind(&self, new: &str, old: &str, flags: u32) -> bool {
        let (Ok(new), Ok(old)) = (self.find(new, Want::Seen), self.find(old, Want::Covered)) else {
            return false;
        };
        self.scope.ns.mount(&Ref::new(old).unwrap(), &Ref::new(new).unwrap(), flags).is_ok()
    }

    fn mount(&self, tree: usize, old: &str) {
        let old = self.find(old, Want::Covered).unwrap();
        self.scope.ns.mount(&Ref::new(old).unwrap(), &self.roots[tree], MREPL).unwrap();
    }

    fn unmount(&self, new: Option<&str>, old: &str) -> bool {
        let Ok(old) = self.find(old, Want::Covered) else { return false };
        match new.map(|n| self.find(n, Want::Seen)) {
            None => self.scope.ns.unmount(&old, None).is_ok(),
            Some(Ok(new)) => self.scope.ns.unmount(&old, Some(&new)).is_ok(),
            Some(Err(_)) => false,
        }
    }
}

/// A small generator, so that a failure comes again: xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn path(&mut self) -> String {
        let mut path = String::from("/");
        for _ in 0..self.below(u64::from(DEPTH) + 1) {
            path += NAMES[self.below(4) as usize];
            path += "/";
        }
        path
    }
}

/// Every path of up to `DEPTH` names.
fn all_paths() -> Vec<String> {
    let mut all = vec![String::new()];
    let mut from = 0;
    for _ in 0..DEPTH {
        let to = all.len();
        for i in from..to {
            for n in NAMES {
                all.push(format!("{}/{n}", all[i]));
            }
        }
        from = to;
    }
    all
}

fn compare(seed: u64, operations: usize) {
    let mut random = Random(seed);
    let (mut model, real) = (Model::default(), Real::new());
    let paths = all_paths();
    // The other trees come in at two directories, where the first has them.
    for (tree, at) in [(1, "/a"), (2, "/b")] {
        if real.find(at, Want::Covered).is_ok() {
            let on = model.covered(at).unwrap();
            model.0.insert(on, vec![(tree, 0)]);
            real.mount(tree, at);
        }
    }
    for step in 0..operations {
        let (new, old) = (random.path(), random.path());
        let what = match random.below(8) {
            0..5 => {
                let flags = [MREPL, MBEFORE, MAFTER, MBEFORE | MCREATE][random.below(4) as usize];
                assert_eq!(
                    real.bind(&new, &old, flags),
                    model.bind(&new, &old, flags),
                    "bind {flags} {new} {old}"
                );
                format!("bind {flags} {new} {old}")
            }
            5..7 => {
                assert_eq!(
                    real.unmount(Some(&new), &old),
                    model.unmount(Some(&new), &old),
                    "unmount {new} {old}"
                );
                format!("unmount {new} {old}")
            }
            _ => {
                assert_eq!(real.unmount(None, &old), model.unmount(None, &old), "unmount {old}");
                format!("unmount {old}")
            }
        };
        for p in &paths {
            assert_eq!(real.seen(p), model.seen(p), "seed {seed}, step {step}, {what}: {p}");
        }
    }
    // A copy is apart from then on, and the counts of mounts go back with the last table.
    let copy = real.scope.ns.copy().unwrap();
    let Real { scope, roots } = real;
    drop(scope);
    drop(copy);
    for r in roots {
        assert_eq!(r.file.session.mounts.load(std::sync::atomic::Ordering::Relaxed), 0);
    }
}

#[test]
fn walks_find_what_the_model_finds() {
    for seed in 1..=8 {
        compare(seed * 0x1234_5677, 25);
    }
}

#[test]
fn a_copy_of_a_namespace_is_apart() {
    let real = Real::new();
    let at = ["/a", "/b", "/c"].into_iter().find(|p| real.seen(p).is_some()).unwrap();
    let before = real.seen(at).unwrap();
    let copy = real.scope.ns.copy().unwrap();
    real.mount(1, at);
    assert_eq!(real.seen(at), Some((1, 0)));
    let scope = Scope { ns: copy, ..real.scope.clone() };
    let apart = Real { scope, roots: real.roots.clone() };
    assert_eq!(apart.seen(at), Some(before));
}
