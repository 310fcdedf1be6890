//! What every object has: its type, its metadata, and room for a specification and a status.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Uid;
use crate::text::serde_as_text;

/// An object: kind, version, metadata, what is wanted (`spec`), what is so (`status`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Object<Spec, Status> {
    /// What it is.
    pub kind: Kind,
    /// Version of the format.
    pub api_version: ApiVersion,
    /// Identity.
    #[serde(default)]
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: Spec,
    /// What is so.
    #[serde(
        default = "Default::default",
        bound(deserialize = "Status: Deserialize<'de> + Default")
    )]
    pub status: Status,
}

impl<Spec, Status: Default> Object<Spec, Status> {
    /// An object with an empty status.
    pub fn new(kind: Kind, metadata: Metadata, spec: Spec) -> Self {
        Self {
            kind,
            api_version: ApiVersion::V1alpha4,
            metadata,
            spec,
            status: Status::default(),
        }
    }
}

/// Identity of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Name, unique in its kind; empty where one is still to be chosen.
    #[serde(default)]
    pub name: String,
    /// Uid; none where one is still to be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uid>,
    /// Moment of creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// First parts of annotations of Weave Ignite's that do nothing here, and what does.
const OF_OLD: [(&str, &str); 2] = [
    (
        "ignite.weave.works/interface/",
        "a VM has an interface for each of its networks: see `interfaces` in the manifest's `network`",
    ),
    (
        "ignite.weave.works/sandbox-env/",
        "there is no sandbox whose variables it could be; those of the VM are `env` in its manifest",
    ),
];

impl Metadata {
    /// What to say of annotations that are kept and do nothing.
    pub fn remarks(&self) -> Vec<String> {
        let keys = self.annotations.keys();
        let remark = |key: &String| {
            let known = OF_OLD.iter().find(|(first, _)| key.starts_with(first))?;
            Some(format!("the annotation {key:?} is not used: {}", known.1))
        };
        keys.filter_map(remark).collect()
    }
}

/// Kind of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A microVM.
    #[serde(rename = "VM")]
    Vm,
    /// A bootable image.
    Image,
    /// A bootable kernel.
    Kernel,
    /// What holds on a host where nothing else is said.
    Configuration,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Vm => "VM",
            Self::Image => "Image",
            Self::Kernel => "Kernel",
            Self::Configuration => "Configuration",
        })
    }
}

/// Version of the objects' format. Every one is read; only the newest is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiVersion {
    /// Read only.
    V1alpha2,
    /// Read only.
    V1alpha3,
    /// The newest.
    V1alpha4,
}

impl FromStr for ApiVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ignite.weave.works/v1alpha2" => Ok(Self::V1alpha2),
            "ignite.weave.works/v1alpha3" => Ok(Self::V1alpha3),
            "ignite.weave.works/v1alpha4" => Ok(Self::V1alpha4),
            other => Err(format!("there is no version {other:?} of these objects")),
        }
    }
}

impl fmt::Display for ApiVersion {
    /// The newest, whatever was read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ignite.weave.works/v1alpha4")
    }
}

serde_as_text!(ApiVersion);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_that_do_nothing_are_told() {
        let keys = [
            "ignite.weave.works/interface/eth1",
            "ignite.weave.works/sandbox-env/A",
            "example.org/interface/x",
        ];
        let metadata = Metadata {
            annotations: keys.map(|key| (key.to_owned(), String::new())).into(),
            ..Metadata::default()
        };
        let remarks = metadata.remarks();
        assert_eq!(remarks.len(), 2, "{remarks:?}");
        assert!(remarks[0].contains("see `interfaces`"), "{remarks:?}");
        assert!(remarks[1].contains("are `env`"), "{remarks:?}");
    }
}
