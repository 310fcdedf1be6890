//! The subnets of one family that nodes may have.
//!
//! ```text
//!   network 10.5.0.0/16:  |10.5.0.0/24|10.5.1.0/24|  ...  |10.5.255.0/24|
//!                          left free   first               last
//! ```
//!
//! The first subnet is left free by default: its address would be that of the whole network.

use std::fmt::{Debug, Display};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};

use super::{ConfigError, is_mapped};

/// What the networks of both families have in common: a number and a length.
pub trait Prefix: Copy + Ord + Debug + Display + FromStr {
    /// The addresses of this family.
    type Address: Copy + Debug + Display + FromStr;
    /// Bits of an address.
    const BITS: u8;
    /// The length of subnets where the network has room for four of them.
    const DEFAULT_LENGTH: u8;
    /// The longest subnet: two addresses, besides those that are special.
    const MAX_LENGTH: u8;
    /// The members of the configuration.
    const NAMES: Names;
    /// What the family is called.
    const FAMILY: &'static str;
    /// A network, for messages.
    const DESCRIPTION: &'static str;
    /// An address, for messages.
    const ADDRESS: &'static str;

    /// The network of this length with that number in it; `length` is at most [`Self::BITS`].
    fn with(number: u128, length: u8) -> Self;
    /// The network's own address as a number.
    fn bits(self) -> u128;
    /// The length.
    fn length(self) -> u8;
    /// The number of an address.
    fn number(address: Self::Address) -> u128;
    /// The address of a number.
    fn address(number: u128) -> Self::Address;
    /// Whether addresses of it are of this family wherever they are written.
    fn is_pure(self) -> bool;

    /// The number of the last address.
    fn last(self) -> u128 {
        self.bits() | (size::<Self>(self.length()) - 1)
    }
}

/// Addresses in a network of that length. No network has length 0 here: see [`Range::new`].
fn size<N: Prefix>(length: u8) -> u128 {
    1u128
        .checked_shl(u32::from(N::BITS - length))
        .unwrap_or(u128::MAX)
}

/// The members of the configuration that make up a range.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The network.
    pub network: &'static str,
    /// The length of subnets.
    pub length: &'static str,
    /// The address of the first one.
    pub min: &'static str,
    /// The address of the last one.
    pub max: &'static str,
}

impl Prefix for Ipv4Net {
    type Address = Ipv4Addr;
    const BITS: u8 = 32;
    const DEFAULT_LENGTH: u8 = 24;
    const MAX_LENGTH: u8 = 30;
    const NAMES: Names = Names {
        network: "Network",
        length: "SubnetLen",
        min: "SubnetMin",
        max: "SubnetMax",
    };
    const FAMILY: &'static str = "IPv4";
    const DESCRIPTION: &'static str = "an IPv4 network such as 10.5.0.0/16";
    const ADDRESS: &'static str = "an IPv4 address";

    fn with(number: u128, length: u8) -> Self {
        Self::new_assert(Self::address(number), length).trunc()
    }

    fn bits(self) -> u128 {
        Self::number(self.network())
    }

    fn length(self) -> u8 {
        self.prefix_len()
    }

    fn number(address: Ipv4Addr) -> u128 {
        u32::from(address).into()
    }

    fn address(number: u128) -> Ipv4Addr {
        // What is above 32 bits is of no IPv4 network.
        Ipv4Addr::from(number as u32)
    }

    fn is_pure(self) -> bool {
        true
    }
}

impl Prefix for Ipv6Net {
    type Address = Ipv6Addr;
    const BITS: u8 = 128;
    const DEFAULT_LENGTH: u8 = 64;
    const MAX_LENGTH: u8 = 126;
    const NAMES: Names = Names {
        network: "IPv6Network",
        length: "IPv6SubnetLen",
        min: "IPv6SubnetMin",
        max: "IPv6SubnetMax",
    };
    const FAMILY: &'static str = "IPv6";
    const DESCRIPTION: &'static str = "an IPv6 network such as fd00:5::/48";
    const ADDRESS: &'static str = "an IPv6 address";

    fn with(number: u128, length: u8) -> Self {
        Self::new_assert(number.into(), length).trunc()
    }

    fn bits(self) -> u128 {
        Self::number(self.network())
    }

    fn length(self) -> u8 {
        self.prefix_len()
    }

    fn number(address: Ipv6Addr) -> u128 {
        address.into()
    }

    fn address(number: u128) -> Ipv6Addr {
        number.into()
    }

    fn is_pure(self) -> bool {
        // Either all of the mapped addresses are in it, or it is within them.
        !is_mapped(self.network()) && !is_mapped(self.broadcast())
    }
}

/// What a configuration may say of a range besides its network; the rest is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits<A> {
    /// The length of subnets.
    pub length: Option<u8>,
    /// The address of the first one.
    pub min: Option<A>,
    /// The address of the last one.
    pub max: Option<A>,
}

impl<A> Default for Limits<A> {
    fn default() -> Self {
        Self {
            length: None,
            min: None,
            max: None,
        }
    }
}

/// Subnets of equal length, one after the other, in a network that has room for four at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<N> {
    network: N,
    first: N,
    last: N,
}

