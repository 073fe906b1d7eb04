//! The kernel's errors: one list of values and the words a user sees.
//!
//! A system call that fails returns -1 and leaves words in the thread's error string, as in Plan 9's intro(2).
//! On a portal and on a wire an error is always words (Rerror in error(5)); the values exist so that code need
//! not compare words.

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// An error known by name. A word, so that the kernel's results of a word or an error come in two registers.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u64)]
        pub enum Error { $($(#[$doc])* $name,)* }

        impl Error {
            /// Every error of the list, in order.
            pub const ALL: &'static [Error] = &[$(Error::$name,)*];

            /// The words of all of them, one after the other: a table of where each begins would be as long.
            const WORDS: &'static str = concat!($($text),*);
            /// How long each one's are.
            const LENGTHS: &'static [u8] = &[$($text.len() as u8),*];

            /// The error of this number, as counted by `error as u8`.
            pub const fn from_code(code: u8) -> Option<Error> {
                $(if code == Error::$name as u8 { return Some(Error::$name) })*
                None
            }
        }
    };
}

errors! {
    /// The port is not assigned.
    Nowhere = "you can't get there from here",
    /// The server that owned the file is gone.
    Died = "server died",
    /// A note or an alarm interrupted the call.
    Interrupted = "interrupted",
    /// The call would wait for itself.
    Deadlock = "deadlock",
    /// The chain of portal calls is deeper than [`crate::limit::CALLS`].
    TooDeep = "too many nested calls",
    /// A server's answer broke the protocol.
    BadReply = "bad reply from server",
    /// No memory for it.
    NoMemory = "out of memory",
    /// A pointer or length leads outside the caller's memory.
    BadAddress = "bad address",
    /// An argument is out of its range.
    BadArg = "bad argument in system call",
    /// No such system call.
    NoSys = "no such system call",
    /// Every port of the process is taken.
    NoPort = "no free file descriptors",
    /// No file of that name.
    NotExist = "file does not exist",
    /// A file of that name exists.
    Exists = "file already exists",
    /// Permission is denied.
    Perm = "permission denied",
    /// A walk from a file that is no directory.
    NotDir = "not a directory",
    /// A directory where none may be.
    IsDir = "file is a directory",
    /// The directory has entries.
    NotEmpty = "directory is not empty",
    /// Not a valid file name.
    BadName = "bad character in file name",
    /// A name or path that is too long.
    NameTooLong = "name too long",
    /// The descriptor is not open for this.
    BadMode = "file not open for this operation",
    /// The open mode or the flags make no sense.
    BadOpen = "bad open mode",
    /// An offset that is negative, beyond the largest, or inside a directory's entry.
    BadOffset = "bad offset",
    /// A stat record that does not parse.
    BadStat = "bad stat record",
    /// A buffer too small for the answer.
    ShortBuffer = "buffer too short",
    /// A control message not understood.
    BadCtl = "unknown control request",
    /// The file is held for exclusive use.
    Exclusive = "file is in use",
    /// No process of that number or name.
    NoProc = "process does not exist",
    /// No children to wait for.
    NoChild = "no living children",
    /// The limit on processes.
    NoProcs = "no more processes",
    /// The file cannot be executed.
    BadExec = "not an executable file",
    /// The arguments do not fit.
    TooMuchArg = "arguments too long",
    /// Not a mount point, or nothing of that name mounted there.
    NotMounted = "not mounted",
    /// The channel can't be mounted.
    BadMount = "not a mountable file",
    /// A mount would go round in a circle, or kinds differ.
    MountKind = "mount or bind of a file on a directory",
    /// No element of the union allows to create.
    NoCreate = "mounted directory forbids creation",
    /// The file is a mount point and cannot be removed or renamed.
    MountPoint = "is a mount point",
    /// Nobody reads from the pipe.
    Hungup = "i/o on hungup channel",
    /// A segment overlaps another.
    Overlap = "segments overlap",
    /// No segment at that address.
    NoSegment = "no such segment",
    /// The server does not do this.
    NotSupported = "operation not supported",
    /// The server needs no authentication.
    NoAuth = "authentication not required",
    /// The authentication was refused.
    AuthFailed = "authentication failed",
    /// Fid is not known.
    UnknownFid = "unknown fid",
    /// Fid is in use already.
    FidInUse = "fid already in use",
    /// Tag is in use already.
    TagInUse = "tag already in use",
    /// The fid is open already.
    AlreadyOpen = "file already open for I/O",
    /// The fid is not open.
    NotOpen = "file not open",
    /// No room on the device, or the quota is full.
    NoSpace = "file system is full",
    /// Nothing may be written here.
    ReadOnly = "read only file system",
    /// The message breaks the protocol.
    BadMessage = "bad message",
    /// The user is not known.
    NoUser = "unknown user",
    /// The connection is gone.
    Closed = "connection closed",
    /// The device reported an error.
    Io = "i/o error",
    /// The queue is full.
    Full = "queue is full",
    /// An alarm or a time limit has passed.
    Timeout = "timed out",
    /// A request before a version has been agreed on.
    NoVersion = "version comes first",
    /// A message size with which nothing can be said.
    SmallMsize = "message size too small",
    /// A mailbox that takes nothing, or nothing from this process.
    NoMail = "mailbox is closed",
    /// A message longer than [`crate::limit::MESSAGE`].
    TooLong = "message too long",
    /// A reply where no message has been read.
    NoMessage = "no message to reply to",
    /// Memory of which whole pages can't be given or replaced: text, a file, wired, shared, or lent at the moment.
    NotOwn = "memory is not the caller's alone",
}

impl Error {
    /// The words.
    pub const fn text(self) -> &'static str {
        let (mut words, mut lengths, mut before) = (Self::WORDS, Self::LENGTHS, self as u64);
        while let [len, others @ ..] = lengths
            && let Some((first, rest)) = words.split_at_checked(*len as usize)
        {
            if before == 0 {
                return first;
            }
            (words, lengths, before) = (rest, others, before - 1);
        }
        ""
    }

    /// The error with exactly these words.
    pub fn from_text(text: &str) -> Option<Error> {
        let mut words = Self::WORDS;
        for (code, &len) in Self::LENGTHS.iter().enumerate() {
            let (first, rest) = words.split_at_checked(usize::from(len))?;
            if first == text {
                return Error::from_code(code as u8);
            }
            words = rest;
        }
        None
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_codes_lead_back_to_their_error() {
        for (code, &e) in Error::ALL.iter().enumerate() {
            assert_eq!(Error::from_text(e.text()), Some(e), "two errors share the words {:?}", e.text());
            assert_eq!(Error::from_code(code as u8), Some(e));
            assert!(e.text().len() <= crate::limit::ERROR);
        }
        assert_eq!(Error::from_text("no such words"), None);
    }
}
