//! [`Users`]: who there is, and who may use how much. Every user is a group too, as in Plan 9.

use abi::limit;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use serve::{Error, Result};
use sync::{Lock, Shared};

/// Most users; those that own nothing and are not attached make room for others.
const MOST: usize = 4096;

/// A user, and the group of the same name.
#[derive(Debug)]
pub struct User {
    name: String,
    leader: Option<String>,
    members: Vec<String>,
    /// Named at start; never forgotten.
    listed: bool,
    /// Bytes that the user's files take.
    used: AtomicU64,
    quota: u64,
}

/// A user as files and fids refer to it.
pub(crate) type Who = Shared<User>;

impl User {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Is the user in this group?
    pub(crate) fn is_member(&self, group: &User) -> bool {
        self.name == group.name || group.members.contains(&self.name) || self.leads(group)
    }

    /// Does the user lead this group? Without a leader, the user of its name does.
    pub(crate) fn leads(&self, group: &User) -> bool {
        match &group.leader {
            Some(leader) => *leader == self.name,
            None => self.name == group.name,
        }
    }
}

/// A group named at start: `name`, `leader` (or empty) and members.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Who may change its files' modes and groups; empty for the user of the same name.
    pub leader: String,
    /// Who has the group's permissions.
    pub members: Vec<String>,
}

impl Group {
    /// Reads `name:leader:member,member`.
    pub fn parse(text: &str) -> Option<Group> {
        let mut parts = text.split(':');
        let (name, leader, members) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || !is_user_name(name) || (!leader.is_empty() && !is_user_name(leader)) {
            return None;
        }
        let members: Vec<String> = members.split(',').filter(|m| !m.is_empty()).map(Into::into).collect();
        if !members.iter().all(|m| is_user_name(m)) {
            return None;
        }
        Some(Group { name: name.into(), leader: leader.into(), members })
    }
}

/// The users, and the memory of all together.
pub(crate) struct Users {
    /// Sorted by name.
    list: Lock<Vec<Who>>,
    /// Are users let in that were not named at start?
    open: bool,
    used: AtomicU64,
    most: u64,
    quota: u64,
}

impl Users {
    pub(crate) fn new(most: u64, quota: u64, open: bool) -> Users {
        Users { list: Lock::default(), open, used: AtomicU64::new(0), most, quota }
    }

    /// Names a user at start.
    pub(crate) fn add(&self, group: &Group) -> Result<Who> {
        let leader = (!group.leader.is_empty()).then(|| group.leader.clone());
        let user = User {
            name: group.name.clone(),
            leader,
            members: group.members.clone(),
            listed: true,
            used: AtomicU64::new(0),
            quota: self.quota,
        };
        let mut list = self.list.lock();
        let at = match list.binary_search_by(|u| u.name.as_str().cmp(&group.name)) {
            Ok(_) => return Err(Error::Exists.into()),
            Err(at) => at,
        };
        let who = Shared::try_new(user)?;
        list.try_reserve(1)?;
        list.insert(at, who.clone());
        Ok(who)
    }

    /// The user of this name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Result<Who> {
        let list = self.list.lock();
        let at = list.binary_search_by(|u| u.name.as_str().cmp(name)).map_err(|_| Error::NoUser)?;
        Ok(list.get(at).ok_or(Error::NoUser)?.clone())
    }

    /// The user of this name, who attaches.
    pub(crate) fn enter(&self, name: &str) -> Result<Who> {
        if let Ok(who) = self.find(name) {
            return Ok(who);
        }
        if !self.open || !is_user_name(name) {
            return Err(Error::NoUser.into());
        }
        let mut list = self.list.lock();
        if list.len() >= MOST {
            list.retain(|u| u.listed || !u.is_alone());
        }
        if list.len() >= MOST {
            return Err(Error::Full.into());
        }
        let at = match list.binary_search_by(|u| u.name.as_str().cmp(name)) {
            Ok(at) => return Ok(list.get(at).ok_or(Error::NoUser)?.clone()),
            Err(at) => at,
        };
        let (used, quota) = (AtomicU64::new(0), self.quota);
        let user =
            User { name: copy_name(name)?, leader: None, members: Vec::new(), listed: false, used, quota };
        let who = Shared::try_new(user)?;
        list.try_reserve(1)?;
        list.insert(at, who.clone());
        Ok(who)
    }

    /// Takes memory for a user's file, of the user's quota and of the whole.
    pub(crate) fn charge(&self, user: &User, bytes: u64) -> Result<()> {
        take(&user.used, user.quota, bytes)?;
        take(&self.used, self.most, bytes).inspect_err(|_| give(&user.used, bytes))
    }

    /// Gives it back.
    pub(crate) fn refund(&self, user: &User, bytes: u64) {
        give(&user.used, bytes);
        give(&self.used, bytes);
    }

    /// Bytes that all files take.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

fn take(used: &AtomicU64, most: u64, bytes: u64) -> Result<()> {
    let fits = |now: u64| now.checked_add(bytes).filter(|n| *n <= most);
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map(drop).map_err(|_| Error::NoSpace.into())
}

fn give(used: &AtomicU64, bytes: u64) {
    used.fetch_sub(bytes, Ordering::Relaxed);
}

/// A user's name stands in stat records and on command lines.
fn is_user_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= limit::USER
        && !name.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, ':' | ',' | '/'))
}

/// A copy of a string, or an error.
pub(crate) fn copy_name(name: &str) -> Result<String> {
    let mut s = String::new();
    s.try_reserve_exact(name.len())?;
    s.push_str(name);
    Ok(s)
}
