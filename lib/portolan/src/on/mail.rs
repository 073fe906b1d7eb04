//! Mailboxes: messages to a process by its number, and replies.
#![allow(unsafe_code, reason = "gives memory away")]

use super::error::{Error, Result, check};
use super::file::File;
use super::process;
use crate::alloc::format;
use crate::alloc::string::String;
use crate::alloc::vec::Vec;
use crate::sys;
use abi::error::Error as Known;
use abi::file::{ORDWR, OWRITE};
use abi::limit::{MESSAGE, USER};

/// Who may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Senders {
    /// Nobody: what waits is still read, and then comes the end.
    Nobody,
    /// Everybody.
    Everybody,
    /// The process of this number.
    Only(u32),
}

/// Says who may send to a process. It is this user's.
pub fn admit(pid: u32, senders: Senders) -> Result<()> {
    match senders {
        Senders::Nobody => control(pid, "mbox closed"),
        Senders::Everybody => control(pid, "mbox open"),
        Senders::Only(one) => control(pid, &format!("mbox from {one}")),
    }
}

fn control(pid: u32, words: &str) -> Result<()> {
    File::open(format!("/proc/{pid}/ctl"), OWRITE)?.write_all(words.as_bytes())
}

/// Puts a portal of this process in the place of its mailbox.
pub fn put_portal(fd: i32) -> Result<()> {
    control(process::id(), &format!("mbox portal {fd}"))
}

/// A process's mailbox, to send to: a write is a message, a read gives its reply.
pub fn to(pid: u32) -> Result<File> {
    File::open(format!("/proc/{pid}/mbox"), ORDWR)
}

/// Sends a message or a reply of any length. A long one is copied once, to pages that are given away.
pub fn send(to: &File, bytes: &[u8]) -> Result<()> {
    if bytes.len() <= MESSAGE {
        return to.write_all(bytes);
    }
    let at = check(sys::segattach(0, -1, 0, 0, bytes.len()))?;
    // SAFETY: the segment is new and at least so long, and only this function knows it.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
    // SAFETY: nothing refers to the segment.
    let sent = check(unsafe { sys::give(to.fd(), at, bytes.len(), 0) });
    // SAFETY: as above. What was given is gone; its place is not.
    let _ = unsafe { sys::segdetach(at, bytes.len()) };
    match sent? {
        n if n == bytes.len() => Ok(()),
        _ => Err(Known::TooLong.into()),
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sender's number, by the kernel's word.
    pub pid: u32,
    /// The sender's user, by the kernel's word.
    pub user: String,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// The reader's side of a mailbox.
#[derive(Debug)]
pub struct Mailbox(File);

impl Mailbox {
    /// This process's own.
    pub fn own(senders: Senders) -> Result<Mailbox> {
        let me = process::id();
        admit(me, senders)?;
        to(me).map(Mailbox)
    }

    /// Another process's of this user: who opens the mailbox next is this process, and no more the other.
    pub fn of(pid: u32) -> Result<Mailbox> {
        control(pid, &format!("mbox reader {}", process::id()))?;
        to(pid).map(Mailbox)
    }

    /// The next message; none when none can come any more.
    pub fn receive(&self) -> Result<Option<Message>> {
        let mut buf = Vec::new();
        let most = MESSAGE + USER + 64;
        buf.try_reserve(most).map_err(|_| Known::NoMemory)?;
        buf.resize(most, 0);
        let n = self.0.read(&mut buf)?;
        if n == 0 {
            return Ok(None);
        }
        let head = buf.iter().position(|&b| b == b'\n').ok_or_else(unreadable)?;
        let line = core::str::from_utf8(buf.get(..head).unwrap_or(&[])).map_err(|_| unreadable())?;
        let mut words = line.split(' ');
        let pid = words.next().and_then(|w| w.parse().ok()).ok_or_else(unreadable)?;
        let user = String::from(words.next().ok_or_else(unreadable)?);
        let len: usize = words.next().and_then(|w| w.parse().ok()).ok_or_else(unreadable)?;
        buf.truncate(n);
        buf.drain(..=head);
        // Given pages come after the line, and a message may be longer than the room for it.
        let mut have = buf.len();
        buf.try_reserve(len - have.min(len)).map_err(|_| Known::NoMemory)?;
        buf.resize(len, 0);
        while have < len {
            match self.0.read(&mut buf[have..])? {
                0 => return Err(unreadable()),
                n => have += n,
            }
        }
        Ok(Some(Message { pid, user, bytes: buf }))
    }

    /// Answers the sender of the message received last, once.
    pub fn reply(&self, bytes: &[u8]) -> Result<()> {
        send(&self.0, bytes)
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.0
    }
}

fn unreadable() -> Error {
    Error::new("not a mailbox")
}
