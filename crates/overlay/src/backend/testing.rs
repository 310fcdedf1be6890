//! This node, a network and leases, as values for tests.

use ipnet::Ipv4Net;

use super::peer::Node;
use super::{Options, Settings};
use crate::interface::External;
use crate::lease::{Attributes, Lease, Subnet};

/// Index of the external interface.
pub(super) const EXTERNAL: u32 = 2;

pub(super) fn settings() -> Settings {
    Settings {
        network: "10.5.0.0/16".parse().expect("a network"),
        ipv6_network: None,
        options: Options::HostGw,
    }
}

pub(super) fn external() -> External {
    External {
        name: "eth0".to_owned(),
        index: EXTERNAL,
        mtu: 1500,
        address: [10, 99, 0, 11].into(),
        address_v6: None,
        public_ip: [10, 99, 0, 11].into(),
        public_ipv6: None,
    }
}

/// Owner of 10.5.9.0/24.
pub(super) fn node() -> Node {
    let subnet = Subnet {
        v4: "10.5.9.0/24".parse().expect("a network"),
        v6: None,
    };
    Node::new(&settings(), &external(), subnet)
}

pub(super) fn lease(subnet: &str, public: &str, backend: Option<&str>) -> Lease {
    let v4: Ipv4Net = subnet.parse().expect("a network");
    Lease {
        subnet: Subnet { v4, v6: None },
        attributes: Attributes {
            public_ip: public.parse().expect("an address"),
            public_ipv6: None,
            backend: backend.map(ToOwned::to_owned),
            data: None,
            v6_data: None,
        },
    }
}

pub(super) fn vxlan_lease(subnet: &str, public: &str, mac: &str) -> Lease {
    let mut lease = lease(subnet, public, Some("vxlan"));
    lease.attributes.data = Some(serde_json::json!({"VNI": 1, "VtepMAC": mac}));
    lease
}
