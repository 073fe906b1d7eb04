//! The rows on Linux, by the same names, as the first program of a machine: /tmp is a tmpfs, and the end is power off.
//!
//! Times are the clock's nanoseconds, which the emulator makes count instructions.
#![allow(unsafe_code, reason = "calls Linux by its C interface")]

use std::io::Error;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Instant;

/// Batches of which the median counts.
const BATCHES: usize = 9;

/// Passes the result of a call on, or panics with the call's error: the machine then ends without its last line.
fn done<T: Copy + Into<i64>>(result: T, what: &str) -> T {
    assert!(result.into() >= 0, "{what}: {}", Error::last_os_error());
    result
}

/// Prints the median, the least and the most that one operation took.
fn span(name: &str, mut batch: impl FnMut() -> (u128, u128)) {
    batch();
    let mut figures = [(); BATCHES].map(|()| {
        let (spent, count) = batch();
        (spent + count / 2) / count
    });
    figures.sort_unstable();
    println!("cost {name} {} {} {}", figures[BATCHES / 2], figures[0], figures[BATCHES - 1]);
}

fn row(name: &str, batch: u32, mut op: impl FnMut()) {
    span(name, || {
        let start = Instant::now();
        (0..batch).for_each(|_| op());
        (start.elapsed().as_nanos(), batch.into())
    });
}

pub(crate) fn main() {
    if std::env::args().nth(1).as_deref() == Some("exit") {
        return;
    }
    // SAFETY: asks for a number.
    if unsafe { libc::getpid() } != 1 {
        eprintln!("cost: on Linux it is a machine's first program: cargo xtask bench --against linux");
        std::process::exit(1);
    }
    terminal();
    calls();
    files();
    pipe();
    futexes();
    signals();
    processes();
    memory();
    println!("cost done");
    // SAFETY: the first program may do it, and nothing is to be saved.
    unsafe { libc::reboot(libc::RB_POWER_OFF) };
}

/// Mounts what is needed and speaks on the serial line.
fn terminal() {
    for (kind, dir) in [(c"devtmpfs", c"/dev"), (c"tmpfs", c"/tmp")] {
        // SAFETY: the texts end in zeroes, and there are no options.
        let r = unsafe { libc::mount(kind.as_ptr(), dir.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) };
        done(r, "mount");
    }
    // SAFETY: opens a device; the copies are this process's standard descriptors.
    unsafe {
        let serial = done(libc::open(c"/dev/ttyS0".as_ptr(), libc::O_RDWR), "/dev/ttyS0");
        for fd in 0..3 {
            done(libc::dup2(serial, fd), "dup2");
        }
    }
}

fn calls() {
    // SAFETY: asks for a number.
    row("null_syscall", 2000, || assert_eq!(unsafe { libc::syscall(libc::SYS_getpid) }, 1));
    let data: Vec<u8> = (0..1 << 20).map(|at| (at % 251) as u8 ^ 0x5a).collect();
    std::fs::write("/tmp/data", &data).expect("/tmp/data");
    // SAFETY: the text ends in a zero.
    let fd = done(unsafe { libc::open(c"/tmp/data".as_ptr(), libc::O_RDONLY) }, "open");
    let mut to = vec![0u8; data.len()];
    let mut read = |len: usize, at: usize| {
        // SAFETY: there is room for `len` bytes.
        let n = unsafe { libc::pread(fd, to.as_mut_ptr().cast(), len, at as i64) };
        assert!(n == len as isize && to[len - 1] == data[at + len - 1], "wrong data");
    };
    let mut at = 0;
    row("read1_server", 1000, || {
        at = (at + 1) & 4095;
        read(1, at);
    });
    row("read4k_server", 500, || read(4096, 0));
    row("read1m_cached", 4, || read(1 << 20, 0));
    assert_eq!(to, data);
}

fn files() {
    std::fs::write("/tmp/x", "contents").expect("/tmp/x");
    // SAFETY: a stat record is numbers only.
    let mut record: libc::stat = unsafe { std::mem::zeroed() };
    row("stat", 500, || {
        // SAFETY: the text ends in a zero, and the record is one.
        done(unsafe { libc::stat(c"/tmp/x".as_ptr(), &raw mut record) }, "stat");
        assert_eq!(record.st_size, 8);
    });
    // SAFETY: the texts end in zeroes; each descriptor is closed once.
    row("open_close", 500, || unsafe {
        let fd = done(libc::open(c"/tmp/x".as_ptr(), libc::O_RDONLY), "open");
        done(libc::close(fd), "close");
    });
    // SAFETY: as above.
    row("create_remove", 200, || unsafe {
        let fd = done(libc::open(c"/tmp/y".as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o600), "create");
        done(libc::close(fd), "close");
        done(libc::unlink(c"/tmp/y".as_ptr()), "unlink");
    });
}

/// A child that runs this and ends.
fn child(run: impl FnOnce()) -> i32 {
    // SAFETY: there is one thread; the child ends without unwinding into the parent's code.
    let pid = done(unsafe { libc::fork() }, "fork");
    if pid == 0 {
        run();
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) }
    }
    pid
}

