//! Traffic control: frames that come in on one interface leave by another.
//!
//! ```text
//!  eth0 (from the network) --ingress, all but DHCP answers------> tap0 --> guest
//!  tap0 (from the guest)   --ingress, only what is the guest's--> eth0 --> network
//! ```
//!
//! Every filter is a `bpf` classifier with one `mirred` redirect. What matches none goes on into the
//! namespace's own stack, which is silent. Packet sockets that listen to every protocol see a frame
//! before its filter does.

pub mod allow;
mod frame;
mod incoming;
mod message;
mod tbf;

pub use self::tbf::Shape;
use crate::bpf::Program;
use crate::link::{Error, Netlink};

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

    /// Redirects what comes in on `index` and matches (the program's answer is not 0) to leave by
    /// `to`. There is one such filter for an interface: the next one takes its place, and no frame
    /// slips through meanwhile. Needs [`Self::ingress`] first.
    pub fn redirect(&self, index: u32, matching: &Program, to: u32) -> Result<(), Error> {
        let message = message::redirect(index, matching, to);
        self.socket
            .change(libc::RTM_NEWTFILTER, libc::NLM_F_CREATE, &message)
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
