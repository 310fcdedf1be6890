//! Leases in etcd, which any node of the overlay may write: keys and values.

use ignite_overlay::lease::data::{VxlanData, WireguardData};
use ignite_overlay::lease::{Attributes, key};

/// A key is the one its subnet has; a value, written again, is read as the same.
pub fn run(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        match key::parse(text) {
            Ok(subnet) => assert_eq!(key::format(&subnet), text),
            Err(error) => drop(error.to_string()),
        }
    }
    let attributes = match Attributes::parse(bytes) {
        Ok(attributes) => attributes,
        Err(error) => return drop(error.to_string()),
    };
    let again = Attributes::parse(attributes.to_json().as_bytes()).expect("its own text");
    assert_eq!(again, attributes);
    for data in [&attributes.data, &attributes.v6_data]
        .into_iter()
        .flatten()
    {
        if let Ok(vxlan) = VxlanData::parse(data) {
            assert_eq!(VxlanData::parse(&vxlan.to_value()).expect("its own"), vxlan);
        }
        if let Ok(wireguard) = WireguardData::parse(data) {
            let again = WireguardData::parse(&wireguard.to_value());
            assert_eq!(again.expect("its own"), wireguard);
        }
    }
}
