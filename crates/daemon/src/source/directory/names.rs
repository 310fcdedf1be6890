//! Which names in a directory matter.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// Endings of manifests.
const ENDINGS: [&[u8]; 3] = [b".yaml", b".yml", b".json"];

/// Whether it begins with a dot.
pub fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".")
}

/// Whether it is that of a manifest.
pub fn is_manifest(name: &OsStr) -> bool {
    !is_hidden(name)
        && ENDINGS
            .iter()
            .any(|ending| name.as_bytes().ends_with(ending))
}

/// The path of something in a directory, relative to the root; the root's own is empty.
pub fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

/// Whether `path` is `directory` or below it.
pub fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_known_by_their_endings() {
        for name in ["a.yaml", "a.yml", "a.json", "a.b.yaml"] {
            assert!(is_manifest(OsStr::new(name)), "{name}");
        }
        for name in [
            ".a.yaml",
            "a.yaml~",
            "a.yaml.swp",
            "4913",
            "a.YAML",
            ".yaml",
        ] {
            assert!(!is_manifest(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn paths_below_a_directory() {
        assert!(is_below("a/b", "a") && is_below("a", "a"));
        assert!(!is_below("ab", "a") && !is_below("b/a", "a"));
        assert_eq!(
            (join("", "x"), join("a/b", "x")),
            ("x".into(), "a/b/x".into())
        );
    }
}
