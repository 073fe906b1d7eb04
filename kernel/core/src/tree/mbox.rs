//! Mailboxes as files: `/proc/N/mbox`. The open file is one of this tree; see [`super::mail`] for what it holds.
//!
//! Process N's own open is the reader's side: a read takes the next message, a line `PID USER LENGTH` and then the
//! bytes, and a write answers its sender. Any other open is a sender's side: a write sends a message, a read gives its
//! reply, or nothing when none can come. Reads that are too short for a message or a reply go on where they ended.
//!
//! Where a process has put a portal in its mailbox's place, the open leads there: attached with the sender's user as
//! uname and its number as aname, the server's root is the file.

use super::mail::{Letter, Mailbox, Mode, Side, wake};
use super::{Entry, Parcel, Tree, here, put, take, wrote};
use crate::base::{Bytes, List, Ref, Spin, copy, decimal, parse, split};
use crate::msg::{Data, Msg, Reply, Result};
use crate::name::{Chan, File, Path};
use crate::proc::{self, Proc};
use crate::session::Session;
use crate::thread::{self, Doing};
use abi::error::Error;
use abi::file::{ORCLOSE, ORDWR, OWRITE, QTFILE, Qid};
use abi::limit::{MESSAGE, USER};
use abi::portal::NOFID;

/// The tree.
pub(crate) struct Mboxes;

/// Open files, by the qid's path; a slot is used again.
static SIDES: Spin<List<Option<Ref<Side>>>> = Spin::new(List::new());

fn qid(path: usize) -> Qid {
    Qid { kind: QTFILE, vers: 0, path: path as u64 }
}

fn slot(file: Qid) -> usize {
    usize::try_from(file.path).unwrap_or(usize::MAX)
}

fn find(file: Qid) -> Result<Ref<Side>> {
    SIDES.lock().get(slot(file)).cloned().flatten().ok_or(Error::NotExist.into())
}

fn add(side: Ref<Side>) -> Result<Qid> {
    let mut sides = SIDES.lock();
    let at = match sides.iter().position(Option::is_none) {
        Some(at) => at,
        None => {
            sides.push(None)?;
            sides.len().saturating_sub(1)
        }
    };
    if let Some(free) = sides.get_mut(at) {
        *free = Some(side);
    }
    Ok(qid(at))
}

/// Opens the mailbox of a process.
pub(super) fn open(owner: &Ref<Proc>, mode: u8) -> Result<Ref<Chan>> {
    let mailbox = owner.mailbox()?;
    let me = here::pid();
    let (reads, portal) = {
        let s = mailbox.state.lock();
        match &s.mode {
            _ if s.reader == me => (true, None),
            Mode::Portal(p) => (false, Some(p.clone())),
            _ => (false, s.admits(me).map(|()| None)?),
        }
    };
    let writes = mode & 3 == OWRITE || mode & 3 == ORDWR;
    if mode & ORCLOSE != 0 || !reads && !writes {
        return Err(Error::Perm.into());
    }
    let mut digits = [0; 20];
    let name = [decimal(u64::from(owner.pid), &mut digits), b"/mbox"];
    let path = Path::resolve(&Path::of_tree(b"proc")?, &Bytes::joined(&name)?)?;
    if let Some(portal) = portal {
        let number = decimal(u64::from(me), &mut digits);
        let mut file = File::attach(Session::with(&portal)?, NOFID, &here::user()?, number)?;
        let iounit = file.open(mode & !abi::file::OCEXEC)?;
        return Chan::new(file, path, mode, iounit, None);
    }
    let root = super::attach(b"mbox", super::ALL)?;
    let qid = add(Side::new(mailbox.clone(), reads)?)?;
    let file = File::opened_tree(root.file.session.clone(), qid, mode);
    Chan::new(file, path, mode, 0, None)
}

/// What `mbox …` in a control message asks for.
pub(super) fn control(owner: &Ref<Proc>, words: &[u8]) -> Result<()> {
    let mailbox = owner.mailbox()?;
    let mode = match split(words) {
        (b"closed", b"") => Mode::Closed,
        (b"open", b"") => Mode::Open,
        (b"from", pid) => Mode::From(parse(pid)?),
        (b"reader", pid) => {
            let pid = parse(pid)?;
            mailbox.state.lock().reader = pid;
            return Ok(());
        }
        (b"portal", fd) => {
            let chan = here::ports().get(parse(fd)?);
            let session = &chan.file.session;
            let portal = session.portal().filter(|_| session.is_handle()).ok_or(Error::BadMount)?;
            if !Ref::same(&portal.proc, owner) {
                return Err(Error::Perm.into());
            }
            mailbox.set_mode(Mode::Portal(portal.clone()));
            // Closed meanwhile, it would stay there.
            if portal.closed() {
                mailbox.unseat();
            }
            return Ok(());
        }
        _ => return Err(Error::BadCtl.into()),
    };
    mailbox.set_mode(mode);
    Ok(())
}

