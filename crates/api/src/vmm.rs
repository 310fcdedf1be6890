//! Which VMM runs a VM, and what its disk is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::serde_as_text;

/// The value of `--vmm`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum VmmChoice {
    /// The best one the host can run, chosen at every start.
    #[default]
    Auto,
    /// Firecracker.
    Firecracker,
    /// QEMU, with hardware virtualisation where that works.
    Qemu,
    /// QEMU with hardware virtualisation.
    QemuKvm,
    /// QEMU translating instructions.
    QemuTcg,
}

/// Text that names no VMM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no VMM {text:?}, only {}", VmmChoice::names())]
pub struct VmmChoiceError {
    text: String,
}

impl VmmChoiceError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some("leave it out for the best one this host can run".into())
    }
}

impl VmmChoice {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Auto,
        Self::Firecracker,
        Self::Qemu,
        Self::QemuKvm,
        Self::QemuTcg,
    ];

    fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    /// As written in flags and manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Firecracker => "firecracker",
            Self::Qemu => "qemu",
            Self::QemuKvm => "qemu-kvm",
            Self::QemuTcg => "qemu-tcg",
        }
    }

    /// Whether it is QEMU in any case.
    pub fn is_qemu(self) -> bool {
        matches!(self, Self::Qemu | Self::QemuKvm | Self::QemuTcg)
    }
}

impl FromStr for VmmChoice {
    type Err = VmmChoiceError;

    fn from_str(text: &str) -> Result<Self, VmmChoiceError> {
        Self::ALL
            .into_iter()
            .find(|choice| choice.as_str() == text)
            .ok_or_else(|| VmmChoiceError { text: text.into() })
    }
}

impl fmt::Display for VmmChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

serde_as_text!(VmmChoice);

/// Format of a VM's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// QEMU's own.
    Qcow2,
    /// The bytes themselves.
    Raw,
}

/// How a VM's disk was made of its image.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum DiskOrigin {
    /// Laid over the image, which is read through it.
    #[default]
    Overlay,
    /// Sharing the image's blocks until they are written.
    Reflink,
    /// With a copy of the image's data.
    Copy,
}

impl DiskOrigin {
    /// The format of a disk that was made like this.
    pub fn format(self) -> DiskFormat {
        match self {
            Self::Overlay => DiskFormat::Qcow2,
            Self::Reflink | Self::Copy => DiskFormat::Raw,
        }
    }
}

/// A VM's disk as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiskStatus {
    /// Its format.
    pub format: DiskFormat,
    /// How it was made.
    pub origin: DiskOrigin,
}

impl From<DiskOrigin> for DiskStatus {
    fn from(origin: DiskOrigin) -> Self {
        Self {
            format: origin.format(),
            origin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_read_as_it_is_written() {
        for choice in VmmChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let error = "Firecracker".parse::<VmmChoice>().expect_err("a capital");
        assert_eq!(
            error.to_string(),
            "there is no VMM \"Firecracker\", only auto, firecracker, qemu, qemu-kvm, qemu-tcg"
        );
    }
}
