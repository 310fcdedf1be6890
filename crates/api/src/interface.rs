//! One network interface of a VM, as a person asks for it.
//!
//! ```text
//! interface = network [ ":" key "=" value *( "," key "=" value ) ]
//! key       = "ip" / "mac" / "ifname" / "allow" / "rate"
//! ```
//!
//! `ip` and `allow` may be given more than once; in a manifest they are lists.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::nearest::distance;
use crate::{Address, BitRate, InterfaceName, Limit, Mac, NetworkName, Subnet};

/// The most interfaces of one VM.
pub const MAX_INTERFACES: usize = 8;

/// The most addresses, or ranges of them, that are asked for on one interface: about as many as the
/// packet filter should have to look at for each frame.
pub(crate) const MAX_ADDRESSES: usize = 16;

/// What is wanted of one interface. What is not said is left to the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct InterfaceSpec {
    /// The CNI network; none for the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkName>,
    /// Name in sandbox and guest; none for `eth` and the interface's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<InterfaceName>,
    /// MAC; none for a random one, which the interface keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Addresses to ask for; none for those the network chooses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
    /// Further source addresses the guest may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Subnet>,
    /// How fast it may be, each way; none for what holds for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Limit<BitRate>>,
}

/// One thing that is wrong with the text of an interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterfaceFault {
    /// No network is named.
    #[error("it names no network")]
    NoNetwork,
    /// A network's name that is none.
    #[error(transparent)]
    Network(#[from] crate::NetworkNameError),
    /// A part that is not `key=value`.
    #[error("{part:?} is not KEY=VALUE")]
    NotAPair {
        /// The part.
        part: String,
    },
    /// A key nobody knows.
    #[error("there is no key {key:?}")]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A key that can have one value only.
    #[error("{key} is given twice")]
    Twice {
        /// The key.
        key: &'static str,
    },
    /// An address.
    #[error(transparent)]
    Address(#[from] crate::AddressError),
    /// A MAC.
    #[error(transparent)]
    Mac(#[from] crate::MacError),
    /// An interface's name.
    #[error(transparent)]
    Name(#[from] crate::InterfaceNameError),
    /// A range of addresses.
    #[error(transparent)]
    Allow(#[from] crate::SubnetError),
    /// A rate.
    #[error(transparent)]
    Rate(#[from] crate::RateError),
}

impl InterfaceFault {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoNetwork => {
                Some("for an address or a MAC on the default network, use --ip and --mac".into())
            }
            Self::Network(error) => error.hint(),
            Self::NotAPair { part } => Some(match part.parse::<Address>() {
                Ok(address) => format!("write ip={address}"),
                Err(_) => {
                    "write NAME:key=value,key=value, such as lan:ip=10.61.0.50,ifname=eth1".into()
                }
            }),
            Self::UnknownKey { key } => Some(match nearest(key) {
                Some(known) => format!("did you mean {known}?"),
                None => format!("the keys are {}", Key::ALL.map(Key::as_str).join(", ")),
            }),
            Self::Twice { .. } => Some("give it once".into()),
            Self::Address(error) => error.hint(),
            Self::Mac(error) => error.hint(),
            Self::Name(error) => error.hint(),
            Self::Allow(error) => error.hint(),
            Self::Rate(error) => error.hint(),
        }
    }
}

/// Everything that is wrong with the texts of interfaces: each text with its faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", list(.0))]
pub struct InterfaceError(Vec<(String, Vec<InterfaceFault>)>);

impl InterfaceError {
    /// Each text with its faults.
    pub fn faults(&self) -> &[(String, Vec<InterfaceFault>)] {
        &self.0
    }

    /// What to do about each of them, once.
    pub fn hint(&self) -> Option<String> {
        let mut hints: Vec<String> = Vec::new();
        let faults = self.0.iter().flat_map(|(_, faults)| faults);
        for hint in faults.filter_map(InterfaceFault::hint) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        (!hints.is_empty()).then(|| hints.join("\n"))
    }
}

fn list(faulty: &[(String, Vec<InterfaceFault>)]) -> String {
    let one = |(text, faults): &(String, Vec<InterfaceFault>)| match faults.as_slice() {
        [fault] => format!("{text:?}: {fault}"),
        many => {
            let lines: String = many.iter().map(|fault| format!("\n    {fault}")).collect();
            format!("{text:?}:{lines}")
        }
    };
    match faulty {
        [only] => format!("the network cannot be as asked for: {}", one(only)),
        many => {
            let lines: String = many
                .iter()
                .map(|text| format!("\n  {}", one(text)))
                .collect();
            format!("the networks cannot be as asked for:{lines}")
        }
    }
}

/// A key of the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Ip,
    Mac,
    Ifname,
    Allow,
    Rate,
}

impl Key {
    const ALL: [Self; 5] = [Self::Ip, Self::Mac, Self::Ifname, Self::Allow, Self::Rate];

    fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Mac => "mac",
            Self::Ifname => "ifname",
            Self::Allow => "allow",
            Self::Rate => "rate",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.as_str() == text)
    }
}

