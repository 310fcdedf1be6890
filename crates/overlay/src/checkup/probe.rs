//! Echoes to many hosts at once.
//!
//! ```text
//!   queue of hosts --(at most 64 at a time)--> echoes sent --answered, or 100 ms--> the next host
//!      ^                                                            |
//!      '------- silent after 600 ms: once more ---------------------'       the end: 2 s after the start
//! ```
//!
//! An answer counts however late it comes before the end, so a thousand silent hosts cost no more time
//! than one.

use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ignite_host::echo::{Answer, Echo, Error, Said};
use ignite_host::signal::{PollFd, PollFlags, poll};

/// All of it.
const LIMIT: Duration = Duration::from_secs(2);
/// Hosts that are waited for before others have their turn.
const IN_FLIGHT: usize = 64;
/// How long a silent host keeps others waiting.
const TURN: Duration = Duration::from_millis(100);
/// After which a silent one is asked once more: a packet may be lost.
const AGAIN: Duration = Duration::from_millis(600);
/// How often each host is asked.
const TRIES: u8 = 2;

/// An echo to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    /// To whom.
    pub to: Ipv4Addr,
    /// Its size with the IP header, in bytes.
    pub size: usize,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It had no turn.
    Unasked,
    /// No answer.
    Silent,
    /// An answer, after so long.
    Answered(Duration),
    /// This host's kernel refused to send it.
    Refused(io::Error),
    /// Somebody on the way, or this host, says what [`Said`] says.
    Told(Said),
}

impl Outcome {
    fn is_open(&self) -> bool {
        matches!(self, Self::Unasked | Self::Silent)
    }
}

/// Asks all hosts, each with echoes of its own; the outcomes are where the wishes are. Blocks for 2
/// seconds at most.
pub(super) fn probe(hosts: &[Vec<Wanted>]) -> Result<Vec<Vec<Outcome>>, Error> {
    let mut round = Round::new(hosts)?;
    let end = Instant::now() + LIMIT;
    loop {
        let now = Instant::now();
        round.send(now);
        if now >= end || round.is_over() {
            return Ok(round.outcomes);
        }
        let next = round.next(now).unwrap_or(end).min(end);
        let mut fds = [PollFd::new(&round.echo, PollFlags::IN)];
        poll(&mut fds, Some(next.saturating_duration_since(now)))?;
        while let Some(answer) = round.echo.receive()? {
            round.hear(answer, Instant::now());
        }
    }
}

struct Round<'a> {
    echo: Echo,
    hosts: &'a [Vec<Wanted>],
    outcomes: Vec<Vec<Outcome>>,
    /// Of each echo sent, by number: which one it is, and when it was sent.
    sent: Vec<(usize, usize, Instant)>,
    queue: VecDeque<Turn>,
    /// Whose turn it is, and until when.
    in_flight: VecDeque<(usize, Instant)>,
}

struct Turn {
    host: usize,
    not_before: Instant,
    tries: u8,
}

impl<'a> Round<'a> {
    fn new(hosts: &'a [Vec<Wanted>]) -> Result<Self, Error> {
        let unasked = |wanted: &Vec<Wanted>| wanted.iter().map(|_| Outcome::Unasked).collect();
        let not_before = Instant::now();
        let turn = |host| Turn {
            host,
            not_before,
            tries: TRIES,
        };
        Ok(Self {
            echo: Echo::open()?,
            hosts,
            outcomes: hosts.iter().map(unasked).collect(),
            sent: Vec::new(),
            queue: (0..hosts.len()).map(turn).collect(),
            in_flight: VecDeque::new(),
        })
    }

    fn is_done(&self, host: usize) -> bool {
        !self.outcomes[host].iter().any(Outcome::is_open)
    }

    fn is_over(&self) -> bool {
        (0..self.hosts.len()).all(|host| self.is_done(host))
    }

    /// When something is to be done without an answer.
    fn next(&self, now: Instant) -> Option<Instant> {
        let turn_over = self.in_flight.iter().map(|(_, until)| *until).min();
        let due = self.queue.front().map(|turn| turn.not_before);
        let next = match self.in_flight.len() < IN_FLIGHT {
            true => due.or(turn_over),
            false => turn_over,
        };
        next.map(|next| next.max(now))
    }

    /// Gives those their turn for whom there is room.
    fn send(&mut self, now: Instant) {
        let outcomes = &self.outcomes;
        self.in_flight
            .retain(|(host, until)| *until > now && outcomes[*host].iter().any(Outcome::is_open));
        while self.in_flight.len() < IN_FLIGHT
            && let Some(mut turn) = self.queue.pop_front_if(|turn| turn.not_before <= now)
        {
            if self.is_done(turn.host) {
                continue;
            }
            self.send_to(turn.host, now);
            self.in_flight.push_back((turn.host, now + TURN));
            turn.tries -= 1;
            turn.not_before = now + AGAIN;
            if turn.tries > 0 {
                self.queue.push_back(turn);
            }
        }
    }

