//! `BackendData` and `BackendV6Data`: what backends tell each other in a lease's value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::value::ValueError;
use crate::json::{Fields, JsonError, kind, quoted};

/// What a node's vxlan backend tells the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VxlanData {
    /// The network identifier of its device. 0 if it was not given; peers do not compare it.
    pub vni: u32,
    /// The MAC of its device: a unicast address.
    pub mac: [u8; 6],
}

impl VxlanData {
    /// As `flanneld` writes it.
    pub fn to_value(&self) -> Value {
        json!({"VNI": self.vni, "VtepMAC": colons(&self.mac)})
    }

    /// Reads the data of any node.
    pub fn parse(data: &Value) -> Result<Self, ValueError> {
        let fields = fields(data)?;
        let text = fields
            .text("VtepMAC")?
            .ok_or(ValueError::Missing { field: "VtepMAC" })?;
        let mac = mac(text).filter(is_unicast);
        Ok(Self {
            vni: fields
                .number("VNI", 0..=u64::from(u32::MAX))?
                .unwrap_or_default(),
            mac: mac.ok_or_else(|| ValueError::Invalid {
                field: "VtepMAC",
                value: quoted(text),
                expected: "the MAC address of an interface",
            })?,
        })
    }
}

/// What a node's wireguard backend tells the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireguardData {
    /// Its public key: 32 bytes in base64.
    pub public_key: String,
    /// The port it listens on; the reader's own if it does not say (before v0.26.6).
    pub port: Option<u16>,
}

impl WireguardData {
    /// As `flanneld` writes it, with the port as of v0.26.6.
    pub fn to_value(&self) -> Value {
        match self.port {
            Some(port) => json!({"PublicKey": self.public_key, "Port": port}),
            None => json!({"PublicKey": self.public_key}),
        }
    }

    /// Reads the data of any node.
    pub fn parse(data: &Value) -> Result<Self, ValueError> {
        let fields = fields(data)?;
        let key = fields
            .text("PublicKey")?
            .ok_or(ValueError::Missing { field: "PublicKey" })?;
        if wireguard_key(key).is_none() {
            return Err(ValueError::Invalid {
                field: "PublicKey",
                value: quoted(key),
                expected: "32 bytes in base64",
            });
        }
        let port = fields.number("Port", 0..=u64::from(u16::MAX))?;
        Ok(Self {
            public_key: key.to_owned(),
            port: port.filter(|port| *port != 0),
        })
    }
}

/// A key of WireGuard, public, private or preshared, from its text.
pub fn wireguard_key(text: &str) -> Option<[u8; 32]> {
    // Longer ones are not worth decoding: 32 bytes make 44 characters.
    let bytes = (text.len() == 44).then(|| STANDARD.decode(text))?;
    bytes.ok()?.try_into().ok()
}

fn fields(data: &Value) -> Result<Fields<'_>, JsonError> {
    match data {
        Value::Object(object) => Ok(Fields::new(object, "")),
        other => Err(JsonError::NotAnObject { found: kind(other) }),
    }
}

/// A group address would flood, and in a forwarding database all zeros are where everything unknown
/// goes: neither is a device's.
fn is_unicast(mac: &[u8; 6]) -> bool {
    mac[0] & 1 == 0 && *mac != [0; 6]
}

