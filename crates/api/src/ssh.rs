//! The `ssh` field of a VM's specification, which is a boolean or a path.

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Whether and with which key a VM is reached by ssh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ssh {
    /// `true`: a key pair is made for the VM.
    Generate,
    /// The path of a public key.
    Key(String),
    /// Given, but switched off; written as `{}`.
    Off,
}

impl Serialize for Ssh {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Generate => serializer.serialize_bool(true),
            Self::Key(path) => serializer.serialize_str(path),
            Self::Off => serializer.serialize_map(Some(0))?.end(),
        }
    }
}

impl<'de> de::Deserialize<'de> for Ssh {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SshVisitor)
    }
}

struct SshVisitor;

impl<'de> Visitor<'de> for SshVisitor {
    type Value = Ssh;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or the path of a public key")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Ssh, E> {
        Ok(if value { Ssh::Generate } else { Ssh::Off })
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Ssh, E> {
        Ok(match value {
            "true" => Ssh::Generate,
            "false" | "" => Ssh::Off,
            path => Ssh::Key(path.into()),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ssh, A::Error> {
        match map.next_key::<String>()? {
            None => Ok(Ssh::Off),
            Some(key) => Err(de::Error::unknown_field(&key, &[])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boolean_path_or_empty_object() {
        let cases = [
            ("true", Ssh::Generate),
            ("false", Ssh::Off),
            ("\"true\"", Ssh::Generate),
            ("\"/k.pub\"", Ssh::Key("/k.pub".into())),
            ("{}", Ssh::Off),
        ];
        for (text, ssh) in cases {
            assert_eq!(serde_json::from_str::<Ssh>(text).expect(text), ssh);
        }
        assert!(serde_json::from_str::<Ssh>(r#"{"a":1}"#).is_err());
        assert!(serde_json::from_str::<Ssh>("1").is_err());
        let written: Vec<_> = cases_written()
            .iter()
            .map(|ssh| serde_json::to_string(ssh).expect("plain"))
            .collect();
        assert_eq!(written, ["true", "\"/k.pub\"", "{}"]);
    }

    fn cases_written() -> [Ssh; 3] {
        [Ssh::Generate, Ssh::Key("/k.pub".into()), Ssh::Off]
    }
}
