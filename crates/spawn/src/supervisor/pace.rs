//! How much of a processor those get who may be hostile: the guest and its VMM may say as much as they
//! like, and the supervisor, which no control group bounds, is to have little to do with it.
//!
//! ```text
//!   said --> time it took is counted --> more than its share --> rest: not polled, the sender waits
//!    ^                                                            |
//!    '---------------- half of what was taken too much is paid ---'
//! ```
//!
//! Nothing is thrown away: what is not read stays in the stream, and its writer is held up. It is time
//! that is counted, not bytes, since a byte of QMP costs many times one of the console. What a client
//! of ours asked for, the input and output of its program, is as fast as the client.

use std::time::{Duration, Instant};

use ignite_wire::agent::{Frame, HEADER_LEN, MAX_PAYLOAD, Message};
use rustix::time::{ClockId, clock_gettime};

use super::Source;

/// Each voice gets one part in so many of a processor.
const PARTS: u32 = 10;

/// What may be taken ahead, as the time in which it is due: it takes a tenth of that of the processor.
/// More than the boot of any guest.
const AHEAD: Duration = Duration::from_millis(200);

/// Those who say something, each with a share of its own, so that none can silence another.
const VOICES: usize = 4;

/// Which of them is heard there; none where it is nobody who may be hostile.
fn voice(source: Source) -> Option<usize> {
    match source {
        Source::Console => Some(0),
        Source::VmmOutput => Some(1),
        Source::Vmm => Some(2),
        Source::Agent | Source::Arrivals => Some(3),
        // A port rests by itself.
        Source::Port(..) => None,
        Source::Signals | Source::Process | Source::Holder => None,
        Source::Listener | Source::Client(_) | Source::ConsoleInput => None,
    }
}

/// All shares.
#[derive(Debug)]
pub(super) struct Pace {
    shares: [Share; VOICES],
    /// This thread's time when it was last looked at.
    clock: Duration,
    /// What the agent said since time was last counted for it.
    said: Said,
}

impl Pace {
    /// From now on.
    pub fn new() -> Self {
        Self {
            shares: Default::default(),
            clock: processor_time(),
            said: Said::default(),
        }
    }

    /// Whether it is not to be heard now.
    pub fn rests(&self, source: Source) -> bool {
        voice(source).is_some_and(|voice| self.shares[voice].rest.is_some())
    }

    /// When the first rest is over.
    pub fn next(&self) -> Option<Instant> {
        self.shares.iter().filter_map(|share| share.rest).min()
    }

    /// Ends the rests that are over.
    pub fn wake(&mut self, now: Instant) {
        for share in &mut self.shares {
            share.rest.take_if(|end| *end <= now);
        }
    }

    /// The agent said this, which went to a client or did not.
    pub fn said(&mut self, words: Words, to_client: bool) {
        self.said.add(words, to_client);
    }

    /// All that was done since the last time was done for this source, or to find that there is
    /// something to do.
    pub fn done(&mut self, source: Source, now: Instant) {
        let clock = processor_time();
        let took = clock.saturating_sub(std::mem::replace(&mut self.clock, clock));
        let took = match source {
            Source::Agent => self.said.uncalled_for(took),
            // Whoever was there before did not come to an end of a frame.
            Source::Arrivals => took + std::mem::take(&mut self.said.waiting),
            _ => took,
        };
        if let Some(voice) = voice(source) {
            self.shares[voice].spend(took, now);
        }
    }
}

/// What one of them may still take.
#[derive(Debug, Default)]
struct Share {
    /// When all is due that was taken.
    due: Option<Instant>,
    /// It is not heard until then.
    rest: Option<Instant>,
}

impl Share {
    fn spend(&mut self, took: Duration, now: Instant) {
        let due = self.due.map_or(now, |due| due.max(now)) + took * PARTS;
        self.due = Some(due);
        if due > now + AHEAD {
            // Not to be awake again for a single byte.
            self.rest = due.checked_sub(AHEAD / 2);
        }
    }
}

/// A frame of the agent's, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    all: u64,
    /// Data of a client's program, or a grant of as many bytes: windows bound both by what the client
    /// reads and writes.
    moved: u64,
}

