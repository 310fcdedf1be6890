//! Network configurations: a list of plugins with a name, or a single plugin
//! that is treated as a list of one.
//!
//! What a plugin is given beyond the keys read here is none of our business and
//! reaches it unchanged, numbers included.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::json::{Object, kind};
use crate::version::{self, InvalidVersion, Version};

/// The largest configuration that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// The largest number of plugins in one network.
pub const MAX_PLUGINS: usize = 64;

/// One network: what its file says, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkConfig {
    /// The network's name.
    pub name: String,
    /// The version every plugin is called with; may be one we do not know.
    pub cni_version: String,
    /// CHECK is not called.
    pub disable_check: bool,
    /// GC is not called.
    pub disable_gc: bool,
    /// The plugins in the order of ADD.
    pub plugins: Vec<PluginConfig>,
    /// Where it was read from.
    pub file: Option<PathBuf>,
    raw: Vec<u8>,
    inlined: usize,
}

/// One plugin of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginConfig {
    /// Name of the plugin program.
    pub kind: String,
    /// The capabilities it declares with `true`.
    pub capabilities: BTreeSet<String>,
    /// The whole object as it was written.
    pub object: Object,
}

/// Why bytes are no network configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Too large to be one.
    #[error("the configuration has more than {MAX_BYTES} bytes")]
    TooLarge,
    /// Not JSON, or not an object.
    #[error("error parsing configuration list")]
    Json(#[source] serde_json::Error),
    /// A key that must be there is not.
    #[error("{key} is missing{place}")]
    Missing {
        /// The key.
        key: &'static str,
        /// Where, as the end of a sentence; empty at the top.
        place: String,
    },
    /// A value of a wrong JSON type.
    #[error("{key} must be {expected}, not {found}")]
    Type {
        /// Path of the key.
        key: String,
        /// What is expected.
        expected: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// A flag that is neither true nor false.
    #[error("invalid value {value:?} for {key}: true or false is expected")]
    Flag {
        /// The key.
        key: &'static str,
        /// The text as it was found.
        value: String,
    },
    /// A version that is none.
    #[error("{key} cannot be read")]
    Version {
        /// The key.
        key: &'static str,
        /// What is wrong.
        #[source]
        source: InvalidVersion,
    },
    /// Neither inlined nor in the directory.
    #[error("no plugin configs found")]
    NoPlugins,
    /// More plugins than any network needs.
    #[error("more than {MAX_PLUGINS} plugins")]
    TooManyPlugins,
}

impl NetworkConfig {
    /// Reads a list (`.conflist`) from bytes alone, never from the disk.
    pub fn parse_list(bytes: &[u8]) -> Result<Self, ConfigError> {
        let list = List::parse(bytes)?;
        if list.plugins.is_empty() && list.inlined_only {
            return Err(ConfigError::Missing {
                key: "plugins",
                place: String::new(),
            });
        }
        list.finish(bytes, Vec::new())
    }

    /// Reads a single plugin's configuration (`.conf`, `.json`) as a list of one.
    pub fn parse_single(bytes: &[u8]) -> Result<Self, ConfigError> {
        let plugin = PluginConfig::from_object(parse_object(bytes)?, "")?;
        let mut list = Object::new();
        for key in ["name", "cniVersion"] {
            list.extend(
                plugin
                    .object
                    .get(key)
                    .map(|value| (key.to_owned(), value.clone())),
            );
        }
        list.insert("plugins".to_owned(), json!([plugin.object]));
        Self::parse_list(Value::Object(list).to_string().as_bytes())
    }

    /// Reads a list or a single configuration, whichever the bytes are.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        if parse_object(bytes)?.contains_key("plugins") {
            Self::parse_list(bytes)
        } else {
            Self::parse_single(bytes)
        }
    }

    /// Reads a list that came from a file: unless it says otherwise, the
    /// plugins that `directory` returns for its name follow the inlined ones.
    pub(crate) fn parse_list_with<E: From<ConfigError>>(
        bytes: &[u8],
        directory: impl FnOnce(&str) -> Result<Vec<PluginConfig>, E>,
    ) -> Result<Self, E> {
        let list = List::parse(bytes)?;
        if list.plugins.is_empty() && list.inlined_only {
            return Err(ConfigError::Missing {
                key: "plugins",
                place: String::new(),
            }
            .into());
        }
        let more = if list.inlined_only {
            Vec::new()
        } else {
            directory(&list.name)?
        };
        Ok(list.finish(bytes, more)?)
    }

    /// The version as a value; an error when it is none.
    pub fn version(&self) -> Result<Version, InvalidVersion> {
        self.cni_version.parse()
    }

    /// All capabilities its plugins declare.
    pub fn capabilities(&self) -> BTreeSet<&str> {
        let all = self.plugins.iter().flat_map(|plugin| &plugin.capabilities);
        all.map(String::as_str).collect()
    }

    /// The bytes it was read from (of a single configuration: of its list).
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The bytes that go into the cache: verbatim, unless plugins came from the
    /// directory. Those are written into the list then, since a network whose
    /// file is gone must still be released by all of its plugins.
    pub fn cache_bytes(&self) -> Vec<u8> {
        if self.inlined == self.plugins.len() {
            return self.raw.clone();
        }
        let mut list = parse_object(&self.raw).unwrap_or_default();
        let plugins = self
            .plugins
            .iter()
            .map(|plugin| Value::Object(plugin.object.clone()));
        list.insert("plugins".to_owned(), plugins.collect());
        list.insert("loadOnlyInlinedPlugins".to_owned(), Value::Bool(true));
        Value::Object(list).to_string().into_bytes()
    }

    pub(crate) fn with_file(mut self, path: &Path) -> Self {
        self.file = Some(path.to_owned());
        self
    }
}

