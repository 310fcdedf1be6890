//! Traffic control: frames that come in on one interface leave by another.
//!
//! ```text
//!  eth0 (from the network) --ingress, all-----------------------> tap0 --> guest
//!  tap0 (from the guest)   --ingress, only what is the guest's--> eth0 --> network
//! ```
//!
//! Every filter is a `u32` classifier (the kernel need have no other) with one `mirred` redirect. What
//! matches no filter goes on into the namespace's own stack, which is silent.

pub mod allow;
mod message;

use crate::link::{Error, Netlink};

/// A filter and its place among the others of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Lower comes first. Filters of one priority have one protocol.
    pub priority: u16,
    /// What it lets through.
    pub matching: Match,
}

/// Which frames a filter takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    /// The ethernet protocol; none for every one.
    pub protocol: Option<u16>,
    /// All of these must hold.
    pub keys: Vec<Key>,
}

/// A 32-bit word of a frame: it matches if `word & mask == value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Where the word is, in bytes from the network header: the ethernet header is before it, its
    /// source address at -8 to -3.
    pub offset: i32,
    /// What it must be, as the number its four bytes make, the first one highest.
    pub value: u32,
    /// Which of its bits count.
    pub mask: u32,
}

impl Match {
    /// Every frame.
    pub fn all() -> Self {
        Self::default()
    }
}

impl Netlink {
    /// Adds the ingress queue that filters hang on; one that is there is fine.
    pub fn ingress(&self, index: u32) -> Result<(), Error> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        match self
            .socket
            .change(libc::RTM_NEWQDISC, flags, &message::ingress(index))
        {
            Err(refusal) if refusal.errno() == Some(libc::EEXIST) => Ok(()),
            result => result.map_err(|refusal| {
                Error::new(
                    format!("add an ingress queue to link {}", self.name(index)),
                    refusal,
                )
            }),
        }
    }

    /// Redirects what comes in on `index` and matches to leave by `to`. Needs [`Self::ingress`] first.
    pub fn redirect(
        &self,
        index: u32,
        priority: u16,
        matching: &Match,
        to: u32,
    ) -> Result<(), Error> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let message = message::redirect(index, priority, matching, to);
        self.socket
            .change(libc::RTM_NEWTFILTER, flags, &message)
            .map_err(|refusal| {
                Error::new(
                    format!(
                        "redirect from link {} to {}",
                        self.name(index),
                        self.name(to)
                    ),
                    refusal,
                )
            })
    }

    /// Takes the ingress queue away with all its filters; none there (or no such link) is fine.
    pub fn delete_ingress(&self, index: u32) -> Result<(), Error> {
        match self
            .socket
            .change(libc::RTM_DELQDISC, 0, &message::ingress(index))
        {
            Err(refusal)
                if matches!(
                    refusal.errno(),
                    Some(libc::ENOENT | libc::EINVAL | libc::ENODEV)
                ) =>
            {
                Ok(())
            }
            result => result.map_err(|refusal| {
                Error::new(
                    format!("remove the ingress queue of link {}", self.name(index)),
                    refusal,
                )
            }),
        }
    }
}

#[cfg(test)]
mod tests;
