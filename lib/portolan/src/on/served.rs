//! The glue between a portal and the trait of `portolan-serve`: the entry that every server of this kind shares.
#![allow(unsafe_code, reason = "is entered by the kernel and uses the activation's memory")]

use super::error as plain;
use crate::alloc::boxed::Box;
use crate::sys;
use abi::error::Error as Known;
use abi::limit;
use abi::portal::{ACTIVATION_STRIDE, ACTIVATIONS, Answer, Limits, Request, Term, op};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
pub use serve::*;

/// What the entry needs. One a program; it lives until the process ends.
struct Served<S: Server> {
    front: portal::Portal<S>,
    /// By activation; each is touched only by the call that runs on its activation.
    held: [UnsafeCell<Held>; limit::ACTIVATIONS],
}

static SERVED: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static PORTAL: AtomicI32 = AtomicI32::new(-1);

/// How a server of this program lets parked callers try again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waker;

impl Wake for Waker {
    fn wake(&self, queue: u64, n: u32) {
        // Fails only before there is a portal, when nobody waits.
        let _ = sys::wake(PORTAL.load(Ordering::Relaxed), queue, n);
    }
}

/// A portal before this server. A program has one server; a second call is an error.
pub fn serve<S: Server + 'static>(
    server: S,
    limits: &Limits,
) -> plain::Result<(super::portal::Portal, &'static S)> {
    let front = portal::Portal::new(server).map_err(|_| plain::Error::Known(Known::NoMemory))?;
    let held = core::array::from_fn(|_| UnsafeCell::new(Held::Nothing));
    let served: &'static Served<S> = Box::leak(Box::new(Served { front, held }));
    let raw = (&raw const *served).cast_mut().cast();
    if SERVED.compare_exchange(core::ptr::null_mut(), raw, Ordering::Release, Ordering::Relaxed).is_err() {
        return Err(plain::Error::new("a program serves one tree"));
    }
    let portal = super::portal::Portal::new(enter::<S>, limits)?;
    PORTAL.store(portal.file().fd(), Ordering::Relaxed);
    Ok((portal, served.front.server()))
}

/// The payload's window: memory that the client may share, so it is only ever copied.
struct KernelWindow {
    at: *mut u8,
    len: usize,
    gives: bool,
}

impl Window for KernelWindow {
    #[inline]
    fn get(&self, at: usize, out: &mut [u8]) {
        if at.checked_add(out.len()).is_some_and(|end| end <= self.len) {
            // SAFETY: the kernel made `len` bytes readable there for this call, and the range is inside them.
            unsafe { core::ptr::copy_nonoverlapping(self.at.add(at), out.as_mut_ptr(), out.len()) }
        }
    }

    #[inline]
    fn put(&mut self, at: usize, data: &[u8]) {
        if at.checked_add(data.len()).is_some_and(|end| end <= self.len) {
            // SAFETY: as in `get`; a read's window can be written.
            unsafe { core::ptr::copy_nonoverlapping(data.as_ptr(), self.at.add(at), data.len()) }
        }
    }

    fn give(&self, at: usize, to: &mut [u8; limit::PAGE]) -> bool {
        let portal = PORTAL.load(Ordering::Relaxed);
        // SAFETY: the page is borrowed exclusively, and every byte of it may be another afterwards.
        self.gives
            && unsafe { sys::take(portal, to.as_mut_ptr() as u64, limit::PAGE, at as i64) }
                == Some(limit::PAGE)
    }

    fn gives(&self) -> bool {
        self.gives
    }
}

extern "C" fn enter<S: Server>(
    head: u64,
    fids: u64,
    offset: u64,
    session: u64,
    payload: u64,
    page: u64,
) -> ! {
    let request = Request { head, fids, offset, session, payload, page };
    // SAFETY: `serve` stored a Served of this very S before it made the portal that enters here, and never frees it.
    let served = unsafe { &*SERVED.load(Ordering::Acquire).cast::<Served<S>>() };
    let index = (page.wrapping_sub(ACTIVATIONS) / ACTIVATION_STRIDE) as usize;
    // SAFETY: the kernel numbers activations below the limit.
    let held = unsafe { served.held.get_unchecked(index) };
    // SAFETY: only this call runs on the activation, so nobody else has its `held`.
    let held = unsafe { &mut *held.get() };
    // SAFETY: the message page is this activation's alone for the call.
    let page = unsafe { core::slice::from_raw_parts_mut(page as *mut u8, limit::PAGE) };
    let len = if matches!(request.op(), op::TREAD | op::TWRITE) { request.count() as usize } else { 0 };
    let gives = request.op() == op::TWRITE && request.a() == Term::Give as u8;
    let mut window = KernelWindow { at: payload as *mut u8, len, gives };
    let answer = served.front.call(&request, page, &mut window, held, &Waker);
    let _ = sys::reply(&answer);
    // The kernel found the answer bad: that is a fault of this program, which the client learns as such.
    loop {
        let head = Answer::make_head(op::RERROR, Known::BadReply as u8 + 1, 0);
        let _ = sys::reply(&Answer { head, ..Answer::default() });
    }
}
