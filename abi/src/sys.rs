//! The system calls: one list makes the numbers, the names and, elsewhere, stubs, handlers and the manual's index.
//!
//! The number goes in `rax`, arguments in `rdi rsi rdx r10 r8 r9`; the result comes back in `rax`, with -1 for a
//! failure whose words [`Sys::Errstr`] gives. `rcx`, `r11` and all vector registers are lost.

/// A string in user memory: how argument vectors and rare seventh arguments are passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Str {
    /// Where it begins.
    pub addr: u64,
    /// Its length in bytes.
    pub len: u64,
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident $text:literal ($($arg:ident),*),)*) => {
        /// A system call.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum Sys { $($(#[$doc])* $name,)* }

        impl Sys {
            /// Every call, in the order of its number.
            pub const ALL: &'static [Sys] = &[$(Sys::$name,)*];

            /// The name, as the manual has it.
            pub const fn name(self) -> &'static str { match self { $(Sys::$name => $text,)* } }

            /// The names of the arguments.
            pub const fn args(self) -> &'static [&'static str] {
                match self { $(Sys::$name => &[$(stringify!($arg)),*],)* }
            }
        }
    };
}

calls! {
    /// Opens a file by path: a descriptor.
    Open "open" (path, path_len, mode),
    /// Creates a file, or truncates one: a descriptor.
    Create "create" (path, path_len, mode, perm),
    /// Gives a port back to `nowhere`.
    Close "close" (fd),
    /// Reads at an offset; offset -1 reads at the descriptor's own and moves it.
    Pread "pread" (fd, buf, len, offset, terms),
    /// Writes at an offset; offset -1 as in pread.
    Pwrite "pwrite" (fd, buf, len, offset, terms),
    /// Moves the descriptor's offset: whence 0 from the start, 1 from here, 2 from the end.
    Seek "seek" (fd, offset, whence),
    /// Copies a port; `new` is -1 for the lowest free one.
    Dup "dup" (old, new),
    /// Makes a pipe and stores its two descriptors (two little-endian i32).
    Pipe "pipe" (fds),
    /// The stat record of a path, in section 5's layout: its length.
    Stat "stat" (path, path_len, buf, len),
    /// Changes what a path's stat record says.
    Wstat "wstat" (path, path_len, buf, len),
    /// The stat record of a descriptor.
    Fstat "fstat" (fd, buf, len),
    /// Changes what a descriptor's stat record says.
    Fwstat "fwstat" (fd, buf, len),
    /// Removes a file by path.
    Remove "remove" (path, path_len),
    /// Changes the working directory.
    Chdir "chdir" (path, path_len),
    /// The path by which a descriptor was opened: its length.
    Fd2path "fd2path" (fd, buf, len),
    /// Makes the file `new` appear at `old`.
    Bind "bind" (new, new_len, old, old_len, flags),
    /// Attaches to the server behind a portal's descriptor and puts its root at `old`; `afd` is -1 for
    /// none, `aname` points to a [`Str`] or is 0.
    Mount "mount" (fd, afd, old, old_len, flags, aname),
    /// Undoes bind or mount; `new` empty takes everything off `old`.
    Unmount "unmount" (new, new_len, old, old_len),
    /// Asks the server behind a portal's descriptor for an authentication file: a descriptor.
    Fauth "fauth" (fd, aname, aname_len),
    /// Divides the process, or changes its groups; `sp` is the child's stack pointer with shared memory, else 0.
    Rfork "rfork" (flags, sp),
    /// Replaces the program. `argv` points to `argc` [`Str`]s. The new program starts with `rdi` the count and `rsi` a
    /// pointer to its own array of [`Str`]s.
    Exec "exec" (path, path_len, argv, argc),
    /// Ends the process with a status.
    Exits "exits" (status, status_len),
    /// Waits for a child's end: its record as text, `pid utime stime rtime 'status'`.
    Await "await" (buf, len),
    /// Names the function that takes notes; 0 for none.
    Notify "notify" (handler),
    /// Ends a note's handling.
    Noted "noted" (how),
    /// Asks for an alarm after so many nanoseconds; 0 takes it back. Returns what was left of the last.
    Alarm "alarm" (nanoseconds),
    /// Sleeps so many nanoseconds; 0 yields.
    Sleep "sleep" (nanoseconds),
    /// Meets another process at a tag and exchanges a value.
    Rendezvous "rendezvous" (tag, value),
    /// Takes one from a semaphore (an i32); waits at most so many nanoseconds, -1 without end, 0 not at all.
    Semacquire "semacquire" (addr, nanoseconds),
    /// Adds to a semaphore.
    Semrelease "semrelease" (addr, count),
    /// Exchanges the thread's error string with the buffer's (a 2-byte length and as many bytes).
    Errstr "errstr" (buf, len),
    /// Attaches a new zero-filled segment (fd -1), or a range of a file: its address.
    Segattach "segattach" (flags, fd, offset, addr, len),
    /// Detaches what lies at an address.
    Segdetach "segdetach" (addr, len),
    /// Moves the end of the heap; 0 asks for it.
    Segbrk "segbrk" (addr),
    /// Makes a portal: a descriptor that can be posted or mounted.
    Portal "portal" (entry, limits),
    /// Ends the portal call that runs on this activation; an answer that makes no sense becomes the caller's error.
    /// Returns only where no call runs.
    Reply "reply" (head, w1, w2, w3),
    /// Lets up to `n` callers parked on a portal's queue try again.
    Wake "wake" (fd, queue, n),
    /// Exchanges one page with another process at a tag.
    Exchange "exchange" (tag, page),
    /// The time in nanoseconds: 0 since boot, 1 since 1970, 2 this process's own; 3 is the process number.
    Clock "clock" (which),
}

impl Sys {
    /// The call of this number.
    pub fn from_number(n: u64) -> Option<Sys> {
        Self::ALL.get(usize::try_from(n).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_at_most_forty_calls_of_at_most_six_arguments() {
        assert!(Sys::ALL.len() <= 40, "{}", Sys::ALL.len());
        for (n, &s) in Sys::ALL.iter().enumerate() {
            assert_eq!(Sys::from_number(n as u64), Some(s));
            assert!(s.args().len() <= 6, "{}", s.name());
        }
        assert_eq!(Sys::from_number(u64::MAX), None);
    }
}