/// Other words for the keys, which are further from them than a slip of the finger.
const SYNONYMS: [(&str, Key); 8] = [
    ("address", Key::Ip),
    ("addresses", Key::Ip),
    ("addr", Key::Ip),
    ("interface", Key::Ifname),
    ("name", Key::Ifname),
    ("hwaddr", Key::Mac),
    ("cidr", Key::Allow),
    ("bandwidth", Key::Rate),
];

/// The key that was probably meant.
fn nearest(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    let synonym = SYNONYMS.iter().find(|(word, _)| *word == lower);
    let close = || {
        Key::ALL
            .into_iter()
            .map(|key| (distance(&lower, key.as_str()), key))
            .filter(|(distance, key)| *distance <= key.as_str().len() / 2)
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, key)| key)
    };
    // Long texts are no slips, and cost the square of their length.
    let close = || (lower.len() <= 16).then(close).flatten();
    synonym.map(|(_, key)| *key).or_else(close).map(Key::as_str)
}

impl InterfaceSpec {
    /// Reads one text.
    pub fn parse(text: &str) -> Result<Self, InterfaceError> {
        Self::parse_all([text]).map(|mut all| all.remove(0))
    }

    /// Reads the texts of all interfaces; all their faults are found at once.
    pub fn parse_all<T: AsRef<str>>(
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Self>, InterfaceError> {
        let (mut interfaces, mut faults) = (Vec::new(), Vec::new());
        for text in texts {
            let text = text.as_ref();
            let (interface, found) = read(text);
            interfaces.push(interface);
            if !found.is_empty() {
                faults.push((text.to_owned(), found));
            }
        }
        if faults.is_empty() {
            Ok(interfaces)
        } else {
            Err(InterfaceError(faults))
        }
    }

    /// Whether nothing is asked for that its network would not choose.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Its name as the interface of this number.
    pub fn name_at(&self, index: usize) -> InterfaceName {
        self.name
            .clone()
            .unwrap_or_else(|| InterfaceName::numbered(index))
    }
}

fn read(text: &str) -> (InterfaceSpec, Vec<InterfaceFault>) {
    let (name, options) = match text.split_once(':') {
        Some((name, options)) => (name, Some(options)),
        None => (text, None),
    };
    let (mut interface, mut faults) = (InterfaceSpec::default(), Vec::new());
    match name {
        "" => faults.push(InterfaceFault::NoNetwork),
        name => match name.parse() {
            Ok(name) => interface.network = Some(name),
            Err(error) => faults.push(InterfaceFault::Network(error)),
        },
    }
    for part in options.into_iter().flat_map(|options| options.split(',')) {
        if let Err(fault) = interface.set(part) {
            faults.push(fault);
        }
    }
    (interface, faults)
}

impl InterfaceSpec {
    fn set(&mut self, part: &str) -> Result<(), InterfaceFault> {
        let Some((name, value)) = part.split_once('=') else {
            return Err(InterfaceFault::NotAPair { part: part.into() });
        };
        let key =
            Key::parse(name).ok_or_else(|| InterfaceFault::UnknownKey { key: name.into() })?;
        match key {
            Key::Ip => self.addresses.push(value.parse()?),
            Key::Allow => self.allow.push(value.parse()?),
            Key::Mac => once(key, &mut self.mac, value.parse()?)?,
            Key::Ifname => once(key, &mut self.name, value.parse()?)?,
            Key::Rate => once(key, &mut self.rate, value.parse()?)?,
        }
        Ok(())
    }
}

fn once<T>(key: Key, place: &mut Option<T>, value: T) -> Result<(), InterfaceFault> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(InterfaceFault::Twice { key: key.as_str() }),
    }
}

