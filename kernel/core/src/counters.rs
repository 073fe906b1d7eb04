//! Counters of what exists, for tests and for those who watch: each must return to where it was. From `switches` on, which
//! whoever compares two readings relies on, come those of what has happened, which never fall.

use core::sync::atomic::{AtomicU64, Ordering};

/// How many of something there are.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    /// One more.
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// So many more.
    pub fn rise(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// So many less.
    pub fn sink(&self, by: u64) {
        self.0.fetch_sub(by, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident $text:literal,)*) => {
        $($(#[$doc])* pub static $name: Counter = Counter::new();)*

        /// Each counter and its name.
        pub static ALL: &[(&str, &Counter)] = &[$(($text, &$name),)*];
    };
}

counters! {
    /// Processes.
    PROCS "processes",
    /// Kernel stacks with what runs on them, activations included.
    THREADS "threads",
    /// Portals.
    PORTALS "portals",
    /// Activations.
    ACTIVATIONS "activations",
    /// Sessions.
    SESSIONS "sessions",
    /// Fids in use or in quarantine.
    FIDS "fids",
    /// Pages of callers in windows of activations.
    LENT "lent",
    /// Calls whose caller left and whose server has not answered yet.
    ZOMBIES "zombies",
    /// Messages and replies in mailboxes.
    LETTERS "letters",
    /// Pages of files that are newer here than at their servers.
    DIRTY "dirty",
    /// Pages of programs' own memory that are in swap.
    SWAP "swap",
    /// Switches from one thread to another.
    SWITCHES "switches",
    /// Threads put on a run queue.
    READIED "readied",
    /// Slow paths of a portal call: no activation was free.
    BUSY "busy",
    /// Locks that were held when a CPU wanted them.
    CONTENDED "contended",
    /// Pages that servers gave for segments.
    FETCHED "fetched",
    /// Pages of programs' code and constants that were evicted.
    TEXT_OUT "evicted-text",
    /// Clean pages of other files that were evicted.
    CLEAN_OUT "evicted-clean",
    /// Pages that servers have shared.
    SHARED "shared",
    /// Pages that servers have taken from writers that gave them.
    GIVEN "given",
    /// Pages of programs' own memory that went to swap.
    SWAPPED "evicted-own",
    /// Dirty pages that were written back.
    LAUNDERED "laundered",
}
