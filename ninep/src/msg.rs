//! The messages of 9P2000: the table.

use crate::table::{field_type, messages};

messages! {
    /// A request: what a client says.
    pub enum Tmsg<'a>;
    /// version(5): begins a session and agrees on its limits.
    100 Tversion msize[4] version[s];
    /// attach(5): asks for an authentication file.
    102 Tauth afid[4] uname[s] aname[s];
    /// attach(5): introduces a user and gets the root of a tree.
    104 Tattach fid[4] afid[4] uname[s] aname[s];
    /// flush(5): takes back a request.
    108 Tflush oldtag[2];
    /// walk(5): descends a tree, or clones a fid.
    110 Twalk fid[4] newfid[4] wname[n*s];
    /// open(5): prepares a fid for I/O.
    112 Topen fid[4] mode[1];
    /// open(5): makes a file and opens it.
    114 Tcreate fid[4] name[name] perm[4] mode[1];
    /// read(5): asks for bytes of a file, or entries of a directory.
    116 Tread fid[4] offset[8] count[4];
    /// read(5): changes bytes of a file.
    118 Twrite fid[4] offset[8] data[n];
    /// clunk(5): forgets a fid.
    120 Tclunk fid[4];
    /// remove(5): removes the file and forgets the fid.
    122 Tremove fid[4];
    /// stat(5): asks for a file's attributes.
    124 Tstat fid[4];
    /// stat(5): changes a file's attributes.
    126 Twstat fid[4] stat[stat];
}

messages! {
    /// An answer: what a server says.
    pub enum Rmsg<'a>;
    /// version(5): the limits of the session.
    101 Rversion msize[4] version[s];
    /// attach(5): the authentication file.
    103 Rauth aqid[13];
    /// attach(5): the root.
    105 Rattach qid[13];
    /// error(5): the request failed.
    107 Rerror ename[s];
    /// flush(5): the flushed request will not be answered any more.
    109 Rflush;
    /// walk(5): the qids of the elements that were walked.
    111 Rwalk wqid[n*13];
    /// open(5): the fid is open; iounit bytes are moved as one, if not 0.
    113 Ropen qid[13] iounit[4];
    /// open(5): the new file is open.
    115 Rcreate qid[13] iounit[4];
    /// read(5): the bytes.
    117 Rread data[n];
    /// read(5): how many bytes were taken.
    119 Rwrite count[4];
    /// clunk(5): the fid is free.
    121 Rclunk;
    /// remove(5): the file is gone.
    123 Rremove;
    /// stat(5): the attributes.
    125 Rstat stat[stat];
    /// stat(5): the attributes are changed.
    127 Rwstat;
}

impl<'a> Tmsg<'a> {
    /// The fid that the request is about, if it names one: not the new one of a walk, nor an afid.
    pub const fn fid(&self) -> Option<u32> {
        match *self {
            Tmsg::Tattach { fid, .. }
            | Tmsg::Twalk { fid, .. }
            | Tmsg::Topen { fid, .. }
            | Tmsg::Tcreate { fid, .. }
            | Tmsg::Tread { fid, .. }
            | Tmsg::Twrite { fid, .. }
            | Tmsg::Tclunk { fid }
            | Tmsg::Tremove { fid }
            | Tmsg::Tstat { fid }
            | Tmsg::Twstat { fid, .. } => Some(fid),
            Tmsg::Tauth { afid, .. } => Some(afid),
            Tmsg::Tversion { .. } | Tmsg::Tflush { .. } => None,
        }
    }
}

impl<'a> Rmsg<'a> {
    /// The answer that says that this went wrong.
    pub const fn error(e: abi::error::Error) -> Rmsg<'static> {
        Rmsg::Rerror { ename: e.text() }
    }

    /// Can this answer that request? See [`Effect::check`](crate::Effect::check).
    pub fn answers(&self, t: &Tmsg<'_>) -> Result<(), crate::Error> {
        crate::Ask::effect(t).check(self)
    }
}