impl PluginConfig {
    /// Reads one plugin's configuration from bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        Self::from_object(parse_object(bytes)?, "")
    }

    fn from_object(object: Object, place: &str) -> Result<Self, ConfigError> {
        let kind = match object.get("type") {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            None | Some(Value::Null | Value::String(_)) => {
                return Err(ConfigError::Missing {
                    key: "type",
                    place: place.to_owned(),
                });
            }
            Some(other) => return Err(wrong_type("type", "a string", other)),
        };
        let capabilities = declared_capabilities(&object)?;
        Ok(Self {
            kind,
            capabilities,
            object,
        })
    }
}

/// The names in `capabilities` whose value is `true`.
fn declared_capabilities(object: &Object) -> Result<BTreeSet<String>, ConfigError> {
    let map = match object.get("capabilities") {
        None | Some(Value::Null) => return Ok(BTreeSet::new()),
        Some(Value::Object(map)) => map,
        Some(other) => return Err(wrong_type("capabilities", "an object", other)),
    };
    let mut declared = BTreeSet::new();
    for (name, value) in map {
        match value {
            Value::Bool(true) => drop(declared.insert(name.clone())),
            Value::Bool(false) | Value::Null => {}
            other => return Err(wrong_type("capabilities", "true or false for each", other)),
        }
    }
    Ok(declared)
}

/// The top of a list, before its directory was looked at.
struct List {
    name: String,
    version: String,
    disable_check: bool,
    disable_gc: bool,
    inlined_only: bool,
    plugins: Vec<PluginConfig>,
}

impl List {
    fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let object = parse_object(bytes)?;
        let name = text(&object, "name")?.ok_or(ConfigError::Missing {
            key: "name",
            place: String::new(),
        })?;
        Ok(Self {
            name,
            version: negotiated(&object)?,
            disable_check: flag(&object, "disableCheck")?,
            disable_gc: flag(&object, "disableGC")?,
            inlined_only: flag(&object, "loadOnlyInlinedPlugins")?,
            plugins: inlined_plugins(&object)?,
        })
    }

    fn finish(self, bytes: &[u8], more: Vec<PluginConfig>) -> Result<NetworkConfig, ConfigError> {
        let inlined = self.plugins.len();
        let mut plugins = self.plugins;
        plugins.extend(more);
        match plugins.len() {
            0 => return Err(ConfigError::NoPlugins),
            1..=MAX_PLUGINS => {}
            _ => return Err(ConfigError::TooManyPlugins),
        }
        Ok(NetworkConfig {
            name: self.name,
            cni_version: self.version,
            disable_check: self.disable_check,
            disable_gc: self.disable_gc,
            plugins,
            file: None,
            raw: bytes.to_vec(),
            inlined,
        })
    }
}

/// The version chosen from `cniVersion` and `cniVersions`.
fn negotiated(object: &Object) -> Result<String, ConfigError> {
    let declared = text(object, "cniVersion")?.unwrap_or_default();
    let offered = match object.get("cniVersions") {
        None => None,
        Some(Value::Array(items)) => Some(
            items
                .iter()
                .map(version_text)
                .collect::<Result<Vec<_>, _>>()?,
        ),
        Some(other) => return Err(wrong_type("cniVersions", "an array of strings", other)),
    };
    version::select(&declared, offered.as_deref()).map_err(|source| ConfigError::Version {
        key: "cniVersions",
        source,
    })
}

fn version_text(item: &Value) -> Result<String, ConfigError> {
    let wrong = || wrong_type("cniVersions", "an array of strings", item);
    item.as_str().map(str::to_owned).ok_or_else(wrong)
}

fn inlined_plugins(object: &Object) -> Result<Vec<PluginConfig>, ConfigError> {
    let items = match object.get("plugins") {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(wrong_type("plugins", "an array", other)),
    };
    if items.is_empty() {
        return Err(ConfigError::NoPlugins);
    }
    let plugin = |(index, item): (usize, &Value)| match item {
        Value::Object(object) => {
            PluginConfig::from_object(object.clone(), &format!(" in plugins[{index}]"))
        }
        other => Err(wrong_type(&format!("plugins[{index}]"), "an object", other)),
    };
    items.iter().enumerate().map(plugin).collect()
}

