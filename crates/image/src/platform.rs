//! Which of an index's images runs here.

use crate::manifest::{Descriptor, Platform};

/// What guests of this host run.
pub(crate) fn host() -> Platform {
    let (architecture, variant) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", None),
        "aarch64" => ("arm64", Some("v8")),
        "riscv64" => ("riscv64", None),
        other => (other, None),
    };
    Platform {
        os: "linux".into(),
        architecture: architecture.into(),
        variant: variant.map(Into::into),
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .iter()
            .try_for_each(|variant| write!(f, "/{variant}"))
    }
}

/// The manifest for `wanted`. One without a platform counts if it is the only one.
pub(crate) fn choose<'a>(manifests: &'a [Descriptor], wanted: &Platform) -> Option<&'a Descriptor> {
    if let [only] = manifests
        && only.platform.is_none()
    {
        return Some(only);
    }
    let fitting = manifests.iter().filter(|descriptor| {
        descriptor
            .platform
            .as_ref()
            .is_some_and(|platform| fits(platform, wanted))
    });
    // The plainest first: every processor of an architecture runs what names no variant.
    fitting.min_by_key(|descriptor| {
        let variant = descriptor
            .platform
            .as_ref()
            .and_then(|platform| platform.variant.clone());
        (variant != wanted.variant, variant)
    })
}

/// The platforms there are, for a message; descriptions of other manifests (attestations) are none.
pub(crate) fn names(manifests: &[Descriptor]) -> Vec<String> {
    let platforms = manifests
        .iter()
        .filter_map(|descriptor| descriptor.platform.as_ref());
    platforms
        .filter(|platform| platform.os != "unknown")
        .map(Platform::to_string)
        .collect()
}

fn fits(platform: &Platform, wanted: &Platform) -> bool {
    platform.os == wanted.os && platform.architecture == wanted.architecture
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        let mut next = || parts.next();
        Platform {
            os: next().unwrap_or_default(),
            architecture: next().unwrap_or_default(),
            variant: next(),
        }
    }

    fn index(platforms: &[Option<&str>]) -> Vec<Descriptor> {
        let descriptor = |text: &Option<&str>| Descriptor {
            media_type: String::new(),
            digest: Digest::of(text.unwrap_or("").as_bytes()),
            size: 1,
            platform: text.map(platform),
            annotations: Default::default(),
        };
        platforms.iter().map(descriptor).collect()
    }

    fn chosen(platforms: &[Option<&str>], wanted: &str) -> Option<String> {
        let index = index(platforms);
        let found = choose(&index, &platform(wanted))?;
        Some(
            found
                .platform
                .as_ref()
                .map(Platform::to_string)
                .unwrap_or_default(),
        )
    }

    #[test]
    fn takes_the_one_that_runs_here() {
        let all = [
            Some("linux/arm64/v8"),
            Some("linux/amd64"),
            Some("unknown/unknown"),
        ];
        assert_eq!(chosen(&all, "linux/amd64").as_deref(), Some("linux/amd64"));
        assert_eq!(
            chosen(&all, "linux/arm64/v8").as_deref(),
            Some("linux/arm64/v8")
        );
        assert_eq!(chosen(&all, "linux/s390x"), None);
        assert_eq!(names(&index(&all)), ["linux/arm64/v8", "linux/amd64"]);
    }

    #[test]
    fn prefers_the_plainest_variant() {
        let all = [
            Some("linux/amd64/v3"),
            Some("linux/amd64"),
            Some("linux/amd64/v2"),
        ];
        assert_eq!(chosen(&all, "linux/amd64").as_deref(), Some("linux/amd64"));
        assert_eq!(
            chosen(&all[2..], "linux/amd64").as_deref(),
            Some("linux/amd64/v2")
        );
    }

    #[test]
    fn a_single_one_needs_no_platform() {
        assert_eq!(chosen(&[None], "linux/amd64").as_deref(), Some(""));
        assert_eq!(chosen(&[None, None], "linux/amd64"), None);
        assert_eq!(chosen(&[Some("windows/amd64")], "linux/amd64"), None);
    }
}
