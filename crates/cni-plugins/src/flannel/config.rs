//! The configuration of the plugin.

use std::path::PathBuf;

use serde_json::Value;

use crate::skeleton::Object;

const SUBNET_FILE: &str = "/run/flannel/subnet.env";
const DATA_DIR: &str = "/var/lib/cni/flannel";

/// What the network's configuration says.
#[derive(Debug, Clone, PartialEq)]
pub struct NetConf {
    /// The network's name.
    pub name: String,
    /// `cniVersion`; may be empty.
    pub cni_version: String,
    /// Where the agent writes which subnet this host has.
    pub subnet_file: PathBuf,
    /// Where the configurations of delegates are kept.
    pub data_dir: PathBuf,
    /// What the delegate's configuration begins with; neither a name nor `ipam` is in it.
    pub delegate: Object,
    /// What the delegate's `ipam` begins with.
    pub ipam: Object,
    /// What the runtime adds.
    pub runtime_config: Option<Object>,
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A member of a wrong type.
    #[error("'{member}' must be {expected}")]
    Type {
        /// The member.
        member: &'static str,
        /// What is expected.
        expected: &'static str,
    },
    /// The delegate's type is not a name.
    #[error("'delegate' dictionary, if present, must have (string) 'type' field")]
    DelegateType,
    /// The delegate has what we set.
    #[error("'delegate' dictionary must not have '{member}' field, it'll be set by flannel")]
    DelegateMember {
        /// The member.
        member: &'static str,
    },
}

impl NetConf {
    /// Reads a configuration.
    pub fn parse(object: &Object) -> Result<Self, ConfigError> {
        let path = |member, default: &str| {
            let text = text(object, member)?;
            Ok(PathBuf::from(
                text.filter(|text| !text.is_empty()).unwrap_or(default),
            ))
        };
        let delegate = map(object, "delegate")?.unwrap_or_default();
        check_delegate(&delegate)?;
        Ok(Self {
            name: text(object, "name")?.unwrap_or_default().to_owned(),
            cni_version: text(object, "cniVersion")?.unwrap_or_default().to_owned(),
            subnet_file: path("subnetFile", SUBNET_FILE)?,
            data_dir: path("dataDir", DATA_DIR)?,
            delegate,
            ipam: map(object, "ipam")?.unwrap_or_default(),
            runtime_config: map(object, "runtimeConfig")?,
        })
    }
}

fn check_delegate(delegate: &Object) -> Result<(), ConfigError> {
    if delegate.get("type").is_some_and(|kind| !kind.is_string()) {
        return Err(ConfigError::DelegateType);
    }
    match ["name", "ipam"]
        .into_iter()
        .find(|member| delegate.contains_key(*member))
    {
        Some(member) => Err(ConfigError::DelegateMember { member }),
        None => Ok(()),
    }
}

fn text<'a>(object: &'a Object, member: &'static str) -> Result<Option<&'a str>, ConfigError> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ConfigError::Type {
            member,
            expected: "a string",
        }),
    }
}

fn map(object: &Object, member: &'static str) -> Result<Option<Object>, ConfigError> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map.clone())),
        Some(_) => Err(ConfigError::Type {
            member,
            expected: "an object",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NetConf, ConfigError> {
        NetConf::parse(&serde_json::from_str(text).expect("an object"))
    }

    #[test]
    fn the_usual_places_are_the_default() {
        let config = parse(r#"{"name":"cni-flannel","type":"flannel"}"#).expect("well formed");
        assert_eq!(config.name, "cni-flannel");
        assert_eq!(config.subnet_file, PathBuf::from("/run/flannel/subnet.env"));
        assert_eq!(config.data_dir, PathBuf::from("/var/lib/cni/flannel"));
        assert!(config.delegate.is_empty() && config.ipam.is_empty());
        assert_eq!(
            (config.cni_version.as_str(), config.runtime_config),
            ("", None)
        );
        let other = parse(r#"{"name":"n","subnetFile":"/a","dataDir":"/b","delegate":null}"#);
        let other = other.expect("well formed");
        assert_eq!(
            (other.subnet_file, other.data_dir),
            ("/a".into(), "/b".into())
        );
    }

    #[test]
    fn what_is_ours_to_set_is_refused() {
        let told = |text: &str| parse(text).expect_err(text).to_string();
        assert_eq!(
            told(r#"{"delegate":{"type":1}}"#),
            "'delegate' dictionary, if present, must have (string) 'type' field"
        );
        assert_eq!(
            told(r#"{"delegate":{"name":"x"}}"#),
            "'delegate' dictionary must not have 'name' field, it'll be set by flannel"
        );
        assert_eq!(
            told(r#"{"delegate":{"ipam":null}}"#),
            "'delegate' dictionary must not have 'ipam' field, it'll be set by flannel"
        );
        assert_eq!(told(r#"{"ipam":[]}"#), "'ipam' must be an object");
        assert_eq!(
            told(r#"{"subnetFile":{}}"#),
            "'subnetFile' must be a string"
        );
    }
}
