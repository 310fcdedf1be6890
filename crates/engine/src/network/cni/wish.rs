//! Which addresses an attachment asks for, and whether it got them.
//!
//! | wish | asked for | not given |
//! |---|---|---|
//! | fixed | `--ip`, `ip=`, a manifest's `addresses` | the start fails |
//! | former | what the interface had on this network | it gets others, and says so |
//! | any | nothing | |
//!
//! A network is asked by all means there are: `IP` in `CNI_ARGS`, and the capability `ips`. `host-local`
//! takes one address from `IP`, `static` a list.

use ignite_api::Address;
use ignite_cni::NetworkConfig;
use ignite_store::{InterfaceRecord, NetworkRecord};
use ipnet::IpNet;
use serde_json::Value;

/// The addresses an interface should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// These and no others.
    Fixed(Vec<Address>),
    /// Those of the last time, if they are free.
    Former(Vec<IpNet>),
    /// Whatever the network gives.
    Any,
}

impl Wish {
    /// The wish of an interface, on the network of this name.
    pub fn of(interface: &InterfaceRecord, network: &str, record: &NetworkRecord) -> Self {
        let former = record.remembered(&interface.name, network);
        match (interface.addresses.as_slice(), former) {
            ([], []) => Self::Any,
            ([], former) => Self::Former(former.to_vec()),
            (fixed, _) => Self::Fixed(fixed.to_vec()),
        }
    }

    /// What is asked for.
    pub fn addresses(&self) -> Vec<Address> {
        match self {
            Self::Fixed(addresses) => addresses.clone(),
            Self::Former(addresses) => addresses.iter().copied().map(Address::from).collect(),
            Self::Any => Vec::new(),
        }
    }

    /// What was asked for and is not among the addresses `given`.
    pub fn missed(&self, given: &[IpNet]) -> Vec<Address> {
        let mut asked = self.addresses();
        asked.retain(|address| !given.iter().any(|given| address.is_met_by(*given)));
        asked
    }
}

/// The value of `IP` in `CNI_ARGS` for these addresses.
pub(super) fn argument(addresses: &[Address], network: &NetworkConfig) -> Option<String> {
    let takes_list = network
        .plugins
        .iter()
        .any(|plugin| plugin.object.get("ipam").and_then(kind) == Some("static"));
    let taken = if takes_list { addresses.len() } else { 1 };
    let texts: Vec<String> = addresses
        .iter()
        .take(taken)
        .map(ToString::to_string)
        .collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

fn kind(ipam: &Value) -> Option<&str> {
    ipam.get("type")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Address> {
        texts
            .iter()
            .map(|text| text.parse().expect("an address"))
            .collect()
    }

    fn interface(asked: &[&str]) -> InterfaceRecord {
        InterfaceRecord {
            name: "eth0".into(),
            mac: ignite_api::Mac::random_local(),
            network: None,
            addresses: addresses(asked),
            allow: Vec::new(),
        }
    }

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    #[test]
    fn what_was_asked_for_beats_what_was_had() {
        let mut record = NetworkRecord::default();
        assert_eq!(Wish::of(&interface(&[]), "lan", &record), Wish::Any);
        record.remember("eth0", "lan", vec![net("10.0.0.2/24")]);
        let former = Wish::of(&interface(&[]), "lan", &record);
        assert_eq!(former, Wish::Former(vec![net("10.0.0.2/24")]));
        assert_eq!(Wish::of(&interface(&[]), "other", &record), Wish::Any);
        let fixed = Wish::of(&interface(&["10.0.0.9"]), "lan", &record);
        assert_eq!(fixed, Wish::Fixed(addresses(&["10.0.0.9"])));
    }

    #[test]
    fn what_is_missed_is_named() {
        let wish = Wish::Fixed(addresses(&["10.0.0.9", "fd00::9/64", "10.0.1.9/24"]));
        let given = [net("10.0.0.9/16"), net("10.0.1.9/16"), net("fd00::9/64")];
        assert_eq!(wish.missed(&given), addresses(&["10.0.1.9/24"]));
        assert_eq!(Wish::Any.missed(&given), []);
    }

    #[test]
    fn only_static_takes_a_list() {
        let network = |ipam: &str| {
            let text = format!(
                r#"{{"name": "n", "cniVersion": "1.0.0", "plugins": [{{"type": "bridge", "ipam": {{"type": "{ipam}"}}}}]}}"#
            );
            NetworkConfig::parse(text.as_bytes()).expect("a network")
        };
        let asked = addresses(&["10.0.0.9/24", "fd00::9/64"]);
        let argument = |asked, ipam| argument(asked, &network(ipam));
        assert_eq!(
            argument(&asked, "host-local").as_deref(),
            Some("10.0.0.9/24")
        );
        assert_eq!(
            argument(&asked, "static").as_deref(),
            Some("10.0.0.9/24,fd00::9/64")
        );
        assert_eq!(argument(&[], "static"), None);
    }
}
