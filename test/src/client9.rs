//! A connection of a client's session to somebody's server, one request at a time, in any dialect.

use crate::ctx::{Failure, ensure};
use ninep::frame::{self, Frame};
use ninep::session::{Client, ClientEvent};
use ninep::{Answer, Dialect, Fid};
use std::fmt::{Debug, Display};
use std::io::{Read, Write};

/// The session and its stream.
pub(crate) struct User<D: Dialect, S> {
    session: Client<D>,
    stream: S,
    input: Vec<u8>,
    pub(crate) messages: usize,
}

impl<D, S> User<D, S>
where
    D: Dialect,
    S: Read + Write,
    for<'a> D::Request<'a>: Display,
    for<'a> D::Answer<'a>: Display + Debug,
{
    /// Agrees on the version.
    pub(crate) fn new(stream: S, msize: u32) -> Result<Self, Failure> {
        let mut user = User { session: Client::new(msize, 8), stream, input: Vec::new(), messages: 0 };
        user.exchange(|event| match event {
            ClientEvent::Ready => Ok(()),
            other => Err(format!("the version is answered by {other:?}").into()),
        })?;
        Ok(user)
    }

    /// A fid that is free.
    pub(crate) fn fid(&mut self) -> Result<Fid, Failure> {
        self.session.fid().ok_or_else(|| "no fid is free".into())
    }

    /// Asks, and gives the answer to `then` unless it is an error.
    pub(crate) fn ask<R>(
        &mut self,
        t: &D::Request<'_>,
        then: impl FnOnce(&D::Answer<'_>) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let ticket = self.session.submit(t)?;
        self.exchange(|event| match event {
            ClientEvent::Answer(of, r) if of == ticket && !r.is_error() => then(&r),
            ClientEvent::Answer(of, r) if of == ticket => Err(format!("{t}: {r}").into()),
            other => Err(format!("{t}: {other:?}").into()),
        })
    }

    /// Sends what there is to send, and gives the next event to `then`.
    fn exchange<R>(
        &mut self,
        then: impl FnOnce(ClientEvent<D::Answer<'_>>) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        self.stream.write_all(self.session.output())?;
        self.session.sent(usize::MAX);
        let mut chunk = [0; 8192];
        loop {
            if let Frame::Whole { frame, rest } = frame::next(&self.input, self.session.frame_max())? {
                self.messages += 1;
                let result = self.session.receive(frame).map_err(Failure::from).and_then(then);
                self.input = rest.to_vec();
                return result;
            }
            let n = self.stream.read(&mut chunk)?;
            ensure(n > 0, || "the server hung up".into())?;
            self.input.extend_from_slice(&chunk[..n]);
        }
    }
}