    fn send_to(&mut self, host: usize, now: Instant) {
        for (index, wanted) in self.hosts[host].iter().enumerate() {
            let outcome = &mut self.outcomes[host][index];
            // Numbers have 16 bits: a thousand hosts with three echoes each are far from all of them.
            let Some(sequence) = u16::try_from(self.sent.len())
                .ok()
                .filter(|_| outcome.is_open())
            else {
                continue;
            };
            self.sent.push((host, index, now));
            *outcome = match self.echo.send(wanted.to, sequence, wanted.size) {
                Ok(()) => Outcome::Silent,
                // The device's queue is full, or the socket's: that is no answer.
                Err(error) if is_passing(&error) => Outcome::Silent,
                Err(error) => Outcome::Refused(error),
            };
        }
    }

    fn hear(&mut self, answer: Answer, now: Instant) {
        let Some(&(host, index, sent)) = self.sent.get(usize::from(answer.sequence)) else {
            return;
        };
        let outcome = &mut self.outcomes[host][index];
        if self.hosts[host][index].to != answer.to || !outcome.is_open() {
            return;
        }
        *outcome = match answer.said {
            Said::Alive => Outcome::Answered(now.saturating_duration_since(sent)),
            other => Outcome::Told(other),
        };
    }
}

fn is_passing(error: &io::Error) -> bool {
    let busy = rustix::io::Errno::NOBUFS.raw_os_error();
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(busy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_host::echo::SMALLEST;
    use ignite_host::link::Netlink;
    use ignite_host::netns::Namespace;

    /// In a namespace with a loopback, and an interface behind which nobody is.
    fn in_a_namespace(work: impl FnOnce() + Send) {
        let namespace = Namespace::anonymous().expect("a namespace");
        let run = namespace.run(|| {
            let netlink = Netlink::open().expect("netlink");
            let lo = netlink.link("lo").expect("look").expect("there").index;
            let near = netlink.create_veth("near", "far", None).expect("veth");
            let far = netlink.link("far").expect("look").expect("there").index;
            for index in [lo, near, far] {
                netlink.set_up(index).expect("up");
            }
            let address = "10.9.0.1/16".parse().expect("an address");
            netlink.add_address(near, address).expect("added");
            work();
        });
        run.expect("entered");
    }

    fn to(to: Ipv4Addr) -> Wanted {
        Wanted { to, size: SMALLEST }
    }

    #[test]
    fn each_outcome_is_where_its_wish_is() {
        in_a_namespace(|| {
            let hosts = [
                vec![to(Ipv4Addr::LOCALHOST), to(Ipv4Addr::new(192, 0, 2, 1))],
                vec![],
                vec![
                    to(Ipv4Addr::new(10, 9, 0, 2)),
                    to(Ipv4Addr::new(10, 9, 0, 1)),
                ],
            ];
            let begun = Instant::now();
            let outcomes = probe(&hosts).expect("probed");
            assert!(begun.elapsed() >= LIMIT, "one is silent");
            assert!(
                matches!(outcomes[0][0], Outcome::Answered(_)),
                "{outcomes:?}"
            );
            let Outcome::Refused(error) = &outcomes[0][1] else {
                panic!("{outcomes:?}");
            };
            assert_eq!(error.kind(), io::ErrorKind::NetworkUnreachable);
            assert!(outcomes[1].is_empty());
            assert!(matches!(outcomes[2][0], Outcome::Silent), "{outcomes:?}");
            assert!(
                matches!(outcomes[2][1], Outcome::Answered(_)),
                "{outcomes:?}"
            );
        });
    }

    #[test]
    fn who_answers_is_not_waited_for() {
        in_a_namespace(|| {
            let hosts = vec![vec![to(Ipv4Addr::LOCALHOST); 3]; 1000];
            let begun = Instant::now();
            let outcomes = probe(&hosts).expect("probed");
            assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
            let all = outcomes.iter().flatten();
            assert_eq!(all.filter(|outcome| outcome.is_open()).count(), 0);
        });
    }

    #[test]
    fn a_thousand_silent_hosts_all_have_their_turn() {
        in_a_namespace(|| {
            let host = |index: u32| Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 9, 1, 0)) + index);
            let hosts: Vec<_> = (0..1000).map(|index| vec![to(host(index))]).collect();
            let outcomes = probe(&hosts).expect("probed");
            let all = outcomes.iter().flatten();
            let unasked = all.filter(|outcome| matches!(outcome, Outcome::Unasked));
            assert_eq!(unasked.count(), 0);
        });
    }
}