fn wait(pid: i32) {
    let mut status = 0;
    // SAFETY: the status is a number of this function's.
    done(unsafe { libc::waitpid(pid, &raw mut status, 0) }, "waitpid");
    assert_eq!(status, 0, "the child failed");
}

fn pipe() {
    let (mut there, mut back) = ([0; 2], [0; 2]);
    // SAFETY: both have room for two descriptors.
    unsafe {
        done(libc::pipe(there.as_mut_ptr()), "pipe");
        done(libc::pipe(back.as_mut_ptr()), "pipe");
    }
    let pass = |byte: &mut [u8; 1], from: i32, to: i32| {
        // SAFETY: one byte each way.
        unsafe {
            libc::read(from, byte.as_mut_ptr().cast(), 1) == 1
                && libc::write(to, byte.as_ptr().cast(), 1) == 1
        }
    };
    let pid = child(|| {
        // SAFETY: its own copy; so that it sees the end.
        unsafe { libc::close(there[1]) };
        while pass(&mut [0], there[0], back[1]) {}
    });
    let mut sent = 0u8;
    row("pipe_rt", 500, || {
        sent = sent.wrapping_add(1);
        let mut byte = [0u8];
        // SAFETY: one byte each way.
        unsafe {
            done(libc::write(there[1], [sent].as_ptr().cast(), 1) as i64, "write");
            done(libc::read(back[0], byte.as_mut_ptr().cast(), 1) as i64, "read");
        }
        assert_eq!(byte[0], sent);
    });
    // SAFETY: closed once.
    unsafe { libc::close(there[1]) };
    wait(pid);
}

/// Adds to a semaphore, and wakes.
fn release(sem: &AtomicI32) {
    sem.fetch_add(1, Ordering::Release);
    // SAFETY: a word of shared memory.
    unsafe { libc::syscall(libc::SYS_futex, sem.as_ptr(), libc::FUTEX_WAKE, 1) };
}

/// Takes one, sleeping while there is none.
fn acquire(sem: &AtomicI32) {
    while sem.fetch_update(Ordering::Acquire, Ordering::Relaxed, |n| (n > 0).then(|| n - 1)).is_err() {
        // SAFETY: a word of shared memory.
        unsafe { libc::syscall(libc::SYS_futex, sem.as_ptr(), libc::FUTEX_WAIT, 0, std::ptr::null::<u8>()) };
    }
}

fn futexes() {
    let (rights, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: fresh memory for two semaphores and a word, which stays to the end.
    let words = unsafe {
        let at = libc::mmap(std::ptr::null_mut(), 4096, rights, shared, -1, 0);
        assert_ne!(at, libc::MAP_FAILED);
        &*at.cast::<[AtomicI32; 3]>()
    };
    let pid = child(|| {
        loop {
            acquire(&words[0]);
            if words[2].load(Ordering::Relaxed) != 0 {
                return;
            }
            release(&words[1]);
        }
    });
    row("sem_rt", 500, || {
        release(&words[0]);
        acquire(&words[1]);
    });
    words[2].store(1, Ordering::Relaxed);
    release(&words[0]);
    wait(pid);
}

static SIGNALS: AtomicU64 = AtomicU64::new(0);

extern "C" fn taken(_: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

fn signals() {
    // SAFETY: the handler only counts.
    unsafe { libc::signal(libc::SIGUSR1, taken as *const () as usize) };
    let mut sent = 0;
    row("note_self", 500, || {
        sent += 1;
        // SAFETY: to this process itself.
        done(unsafe { libc::kill(1, libc::SIGUSR1) }, "kill");
        assert_eq!(SIGNALS.load(Ordering::Relaxed), sent);
    });
}

fn processes() {
    row("fork_wait", 10, || wait(child(|| ())));
    row("spawn_wait", 5, || {
        let status = std::process::Command::new("/init").arg("exit").status().expect("/init");
        assert!(status.success());
    });
    static RAN: AtomicU64 = AtomicU64::new(0);
    let mut runs = 0;
    row("thread_join", 50, || {
        runs += 1;
        let thread = std::thread::spawn(|| RAN.fetch_add(1, Ordering::Relaxed));
        assert!(thread.join().is_ok() && RAN.load(Ordering::Relaxed) == runs);
    });
}

/// Pages that are touched for one figure.
const PAGES: usize = 512;

fn memory() {
    let (rights, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    span("fault_anon", || {
        // SAFETY: fresh memory, touched inside its length and given back.
        unsafe {
            let at = libc::mmap(std::ptr::null_mut(), PAGES * 4096, rights, private, -1, 0);
            assert_ne!(at, libc::MAP_FAILED);
            // One page at a time, as here.
            libc::madvise(at, PAGES * 4096, libc::MADV_NOHUGEPAGE);
            let words = at.cast::<u64>();
            let start = Instant::now();
            (0..PAGES).for_each(|i| words.add(i * 512).write_volatile(i as u64));
            let spent = start.elapsed().as_nanos();
            (0..PAGES).for_each(|i| assert_eq!(words.add(i * 512).read_volatile(), i as u64));
            libc::munmap(at, PAGES * 4096);
            (spent, PAGES as u128)
        }
    });
}
