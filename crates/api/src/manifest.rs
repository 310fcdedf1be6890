//! Objects as text: YAML, and JSON, which is YAML.
//!
//! `apiVersion` and `kind` are read first; then the whole text is read as that type, so that every
//! error has the line it belongs to and unknown fields are refused.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::vm::{NetworkStatus, VmStatus};
use crate::{ApiVersion, Configuration, Image, Kernel, Object, Position, Vm, VmSpec};

/// Longest text that is looked at, in bytes.
const MAX_LENGTH: usize = 1 << 20;

/// One object, whatever its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Manifest {
    /// A VM.
    Vm(Box<Vm>),
    /// An image.
    Image(Image),
    /// A kernel.
    Kernel(Kernel),
    /// Defaults of a host.
    Configuration(Box<Configuration>),
}

/// Text that is no object.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Nothing but blanks and comments.
    #[error("the manifest is empty")]
    Empty,
    /// Longer than any manifest.
    #[error("the manifest has more than {MAX_LENGTH} bytes")]
    TooLong,
    /// Not YAML.
    #[error("the manifest cannot be read: {message}")]
    Syntax {
        /// What the parser found, with the line.
        message: String,
    },
    /// Without `apiVersion` and `kind`.
    #[error("the manifest does not say what it is: {message}")]
    Head {
        /// What the parser found, with the line.
        message: String,
    },
    /// A field is said more than once.
    #[error("{key} is there twice, again at {position}")]
    Twice {
        /// The field.
        key: String,
        /// Where.
        position: Position,
    },
    /// More than one YAML document.
    #[error("a second object begins at {position}; one file holds one")]
    Second {
        /// Where.
        position: Position,
    },
    /// Written for a version that is not read.
    #[error("manifests of version {version:?} are not read")]
    Version {
        /// The version given.
        version: String,
    },
    /// A kind that does not exist.
    #[error("there is no kind {kind:?}")]
    Kind {
        /// The kind given.
        kind: String,
    },
    /// Not of the shape of its kind.
    #[error("the manifest is not a valid {kind}: {message}")]
    Shape {
        /// The kind it claims.
        kind: String,
        /// What the parser found, with the line.
        message: String,
    },
}

impl ManifestError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Empty | Self::Head { .. } | Self::Version { .. } => {
                    "begin it with `apiVersion: ignite.weave.works/v1alpha4` and `kind: VM`"
                }
                Self::Syntax { .. } => {
                    "see the lines before that place as well: YAML is indented by blanks, never by \
                     tabs, and a text with `: ` or ` #` in it stands in quotes"
                }
                Self::Twice { .. } => "leave one of them out",
                Self::Second { .. } => "put it into a file of its own",
                Self::Kind { .. } => "choose VM, Image, Kernel or Configuration",
                Self::Shape { .. } => {
                    "correct that place, or leave the field out: what is not said has a default"
                }
                Self::TooLong => "see whether it is the file that was meant",
            }
            .into(),
        )
    }

    /// What the parser says of a text whose kind is not known yet.
    fn of_head(error: &serde_saphyr::Error) -> Self {
        use serde_saphyr::Error;
        match error.without_snippet() {
            Error::MultipleDocuments { location, .. } => Self::Second {
                position: position(location),
            },
            Error::DuplicateMappingKey {
                key: Some(key),
                location,
            } => Self::Twice {
                key: key.clone(),
                position: position(location),
            },
            Error::SerdeMissingField { .. } | Error::Unexpected { .. } => Self::Head {
                message: message(error),
            },
            _ => Self::Syntax {
                message: message(error),
            },
        }
    }
}

/// The two fields that say what the rest is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: String,
    kind: String,
}

/// Reads one object.
pub fn decode(text: &str) -> Result<Manifest, ManifestError> {
    decode_over(text, &VmSpec::default())
}

/// Reads one object; what a VM's text does not say is as in `defaults`. Lists are taken as a whole.
pub fn decode_over(text: &str, defaults: &VmSpec) -> Result<Manifest, ManifestError> {
    if text.len() > MAX_LENGTH {
        return Err(ManifestError::TooLong);
    }
    if text.lines().all(is_blank) {
        return Err(ManifestError::Empty);
    }
    let head: Head =
        serde_saphyr::from_str(text).map_err(|error| ManifestError::of_head(&error))?;
    let version: ApiVersion = head
        .api_version
        .parse()
        .map_err(|_| ManifestError::Version {
            version: head.api_version.clone(),
        })?;
    match head.kind.as_str() {
        "VM" => Ok(Manifest::Vm(Box::new(decode_vm(text, version, defaults)?))),
        "Image" => {
            let image = read::<Image>(text, "Image")?;
            Ok(Manifest::Image(newest(image)))
        }
        "Kernel" => {
            let kernel = read::<Kernel>(text, "Kernel")?;
            Ok(Manifest::Kernel(newest(kernel)))
        }
        "Configuration" => {
            let mut configuration = read::<Configuration>(text, "Configuration")?;
            if let Some(defaults) = &mut configuration.spec.vm_defaults {
                defaults.fill_zeros();
            }
            Ok(Manifest::Configuration(Box::new(newest(configuration))))
        }
        kind => Err(ManifestError::Kind { kind: kind.into() }),
    }
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line == "---"
}

