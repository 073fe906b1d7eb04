//! Random operations on a tree, against a model of maps: what exists, what it holds, and which error comes first.

mod common;

use abi::error::Error;
use abi::file::*;
use common::{Client, PortalFront, Random, options};
use ninep::{NOCHANGE, Stat};
use std::collections::BTreeMap;

/// By path: a directory, or a file's bytes and how often it changed.
#[derive(Clone, PartialEq, Debug)]
enum Node {
    Dir,
    File(Vec<u8>, u32),
}

type Model = BTreeMap<Vec<&'static str>, Node>;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A path that is likely to exist, or to be new in a directory that does.
fn path(r: &mut Random, model: &Model) -> Vec<&'static str> {
    let at = r.below(model.len() as u64) as usize;
    let mut path = model.keys().nth(at).unwrap().clone();
    if r.below(2) == 0 {
        path.push(r.pick(&NAMES));
    }
    path
}

fn has_children(model: &Model, path: &[&str]) -> bool {
    model.keys().any(|p| p.len() == path.len() + 1 && p.starts_with(path))
}

/// Walks as one has to, sixteen names at a time; the fid is bound only if all of them are there.
fn walk(c: &mut Client<PortalFront>, path: &[&str]) -> Result<(), String> {
    let mut from = 0;
    let mut pieces = path.chunks(16);
    let first = pieces.next().unwrap_or_default();
    for piece in std::iter::once(first).chain(pieces) {
        if c.walk(from, 1, piece)? != piece.len() {
            if from == 1 {
                c.clunk(1)?;
            }
            return Err(Error::NotExist.text().into());
        }
        from = 1;
    }
    Ok(())
}

fn step(r: &mut Random, c: &mut Client<PortalFront>, model: &mut Model, log: &mut String) {
    let path = path(r, model);
    *log = format!("{path:?}");
    let found = walk(c, &path);
    assert_eq!(found.is_ok(), model.contains_key(&path), "{log}: {found:?}");
    let Some(node) = model.get(&path).cloned() else { return };
    match (r.below(7), node) {
        (0 | 6, Node::Dir) => {
            let name = r.pick(&NAMES);
            let dir = r.below(3) == 0;
            let made = c.create(1, name, if dir { DMDIR | 0o777 } else { 0o666 }, OREAD);
            let new: Vec<_> = path.iter().copied().chain([name]).collect();
            match made {
                Ok(_) if dir => assert_eq!(model.insert(new, Node::Dir), None),
                Ok(q) => assert_eq!(model.insert(new, Node::File(Vec::new(), q.vers)), None),
                Err(e) => assert!(e == Error::Exists.text() && model.contains_key(&new), "{e}"),
            }
        }
        (1, _) => {
            let busy = has_children(model, &path);
            let expected = match () {
                () if path.is_empty() => Err(Error::Perm.text().to_string()),
                () if busy => Err(Error::NotEmpty.text().into()),
                () => Ok(()),
            };
            assert_eq!(c.remove(1), expected);
            if expected.is_ok() {
                model.remove(&path);
            }
            return;
        }
        (2, _) if !path.is_empty() => {
            let name = r.pick(&NAMES);
            let mut new = path.clone();
            *new.last_mut().unwrap() = name;
            let taken = new != path && model.contains_key(&new);
            let renamed = c.wstat(1, &Stat { name, ..NOCHANGE });
            assert_eq!(renamed, if taken { Err(Error::Exists.text().into()) } else { Ok(()) });
            if !taken {
                let moved: Model = model
                    .iter()
                    .filter(|(p, _)| p.starts_with(&path))
                    .map(|(p, n)| (p.clone(), n.clone()))
                    .collect();
                model.retain(|p, _| !p.starts_with(&path));
                for (mut p, n) in moved {
                    p[path.len() - 1] = name;
                    model.insert(p, n);
                }
            }
        }
        (3, Node::File(mut bytes, vers)) => {
            c.open(1, OWRITE).unwrap();
            let (at, data) =
                (r.below(9000) as usize, vec![r.below(255) as u8 + 1; 1 + r.below(9000) as usize]);
            c.write(1, at as u64, &data).unwrap();
            bytes.resize(bytes.len().max(at + data.len()), 0);
            bytes[at..at + data.len()].copy_from_slice(&data);
            model.insert(path, Node::File(bytes, vers + 1));
        }
        (4, Node::File(bytes, vers)) => {
            let q = c.open(1, OREAD).unwrap();
            assert_eq!(q.vers, vers, "changes are counted, and only they");
            assert_eq!(c.read(1, 0, 1 << 15).unwrap(), bytes);
            let s = c.stat(1).unwrap();
            assert_eq!((s.length, s.name.as_str()), (bytes.len() as u64, *path.last().unwrap()));
        }
        (_, Node::Dir) => {
            c.open(1, OREAD).unwrap();
            let mut names = c.names(1, 500);
            names.sort();
            let expected: Vec<_> = model
                .keys()
                .filter(|p| p.len() == path.len() + 1 && p.starts_with(&path))
                .map(|p| p.last().unwrap().to_string())
                .collect();
            assert_eq!(names, expected);
        }
        _ => {}
    }
    c.clunk(1).unwrap();
}

#[test]
fn random_operations_do_what_they_do_to_the_model() {
    for seed in 1..=10_u64 {
        let mut r = Random(seed * 104_729);
        let mut c = Client::new(PortalFront::new(&options()));
        c.attach(0, "glenda").unwrap();
        let mut model = Model::from([(Vec::new(), Node::Dir)]);
        let (mut log, mut most) = (String::new(), 0);
        for n in 0..1500 {
            step(&mut r, &mut c, &mut model, &mut log);
            most = most.max(model.len());
            assert_eq!(c.front.portal.fids(), 1, "seed {seed} step {n}: {log}");
        }
        assert!(most > 10, "seed {seed}: the tree stays too small to show anything");
    }
}
