//! The front of a portal: words in, words out ([`Portal::call`]), as `abi::portal` lays them down.
//!
//! The runtime's entry hands over what the kernel brought and ends the call with the answer; on a host, tests do.
//! Messages without names, and walks, take the short way; the others go through the codec's decoded form.

use crate::{At, Engine, Fail, Held, Qid, Result, Room, Server, Sink, Source, Table, Wake, Window};
use abi::error::Error;
use abi::limit;
use abi::portal::{Answer, RWAIT, Request, Term, op};
use ninep::session::version;
use ninep::{Qids, Rmsg, Tmsg};

/// Parts of a portal's fid table: more than there are CPUs, so that they seldom meet.
const PARTS: usize = 16;
/// Most fids of one part, all its sessions together.
const FIDS: usize = 1 << 16;

/// A server behind a portal.
pub struct Portal<S: Server> {
    engine: Engine<S>,
    table: Table<S>,
}

/// A window as a place to put data in order.
struct WindowRoom<'a, W: Window> {
    window: &'a mut W,
    at: usize,
}

impl<W: Window> Room for WindowRoom<'_, W> {
    #[inline]
    fn put(&mut self, data: &[u8]) -> Result<()> {
        self.window.put(self.at, data);
        self.at += data.len();
        Ok(())
    }
}

impl<S: Server> Portal<S> {
    /// A portal for a server.
    pub fn new(server: S) -> Result<Portal<S>> {
        Ok(Portal { engine: Engine::new(server), table: Table::new(PARTS, FIDS)? })
    }

    /// The server.
    pub fn server(&self) -> &S {
        self.engine.server()
    }

    /// How many fids its clients have.
    pub fn fids(&self) -> usize {
        self.table.len()
    }

    /// Works on a request. `page` is the message page and `window` the payload; both belong to the activation for
    /// this call. `held` is the activation's too: what it keeps from the last call ends here, and what the answer
    /// names is kept in it until the next.
    #[inline]
    pub fn call<W: Window>(
        &self,
        request: &Request,
        page: &mut [u8],
        window: &mut W,
        held: &mut Held,
        wake: &dyn Wake,
    ) -> Answer {
        if !matches!(held, Held::Nothing) {
            *held = Held::Nothing;
        }
        let at = At { table: &self.table, session: request.session, tag: request.tag(), wake };
        let answer = match request.op() {
            op::TREAD => self.read(at, request, window, held),
            op::TWRITE => self.write(at, request, window),
            op::TOPEN => self.engine.open(at, request.fid(), request.a()).map(|o| Answer {
                head: Answer::make_head(op::TOPEN + 1, o.qid.kind, 0),
                w1: o.qid.path,
                w2: u64::from(o.qid.vers) | u64::from(o.iounit) << 32,
                w3: 0,
            }),
            op::TCLUNK => self.engine.clunk(at, request.fid()).map(|()| plain(op::TCLUNK, 0)),
            op::TSTAT => self.engine.stat(at, request.fid(), page).map(|len| plain(op::TSTAT, len as u32)),
            _ => self.rare(at, request, page),
        };
        answer.unwrap_or_else(|fail| failure(fail, page))
    }

    #[inline]
    fn read<W: Window>(
        &self,
        at: At<'_, S>,
        request: &Request,
        window: &mut W,
        held: &mut Held,
    ) -> Result<Answer> {
        let mut room = WindowRoom { window, at: 0 };
        let mut sink = Sink::new(&mut room, (request.count() as usize).min(limit::IO), true);
        self.engine.read(at, request.fid(), request.offset, &mut sink)?;
        let (len, address) = sink.finish(held);
        let address = address.unwrap_or(0);
        let (term, address) = match request.a() == Term::Share as u8 {
            true => held.share(address).map_or((Term::Copy, address), |at| (Term::Share, at)),
            false => (Term::Copy, address),
        };
        let head = Answer::make_head(op::TREAD + 1, term as u8, len as u32);
        Ok(Answer { head, w1: address, ..Answer::default() })
    }

