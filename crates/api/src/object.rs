//! Images and kernels as objects.

use serde::{Deserialize, Serialize};

use crate::vm::OciChoice;
use crate::{Object, Size};

/// A bootable image.
pub type Image = Object<ImageSpec, ImageStatus>;

/// A bootable kernel.
pub type Kernel = Object<KernelSpec, KernelStatus>;

/// Where an image comes from.
pub type ImageSpec = OciChoice;

/// Where a kernel comes from.
pub type KernelSpec = OciChoice;

/// What is known of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageStatus {
    /// What it was made of.
    #[serde(default)]
    pub oci_source: OciSource,
}

/// What is known of a kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KernelStatus {
    /// The kernel's release: `6.1.0-41-cloud-amd64`.
    #[serde(default)]
    pub version: String,
    /// What it was made of.
    #[serde(default)]
    pub oci_source: OciSource,
}

/// The content an object was made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OciSource {
    /// Identity of the content, `oci://<repository>@sha256:…`.
    #[serde(default)]
    pub id: Option<String>,
    /// Its size.
    #[serde(default)]
    pub size: Size,
}
