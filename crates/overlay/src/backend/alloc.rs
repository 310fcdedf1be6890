//! `alloc`: a subnet is leased, and that is all. How packets get there is somebody else's business.

use super::Prepared;
use crate::interface::External;

/// Nothing in the kernel, no interest in others.
#[derive(Debug)]
pub struct Alloc;

impl Alloc {
    pub(super) fn prepare(external: &External) -> (Self, Prepared) {
        let prepared = Prepared {
            backend: None,
            data: None,
            v6_data: None,
            mtu: external.mtu,
        };
        (Self, prepared)
    }
}
