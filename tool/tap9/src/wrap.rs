//! A connection with trouble on it, for tests within one program: [`Tap`] wraps any `Read + Write`.

use std::io::{self, Read, Write};

use con9::link::take_message;

use crate::trouble::{Fate, Line, Requests, Trouble, Way};

/// Bytes read at a time: replies that come together in as much may change places.
const CHUNK: usize = 64 << 10;

/// A client's end of a connection that passes through trouble.
pub struct Tap<S> {
    stream: S,
    out: Line,
    back: Line,
    requests: Requests,
    /// Written, and not yet a whole message.
    going: Vec<u8>,
    /// Read, and not yet a whole message.
    coming: Vec<u8>,
    /// Ready for the reader.
    ready: Vec<u8>,
    ended: bool,
}

impl<S> Tap<S> {
    /// Puts trouble on a connection.
    pub fn new(stream: S, trouble: &Trouble) -> Tap<S> {
        Tap {
            stream,
            out: Line::new(trouble, Way::Request, 0),
            back: Line::new(trouble, Way::Reply, 0),
            requests: Requests::default(),
            going: Vec::new(),
            coming: Vec::new(),
            ready: Vec::new(),
            ended: false,
        }
    }

    /// The connection itself.
    pub fn inner(&self) -> &S {
        &self.stream
    }
}

impl<S: Write> Write for Tap<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.going.extend(bytes);
        while let Some(message) = take_message(&mut self.going)? {
            std::thread::sleep(self.out.delay());
            self.requests.note(&message);
            match self.out.decide(message) {
                Fate::Pass(message) => self.stream.write_all(&message)?,
                Fate::Lost => {}
                Fate::Last(message) => {
                    self.stream.write_all(&message)?;
                    self.ended = true;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: Read> Read for Tap<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && !self.ended {
            let mut chunk = vec![0; CHUNK];
            let count = self.stream.read(&mut chunk)?;
            if count == 0 {
                return Ok(0);
            }
            self.coming.extend(&chunk[..count]);
            self.take_replies()?;
        }
        let count = self.ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.ready[..count]);
        self.ready.drain(..count);
        Ok(count)
    }
}

impl<S> Tap<S> {
    fn take_replies(&mut self) -> io::Result<()> {
        let mut replies = Vec::new();
        while let Some(message) = take_message(&mut self.coming)? {
            replies.push(message);
        }
        if self.back.reorders() {
            replies = self.back.shuffle(replies, &mut self.requests);
        }
        for message in replies {
            std::thread::sleep(self.back.delay());
            match self.back.decide(message) {
                Fate::Pass(message) => self.ready.extend(message),
                Fate::Lost => {}
                Fate::Last(message) => {
                    self.ready.extend(message);
                    self.ended = true;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written, and what there is to read.
    struct Both(Vec<u8>, io::Cursor<Vec<u8>>);
    impl Write for Both {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Read for Both {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1.read(buffer)
        }
    }

    const CLUNK: &[u8] = b"\x0b\0\0\0\x78\x01\0\x01\0\0\0";
    const ANSWER: &[u8] = b"\x07\0\0\0\x79\x01\0";

    #[test]
    fn messages_pass_whole_however_they_are_written() {
        let mut tap = Tap::new(Both(Vec::new(), io::Cursor::new(ANSWER.into())), &Trouble::default());
        for byte in CLUNK {
            tap.write_all(&[*byte]).unwrap();
        }
        assert_eq!(tap.inner().0, CLUNK);
        let mut got = Vec::new();
        tap.read_to_end(&mut got).unwrap();
        assert_eq!(got, ANSWER);
    }

    #[test]
    fn a_truncated_connection_ends() {
        let trouble = Trouble { truncate: 1, ..Trouble::default() };
        let mut tap = Tap::new(Both(Vec::new(), io::Cursor::new(ANSWER.repeat(3))), &trouble);
        let mut got = Vec::new();
        tap.read_to_end(&mut got).unwrap();
        assert_eq!(got, &ANSWER[..3]);
        assert!(tap.write(CLUNK).is_err());
    }

    #[test]
    fn lost_requests_are_not_sent() {
        let trouble = Trouble { drop: 1.0, ..Trouble::default() };
        let mut tap = Tap::new(Both(Vec::new(), io::Cursor::new(Vec::new())), &trouble);
        tap.write_all(CLUNK).unwrap();
        assert!(tap.inner().0.is_empty());
    }
}