impl Words {
    /// What moves nothing is taken for as long as a frame can be.
    pub fn of(frame: &Frame) -> Self {
        let moved = match &frame.message {
            Message::Stdout(data) | Message::Stderr(data) => data.len() as u64,
            Message::Credit { bytes } => (*bytes).into(),
            _ => 0,
        };
        let rest = if moved > 0 { HEADER_LEN } else { MAX_PAYLOAD };
        Self {
            all: moved + rest as u64,
            moved,
        }
    }
}

/// What the agent said, in bytes, and the time it took that is not judged yet: a frame comes in pieces.
#[derive(Debug, Default)]
struct Said {
    all: u64,
    /// What of it clients asked for.
    called_for: u64,
    waiting: Duration,
}

impl Said {
    fn add(&mut self, words: Words, to_client: bool) {
        self.all = self.all.saturating_add(words.all);
        if to_client {
            self.called_for = self.called_for.saturating_add(words.moved);
        }
    }

    /// The part of the time `took` that went to what no client asked for.
    fn uncalled_for(&mut self, took: Duration) -> Duration {
        let Self {
            all,
            called_for,
            waiting,
        } = std::mem::take(self);
        let took = waiting + took;
        if all == 0 {
            self.waiting = took;
            return Duration::ZERO;
        }
        took.mul_f64((all - called_for) as f64 / all as f64)
    }
}

/// What this thread has had of a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // It is never negative.
    time.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn stdout(bytes: usize) -> Frame {
        Frame {
            channel: 1,
            message: Message::Stdout(vec![0; bytes]),
        }
    }

    #[test]
    fn a_flood_gets_its_share_and_a_word_now_and_then_is_heard_at_once() {
        let start = Instant::now();
        let (mut share, mut now, mut got) = (Share::default(), start, Duration::ZERO);
        while now < start + Duration::from_secs(10) {
            share.spend(MS, now);
            got += MS;
            now = share.rest.take().map_or(now + MS, |rest| rest.max(now));
        }
        let parts = Duration::from_secs(10) / PARTS;
        assert!(got > parts.mul_f32(0.9), "{got:?}");
        assert!(got < parts + AHEAD / PARTS + MS, "{got:?}");
        for _ in 0..100 {
            now += 10 * MS;
            share.spend(MS, now + Duration::from_secs(1));
            now += Duration::from_secs(1);
            assert_eq!(share.rest, None);
        }
    }

    #[test]
    fn one_that_floods_silences_no_other() {
        let mut pace = Pace::new();
        let now = Instant::now();
        pace.shares[0].spend(1000 * MS, now);
        assert!(pace.rests(Source::Console) && !pace.rests(Source::Agent));
        assert!(!pace.rests(Source::Client(1)));
        let end = pace.next().expect("it rests");
        pace.wake(end - MS);
        assert!(pace.rests(Source::Console));
        pace.wake(end);
        assert!(!pace.rests(Source::Console));
        assert_eq!(pace.next(), None);
    }

    #[test]
    fn what_a_client_asked_for_is_free() {
        let mut said = Said::default();
        let taken = |said: &mut Said, frames: &[(Frame, bool)]| {
            for (frame, to_client) in frames {
                said.add(Words::of(frame), *to_client);
            }
            said.uncalled_for(MS)
        };
        // A part of a frame is judged with the rest of it.
        assert_eq!(taken(&mut said, &[]), Duration::ZERO);
        assert!(taken(&mut said, &[(stdout(16 << 10), true)]) < MS / 100);
        let credit = Frame {
            channel: 1,
            message: Message::Credit { bytes: 128 << 10 },
        };
        assert!(taken(&mut said, &[(credit, true)]) < MS / 100);
        for (frame, to_client) in [
            (stdout(16 << 10), false),
            (stdout(0), true),
            (Frame::link(Message::Ping(1)), false),
        ] {
            assert_eq!(taken(&mut said, &[(frame, to_client)]), MS);
        }
        assert_eq!(taken(&mut said, &[]), Duration::ZERO);
        let ping = Frame::link(Message::Ping(1));
        assert_eq!(taken(&mut said, &[(ping, false)]), 2 * MS);
    }
}