    fn write<W: Window>(&self, at: At<'_, S>, request: &Request, window: &mut W) -> Result<Answer> {
        let mut source = Source::window(window, (request.count() as usize).min(limit::IO));
        let taken = self.engine.write(at, request.fid(), request.offset, &mut source)?;
        Ok(Answer { head: Answer::make_head(op::TWRITE + 1, 0, taken), ..Answer::default() })
    }

    fn walk(&self, at: At<'_, S>, request: &Request, page: &mut [u8]) -> Result<Answer> {
        let bad = |_| Fail::Error(Error::BadMessage);
        let names = ninep::portal::names(request, page).map_err(bad)?;
        // Most have one name, and room for sixteen would have to be cleared.
        let (mut one, mut all);
        let qids: &mut [Qid] = if names.len() <= 1 {
            one = [Qid::default()];
            &mut one
        } else {
            all = [Qid::default(); limit::WALK];
            &mut all
        };
        let n = self.engine.walk(at, request.fid(), request.fid2(), &names, qids)?;
        let qids = Qids::new(qids.get(..n).unwrap_or_default()).map_err(bad)?;
        ninep::portal::walked(&qids, page).map_err(bad)
    }

    #[inline(never)]
    fn rare(&self, at: At<'_, S>, request: &Request, page: &mut [u8]) -> Result<Answer> {
        // Told apart here, for in `call` it would make the ways of reads and writes longer: by 45 instructions a write.
        if request.op() == op::TWALK {
            return self.walk(at, request, page);
        }
        let engine = &self.engine;
        let (_, t) = ninep::portal::tmsg(request, page, &[]).map_err(|_| Error::BadMessage)?;
        let r = match t {
            Tmsg::Tversion { msize, version: asked } => {
                engine.end_session(at);
                if msize < version::MSIZE_MIN {
                    return Err(Fail::Error(Error::SmallMsize));
                }
                Rmsg::Rversion { msize: msize.min(crate::wire::MSIZE), version: version::answer(asked) }
            }
            Tmsg::Tauth { afid, uname, aname } => Rmsg::Rauth { aqid: engine.auth(at, afid, uname, aname)? },
            Tmsg::Tattach { fid, afid, uname, aname } => {
                Rmsg::Rattach { qid: engine.attach(at, fid, afid, uname, aname)? }
            }
            Tmsg::Tflush { oldtag } => {
                engine.flush(at.session, oldtag);
                Rmsg::Rflush {}
            }
            Tmsg::Tcreate { fid, name, perm, mode } => {
                let o = engine.create(at, fid, name.as_str(), perm, mode)?;
                Rmsg::Rcreate { qid: o.qid, iounit: o.iounit }
            }
            Tmsg::Tremove { fid } => {
                engine.remove(at, fid)?;
                Rmsg::Rremove {}
            }
            Tmsg::Twstat { fid, stat } => {
                engine.wstat(at, fid, &stat)?;
                Rmsg::Rwstat {}
            }
            // They took a shorter way, see `call` and above.
            Tmsg::Tread { .. }
            | Tmsg::Twrite { .. }
            | Tmsg::Twalk { .. }
            | Tmsg::Topen { .. }
            | Tmsg::Tclunk { .. }
            | Tmsg::Tstat { .. } => return Err(Fail::Error(Error::BadMessage)),
        };
        ninep::portal::answer(&r, page).map_err(|_| Fail::Error(Error::BadMessage))
    }
}

/// An answer that is a type and a length.
fn plain(request: u8, len: u32) -> Answer {
    Answer { head: Answer::make_head(request + 1, 0, len), ..Answer::default() }
}

#[cold]
fn failure(fail: Fail, page: &mut [u8]) -> Answer {
    match fail {
        Fail::Wait { queue, seq } => {
            Answer { head: Answer::make_head(RWAIT, 0, 0), w1: queue, w2: seq, w3: 0 }
        }
        Fail::Error(e) => Answer { head: Answer::make_head(op::RERROR, e as u8 + 1, 0), ..Answer::default() },
        Fail::Words(_) => {
            let words = fail.text().as_bytes();
            let len = words.len().min(page.len());
            if let (Some(to), Some(from)) = (page.get_mut(..len), words.get(..len)) {
                to.copy_from_slice(from);
            }
            Answer { head: Answer::make_head(op::RERROR, 0, len as u32), ..Answer::default() }
        }
    }
}