/// A process has ended: who waits for its mailbox is told.
pub(crate) fn end(mailbox: &Ref<Mailbox>) {
    mailbox.end();
    let mut at = 0usize;
    loop {
        let side = match SIDES.lock().get(at) {
            None => return,
            Some(side) => side.clone(),
        };
        at = at.saturating_add(1);
        if let Some(side) = side.filter(|s| Ref::same(&s.mailbox, mailbox)) {
            wake(&mut side.state.lock().readers);
        }
    }
}

/// Parks until something about a mailbox changes, unless `ready` says that it has.
fn wait(
    mailbox: &Mailbox,
    queue: fn(&mut super::mail::State) -> &mut thread::Waiters,
    ready: impl Fn(&super::mail::State) -> bool,
) -> Result<()> {
    let me = thread::current_ref();
    {
        let mut s = mailbox.state.lock();
        if ready(&s) {
            return Ok(());
        }
        queue(&mut s).push(me.clone());
    }
    let r = thread::wait(Doing::Mail, u64::MAX);
    // Whoever woke it took it off; a note did not.
    queue(&mut mailbox.state.lock()).remove(&me);
    r
}

/// The bytes of a write, and who writes them.
fn letter(m: &mut Msg<'_>, from: Option<Ref<Side>>) -> Result<Ref<Letter>> {
    let parcel = match &mut m.data {
        Data::Give(parcel) => parcel.take().unwrap_or_default(),
        data => {
            let len = usize::try_from(m.count).unwrap_or(usize::MAX);
            if len > MESSAGE {
                return Err(Error::TooLong.into());
            }
            let mut bytes = Bytes::zeroed(len)?;
            take(data, 0, &mut bytes)?;
            Parcel::from(bytes)
        }
    };
    let me = &thread::current().proc;
    Letter::new(from, me.pid, me.user_name(), parcel)
}

/// A letter that was not sent: given pages go back.
fn unsent(m: &mut Msg<'_>, mut letter: Option<Ref<Letter>>) {
    if let (Data::Give(slot), Some(letter)) = (&mut m.data, letter.as_mut().and_then(Ref::only)) {
        **slot = Some(core::mem::take(&mut letter.parcel));
    }
}

fn send(side: &Ref<Side>, m: &mut Msg<'_>) -> Result<Reply> {
    let mailbox = &side.mailbox;
    let mut letter = Some(letter(m, Some(side.clone()))?);
    let len = m.count as usize;
    side.expect();
    loop {
        let mut r = mailbox.put(&mut letter);
        if letter.is_none() {
            return wrote(m);
        }
        if r.is_ok() {
            let pid = here::pid();
            r = wait(mailbox, |s| &mut s.writers, |s| s.room(len) || s.admits(pid).is_err());
        }
        if let Err(e) = r {
            side.settle();
            unsent(m, letter);
            return Err(e);
        }
    }
}

fn answer(side: &Side, m: &mut Msg<'_>) -> Result<Reply> {
    let to = side.whom().ok_or(Error::NoMessage)?;
    let mut letter = Some(letter(m, None)?);
    let r = to.answer(&mut letter);
    unsent(m, letter);
    r?;
    wrote(m)
}

/// The next message for a reader; none when none comes.
fn message(side: &Side) -> Result<Option<Ref<Letter>>> {
    loop {
        match side.mailbox.take() {
            (Some(letter), _) => {
                side.took(&letter);
                return Ok(Some(letter));
            }
            (None, true) => return Ok(None),
            (None, false) => wait(&side.mailbox, |s| &mut s.readers, super::mail::State::readable)?,
        }
    }
}

/// The next reply for a sender; none when none comes.
fn reply(side: &Side) -> Result<Option<Ref<Letter>>> {
    loop {
        let me = thread::current_ref();
        {
            let mut s = side.state.lock();
            if !Side::waits(&s) {
                drop(s);
                return Ok(side.next());
            }
            s.readers.push(me.clone());
        }
        let r =
            if side.mailbox.dead() { Err(Error::Died.into()) } else { thread::wait(Doing::Mail, u64::MAX) };
        side.state.lock().readers.remove(&me);
        r?;
    }
}

