//! How fast an interface sends: a token bucket as its root queue (`tbf`, `tc-tbf(8)`).
//!
//! ```text
//!  frames --> [ queue, `limit` bytes ] --> [ bucket, `burst` bytes, filled at `rate` ] --> interface
//! ```
//!
//! The kernel counts, so the bound holds whatever the VMM does with its end of a tap. Frames not cut to
//! size yet (64 KiB, where guest and host leave that to each other) pass whole as long as the bucket
//! holds one; with a smaller bucket the kernel cuts them first, and one without such a mark that is too
//! large is dropped.

use netlink_packet_core::DefaultNla;
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcHeader, TcMessage, TcOption};

use crate::link::{Error, Netlink};

/// Our queue's handle, `1917:`. A root queue with another is somebody else's; those the kernel makes by
/// itself have none.
const HANDLE: TcHandle = TcHandle {
    major: 0x1917,
    minor: 0,
};

/// Attributes of `tbf` (`linux/pkt_sched.h`).
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;

/// Frames are counted as they are on ethernet. With another value the kernel wants tables of rates.
const LINKLAYER_ETHERNET: u8 = 1;

/// A frame's head, with a VLAN tag.
const HEAD: u32 = 18;

/// How much may wait, in time at the full rate. More would only be older when it arrives.
const LATENCY_MS: u64 = 25;

/// Bounds of what waits: some frames of 64 KiB, and memory a host can spare for each interface.
const LEAST_WAITING: u64 = 128 << 10;
const MOST_WAITING: u64 = 16 << 20;

/// How fast an interface sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Bytes a second.
    pub rate: u64,
    /// Bytes at once after a pause; a frame always fits.
    pub burst: u32,
}

impl Shape {
    /// The bucket, in bytes, for frames with that much payload.
    fn bucket(self, mtu: u32) -> u32 {
        self.burst.max(mtu.saturating_add(HEAD))
    }

    /// The queue and the bucket, in bytes.
    fn limit(self, mtu: u32) -> u32 {
        let waiting = (u128::from(self.rate) * u128::from(LATENCY_MS) / 1000)
            .clamp(LEAST_WAITING.into(), MOST_WAITING.into());
        let whole = waiting + u128::from(self.bucket(mtu));
        whole.try_into().unwrap_or(u32::MAX)
    }
}

impl Netlink {
    /// Bounds what leaves by the interface `index`, whose frames have at most `mtu` bytes of payload,
    /// or changes the bound; what waits already is kept. A root queue of another's making is not
    /// touched: the error then [is "exists"](Error::is_exists).
    pub fn shape(&self, index: u32, mtu: u32, shape: Shape) -> Result<(), Error> {
        self.socket
            .change(
                libc::RTM_NEWQDISC,
                libc::NLM_F_CREATE,
                &message(index, mtu, shape),
            )
            .map_err(|refusal| {
                Error::new(
                    format!("bound the rate of link {}", self.name(index)),
                    refusal,
                )
            })
    }

    /// Takes the bound of [`Netlink::shape`] away; none there (or no such link) is fine.
    pub fn unshape(&self, index: u32) -> Result<(), Error> {
        const ABSENT: [i32; 3] = [libc::ENOENT, libc::EINVAL, libc::ENODEV];
        let message = TcMessage::from_parts(header(index), Vec::new());
        match self.socket.change(libc::RTM_DELQDISC, 0, &message) {
            Err(refusal) if refusal.errno().is_some_and(|it| ABSENT.contains(&it)) => Ok(()),
            result => result.map_err(|refusal| {
                Error::new(
                    format!("remove the bound of the rate of link {}", self.name(index)),
                    refusal,
                )
            }),
        }
    }
}

fn header(index: u32) -> TcHeader {
    TcHeader {
        index: i32::try_from(index).expect("interface numbers are positive ints"),
        handle: HANDLE,
        parent: TcHandle::ROOT,
        ..TcHeader::default()
    }
}

fn message(index: u32, mtu: u32, shape: Shape) -> TcMessage {
    let options = [
        (TCA_TBF_PARMS, parameters(mtu, shape)),
        (TCA_TBF_RATE64, shape.rate.to_ne_bytes().to_vec()),
        (TCA_TBF_BURST, shape.bucket(mtu).to_ne_bytes().to_vec()),
    ];
    let options = options.map(|(kind, value)| TcOption::Other(DefaultNla::new(kind, value)));
    TcMessage::from_parts(
        header(index),
        vec![
            TcAttribute::Kind("tbf".to_owned()),
            TcAttribute::Options(options.to_vec()),
        ],
    )
}

/// `struct tc_tbf_qopt`: two `tc_ratespec` (the rate, and no peak rate), limit, buffer, mtu. The rate is
/// in [`TCA_TBF_RATE64`], the buffer in [`TCA_TBF_BURST`]: those here have 32 bits, and the unit of an old
/// clock.
fn parameters(mtu: u32, shape: Shape) -> Vec<u8> {
    let rate = u32::try_from(shape.rate).unwrap_or(u32::MAX);
    // `cell_log`, `linklayer`, `overhead`, `cell_align`, `mpu`, then the rate.
    let mut bytes = vec![0, LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0];
    bytes.extend(rate.to_ne_bytes());
    bytes.extend([0; 12]);
    for word in [shape.limit(mtu), 0, 0] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests;
