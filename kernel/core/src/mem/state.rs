//! The states of a segment's page, and what each event makes of them: one table, without data, locks or time.
//!
//! Eviction has no state of its own: it happens under the segment's lock, the shootdown included. doc/segments.md shows
//! the table.

/// Where a page of a segment is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum State {
    /// At the server alone.
    Absent,
    /// A Tread for it is under way.
    Reading,
    /// As Reading, but the file has been written since: what comes will be thrown away.
    Stale,
    /// Here, as the server has it. Mapped without the right to write.
    Clean,
    /// Here, and newer than the server's.
    Dirty,
    /// A Twrite of it is under way. Mapped without the right to write.
    Writing,
    /// As Writing, and written again since.
    WritingDirty,
    /// It was newer than the server's when the server died: lost.
    Failed,
}

/// What happens to a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Somebody begins to read it in.
    Fetch,
    /// The bytes have come.
    Fetched,
    /// They have not.
    NotFetched,
    /// A program writes to it.
    Write,
    /// Somebody begins to write it back.
    Launder,
    /// It has been written back.
    Laundered,
    /// It has not.
    NotLaundered,
    /// Its frame is wanted.
    Evict,
    /// The file has been written by a request, or has changed at the server.
    Change,
    /// The server is gone for good.
    Lose,
}

impl State {
    /// Every state, in the order of their numbers.
    pub const ALL: [State; 8] = [
        State::Absent,
        State::Reading,
        State::Stale,
        State::Clean,
        State::Dirty,
        State::Writing,
        State::WritingDirty,
        State::Failed,
    ];

    /// The state of a number.
    pub fn of(number: u64) -> State {
        State::ALL.get(usize::try_from(number).unwrap_or(0)).copied().unwrap_or(State::Failed)
    }

    /// What an event makes of it; none if the event can't be.
    pub fn after(self, event: Event) -> Option<State> {
        use State::{Absent, Clean, Dirty, Failed, Reading, Stale, Writing, WritingDirty};
        Some(match (self, event) {
            (Absent, Event::Fetch) => Reading,
            (Reading, Event::Fetched) => Clean,
            (Stale, Event::Fetched) | (Reading | Stale, Event::NotFetched) => Absent,
            (Clean | Dirty, Event::Write) => Dirty,
            (Writing | WritingDirty, Event::Write) => WritingDirty,
            (Dirty, Event::Launder) => Writing,
            (Writing, Event::Laundered) => Clean,
            (WritingDirty, Event::Laundered) => Dirty,
            (Writing | WritingDirty, Event::NotLaundered) => Dirty,
            (Clean, Event::Evict) => Absent,
            (Absent | Clean, Event::Change) => Absent,
            (Reading | Stale, Event::Change) => Stale,
            // What a program has written here is the newest there is.
            (s @ (Dirty | Writing | WritingDirty | Failed), Event::Change) => s,
            (Dirty, Event::Lose) => Failed,
            _ => return None,
        })
    }

    /// The states with a frame that has the page's bytes, a bit for each.
    pub const HERE: u8 = 1 << State::Clean as u8
        | 1 << State::Dirty as u8
        | 1 << State::Writing as u8
        | 1 << State::WritingDirty as u8;

    /// Is there a frame with its bytes?
    pub fn here(self) -> bool {
        State::HERE & 1 << self as u8 != 0
    }

    /// May it be mapped with the right to write?
    pub fn writable(self) -> bool {
        matches!(self, State::Dirty | State::WritingDirty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back() {
        for (i, s) in State::ALL.into_iter().enumerate() {
            assert_eq!(State::of(i as u64), s);
            assert_eq!(s as usize, i);
        }
    }

    /// One page, its server, and requests under way that take effect at any time. Whatever happens in whatever order:
    /// nothing that was written is lost, and nobody reads what was old when its request began.
    #[test]
    fn no_write_is_lost_and_nothing_old_is_read() {
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = |n: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % n
        };
        let mut seen = std::collections::HashSet::new();
        for _ in 0..2000 {
            let mut s = State::Absent;
            // The server's bytes, the frame's, what a Tread took away, what a Twrite carries; the newest write.
            let (mut server, mut frame) = (0u32, None::<u32>);
            let (mut fetched, mut carried) = (None::<u32>, None::<u32>);
            let (mut newest, mut next) = (0u32, 1u32);
            for _ in 0..60 {
                let event = EVENTS[random(9) as usize];
                let Some(after) = s.after(event) else { continue };
                seen.insert((s, event as u8));
                match event {
                    // The server may answer from now until the answer arrives: at worst with what it has now.
                    Event::Fetch => fetched = Some(server),
                    Event::Fetched if after == State::Clean => frame = fetched.take(),
                    Event::Fetched | Event::NotFetched => fetched = None,
                    Event::Write => {
                        (frame, newest) = (Some(next), next);
                        next += 1;
                    }
                    Event::Launder => carried = frame,
                    // A Twrite that failed may have had its effect or not.
                    Event::Laundered => server = carried.take().expect("laundering"),
                    Event::NotLaundered if random(2) == 0 => server = carried.take().expect("laundering"),
                    Event::NotLaundered => carried = None,
                    Event::Evict => frame = None,
                    Event::Change if s.here() && s != State::Clean => {}
                    Event::Change => {
                        (server, newest, frame) = (next, next, None);
                        next += 1;
                    }
                    Event::Lose => unreachable!(),
                }
                s = after;
                assert_eq!(s.here(), frame.is_some(), "{s:?}");
                // Who reads the file now, by its page or by a Tread, reads the newest.
                assert_eq!(frame.unwrap_or(server), newest, "{s:?} after {event:?}");
                if s == State::Clean {
                    assert_eq!(frame, Some(server), "clean, but not as the server has it");
                }
            }
        }
        // Every edge of the table was taken.
        let edges = State::ALL.iter().flat_map(|s| (0..9u8).map(move |e| (*s, e)));
        let all = edges.filter(|&(s, e)| s != State::Failed && s.after(EVENTS[e as usize]).is_some()).count();
        assert_eq!(seen.len(), all);
    }

    const EVENTS: [Event; 9] = [
        Event::Fetch,
        Event::Fetched,
        Event::NotFetched,
        Event::Write,
        Event::Launder,
        Event::Laundered,
        Event::NotLaundered,
        Event::Evict,
        Event::Change,
    ];

    #[test]
    fn a_lost_page_stays_lost() {
        assert_eq!(State::Dirty.after(Event::Lose), Some(State::Failed));
        for e in EVENTS {
            assert!(matches!(State::Failed.after(e), None | Some(State::Failed)), "{e:?}");
        }
    }
}
