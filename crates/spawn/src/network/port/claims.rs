//! Whether a guest may ask for a link-local address now: not for what another is about to take, and
//! not often.
//!
//! A node that detects duplicates gives an address up when it hears another ask for it. A guest hears
//! others' questions too; were its own let through it could drive others off their addresses and
//! take them.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

/// How long a node may ask before it defends its address: three times, a second apart.
const CLAIM: Duration = Duration::from_secs(3);

/// Addresses others are about to take at one time, as when all of a network start at once.
const MAX_CLAIMS: usize = 256;

/// So many questions in this time.
const MAX_ATTEMPTS: usize = 4;
const ATTEMPTS_TIME: Duration = Duration::from_secs(10);

/// Addresses that others asked for a moment ago.
#[derive(Debug, Default)]
pub struct Claims {
    heard: Vec<(Ipv6Addr, Instant)>,
    /// Any address may be another's: not all was heard.
    unknown: Option<Instant>,
}

impl Claims {
    /// Another asked for it.
    pub fn hear(&mut self, target: Ipv6Addr, now: Instant) {
        self.heard
            .retain(|(known, until)| *until > now && *known != target);
        match self.heard.len() < MAX_CLAIMS {
            true => self.heard.push((target, now + CLAIM)),
            false => self.miss(now),
        }
    }

    /// Others may have asked for more than was heard.
    pub fn miss(&mut self, now: Instant) {
        self.unknown = Some(now + CLAIM);
    }

    /// Whether it may be about to be another's.
    pub fn cover(&self, target: Ipv6Addr, now: Instant) -> bool {
        let is_it = |(known, until): &(Ipv6Addr, Instant)| *known == target && *until > now;
        self.unknown.is_some_and(|until| until > now) || self.heard.iter().any(is_it)
    }
}

/// When a guest asked.
#[derive(Debug, Default)]
pub struct Attempts(Vec<Instant>);

impl Attempts {
    /// Counts one; false if there were too many.
    pub fn take(&mut self, now: Instant) -> bool {
        self.0.retain(|at| *at + ATTEMPTS_TIME > now);
        let may = self.0.len() < MAX_ATTEMPTS;
        if may {
            self.0.push(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(number: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0x1234, 1, 1, number)
    }

    #[test]
    fn a_claim_ends() {
        let (mut claims, start) = (Claims::default(), Instant::now());
        claims.hear(ip(1), start);
        assert!(!claims.cover(ip(2), start));
        let later = start + Duration::from_secs(2);
        assert!(claims.cover(ip(1), later));
        claims.hear(ip(1), later);
        assert!(claims.cover(ip(1), start + CLAIM));
        assert!(!claims.cover(ip(1), later + CLAIM));
    }

    #[test]
    fn what_was_not_heard_is_anybodys() {
        let (mut claims, start) = (Claims::default(), Instant::now());
        for number in 0..2000 {
            claims.hear(ip(number), start);
        }
        assert_eq!(claims.heard.len(), MAX_CLAIMS);
        assert!(claims.cover(ip(1999), start) && claims.cover(ip(5000), start));
        assert!(!claims.cover(ip(0), start + CLAIM));
        claims.hear(ip(1), start + CLAIM);
        assert_eq!(claims.heard.len(), 1);
    }

    #[test]
    fn attempts_are_few() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let taken = (0..100).filter(|_| attempts.take(start)).count();
        assert_eq!(taken, MAX_ATTEMPTS);
        let later = start + ATTEMPTS_TIME;
        assert!(!attempts.take(later - Duration::from_millis(1)));
        assert!(attempts.take(later));
    }
}