/// Longest first line of a message.
const HEAD: usize = 20 + 1 + USER + 1 + 20 + 1;

/// The line that a message begins with.
fn head<'b>(letter: &Letter, buf: &'b mut [u8; HEAD]) -> &'b [u8] {
    let (mut pid, mut len) = ([0; 20], [0; 20]);
    let parts: [&[u8]; 6] = [
        decimal(u64::from(letter.pid), &mut pid),
        b" ",
        &letter.user,
        b" ",
        decimal(letter.parcel.size() as u64, &mut len),
        b"\n",
    ];
    let mut end = 0usize;
    for part in parts {
        let next = end.saturating_add(part.len());
        if let Some(to) = buf.get_mut(end..next) {
            copy(part, to);
            end = next;
        }
    }
    buf.get(..end).unwrap_or(&[])
}

/// Moves what has not been read of a message's first line; how long that line is.
#[inline(never)]
fn read_head(letter: &mut Letter, m: &mut Msg<'_>, room: usize) -> Result<usize> {
    let mut buf = [0; HEAD];
    let head = head(letter, &mut buf);
    let line = head.get(letter.done..).unwrap_or(&[]);
    let n = put(&mut m.data, 0, line.get(..room).unwrap_or(line))? as usize;
    letter.done = letter.done.saturating_add(n);
    Ok(head.len())
}

/// Moves what has not been read of a letter: how much there was room for, and whether that was all. A message with given
/// pages comes without its first line, which is read before, so that they find their place.
fn read_letter(letter: &mut Letter, m: &mut Msg<'_>) -> Result<(usize, bool)> {
    let room = usize::try_from(m.count).unwrap_or(0);
    let before = letter.done;
    let head = if letter.from.is_some() { read_head(letter, m, room)? } else { 0 };
    let mut n = letter.done.saturating_sub(before);
    if n == 0 || letter.done >= head && !letter.parcel.has_pages() {
        match letter.parcel.read(m, n, room.saturating_sub(n)) {
            Ok(more) => n = n.saturating_add(more),
            Err(e) if n == 0 => return Err(e),
            Err(_) => {}
        }
    }
    Ok((n, letter.done >= head && letter.parcel.is_read()))
}

/// Reads on in a letter, and keeps what is left of it.
fn read_on(side: &Side, mut letter: Ref<Letter>, m: &mut Msg<'_>) -> Result<Reply> {
    // Whoever has taken it is the only one who has it.
    let read = Ref::only(&mut letter).map_or(Ok((0, true)), |l| read_letter(l, m));
    if !matches!(read, Ok((_, true))) {
        side.keep(letter);
    }
    let (n, _) = read?;
    Ok(Reply { count: u32::try_from(n).unwrap_or(0), ..Reply::default() })
}

impl Tree for Mboxes {
    fn moves_pages(&self) -> bool {
        true
    }

    fn stat(&self, file: Qid, e: &mut Entry) -> Result<()> {
        if !file.is_dir() {
            let owner = proc::find(find(file)?.mailbox.pid).ok_or(Error::Died)?;
            (e.mode, e.length) = look(&owner);
            e.name.set(b"mbox");
            e.user.set(&owner.user_name());
        }
        Ok(())
    }

    fn read(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let side = find(file)?;
        if m.count == 0 {
            return Ok(Reply::default());
        }
        let letter = match side.next() {
            Some(letter) => Some(letter),
            None if side.reads => message(&side)?,
            None => reply(&side)?,
        };
        letter.map_or(Ok(Reply::default()), |letter| read_on(&side, letter, m))
    }

    fn write(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let side = find(file)?;
        if side.reads { answer(&side, m) } else { send(&side, m) }
    }

    fn close(&self, file: Qid, _: u8) {
        let side = SIDES.lock().get_mut(slot(file)).and_then(Option::take);
        if let Some(side) = side {
            side.close();
        }
    }
}

/// The mode bits of a process's mailbox, and how many messages wait.
pub(super) fn look(owner: &Proc) -> (u32, u64) {
    let (length, open) = owner.mailbox_if_any().map_or((0, false), |mailbox| mailbox.look());
    (if open { 0o666 } else { 0o600 }, length)
}
