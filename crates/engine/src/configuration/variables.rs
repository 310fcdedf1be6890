//! What variables of the environment say in place of the configuration file.
//!
//! A variable is `IGNITE_` and the field's name: `IGNITE_ID_PREFIX` for `idPrefix`. Its value is the
//! field's, as YAML where that is a map. An empty one is as if it were not there.

use std::ffi::OsString;

use ignite_api::{ConfigurationSpec, VmSpec, decode_spec_over, decode_value};
use serde_json::{Map, Value};

use super::Error;

/// The environment, as a function from name to value.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The variables of fields, and the fields.
pub const FIELDS: [(&str, &str); 9] = [
    ("IGNITE_NETWORK_PLUGIN", "networkPlugin"),
    ("IGNITE_ID_PREFIX", "idPrefix"),
    ("IGNITE_REGISTRY_CONFIG_DIR", "registryConfigDir"),
    ("IGNITE_VMM", "vmm"),
    ("IGNITE_FIRECRACKER", "firecracker"),
    ("IGNITE_JAILER", "jailer"),
    ("IGNITE_VMM_USERS", "vmmUsers"),
    ("IGNITE_VM_DEFAULTS", "vmDefaults"),
    ("IGNITE_DETACH_KEYS", "detachKeys"),
];

/// Variables that say something else than a field.
const OTHERS: [&str; 14] = [
    "IGNITE_CONFIG",
    "IGNITE_CNI",
    "IGNITE_DATA_DIR",
    "IGNITE_FAIL_AT",
    "IGNITE_GUEST",
    "IGNITE_HALT_AT",
    "IGNITE_HOLDER",
    "IGNITE_LOG_LEVEL",
    "IGNITE_OVERLAY",
    "IGNITE_OVERLAY_ENTRANCE",
    "IGNITE_OVERLAY_ENTRANCE_AUTHORITY",
    "IGNITE_OVERLAY_ENTRANCE_ENDPOINTS",
    "IGNITE_QUIET",
    "IGNITE_SPAWN",
];

/// Letters that may differ between a variable and the one that was meant.
const NEAR: usize = 2;

/// What the variables say: each field as it is there.
#[derive(Debug, Default)]
pub(super) struct Variables {
    said: Map<String, Value>,
}

impl Variables {
    /// Those of the environment.
    pub(super) fn read(environment: Environment<'_>) -> Result<Self, Error> {
        let mut said = Map::new();
        for (name, field) in FIELDS {
            let Some(text) = environment(name).filter(|text| !text.is_empty()) else {
                continue;
            };
            said.insert(field.into(), value(name, field, text)?);
        }
        Ok(Self { said })
    }

    /// What all of them say of a field.
    pub(super) fn said(&self) -> &Map<String, Value> {
        &self.said
    }

    /// The fields but for `vmDefaults`.
    pub(super) fn spec(&self) -> Result<ConfigurationSpec, Error> {
        let mut spec = ConfigurationSpec::default();
        for (name, field) in FIELDS {
            let Some(value) = self.said.get(field).filter(|_| field != "vmDefaults") else {
                continue;
            };
            let mut all = serde_json::to_value(&spec).expect("objects are maps with text keys");
            all[field] = value.clone();
            spec = serde_json::from_value(all).map_err(|source| Error::Variable {
                name,
                message: source.to_string(),
            })?;
        }
        Ok(spec)
    }

    /// A new VM as the variables have it, over what the file says.
    pub(super) fn vm_defaults(&self, of_file: &VmSpec) -> Result<VmSpec, Error> {
        let Some(said) = self.said.get("vmDefaults") else {
            return Ok(of_file.clone());
        };
        decode_spec_over(&said.to_string(), of_file).map_err(|error| Error::Variable {
            name: "IGNITE_VM_DEFAULTS",
            message: error.to_string(),
        })
    }
}

/// The value of one variable, as the field's.
fn value(name: &'static str, field: &str, text: OsString) -> Result<Value, Error> {
    let wrong = |message: String| Error::Variable { name, message };
    let text = text
        .into_string()
        .map_err(|_| wrong("it is not UTF-8 text".into()))?;
    match field {
        "vmDefaults" | "vmmUsers" => decode_value(&text).map_err(|error| wrong(error.to_string())),
        "firecracker" | "jailer" | "registryConfigDir" => {
            let path = std::path::absolute(&text).map_err(|error| wrong(error.to_string()))?;
            Ok(path.to_string_lossy().into_owned().into())
        }
        _ => Ok(text.into()),
    }
}

/// The variable of a field; none of those that have none.
pub(super) fn of_field(field: &str) -> Option<&'static str> {
    let found = FIELDS.iter().find(|(_, it)| *it == field);
    found.map(|(name, _)| *name)
}

/// What to say of variables that nobody reads, and that look as one somebody does.
pub fn misspelt(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let known = || FIELDS.iter().map(|(name, _)| *name).chain(OTHERS);
    let suspects = names
        .into_iter()
        .filter(|name| name.starts_with("IGNITE_") && !known().any(|it| it == name));
    suspects
        .filter_map(|name| {
            let near = known().map(|it| (distance(&name, it), it)).min()?;
            (near.0 <= NEAR)
                .then(|| format!("nobody reads the variable {name}: is {} meant?", near.1))
        })
        .collect()
}

/// Letters to change, add or take away until one text is the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, it) in other.iter().enumerate() {
            let changed = diagonal + usize::from(*it != letter);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_told_with_what_was_meant() {
        let told = misspelt(
            [
                "IGNITE_VM",
                "IGNITE_VMM",
                "IGNITE_ID_PREFX",
                "IGNITE_TEST_PLACE",
                "PATH",
            ]
            .map(String::from),
        );
        assert_eq!(
            told,
            [
                "nobody reads the variable IGNITE_VM: is IGNITE_VMM meant?",
                "nobody reads the variable IGNITE_ID_PREFX: is IGNITE_ID_PREFIX meant?"
            ]
        );
    }

    #[test]
    fn distances() {
        for (one, other, letters) in [
            ("", "", 0),
            ("abc", "", 3),
            ("abc", "abd", 1),
            ("abc", "bc", 1),
        ] {
            assert_eq!(distance(one, other), letters, "{one} {other}");
        }
    }
}
