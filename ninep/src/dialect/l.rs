//! 9P2000.L: Linux's system calls as messages, errors as its numbers.

use crate::table::{field_type, messages};
use crate::{Answer, Ask, Effect, Error, NOFID, Name, Qid, Reader};

/// The version's name.
pub const VERSION: &str = "9P2000.L";

messages! {
    /// A request.
    pub enum Tmsg<'a>;
    /// Asks what statfs(2) asks.
    8 Tstatfs fid[4];
    /// Opens with Linux's flags.
    12 Tlopen fid[4] flags[4];
    /// Makes a file in the directory `fid` and opens it as `fid`.
    14 Tlcreate fid[4] name[name] flags[4] mode[4] gid[4];
    /// Makes a symbolic link.
    16 Tsymlink fid[4] name[name] symtgt[s] gid[4];
    /// Makes a special file.
    18 Tmknod dfid[4] name[name] mode[4] major[4] minor[4] gid[4];
    /// Renames the file `fid` into the directory `dfid`.
    20 Trename fid[4] dfid[4] name[name];
    /// Asks where a symbolic link leads.
    22 Treadlink fid[4];
    /// Asks for attributes.
    24 Tgetattr fid[4] request_mask[8];
    /// Changes attributes.
    26 Tsetattr fid[4] valid[4] mode[4] uid[4] gid[4] size[8] atime_sec[8] atime_nsec[8] mtime_sec[8] mtime_nsec[8];
    /// Walks to an extended attribute, or to the list of them.
    30 Txattrwalk fid[4] newfid[4] name[s];
    /// Prepares a fid for the writing of an extended attribute.
    32 Txattrcreate fid[4] name[s] attr_size[8] flags[4];
    /// Asks for entries of a directory.
    40 Treaddir fid[4] offset[8] count[4];
    /// Asks that a file be on disk.
    50 Tfsync fid[4] datasync[4];
    /// Locks or unlocks a range.
    52 Tlock fid[4] kind[1] flags[4] start[8] length[8] proc_id[4] client_id[s];
    /// Asks who holds a lock.
    54 Tgetlock fid[4] kind[1] start[8] length[8] proc_id[4] client_id[s];
    /// Makes a hard link.
    70 Tlink dfid[4] fid[4] name[name];
    /// Makes a directory.
    72 Tmkdir dfid[4] name[name] mode[4] gid[4];
    /// Renames from directory to directory.
    74 Trenameat olddirfid[4] oldname[name] newdirfid[4] newname[name];
    /// Removes a name.
    76 Tunlinkat dirfid[4] name[name] flags[4];
    /// Begins a session.
    100 Tversion msize[4] version[s];
    /// Asks for an authentication file.
    102 Tauth afid[4] uname[s] aname[s] n_uname[4];
    /// Introduces a user.
    104 Tattach fid[4] afid[4] uname[s] aname[s] n_uname[4];
    /// Takes back a request.
    108 Tflush oldtag[2];
    /// Descends a tree, or clones a fid.
    110 Twalk fid[4] newfid[4] wname[n*s];
    /// Asks for bytes of a file.
    116 Tread fid[4] offset[8] count[4];
    /// Changes bytes of a file.
    118 Twrite fid[4] offset[8] data[n];
    /// Forgets a fid.
    120 Tclunk fid[4];
    /// Removes the file and forgets the fid.
    122 Tremove fid[4];
}

messages! {
    /// An answer.
    pub enum Rmsg<'a>;
    /// The request failed with this error number of Linux.
    7 Rlerror ecode[4];
    /// What statfs(2) answers.
    9 Rstatfs kind[4] bsize[4] blocks[8] bfree[8] bavail[8] files[8] ffree[8] fsid[8] namelen[4];
    /// The fid is open.
    13 Rlopen qid[13] iounit[4];
    /// The new file is open.
    15 Rlcreate qid[13] iounit[4];
    /// The new link.
    17 Rsymlink qid[13];
    /// The new file.
    19 Rmknod qid[13];
    /// Renamed.
    21 Rrename;
    /// Where the link leads.
    23 Rreadlink target[s];
    /// The attributes, of which `valid` tells the good ones.
    25 Rgetattr valid[8] qid[13] mode[4] uid[4] gid[4] nlink[8] rdev[8] size[8] blksize[8] blocks[8]
        atime_sec[8] atime_nsec[8] mtime_sec[8] mtime_nsec[8] ctime_sec[8] ctime_nsec[8] btime_sec[8] btime_nsec[8]
        gen_number[8] data_version[8];
    /// Changed.
    27 Rsetattr;
    /// Length of the attribute, or of the list.
    31 Rxattrwalk size[8];
    /// Prepared.
    33 Rxattrcreate;
    /// Entries: see [`Entries`].
    41 Rreaddir data[n];
    /// On disk.
    51 Rfsync;
    /// Whether the lock was got.
    53 Rlock status[1];
    /// The lock that stands in the way.
    55 Rgetlock kind[1] start[8] length[8] proc_id[4] client_id[s];
    /// Linked.
    71 Rlink;
    /// The new directory.
    73 Rmkdir qid[13];
    /// Renamed.
    75 Rrenameat;
    /// Removed.
    77 Runlinkat;
    /// The limits of the session.
    101 Rversion msize[4] version[s];
    /// The authentication file.
    103 Rauth aqid[13];
    /// The root.
    105 Rattach qid[13];
    /// The flushed request will not be answered any more.
    109 Rflush;
    /// The qids of the elements that were walked.
    111 Rwalk wqid[n*13];
    /// The bytes.
    117 Rread data[n];
    /// How many bytes were taken.
    119 Rwrite count[4];
    /// The fid is free.
    121 Rclunk;
    /// The file is gone.
    123 Rremove;
}

