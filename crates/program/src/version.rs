//! Which Ignite a program is of, by the names scripts of older ones look for.

use serde::Serialize;

/// The version of all of Ignite's programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramVersion {
    /// The first number.
    pub major: &'static str,
    /// The second.
    pub minor: &'static str,
    /// All of it, as a tag: `v0.1.0`.
    pub git_version: String,
    /// All of it: `0.1.0`.
    pub version: &'static str,
    /// Operating system and processor: `linux/x86_64`.
    pub platform: String,
}

impl ProgramVersion {
    /// The number alone.
    pub const TEXT: &'static str = env!("CARGO_PKG_VERSION");

    /// The version of this program.
    pub fn new() -> Self {
        Self {
            major: env!("CARGO_PKG_VERSION_MAJOR"),
            minor: env!("CARGO_PKG_VERSION_MINOR"),
            git_version: format!("v{}", Self::TEXT),
            version: Self::TEXT,
            platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

impl Default for ProgramVersion {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_find_the_fields_they_know() {
        let text = ignite_api::encode_json(&ProgramVersion::new());
        for field in ["major", "minor", "gitVersion", "version", "platform"] {
            assert!(text.contains(&format!("\"{field}\": \"")), "{text}");
        }
        let version = ProgramVersion::new();
        let begins = format!("v{}.{}.", version.major, version.minor);
        assert!(version.git_version.starts_with(&begins), "{version:?}");
    }
}
