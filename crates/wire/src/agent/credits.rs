//! Flow control of one channel, as one of its two ends sees it.

use thiserror::Error;

/// Bytes each side may send on a new channel before the first grant.
pub const INITIAL_WINDOW: u32 = 256 * 1024;

/// The peer sent more than it was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the peer sent {excess} bytes more than it was granted")]
pub struct Overrun {
    /// Bytes too many.
    pub excess: u32,
}

/// Windows of one channel: what this end may still send, and what it granted the other.
///
/// Sending: send at most [`available`](Self::available), then [`spend`](Self::spend); add what
/// `Credit` frames say by [`granted`](Self::granted). Receiving: count a data frame's bytes by
/// [`received`](Self::received) and, when they have been passed on, by
/// [`consumed`](Self::consumed), which says when a `Credit` frame is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credits {
    sendable: u32,
    receivable: u32,
    ungranted: u32,
}

impl Default for Credits {
    fn default() -> Self {
        Self::new()
    }
}

impl Credits {
    /// The windows of a new channel.
    pub fn new() -> Self {
        Self {
            sendable: INITIAL_WINDOW,
            receivable: INITIAL_WINDOW,
            ungranted: 0,
        }
    }

    /// Bytes this end may send now.
    pub fn available(&self) -> usize {
        self.sendable as usize
    }

    /// This end sent `bytes`, no more than [`available`](Self::available).
    pub fn spend(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.available(), "sent past the window");
        self.sendable = self
            .sendable
            .saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// The peer granted `bytes` more.
    pub fn granted(&mut self, bytes: u32) {
        self.sendable = self.sendable.saturating_add(bytes);
    }

    /// The peer sent `bytes`.
    pub fn received(&mut self, bytes: usize) -> Result<(), Overrun> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let excess = bytes.saturating_sub(self.receivable);
        self.receivable = self.receivable.saturating_sub(bytes);
        if excess > 0 {
            Err(Overrun { excess })
        } else {
            Ok(())
        }
    }

    /// `bytes` of what was received have been passed on; returns the grant to send, if one is due.
    /// Grants are collected up to half a window, so that they are few.
    pub fn consumed(&mut self, bytes: usize) -> Option<u32> {
        self.ungranted = self
            .ungranted
            .saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.ungranted < INITIAL_WINDOW / 2 {
            return None;
        }
        let grant = std::mem::take(&mut self.ungranted);
        self.receivable = self.receivable.saturating_add(grant);
        Some(grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn excess_is_told() {
        let mut credits = Credits::new();
        assert_eq!(credits.received(INITIAL_WINDOW as usize), Ok(()));
        assert_eq!(credits.received(3), Err(Overrun { excess: 3 }));
    }

    proptest! {
        /// Two ends that keep the rules never overrun, never stall, and bound what is under way.
        #[test]
        fn ends_agree(steps in prop::collection::vec((any::<bool>(), 0usize..100_000), 0..200)) {
            let (mut sender, mut receiver) = (Credits::new(), Credits::new());
            let mut under_way = 0usize;
            for (send, amount) in steps {
                if send {
                    let sent = amount.min(sender.available());
                    sender.spend(sent);
                    receiver.received(sent).expect("the sender kept within its window");
                    under_way += sent;
                } else {
                    let taken = amount.min(under_way);
                    under_way -= taken;
                    if let Some(grant) = receiver.consumed(taken) {
                        sender.granted(grant);
                    }
                }
                prop_assert!(under_way <= INITIAL_WINDOW as usize);
                prop_assert!(under_way > 0 || sender.available() > 0);
            }
        }
    }
}