fn parse_object(bytes: &[u8]) -> Result<Object, ConfigError> {
    if bytes.len() > MAX_BYTES {
        return Err(ConfigError::TooLarge);
    }
    serde_json::from_slice(bytes).map_err(ConfigError::Json)
}

fn text(object: &Object, key: &'static str) -> Result<Option<String>, ConfigError> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(wrong_type(key, "a string", other)),
    }
}

/// A flag: a JSON boolean, or a text that is true or false in any letter case.
fn flag(object: &Object, key: &'static str) -> Result<bool, ConfigError> {
    match object.get(key) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(Value::String(text)) => match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(ConfigError::Flag {
                key,
                value: text.chars().take(64).collect(),
            }),
        },
        Some(other) => Err(wrong_type(key, "true or false", other)),
    }
}

fn wrong_type(key: &str, expected: &'static str, found: &Value) -> ConfigError {
    ConfigError::Type {
        key: key.to_owned(),
        expected,
        found: kind(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(text: &str) -> Result<NetworkConfig, String> {
        NetworkConfig::parse_list(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_single_configuration_is_a_list_of_one() {
        let bytes = br#"{"name":"n","cniVersion":"0.3.1","type":"ptp","big":12345678901234567890}"#;
        let config = NetworkConfig::parse_single(bytes).expect("well formed");
        assert_eq!(
            (config.name.as_str(), config.cni_version.as_str()),
            ("n", "0.3.1")
        );
        assert_eq!(config.plugins[0].kind, "ptp");
        assert_eq!(
            config.plugins[0].object["big"].to_string(),
            "12345678901234567890"
        );
        let again = NetworkConfig::parse_list(config.raw()).expect("its own bytes");
        assert_eq!(again, config);
    }

    #[test]
    fn flags_are_booleans_or_their_texts() {
        let with = |flag: &str| {
            list(&format!(
                r#"{{"name":"n","disableCheck":{flag},"plugins":[{{"type":"a"}}]}}"#
            ))
        };
        assert_eq!(with("true").map(|config| config.disable_check), Ok(true));
        assert_eq!(
            with("\"TRUE\"").map(|config| config.disable_check),
            Ok(true)
        );
        assert_eq!(
            with("\"false\"").map(|config| config.disable_check),
            Ok(false)
        );
        let error = with("\"maybe\"").expect_err("no flag");
        assert!(
            error.contains("maybe") && error.contains("disableCheck"),
            "{error}"
        );
        assert!(with("1").is_err());
    }

    #[test]
    fn faults_are_named() {
        for (text, part) in [
            ("[]", "error parsing configuration list"),
            ("{}", "name is missing"),
            (r#"{"name":1}"#, "name must be a string, not a number"),
            (
                r#"{"name":"n","cniVersion":1}"#,
                "cniVersion must be a string",
            ),
            (
                r#"{"name":"n","cniVersions":"1.0.0"}"#,
                "cniVersions must be an array",
            ),
            (
                r#"{"name":"n","cniVersions":["x"]}"#,
                "cniVersions cannot be read",
            ),
            (r#"{"name":"n","plugins":{}}"#, "plugins must be an array"),
            (r#"{"name":"n","plugins":[]}"#, "no plugin configs found"),
            (r#"{"name":"n"}"#, "no plugin configs found"),
            (
                r#"{"name":"n","loadOnlyInlinedPlugins":true}"#,
                "plugins is missing",
            ),
            (
                r#"{"name":"n","plugins":[1]}"#,
                "plugins[0] must be an object",
            ),
            (
                r#"{"name":"n","plugins":[{}]}"#,
                "type is missing in plugins[0]",
            ),
            (
                r#"{"name":"n","plugins":[{"type":7}]}"#,
                "type must be a string",
            ),
            (
                r#"{"name":"n","plugins":[{"type":"a","capabilities":{"ips":1}}]}"#,
                "capabilities",
            ),
        ] {
            let error = list(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let large = vec![b' '; MAX_BYTES + 1];
        assert!(matches!(
            NetworkConfig::parse(&large),
            Err(ConfigError::TooLarge)
        ));
        let deep = format!(r#"{{"name":"n","x":{}"#, "[".repeat(100_000));
        assert!(matches!(
            NetworkConfig::parse(deep.as_bytes()),
            Err(ConfigError::Json(_))
        ));
        let many = format!(
            r#"{{"name":"n","plugins":[{}{{"type":"a"}}]}}"#,
            r#"{"type":"a"},"#.repeat(64)
        );
        assert!(matches!(
            NetworkConfig::parse(many.as_bytes()),
            Err(ConfigError::TooManyPlugins)
        ));
    }

    #[test]
    fn only_declared_capabilities_count() {
        let config = list(
            r#"{"name":"n","plugins":[{"type":"a","capabilities":{"ips":true,"mac":false}}]}"#,
        )
        .expect("well formed");
        assert_eq!(config.capabilities(), BTreeSet::from(["ips"]));
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_surprise(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = NetworkConfig::parse(&bytes);
        }
    }
}