fn decode_vm(text: &str, version: ApiVersion, defaults: &VmSpec) -> Result<Vm, ManifestError> {
    let mut vm = match version {
        ApiVersion::V1alpha2 => read::<Object<VmSpec, StatusV1alpha2>>(text, "VM")?.upgrade(),
        ApiVersion::V1alpha3 | ApiVersion::V1alpha4 => read(text, "VM")?,
    };
    if *defaults != VmSpec::default() {
        vm.spec = over(text, defaults, &vm.spec)?;
    }
    vm.spec.fill_zeros();
    Ok(newest(vm))
}

/// Reads the `spec` of a VM alone; what is not said is as in `defaults`.
pub fn decode_spec_over(text: &str, defaults: &VmSpec) -> Result<VmSpec, ManifestError> {
    let said = decode_value(text)?;
    let spec = read::<VmSpec>(text, "VM")?;
    let mut spec = merged(&said, defaults, &spec)?;
    spec.fill_zeros();
    Ok(spec)
}

/// Reads any YAML as what JSON has: maps, lists, texts, numbers.
pub fn decode_value(text: &str) -> Result<Value, ManifestError> {
    if text.len() > MAX_LENGTH {
        return Err(ManifestError::TooLong);
    }
    serde_saphyr::from_str(text).map_err(|error| ManifestError::of_head(&error))
}

/// What `text` says, over `defaults`; `spec` is what it says over nothing.
fn over(text: &str, defaults: &VmSpec, spec: &VmSpec) -> Result<VmSpec, ManifestError> {
    #[derive(Deserialize)]
    struct Said {
        spec: Value,
    }
    merged(&read::<Said>(text, "VM")?.spec, defaults, spec)
}

fn merged(said: &Value, defaults: &VmSpec, spec: &VmSpec) -> Result<VmSpec, ManifestError> {
    let mut merged = value(defaults);
    merge(&mut merged, said, value(spec));
    serde_json::from_value(merged).map_err(|error| ManifestError::Shape {
        kind: "VM".into(),
        message: format!("over this host's defaults: {error}"),
    })
}

fn value(spec: &VmSpec) -> Value {
    serde_json::to_value(spec).expect("objects are maps with text keys")
}

/// Puts what was read over `value`, where `said` says something: maps field by field, everything else
/// as a whole. Which fields there are stands in `said`, their values as their types have them in
/// `read`: YAML's `5` may be a text.
fn merge(value: &mut Value, said: &Value, mut read: Value) {
    match (value, said) {
        (Value::Object(fields), Value::Object(said)) => {
            for (name, said) in said {
                match read.get_mut(name).map(Value::take) {
                    Some(read) => merge(fields.entry(name).or_insert(Value::Null), said, read),
                    None if said.is_null() => {}
                    // Said to be as if nothing had been said.
                    None => drop(fields.remove(name)),
                }
            }
        }
        // Nothing said is nothing changed.
        (_, Value::Null) => {}
        (value, _) => *value = read,
    }
}

/// What was read of any version is of the newest.
fn newest<Spec, Status>(object: Object<Spec, Status>) -> Object<Spec, Status> {
    Object {
        api_version: ApiVersion::V1alpha4,
        ..object
    }
}

/// A VM's status in v1alpha2: addresses at the top, no names of runtime and network plugin.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct StatusV1alpha2 {
    running: bool,
    runtime: Option<RuntimeV1alpha2>,
    start_time: Option<jiff::Timestamp>,
    ip_addresses: Option<Vec<std::net::IpAddr>>,
    image: Option<crate::OciSource>,
    kernel: Option<crate::OciSource>,
}

#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuntimeV1alpha2 {
    id: String,
}

impl Object<VmSpec, StatusV1alpha2> {
    fn upgrade(self) -> Vm {
        let old = self.status;
        let mut vm = Vm::new(self.kind, self.metadata, self.spec);
        vm.status = VmStatus {
            running: old.running,
            start_time: old.start_time,
            network: NetworkStatus {
                ip_addresses: old.ip_addresses,
                ..NetworkStatus::default()
            },
            image: old.image,
            kernel: old.kernel,
            ..VmStatus::default()
        };
        vm.status.runtime.id = old.runtime.unwrap_or_default().id;
        vm
    }
}

fn read<T: DeserializeOwned>(text: &str, kind: &str) -> Result<T, ManifestError> {
    serde_saphyr::from_str(text).map_err(|error| ManifestError::Shape {
        kind: kind.into(),
        message: message(&error),
    })
}

/// The parser's words and the place, without its drawing of the source.
fn message(error: &serde_saphyr::Error) -> String {
    error.without_snippet().to_string()
}

fn position(location: &serde_saphyr::Location) -> Position {
    Position {
        line: location.line(),
        column: location.column(),
    }
}

/// Writes an object as JSON, indented by two blanks.
pub fn encode_json<T: Serialize>(object: &T) -> String {
    serde_json::to_string_pretty(object).expect("objects are maps with text keys")
}

/// Writes an object as YAML.
pub fn encode_yaml<T: Serialize>(object: &T) -> String {
    serde_saphyr::to_string(object).expect("objects are maps with text keys")
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
