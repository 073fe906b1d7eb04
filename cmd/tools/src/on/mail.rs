//! send and recv: messages to processes.

use super::given::Given;
use super::number;
use portolan::alloc::format;
use portolan::alloc::vec::Vec;
use portolan::mail::{self, Mailbox, Senders};
use portolan::{File, Result, STDIN, STDOUT, eprintln, fs, print, process};

/// `send [-r] PID [WORD ...]`: the words, or the standard input without any; -r waits for the reply and prints it.
pub(super) fn send(g: &mut Given) -> Result<()> {
    let Some((pid, words)) = g.rest.split_first() else { return Err(g.wrong()) };
    let message = if words.is_empty() {
        let input = File::from_fd(STDIN);
        let all = input.read_all();
        // The descriptor is not ours to close.
        let _ = input.into_fd();
        all?
    } else {
        words.join(&b" "[..])
    };
    let file = mail::to(number(pid)?)?;
    mail::send(&file, &message)?;
    if g.has(b'r') {
        return write(&file.read_all()?);
    }
    Ok(())
}

/// Writes a message to the standard output, as a line.
fn write(bytes: &[u8]) -> Result<()> {
    let out = File::from_fd(STDOUT);
    let end: &[u8] = if bytes.is_empty() || bytes.ends_with(b"\n") { b"" } else { b"\n" };
    let r = out.write_all(&[bytes, end].concat());
    let _ = out.into_fd();
    r
}

/// `recv [-as] [PID [WORD ...]]`: the next message to PID, or to this very process; -a goes on, -s says from whom. The
/// words are the reply.
pub(super) fn recv(g: &mut Given) -> Result<()> {
    let (mailbox, reply) = match g.rest.split_first() {
        None => {
            eprintln!("recv: waiting for messages to process {}", process::id());
            (Mailbox::own(Senders::Everybody)?, Vec::new())
        }
        Some((pid, words)) => {
            let pid = number(pid)?;
            // One that takes messages, perhaps from somebody alone, stays as it is.
            if fs::stat(format!("/proc/{pid}/mbox"))?.stat().mode & 0o6 == 0 {
                mail::admit(pid, Senders::Everybody)?;
            }
            (Mailbox::of(pid)?, words.join(&b" "[..]))
        }
    };
    while let Some(m) = mailbox.receive()? {
        if g.has(b's') {
            print!("{} {}: ", m.pid, m.user);
        }
        write(&m.bytes)?;
        if !reply.is_empty() {
            // A sender that has gone needs no reply.
            let _ = mailbox.reply(&reply);
        }
        if !g.has(b'a') {
            break;
        }
    }
    Ok(())
}
