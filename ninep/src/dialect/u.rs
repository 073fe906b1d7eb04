//! 9P2000.u: numeric users and error numbers beside the names, and special files as text in `extension`.

use crate::table::{field_type, messages, record};
use crate::{Answer, Ask, Effect, NOFID};

/// The version's name.
pub const VERSION: &str = "9P2000.u";
/// No numeric user: the name counts.
pub const NONUNAME: u32 = u32::MAX;

record! {
    /// A file's attributes.
    pub struct Stat<'a>;
    /// The manual's `type`: for the kernel's use.
    kind[2];
    /// For the kernel's use.
    dev[4];
    /// The server's name of the file.
    qid[13];
    /// Permissions and flags.
    mode[4];
    /// Last access, in seconds since 1970.
    atime[4];
    /// Last change of the contents, in seconds since 1970.
    mtime[4];
    /// Length of the file in bytes.
    length[8];
    /// Last element of the path; `/` for a root.
    name[s];
    /// Owner.
    uid[s];
    /// Group.
    gid[s];
    /// Who changed it last.
    muid[s];
    /// Where a symbolic link leads, or what device a special file is.
    extension[s];
    /// Number of the owner.
    n_uid[4];
    /// Number of the group.
    n_gid[4];
    /// Number of who changed it last.
    n_muid[4];
}

messages! {
    /// A request.
    pub enum Tmsg<'a>;
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
    /// Prepares a fid for I/O.
    112 Topen fid[4] mode[1];
    /// Makes a file and opens it.
    114 Tcreate fid[4] name[name] perm[4] mode[1] extension[s];
    /// Asks for bytes of a file.
    116 Tread fid[4] offset[8] count[4];
    /// Changes bytes of a file.
    118 Twrite fid[4] offset[8] data[n];
    /// Forgets a fid.
    120 Tclunk fid[4];
    /// Removes the file and forgets the fid.
    122 Tremove fid[4];
    /// Asks for a file's attributes.
    124 Tstat fid[4];
    /// Changes a file's attributes.
    126 Twstat fid[4] stat[ustat];
}

messages! {
    /// An answer.
    pub enum Rmsg<'a>;
    /// The limits of the session.
    101 Rversion msize[4] version[s];
    /// The authentication file.
    103 Rauth aqid[13];
    /// The root.
    105 Rattach qid[13];
    /// The request failed, in words and as a Unix error number.
    107 Rerror ename[s] errno[4];
    /// The flushed request will not be answered any more.
    109 Rflush;
    /// The qids of the elements that were walked.
    111 Rwalk wqid[n*13];
    /// The fid is open.
    113 Ropen qid[13] iounit[4];
    /// The new file is open.
    115 Rcreate qid[13] iounit[4];
    /// The bytes.
    117 Rread data[n];
    /// How many bytes were taken.
    119 Rwrite count[4];
    /// The fid is free.
    121 Rclunk;
    /// The file is gone.
    123 Rremove;
    /// The attributes.
    125 Rstat stat[ustat];
    /// The attributes are changed.
    127 Rwstat;
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
            Tmsg::Topen { fid, .. } | Tmsg::Tcreate { fid, .. } => Effect::changes(op, fid),
            Tmsg::Tread { fid, count, .. } => Effect::uses(op, fid).with_most(count),
            Tmsg::Twrite { fid, data, .. } => Effect::uses(op, fid).with_most(data.len()),
            Tmsg::Tclunk { fid } | Tmsg::Tremove { fid } => Effect::ends(op, fid),
            Tmsg::Tstat { fid } | Tmsg::Twstat { fid, .. } => Effect::uses(op, fid),
        }
    }
}

impl<'a> Answer<'a> for Rmsg<'a> {
    fn is_error(&self) -> bool {
        matches!(self, Rmsg::Rerror { .. })
    }
    fn amount(&self) -> Option<usize> {
        match self {
            Rmsg::Rread { data } => Some(data.len()),
            Rmsg::Rwalk { wqid } => Some(wqid.len()),
            Rmsg::Rwrite { count: n } | Rmsg::Rversion { msize: n, .. } => usize::try_from(*n).ok(),
            _ => None,
        }
    }
}