impl<N: Prefix> Range<N> {
    /// The subnets of `network`, host bits cut, within `limits`.
    pub fn new(network: N, limits: Limits<N::Address>) -> Result<Self, ConfigError> {
        let network = N::with(network.bits(), network.length());
        if network.bits() == 0 && network.length() == 0 {
            let reason = "the whole of all addresses cannot be divided among nodes";
            return Err(ConfigError::invalid(N::NAMES.network, network, reason));
        }
        if !network.is_pure() {
            let reason = "its addresses stand for IPv4 ones";
            return Err(ConfigError::invalid(N::NAMES.network, network, reason));
        }
        // 0 and the unspecified address are what Go has for absent ones.
        let given = |address: &N::Address| N::number(*address) != 0;
        let length = length(network, limits.length.filter(|length| *length != 0))?;
        let subnet = |number| N::with(number, length);
        let first = network.bits().saturating_add(size::<N>(length));
        let bound = |field, given: Option<N::Address>, default: N| match given {
            Some(address) => bound(network, length, field, address),
            None => Ok(default),
        };
        let range = Self {
            network,
            first: bound(N::NAMES.min, limits.min.filter(given), subnet(first))?,
            last: bound(
                N::NAMES.max,
                limits.max.filter(given),
                subnet(network.last()),
            )?,
        };
        if range.first > range.last {
            let (min, max) = (
                N::address(range.first.bits()),
                N::address(range.last.bits()),
            );
            let reason = format!("it is above the last subnet, {max}: no subnet is left");
            return Err(ConfigError::invalid(N::NAMES.min, min, reason));
        }
        Ok(range)
    }

    /// The network.
    pub fn network(&self) -> N {
        self.network
    }

    /// The first subnet (`SubnetMin`).
    pub fn first(&self) -> N {
        self.first
    }

    /// The last subnet (`SubnetMax`).
    pub fn last(&self) -> N {
        self.last
    }

    /// The length of each subnet (`SubnetLen`).
    pub fn subnet_length(&self) -> u8 {
        self.first.length()
    }

    /// Addresses of a subnet.
    pub fn subnet_size(&self) -> u128 {
        size::<N>(self.subnet_length())
    }

    /// Whether this is one of the subnets.
    pub fn contains(&self, subnet: N) -> bool {
        let (first, last) = (self.first.bits(), self.last.bits());
        subnet.length() == self.subnet_length() && (first..=last).contains(&subnet.bits())
    }

    /// All subnets in order. There may be 2^126.
    pub fn subnets(&self) -> impl Iterator<Item = N> + use<N> {
        let (first, size, length) = (self.first.bits(), self.subnet_size(), self.subnet_length());
        let count = (self.last.bits() - first) / size + 1;
        (0..count).map(move |index| N::with(first + index * size, length))
    }

    /// What differs from the defaults: a range of the same network and these is equal.
    pub fn limits(&self) -> Limits<N::Address> {
        let length = self.subnet_length();
        let with_length = Limits {
            length: Some(length),
            ..Limits::default()
        };
        let network = self.network;
        let is_default = Self::new(network, Limits::default())
            .is_ok_and(|default| default.subnet_length() == length);
        let default = Self::new(network, with_length).ok();
        let differs =
            |end: N, default: Option<N>| (Some(end) != default).then(|| N::address(end.bits()));
        Limits {
            length: (!is_default).then_some(length),
            min: differs(self.first, default.map(|range| range.first)),
            max: differs(self.last, default.map(|range| range.last)),
        }
    }
}

/// The length of subnets: the one given, or the usual one if four fit, or else a quarter.
fn length<N: Prefix>(network: N, given: Option<u8>) -> Result<u8, ConfigError> {
    let least = network.length() + 2;
    let Some(length) = given else {
        if least > N::MAX_LENGTH {
            let longest = N::MAX_LENGTH - 2;
            let reason = format!("it is too small for four subnets: /{longest} is the least");
            return Err(ConfigError::invalid(N::NAMES.network, network, reason));
        }
        return Ok(N::DEFAULT_LENGTH.max(least));
    };
    let invalid = |reason| Err(ConfigError::invalid(N::NAMES.length, length, reason));
    if length > N::MAX_LENGTH {
        let longest = N::MAX_LENGTH;
        return invalid(format!("a node needs addresses: /{longest} is the least"));
    }
    if length < least {
        return invalid(format!(
            "{network} must have room for four subnets: {least} or more"
        ));
    }
    Ok(length)
}

/// The first or last subnet as it was given.
fn bound<N: Prefix>(
    network: N,
    length: u8,
    field: &'static str,
    address: N::Address,
) -> Result<N, ConfigError> {
    let number = N::number(address);
    if !(network.bits()..=network.last()).contains(&number) {
        let reason = format!("it is not within {network}");
        return Err(ConfigError::invalid(field, address, reason));
    }
    let subnet = N::with(number, length);
    if subnet.bits() != number {
        let aligned = N::address(subnet.bits());
        let reason = format!("no subnet of length {length} begins there; {aligned} would be one");
        return Err(ConfigError::invalid(field, address, reason));
    }
    Ok(subnet)
}
