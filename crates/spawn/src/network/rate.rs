//! How fast an interface may be: bounded by the kernel, each way, outside of the VMM's reach.
//!
//! ```text
//!   network --> eth0 ... tap0 [bucket] --> guest
//!   network <-- [bucket] eth0 ... tap0 <-- guest
//! ```

use ignite_host::link::{self, Netlink};
use ignite_host::tc::Shape;
use ignite_wire::supervisor::{Attachment, Rate};

/// The two ends of one interface's way.
#[derive(Debug)]
pub(super) struct Ends {
    /// The interface's name.
    pub interface: String,
    mtu: u32,
    eth: u32,
    tap: u32,
}

impl Ends {
    /// Of an attachment whose links have these numbers.
    pub fn new(attachment: &Attachment, (eth, tap): (u32, u32)) -> Self {
        Self {
            interface: attachment.interface.clone(),
            mtu: attachment.mtu,
            eth,
            tap,
        }
    }

    /// Bounds both ways, or lets them go. Where something else bounds the interface nothing is changed.
    pub fn limit(&self, netlink: &Netlink, rate: Option<Rate>) -> Result<(), link::Error> {
        for index in [self.eth, self.tap] {
            match rate {
                Some(rate) => netlink.shape(index, self.mtu, shape(rate))?,
                None => netlink.unshape(index)?,
            }
        }
        Ok(())
    }

    /// Lets the sandbox's interface go, which outlives the tap.
    pub fn remove(&self, netlink: &Netlink) -> Result<(), link::Error> {
        netlink.unshape(self.eth)
    }
}

fn shape(rate: Rate) -> Shape {
    Shape {
        rate: rate.bytes_per_second,
        burst: rate.burst.try_into().unwrap_or(u32::MAX),
    }
}