/// An entry of a directory, as in an Rreaddir.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// The file's qid.
    pub qid: Qid,
    /// Where to read on after this entry.
    pub offset: u64,
    /// Linux's d_type.
    pub kind: u8,
    /// The file's name.
    pub name: Name<'a>,
}

/// The entries in the data of an Rreaddir.
#[derive(Clone, Debug)]
pub struct Entries<'a>(Reader<'a>);

impl<'a> Entries<'a> {
    /// Reads the entries in `data`, which must be whole.
    pub const fn new(data: &'a [u8]) -> Self {
        Entries(Reader::new(data))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        use crate::Field;
        if self.0.rest().is_empty() {
            return None;
        }
        let r = &mut self.0;
        let mut entry = || {
            Ok(Entry {
                qid: Field::get(r)?,
                offset: Field::get(r)?,
                kind: Field::get(r)?,
                name: Field::get(r)?,
            })
        };
        let entry = entry();
        if entry.is_err() {
            self.0 = Reader::new(&[]);
        }
        Some(entry)
    }
}

/// The dialect as a client speaks it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {}

impl crate::Dialect for Dialect {
    const VERSIONS: &'static [&'static str] = &[VERSION];
    type Request<'a> = Tmsg<'a>;
    type Answer<'a> = Rmsg<'a>;
}

impl<'a> Ask<'a> for Tmsg<'a> {
    fn effect(&self) -> Effect {
        let op = self.op();
        match *self {
            Tmsg::Tversion { msize, .. } => crate::Tmsg::Tversion { msize, version: "" }.effect(),
            Tmsg::Tflush { oldtag } => crate::Tmsg::Tflush { oldtag }.effect(),
            Tmsg::Tauth { afid, .. } => Effect::creates(op, afid, NOFID),
            Tmsg::Tattach { fid, afid, .. } => Effect::creates(op, fid, afid),
            Tmsg::Twalk { fid, newfid, wname } => Effect::walks(op, fid, newfid, wname.len()),
            Tmsg::Txattrwalk { fid, newfid, .. } => Effect::walks(op, fid, newfid, 0),
            Tmsg::Tlopen { fid, .. } | Tmsg::Tlcreate { fid, .. } | Tmsg::Txattrcreate { fid, .. } => {
                Effect::changes(op, fid)
            }
            Tmsg::Tread { fid, count, .. } | Tmsg::Treaddir { fid, count, .. } => {
                Effect::uses(op, fid).with_most(count)
            }
            Tmsg::Twrite { fid, data, .. } => Effect::uses(op, fid).with_most(data.len()),
            Tmsg::Tclunk { fid } | Tmsg::Tremove { fid } => Effect::ends(op, fid),
            Tmsg::Trename { fid, dfid, .. } | Tmsg::Tlink { fid, dfid, .. } => {
                Effect::uses_both(op, fid, dfid)
            }
            Tmsg::Trenameat { olddirfid, newdirfid, .. } => Effect::uses_both(op, olddirfid, newdirfid),
            Tmsg::Tmknod { dfid: fid, .. }
            | Tmsg::Tmkdir { dfid: fid, .. }
            | Tmsg::Tunlinkat { dirfid: fid, .. }
            | Tmsg::Tstatfs { fid }
            | Tmsg::Tsymlink { fid, .. }
            | Tmsg::Treadlink { fid }
            | Tmsg::Tgetattr { fid, .. }
            | Tmsg::Tsetattr { fid, .. }
            | Tmsg::Tfsync { fid, .. }
            | Tmsg::Tlock { fid, .. }
            | Tmsg::Tgetlock { fid, .. } => Effect::uses(op, fid),
        }
    }
}

impl<'a> Answer<'a> for Rmsg<'a> {
    fn is_error(&self) -> bool {
        matches!(self, Rmsg::Rlerror { .. })
    }
    fn amount(&self) -> Option<usize> {
        match self {
            Rmsg::Rread { data } | Rmsg::Rreaddir { data } => Some(data.len()),
            Rmsg::Rwalk { wqid } => Some(wqid.len()),
            Rmsg::Rwrite { count: n } | Rmsg::Rversion { msize: n, .. } => usize::try_from(*n).ok(),
            _ => None,
        }
    }
}
