//! `#env`: the environment of a process group, a file for each variable (env(3)).

use super::{Entry, Tree, give, here, take, wrote};
use crate::base::{Bytes, List, Ref, Spin, copy};
use crate::msg::{Msg, Reply, Result};
use abi::error::Error;
use abi::file::{OTRUNC, QTFILE, Qid};

/// The tree.
pub(crate) struct Envs;

/// Largest value, in bytes.
pub(crate) const VALUE: usize = 64 << 10;
/// Most variables of a group.
pub(crate) const VARIABLES: usize = 1000;

struct Variable {
    path: u64,
    vers: u32,
    name: Bytes,
    value: Bytes,
}

struct Variables {
    /// In order of their numbers.
    list: List<Variable>,
    next: u64,
}

/// An environment.
pub struct Env(Spin<Variables>);

impl Env {
    /// An empty environment.
    pub fn new() -> Result<Ref<Env>> {
        Ref::new(Env(Spin::new(Variables { list: List::new(), next: 1 })))
    }

    /// A copy.
    pub fn copy(&self) -> Result<Ref<Env>> {
        let from = self.0.lock();
        let mut list = List::new();
        for v in from.list.iter() {
            let (name, value) = (Bytes::new(&v.name)?, Bytes::new(&v.value)?);
            list.push(Variable { path: v.path, vers: v.vers, name, value })?;
        }
        let next = from.next;
        drop(from);
        Ref::new(Env(Spin::new(Variables { list, next })))
    }
}

fn qid(v: &Variable) -> Qid {
    Qid { kind: QTFILE, vers: v.vers, path: v.path }
}

impl Variables {
    fn get(&mut self, file: Qid) -> Result<&mut Variable> {
        self.list.iter_mut().find(|v| v.path == file.path).ok_or(Error::NotExist.into())
    }
}

impl Tree for Envs {
    fn walk(&self, _: Qid, name: &[u8]) -> Result<Qid> {
        let env = here::env();
        let vars = env.0.lock();
        vars.list.iter().find(|v| *v.name == *name).map(qid).ok_or(Error::NotExist.into())
    }

    fn stat(&self, file: Qid, e: &mut Entry) -> Result<()> {
        if file.path != 0 {
            e.user.set(&here::user()?);
            let env = here::env();
            let mut vars = env.0.lock();
            let v = vars.get(file)?;
            e.name.set(&v.name);
            e.length = v.value.len() as u64;
            e.mode = 0o666;
            e.qid = qid(v);
        }
        Ok(())
    }

    fn list(&self, _: Qid, at: u64) -> Result<Option<(Qid, u64)>> {
        let env = here::env();
        let vars = env.0.lock();
        Ok(vars.list.iter().find(|v| v.path > at).map(|v| (qid(v), v.path)))
    }

    fn open(&self, file: Qid, mode: u8) -> Result<()> {
        if mode & OTRUNC != 0 && file.path != 0 {
            let env = here::env();
            let mut vars = env.0.lock();
            let v = vars.get(file)?;
            v.value = Bytes::default();
            v.vers = v.vers.wrapping_add(1).max(1);
        }
        Ok(())
    }

    fn create(&self, _: Qid, name: &[u8], perm: u32, _: u8) -> Result<Qid> {
        if perm & abi::file::DMDIR != 0 {
            return Err(Error::Perm.into());
        }
        let name = Bytes::new(name)?;
        let env = here::env();
        let mut vars = env.0.lock();
        if vars.list.iter().any(|v| v.name == name) {
            return Err(Error::Exists.into());
        }
        if vars.list.len() >= VARIABLES {
            return Err(Error::NoSpace.into());
        }
        let v = Variable { path: vars.next, vers: 1, name, value: Bytes::default() };
        let qid = qid(&v);
        vars.next = vars.next.saturating_add(1);
        vars.list.push(v)?;
        Ok(qid)
    }

    fn read(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let env = here::env();
        let value = Bytes::new(&env.0.lock().get(file)?.value)?;
        give(m, &value)
    }

    fn write(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let count = usize::try_from(m.count).unwrap_or(usize::MAX);
        let at = usize::try_from(m.offset).unwrap_or(usize::MAX);
        let end = at.checked_add(count).filter(|&e| e <= VALUE).ok_or(Error::NoSpace)?;
        let mut new = Bytes::zeroed(count)?;
        take(&m.data, 0, &mut new)?;
        let env = here::env();
        let mut vars = env.0.lock();
        let v = vars.get(file)?;
        let mut all = Bytes::zeroed(end.max(v.value.len()))?;
        if let Some(to) = all.get_mut(..v.value.len()) {
            copy(&v.value, to);
        }
        copy(&new, all.get_mut(at..end).ok_or(Error::NoSpace)?);
        v.value = all;
        v.vers = v.vers.wrapping_add(1).max(1);
        wrote(m)
    }

    fn close(&self, file: Qid, mode: u8) {
        if mode & abi::file::ORCLOSE != 0 {
            let _ = self.remove(file);
        }
    }

    fn remove(&self, file: Qid) -> Result<()> {
        let env = here::env();
        let mut vars = env.0.lock();
        let at = vars.list.iter().position(|v| v.path == file.path).ok_or(Error::Perm)?;
        let gone = vars.list.remove(at);
        drop(vars);
        drop(gone);
        Ok(())
    }
}
