//! Questions to the network on the guest's behalf: who has this IPv6 address?
//!
//! A gateway is asked for so that a router advertisement can carry its MAC. A link-local address the
//! guest wants to take is asked for so that it takes nobody's.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use ignite_wire::ra::Asked;

/// Time for an answer about a gateway, so often.
const GATEWAY_PATIENCE: Duration = Duration::from_millis(400);
const GATEWAY_TRIES: u8 = 3;

/// Time for an objection. Shorter than the second after which a guest takes the address.
const DETECTION_PATIENCE: Duration = Duration::from_millis(700);

/// Gateways, and addresses under way, at one time.
const MAX_INQUIRIES: usize = 8;

/// What an answer is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The guest wants the address.
    Detection,
    /// The gateway of the router with this number; what the guest asked for.
    Gateway(usize, Asked),
}

/// What is to be done when no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Ask again for this address.
    Again(Ipv6Addr),
    /// It is so.
    Final(Ipv6Addr, Purpose),
}

#[derive(Debug)]
struct Inquiry {
    target: Ipv6Addr,
    purpose: Purpose,
    until: Instant,
    tries: u8,
}

/// The questions under way.
#[derive(Debug, Default)]
pub struct Inquiries(Vec<Inquiry>);

impl Inquiries {
    /// Begins one; false if there are too many, or the same is under way.
    pub fn begin(&mut self, target: Ipv6Addr, purpose: Purpose, now: Instant) -> bool {
        let is_same = |known: &Inquiry| (known.target, known.purpose) == (target, purpose);
        if self.0.len() >= MAX_INQUIRIES || self.0.iter().any(is_same) {
            return false;
        }
        let (patience, tries) = match purpose {
            Purpose::Detection => (DETECTION_PATIENCE, 1),
            Purpose::Gateway(..) => (GATEWAY_PATIENCE, GATEWAY_TRIES),
        };
        self.0.push(Inquiry {
            target,
            purpose,
            until: now + patience,
            tries,
        });
        true
    }

    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Somebody has this address: what that was to be known for.
    pub fn answered(&mut self, target: Ipv6Addr) -> Vec<Purpose> {
        let of_target = self.0.extract_if(.., |inquiry| inquiry.target == target);
        of_target.map(|inquiry| inquiry.purpose).collect()
    }

    /// When the next one's patience ends.
    pub fn next(&self) -> Option<Instant> {
        self.0.iter().map(|inquiry| inquiry.until).min()
    }

    /// One whose patience is over.
    pub fn due(&mut self, now: Instant) -> Option<Silence> {
        let place = self.0.iter().position(|inquiry| inquiry.until <= now)?;
        let inquiry = &mut self.0[place];
        inquiry.tries -= 1;
        if inquiry.tries > 0 {
            inquiry.until = now + GATEWAY_PATIENCE;
            return Some(Silence::Again(inquiry.target));
        }
        let inquiry = self.0.swap_remove(place);
        Some(Silence::Final(inquiry.target, inquiry.purpose))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().expect("an address")
    }

    #[test]
    fn gateways_are_asked_for_three_times() {
        let mut inquiries = Inquiries::default();
        let start = Instant::now();
        let purpose = Purpose::Gateway(0, Asked::Routers);
        assert!(inquiries.begin(ip("fd00::1"), purpose, start));
        assert!(!inquiries.begin(ip("fd00::1"), purpose, start));
        assert_eq!(inquiries.due(start), None);
        let mut now = start;
        for _ in 0..2 {
            now = inquiries.next().expect("one");
            assert_eq!(inquiries.due(now), Some(Silence::Again(ip("fd00::1"))));
            assert_eq!(inquiries.due(now), None);
        }
        let last = inquiries.due(now + GATEWAY_PATIENCE);
        assert_eq!(last, Some(Silence::Final(ip("fd00::1"), purpose)));
        assert!(inquiries.is_empty());
    }

    #[test]
    fn an_answer_ends_all_about_its_address() {
        let mut inquiries = Inquiries::default();
        let now = Instant::now();
        assert!(inquiries.begin(ip("fe80::5"), Purpose::Detection, now));
        assert!(inquiries.begin(ip("fe80::6"), Purpose::Detection, now));
        assert_eq!(inquiries.answered(ip("fe80::5")), [Purpose::Detection]);
        assert_eq!(inquiries.answered(ip("fe80::5")), []);
        for number in 0..100 {
            inquiries.begin(Ipv6Addr::from(number), Purpose::Detection, now);
        }
        assert_eq!(inquiries.0.len(), MAX_INQUIRIES);
    }
}
