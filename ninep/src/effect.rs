//! What a session has to know of messages, whatever their dialect: which fids a request touches, and which answers fit it.

use crate::frame::Message;
use crate::{Error, Fid, NOFID, Rmsg, Tmsg};
use abi::portal::op;

/// The fids that a request names, each with whether the request creates or changes it.
pub type Touches = [Option<(Fid, bool)>; 2];

/// What a request does and expects: what is remembered of it until its answer comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effect {
    /// The request's number.
    pub op: u8,
    /// The fids that it names.
    pub touches: Touches,
    /// The fid that it creates if it succeeds.
    pub creates: Option<Fid>,
    /// The fid that it ends, whether it succeeds or not.
    pub ends: Option<Fid>,
    /// Bytes asked for or offered, names to walk, msize: no answer has more.
    pub most: usize,
}

/// A request of some dialect.
pub trait Ask<'a>: Message<'a> {
    /// What it does and expects.
    fn effect(&self) -> Effect;
}

/// An answer of some dialect.
pub trait Answer<'a>: Message<'a> {
    /// Does it say that the request failed?
    fn is_error(&self) -> bool;
    /// Bytes read or taken, elements walked, msize: what [`Effect::most`] bounds.
    fn amount(&self) -> Option<usize>;
}

/// A protocol as a client speaks it.
pub trait Dialect {
    /// The versions that it can be agreed on under, in the order in which they are asked for.
    const VERSIONS: &'static [&'static str];
    /// Its requests.
    type Request<'a>: Ask<'a>;
    /// Its answers.
    type Answer<'a>: Answer<'a>;
}

/// 9P2000, with or without a server that keeps the order of requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plain {}

impl Dialect for Plain {
    const VERSIONS: &'static [&'static str] = &[crate::ORDERED, crate::VERSION];
    type Request<'a> = Tmsg<'a>;
    type Answer<'a> = Rmsg<'a>;
}

impl Effect {
    /// A request that uses a fid.
    pub const fn uses(op: u8, fid: Fid) -> Self {
        Effect { op, touches: [Some((fid, false)), None], creates: None, ends: None, most: 0 }
    }

    /// A request that uses two fids.
    pub fn uses_both(op: u8, fid: Fid, other: Fid) -> Self {
        let second = (other != fid && other != NOFID).then_some((other, false));
        Effect { touches: [Some((fid, false)), second], ..Effect::uses(op, fid) }
    }

    /// A request that changes a fid.
    pub const fn changes(op: u8, fid: Fid) -> Self {
        Effect { touches: [Some((fid, true)), None], ..Effect::uses(op, fid) }
    }

    /// A request that ends a fid.
    pub const fn ends(op: u8, fid: Fid) -> Self {
        Effect { ends: Some(fid), ..Effect::changes(op, fid) }
    }

    /// A request that creates a fid and may use another.
    pub fn creates(op: u8, newfid: Fid, from: Fid) -> Self {
        let from = (from != newfid && from != NOFID).then_some((from, false));
        Effect { touches: [Some((newfid, true)), from], creates: Some(newfid), ..Effect::uses(op, newfid) }
    }

    /// A request that walks to so many names.
    pub fn walks(op: u8, fid: Fid, newfid: Fid, names: usize) -> Self {
        let walk = if fid == newfid { Effect::changes(op, fid) } else { Effect::creates(op, newfid, fid) };
        walk.with_most(names)
    }

    /// The same with a bound on its answer.
    pub fn with_most(self, most: impl TryInto<usize>) -> Self {
        Effect { most: most.try_into().unwrap_or(usize::MAX), ..self }
    }

    /// Is this an answer to the request? Types pair up; an Rread is no longer than asked, an Rwrite takes no more than
    /// was offered, an Rwalk has no more qids than names, and at least one if there were names; msize does not grow.
    pub fn check<'a>(&self, r: &impl Answer<'a>) -> Result<(), Error> {
        let amount = r.amount().unwrap_or(0);
        let fits = match self.op {
            op::TFLUSH => !r.is_error() && self.pairs(r),
            _ if r.is_error() => true,
            op::TWALK => self.pairs(r) && amount <= self.most && (amount == 0) == (self.most == 0),
            _ => self.pairs(r) && amount <= self.most,
        };
        if fits { Ok(()) } else { Err(Error::Answer) }
    }

    fn pairs<'a>(&self, r: &impl Answer<'a>) -> bool {
        r.op().checked_sub(self.op) == Some(1)
    }

    /// The fid that is not in use after this answer.
    pub fn freed<'a>(&self, r: &impl Answer<'a>) -> Option<Fid> {
        let failed = r.is_error() || (self.op == op::TWALK && r.amount() != Some(self.most));
        self.ends.or(self.creates.filter(|_| failed))
    }
}

impl<'a> Ask<'a> for Tmsg<'a> {
    fn effect(&self) -> Effect {
        let op = self.op();
        match *self {
            Tmsg::Tversion { msize, .. } => {
                Effect { touches: [None, None], ..Effect::uses(op, NOFID) }.with_most(msize)
            }
            Tmsg::Tflush { .. } => Effect { touches: [None, None], ..Effect::uses(op, NOFID) },
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
