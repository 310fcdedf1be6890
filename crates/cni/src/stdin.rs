//! The configuration a plugin reads from its standard input.

use serde_json::{Value, json};

use crate::attachment::AttachmentId;
use crate::config::{NetworkConfig, PluginConfig};
use crate::json::Object;

/// Why a key cannot be put into a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StdinError {
    /// Keys have names.
    #[error("cannot set a key with an empty name")]
    EmptyKey,
    /// `null` is no value.
    #[error("cannot set {key} to null")]
    NullValue {
        /// The key.
        key: String,
    },
}

/// What the command adds to a plugin's own configuration.
#[derive(Debug, Clone, Copy)]
pub enum Extra<'a> {
    /// STATUS: nothing.
    Nothing,
    /// ADD, CHECK, DEL: what was before, and the capability arguments.
    Attachment {
        /// The previous result, where there is one.
        previous: Option<&'a Object>,
        /// The capability arguments, undeclared ones included.
        capabilities: &'a Object,
    },
    /// GC: all attachments that are to stay.
    Valid(&'a [AttachmentId]),
}

/// A configuration with a key set; an existing value is replaced.
pub fn inject(mut object: Object, key: &str, value: Value) -> Result<Object, StdinError> {
    if key.is_empty() {
        return Err(StdinError::EmptyKey);
    }
    if value.is_null() {
        return Err(StdinError::NullValue {
            key: key.to_owned(),
        });
    }
    object.insert(key.to_owned(), value);
    Ok(object)
}

/// The standard input of one plugin of a network. Everything in its
/// configuration stays as it was written, but for `capabilities`, which is
/// between the file and the runtime.
pub fn build(
    network: &NetworkConfig,
    plugin: &PluginConfig,
    extra: Extra<'_>,
) -> Result<Object, StdinError> {
    let mut object = plugin.object.clone();
    object.shift_remove("capabilities");
    // Only the runtime sets these; what a file says under them would mislead.
    object.shift_remove("prevResult");
    object = inject(object, "name", Value::from(network.name.as_str()))?;
    object = inject(
        object,
        "cniVersion",
        Value::from(network.cni_version.as_str()),
    )?;
    match extra {
        Extra::Nothing => Ok(object),
        Extra::Attachment {
            previous,
            capabilities,
        } => {
            if let Some(previous) = previous {
                object = inject(object, "prevResult", Value::Object(previous.clone()))?;
            }
            match runtime_config(plugin, capabilities) {
                config if config.is_empty() => Ok(object),
                config => inject(object, "runtimeConfig", Value::Object(config)),
            }
        }
        Extra::Valid(attachments) => {
            // The first key is the specification's, the second what older plugins read.
            object = inject(object, "cni.dev/valid-attachments", json!(attachments))?;
            inject(object, "cni.dev/attachments", json!(attachments))
        }
    }
}

/// Of the capability arguments those the plugin declared.
fn runtime_config(plugin: &PluginConfig, capabilities: &Object) -> Object {
    let declared = capabilities
        .iter()
        .filter(|(key, _)| plugin.capabilities.contains(*key));
    declared
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(plugin: &str) -> NetworkConfig {
        let text = format!(r#"{{"name":"n","cniVersion":"1.0.0","plugins":[{plugin}]}}"#);
        NetworkConfig::parse_list(text.as_bytes()).expect("well formed")
    }

    fn built(plugin: &str, capabilities: Value) -> Value {
        let network = network(plugin);
        let capabilities = capabilities.as_object().expect("an object").clone();
        let extra = Extra::Attachment {
            previous: None,
            capabilities: &capabilities,
        };
        Value::Object(build(&network, &network.plugins[0], extra).expect("built"))
    }

    #[test]
    fn declared_and_given_capabilities_alone_are_shown() {
        let plugin = r#"{"type":"a","capabilities":{"portMappings":true,"other":true,"no":false}}"#;
        let given = json!({"portMappings": [1], "other": {"x": 2}, "no": 3, "undeclared": 4});
        let expected = json!({"type": "a", "name": "n", "cniVersion": "1.0.0",
            "runtimeConfig": {"portMappings": [1], "other": {"x": 2}}});
        assert_eq!(built(plugin, given), expected);
        assert_eq!(
            built(plugin, json!({"undeclared": 4})).get("runtimeConfig"),
            None
        );
    }

    #[test]
    fn what_the_file_says_arrives_unchanged() {
        let plugin = r#"{"type":"a","name":"x","cniVersion":"0.1.0","big":12345678901234567890,
            "one":1.0,"tiny":1e-400,"dns":{"nameservers":["1.1.1.1"]}}"#;
        let text = built(plugin, json!({})).to_string();
        for part in [
            "12345678901234567890",
            "1.0",
            "1e-400",
            r#""name":"n""#,
            r#""cniVersion":"1.0.0""#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn valid_attachments_are_listed_under_both_keys() {
        let network = network(r#"{"type":"a","capabilities":{"ips":true}}"#);
        let valid = [AttachmentId {
            container_id: "c".to_owned(),
            ifname: "eth0".to_owned(),
        }];
        let object = build(&network, &network.plugins[0], Extra::Valid(&valid)).expect("built");
        let expected = json!([{"containerID": "c", "ifname": "eth0"}]);
        assert_eq!(object["cni.dev/valid-attachments"], expected);
        assert_eq!(object["cni.dev/attachments"], expected);
        let none = build(&network, &network.plugins[0], Extra::Valid(&[])).expect("built");
        assert_eq!(none["cni.dev/valid-attachments"], json!([]));
    }

    #[test]
    fn keys_have_names_and_values() {
        let object = Object::new;
        assert_eq!(inject(object(), "", json!(1)), Err(StdinError::EmptyKey));
        assert!(matches!(
            inject(object(), "k", Value::Null),
            Err(StdinError::NullValue { .. })
        ));
        let set = inject(object(), "k", json!(1)).and_then(|o| inject(o, "k", json!({"a": 2})));
        assert_eq!(set.expect("set")["k"], json!({"a": 2}));
    }
}
