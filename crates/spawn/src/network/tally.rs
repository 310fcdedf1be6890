//! What a guest tried to send and may not.

use std::net::IpAddr;

use ignite_wire::agent::Refusals;
use ignite_wire::refused::{Counts, Refused};

/// Addresses that are remembered; what comes later is only counted.
const MAX_ADDRESSES: usize = 8;

/// Counts, and the first foreign addresses.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Counts,
    addresses: Vec<IpAddr>,
    is_news: bool,
}

impl Tally {
    /// One frame more.
    pub fn add(&mut self, refused: Refused) {
        self.counts.add(refused.kind);
        let Some(address) = refused.address else {
            return;
        };
        if self.addresses.len() < MAX_ADDRESSES && !self.addresses.contains(&address) {
            self.addresses.push(address);
            self.is_news = true;
        }
    }

    /// Frames nobody looked at.
    pub fn unread(&mut self, frames: u32) {
        self.counts.unread = self.counts.unread.saturating_add(frames.into());
    }

    /// The address is the guest's after all.
    pub fn forgive(&mut self, address: IpAddr) {
        let before = self.addresses.len();
        self.addresses.retain(|known| *known != address);
        self.is_news |= self.addresses.len() != before;
    }

    /// Whether the addresses changed since the last time this was asked.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }

    /// All of it, of this interface.
    pub fn of(&self, interface: &str) -> Refusals {
        Refusals {
            interface: interface.to_owned(),
            counts: self.counts,
            addresses: self.addresses.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_wire::refused::Kind;

    #[test]
    fn each_address_is_news_once_and_they_are_bounded() {
        let mut tally = Tally::default();
        let refused = |last: u8| Refused {
            kind: Kind::Ipv4,
            address: Some(IpAddr::from([192, 0, 2, last])),
        };
        tally.add(refused(1));
        assert!(tally.take_news());
        tally.add(refused(1));
        assert!(!tally.take_news());
        for last in 0..100 {
            tally.add(refused(last));
        }
        tally.unread(7);
        let told = tally.of("eth0");
        assert_eq!((told.counts.ipv4, told.counts.total()), (102, 109));
        assert_eq!(told.addresses.len(), MAX_ADDRESSES);
        assert!(tally.take_news());
        tally.forgive(IpAddr::from([192, 0, 2, 1]));
        assert!(tally.take_news());
        assert_eq!(tally.of("eth0").addresses.len(), MAX_ADDRESSES - 1);
    }
}