impl fmt::Display for InterfaceSpec {
    /// As the command line takes it: `lan:ip=10.61.0.50,ifname=eth1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options: Vec<String> = Vec::new();
        options.extend(self.addresses.iter().map(|ip| format!("ip={ip}")));
        options.extend(self.mac.iter().map(|mac| format!("mac={mac}")));
        options.extend(self.name.iter().map(|name| format!("ifname={name}")));
        options.extend(self.allow.iter().map(|range| format!("allow={range}")));
        options.extend(self.rate.iter().map(|rate| format!("rate={rate}")));
        let network = self.network.as_ref().map_or("", NetworkName::as_str);
        match options.as_slice() {
            [] => f.write_str(network),
            some => write!(f, "{network}:{}", some.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn everything_that_can_be_said() {
        let text = "lan:ip=10.61.0.50,ip=fd00::50/64,mac=02:00:00:00:00:01,ifname=net1,allow=10.61.9.0/24,allow=fd00:9::/64,rate=10Mbit:64KB";
        let interface = InterfaceSpec::parse(text).expect("valid");
        assert_eq!(interface.addresses.len(), 2);
        assert_eq!(interface.allow.len(), 2);
        assert_eq!(interface.name_at(0).as_str(), "net1");
        assert_eq!(interface.to_string(), text);
        let plain = InterfaceSpec::parse("lan").expect("valid");
        assert_eq!(plain.name_at(3).as_str(), "eth3");
        assert_eq!(plain.to_string(), "lan");
    }

    #[test]
    fn every_fault_of_every_text_at_once() {
        let error = InterfaceSpec::parse_all([
            "../x:ipp=1,mac=01:00:5e:00:00:01,mac=02:00:00:00:00:01,mac=02:00:00:00:00:02",
            "lan",
            "lan:10.61.0.7,ifname=../..,allow=10.61.9.5/24,ip=300.1.1.1",
            ":",
        ])
        .expect_err("many faults");
        let hint = error.hint().expect("hints");
        insta::assert_snapshot!(format!("{error}\n{hint}"), @r#"
        the networks cannot be as asked for:
          "../x:ipp=1,mac=01:00:5e:00:00:01,mac=02:00:00:00:00:01,mac=02:00:00:00:00:02":
            "../x" is not the name of a network
            there is no key "ipp"
            "01:00:5e:00:00:01" is not the MAC address of one interface
            mac is given twice
          "lan:10.61.0.7,ifname=../..,allow=10.61.9.5/24,ip=300.1.1.1":
            "10.61.0.7" is not KEY=VALUE
            "../.." is not the name of an interface
            "10.61.9.5/24" has bits set beyond its prefix
            "300.1.1.1" is not an IP address
          ":":
            it names no network
            "" is not KEY=VALUE
        give the network's name as its file has it under "name", not the file
        did you mean ip?
        make the first byte even, such as 02
        give it once
        write ip=10.61.0.7
        a name begins with a letter or a digit, then letters, digits, '_', '.' and '-', at most 15 in all, such as eth1
        write 10.61.9.0/24 for the whole range, or 10.61.9.5 for the one address
        write an IPv4 or IPv6 address, such as 10.61.0.50 or 10.61.0.50/16
        for an address or a MAC on the default network, use --ip and --mac
        write NAME:key=value,key=value, such as lan:ip=10.61.0.50,ifname=eth1
        "#);
    }

    #[test]
    fn one_fault_is_one_line() {
        let error = InterfaceSpec::parse("lan:ifnam=eth1").expect_err("no such key");
        insta::assert_snapshot!(format!("{error}\nhint: {}", error.hint().expect("a hint")), @r#"
        the network cannot be as asked for: "lan:ifnam=eth1": there is no key "ifnam"
        hint: did you mean ifname?
        "#);
    }

    #[test]
    fn the_key_that_was_meant() {
        for (text, meant) in [
            ("IP", Some("ip")),
            ("ips", Some("ip")),
            ("address", Some("ip")),
            ("ifnmae", Some("ifname")),
            ("name", Some("ifname")),
            ("alow", Some("allow")),
            ("macc", Some("mac")),
            ("gateway", None),
            ("", None),
        ] {
            assert_eq!(nearest(text), meant, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_surprise(text in "[a-z0-9:=,./-]{0,60}") {
            if let Ok(interface) = InterfaceSpec::parse(&text) {
                prop_assert_eq!(InterfaceSpec::parse(&interface.to_string()), Ok(interface));
            }
        }
    }
}
