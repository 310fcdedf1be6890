//! Values of leases in etcd: what a node says of itself, as JSON.
//!
//! Written byte for byte as `flanneld` writes it; read as leniently as it reads.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde_json::Value;

use super::Attributes;
use crate::json::{self, Fields, JsonError, Object, quoted};

/// Why a value says nothing of a node.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    /// Not an object, or a member of a wrong type.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A member that a node must give.
    #[error("{field} is missing")]
    Missing {
        /// The member.
        field: &'static str,
    },
    /// A member that is not what it should be.
    #[error("{field} is {value:?}, not {expected}")]
    Invalid {
        /// The member.
        field: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl Attributes {
    /// The value, in the one form and order that `flanneld` writes.
    pub fn to_json(&self) -> String {
        let mut object = Object::new();
        object.insert("PublicIP".into(), self.public_ip.to_string().into());
        // Written even if there is none.
        let public_ipv6 = self.public_ipv6.map(|address| address.to_string());
        object.insert("PublicIPv6".into(), public_ipv6.into());
        if let Some(backend) = self.backend.as_ref().filter(|name| !name.is_empty()) {
            object.insert("BackendType".into(), backend.as_str().into());
        }
        for (name, data) in [
            ("BackendData", &self.data),
            ("BackendV6Data", &self.v6_data),
        ] {
            if let Some(data) = data {
                object.insert(name.into(), data.clone());
            }
        }
        Value::Object(object).to_string()
    }

    /// Reads a value of any node.
    pub fn parse(bytes: &[u8]) -> Result<Self, ValueError> {
        let object = json::object(bytes)?;
        let fields = Fields::new(&object, "");
        let backend = fields.text("BackendType")?.filter(|name| !name.is_empty());
        Ok(Self {
            public_ip: address(&fields, "PublicIP", "an IPv4 address")?
                .ok_or(ValueError::Missing { field: "PublicIP" })?,
            public_ipv6: address(&fields, "PublicIPv6", "an IPv6 address")?,
            backend: backend.map(str::to_owned),
            data: fields.get("BackendData").cloned(),
            v6_data: fields.get("BackendV6Data").cloned(),
        })
    }
}

fn address<A: FromStr + Address>(
    fields: &Fields<'_>,
    field: &'static str,
    expected: &'static str,
) -> Result<Option<A>, ValueError> {
    let Some(text) = fields.text(field)? else {
        return Ok(None);
    };
    let address = text.parse().ok().filter(A::is_of_its_family);
    address.map(Some).ok_or_else(|| ValueError::Invalid {
        field,
        value: quoted(text),
        expected,
    })
}

trait Address {
    /// An IPv4 address in IPv6 clothing is sent to over IPv4, whatever the member says.
    fn is_of_its_family(&self) -> bool;
}

impl Address for Ipv4Addr {
    fn is_of_its_family(&self) -> bool {
        true
    }
}

impl Address for Ipv6Addr {
    fn is_of_its_family(&self) -> bool {
        self.to_ipv4_mapped().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Values as nodes of Flannel v0.20.1 wrote them.
    const REAL: [&str; 5] = [
        r#"{"PublicIP":"10.99.0.11","PublicIPv6":null}"#,
        r#"{"PublicIP":"10.99.0.12","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"72:c6:af:94:21:bc"}}"#,
        r#"{"PublicIP":"10.99.0.11","PublicIPv6":null,"BackendType":"host-gw"}"#,
        r#"{"PublicIP":"10.99.0.11","PublicIPv6":"fd99::11","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"ba:57:7b:96:a0:67"},"BackendV6Data":{"VNI":1,"VtepMAC":"5a:58:da:45:fb:68"}}"#,
        r#"{"PublicIP":"1.2.3.4","PublicIPv6":null}"#,
    ];

    fn told(value: &str) -> String {
        let error = Attributes::parse(value.as_bytes()).expect_err(value);
        error.to_string()
    }

    #[test]
    fn real_values_are_read_and_written_byte_for_byte() {
        for value in REAL {
            let attributes = Attributes::parse(value.as_bytes()).expect(value);
            assert_eq!(attributes.to_json(), value);
        }
    }

    #[test]
    fn members_are_where_they_belong() {
        let dual = Attributes::parse(REAL[3].as_bytes()).expect("real");
        assert_eq!(dual.public_ip, Ipv4Addr::new(10, 99, 0, 11));
        assert_eq!(dual.public_ipv6, "fd99::11".parse().ok());
        assert_eq!(dual.backend.as_deref(), Some("vxlan"));
        let mac = |mac: &str| Some(json!({"VNI": 1, "VtepMAC": mac}));
        assert_eq!(dual.data, mac("ba:57:7b:96:a0:67"));
        assert_eq!(dual.v6_data, mac("5a:58:da:45:fb:68"));
    }

    #[test]
    fn values_of_others_are_read_leniently() {
        let value = br#"{"publicip":"10.99.0.12","BACKENDTYPE":"vxlan","backenddata":{"z":1,"a":[2]},"X-extra":{"a":1},"BackendV6Data":null}"#;
        let attributes = Attributes::parse(value).expect("what flanneld takes");
        assert_eq!(
            attributes.to_json(),
            r#"{"PublicIP":"10.99.0.12","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"z":1,"a":[2]}}"#
        );
        // Letter case of the type matters to peers.
        let other = Attributes::parse(br#"{"PublicIP":"1.2.3.4","BackendType":"VXLAN"}"#);
        assert_eq!(other.expect("a value").backend.as_deref(), Some("VXLAN"));
    }

    #[test]
    fn what_names_no_node_is_refused() {
        assert_eq!(told("{}"), "PublicIP is missing");
        assert_eq!(told(r#"{"PublicIP":null}"#), "PublicIP is missing");
        assert_eq!(
            told(r#"{"PublicIP":"fd99::1"}"#),
            r#"PublicIP is "fd99::1", not an IPv4 address"#
        );
        for v6 in ["", "1.2.3.4", "::ffff:1.2.3.4"] {
            let value = json!({"PublicIP": "1.2.3.4", "PublicIPv6": v6}).to_string();
            assert!(told(&value).ends_with(", not an IPv6 address"), "{v6}");
        }
        assert_eq!(
            told(r#"{"PublicIP":"1.2.3.4","BackendType":7}"#),
            "BackendType must be a string, not a number"
        );
        assert_eq!(told("hello"), "it is not JSON");
    }

    proptest! {
        #[test]
        fn a_value_is_read_as_it_was_written(
            v4 in any::<[u8; 4]>(), v6 in any::<Option<[u8; 16]>>(), backend in "[a-zA-Z<>&\" -]{0,12}",
            numbers in proptest::option::of(proptest::collection::vec(any::<i64>(), 0..4)),
        ) {
            let attributes = Attributes {
                public_ip: v4.into(),
                public_ipv6: v6.map(Ipv6Addr::from).filter(Address::is_of_its_family),
                backend: Some(backend).filter(|name| !name.is_empty()),
                data: numbers.clone().map(|numbers| json!({"b": numbers, "a": {}})),
                v6_data: numbers.map(|numbers| json!(numbers)),
            };
            let again = Attributes::parse(attributes.to_json().as_bytes());
            prop_assert_eq!(again.expect("its own text"), attributes);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Attributes::parse(&bytes);
        }
    }
}