fn colons(mac: &[u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// A MAC in any of the ways Go reads: `aa:bb:..`, `AA-BB-..`, `aabb.ccdd.eeff`.
fn mac(text: &str) -> Option<[u8; 6]> {
    let (separator, digits) = match text.as_bytes().get(2)? {
        b':' => (':', 2),
        b'-' => ('-', 2),
        _ => ('.', 4),
    };
    let is_hex = |part: &str| part.len() == digits && part.bytes().all(|b| b.is_ascii_hexdigit());
    // Seventeen characters at most are looked at.
    if text.len() > 17 || !text.split(separator).all(is_hex) {
        return None;
    }
    let hex: String = text.split(separator).collect();
    let number = (hex.len() == 12).then(|| u64::from_str_radix(&hex, 16))?;
    let [_, _, mac @ ..] = number.ok()?.to_be_bytes();
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: [u8; 6] = [0x72, 0xc6, 0xaf, 0x94, 0x21, 0xbc];
    const KEY: &str = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";

    fn invalid(error: ValueError) -> &'static str {
        match error {
            ValueError::Invalid { expected, .. } => expected,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn vxlan_data_is_read_in_all_spellings_and_written_in_one() {
        let data = VxlanData { vni: 1, mac: MAC };
        let text = r#"{"VNI":1,"VtepMAC":"72:c6:af:94:21:bc"}"#;
        assert_eq!(data.to_value().to_string(), text);
        for mac in [
            "72:c6:af:94:21:bc",
            "72:C6:AF:94:21:BC",
            "72-c6-AF-94-21-bc",
            "72c6.af94.21bc",
        ] {
            let read = VxlanData::parse(&json!({"vtepmac": mac, "vni": 70_000}));
            assert_eq!(
                read.expect(mac),
                VxlanData {
                    vni: 70_000,
                    mac: MAC
                }
            );
        }
        let without = VxlanData::parse(&json!({"VtepMAC": "72:c6:af:94:21:bc"}));
        assert_eq!(without.expect("VNI may be missing").vni, 0);
    }

    #[test]
    fn vxlan_data_without_a_device_is_refused() {
        for mac in [
            "",
            "72",
            "72:c6:af:94:21",
            "72:c6:af:94:21:bc:00",
            "72:c6:af-94:21:bc",
            "72:c6:af:94:21:b",
            "72:c6:af:94:21:+c",
            "72c6af9421bc",
            "72c6.af94.21bc.0001",
            "00:00:00:00:00:00",
            "01:00:5e:00:00:01",
            "ff:ff:ff:ff:ff:ff",
            "é:é:é",
        ] {
            let error = VxlanData::parse(&json!({"VtepMAC": mac})).expect_err(mac);
            assert_eq!(invalid(error), "the MAC address of an interface", "{mac}");
        }
        for data in [json!({}), json!([]), json!({"VtepMAC": 1}), json!("x")] {
            assert!(VxlanData::parse(&data).is_err(), "{data}");
        }
        let huge = json!({"VtepMAC": "72:c6:af:94:21:bc", "VNI": 4_294_967_296_u64});
        assert!(VxlanData::parse(&huge).is_err());
    }

    #[test]
    fn wireguard_data_has_a_key_and_maybe_a_port() {
        let with = |port| WireguardData {
            public_key: KEY.to_owned(),
            port,
        };
        let text = format!(r#"{{"PublicKey":"{KEY}","Port":51820}}"#);
        assert_eq!(with(Some(51820)).to_value().to_string(), text);
        let text = format!(r#"{{"PublicKey":"{KEY}"}}"#);
        assert_eq!(with(None).to_value().to_string(), text);
        for (data, expected) in [
            (json!({"PublicKey": KEY, "Port": 7}), with(Some(7))),
            (json!({"publickey": KEY, "Port": 0}), with(None)),
            (json!({"PublicKey": KEY}), with(None)),
        ] {
            assert_eq!(WireguardData::parse(&data).expect("well formed"), expected);
        }
    }

    #[test]
    fn wireguard_data_without_a_key_is_refused() {
        let short = &KEY[4..];
        let long = KEY.repeat(1000);
        for key in [
            "",
            short,
            &long,
            "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8yk!=",
        ] {
            let error = WireguardData::parse(&json!({"PublicKey": key})).expect_err(key);
            assert_eq!(invalid(error), "32 bytes in base64");
        }
        assert!(WireguardData::parse(&json!({"PublicKey": KEY, "Port": 65536})).is_err());
    }

    proptest! {
        #[test]
        fn vxlan_data_is_read_as_it_was_written(vni in any::<u32>(), mac in any::<[u8; 6]>()) {
            let data = VxlanData { vni, mac };
            let read = VxlanData::parse(&data.to_value()).ok();
            prop_assert_eq!(read, is_unicast(&mac).then_some(data));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            let _ = VxlanData::parse(&json!({"VtepMAC": text}));
            let _ = WireguardData::parse(&json!({"PublicKey": text}));
        }
    }
}
