//! Where a kernel, its modules and its configuration are below a root: what distributions, images and
//! people do.
//!
//! ```text
//!  boot/vmlinuz-<release>   boot/config-<release>   [usr/]lib/modules/<release>    most distributions
//!  usr/lib/modules/<release>/{vmlinuz,config}                                      Fedora, Arch
//!  vmlinuz-<release>        config-<release>        [lib/]modules/<release>        a plain directory
//! ```

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use super::root::{Error, Root};

/// Names of kernels: alone, or with a release behind a dash. The unpacked first.
const NAMES: &[&str] = &[
    "vmlinux", "vmlinuz", "bzImage", "Image", "Image.gz", "kernel",
];
const MODULE_DIRECTORIES: &[&str] = &["lib/modules", "usr/lib/modules", "modules", ""];

/// The kernel to take below `root`: that of `release` if one is asked for, else the newest. Its path
/// below the root.
pub fn kernel(root: &Root, release: Option<&str>) -> Result<Option<PathBuf>, Error> {
    let mut best: Option<Candidate> = None;
    for directory in ["boot", ""] {
        for name in root.names(Path::new(directory))? {
            if let Some(candidate) = Candidate::of(Path::new(directory), &name) {
                consider(root, candidate, release, &mut best)?;
            }
        }
        if best.is_some() {
            break;
        }
    }
    if best.is_none() {
        for directory in ["lib/modules", "usr/lib/modules"] {
            for found in root.names(Path::new(directory))? {
                let path = Path::new(directory).join(&found).join("vmlinuz");
                let candidate = Candidate {
                    path,
                    release: found,
                    rank: 1,
                };
                consider(root, candidate, release, &mut best)?;
            }
        }
    }
    Ok(best.map(|candidate| candidate.path))
}

/// The module tree for `version` below `root`.
pub fn modules(root: &Root, version: &str) -> Result<Option<PathBuf>, Error> {
    for directory in MODULE_DIRECTORIES {
        let path = Path::new(directory).join(version);
        if root.has_directory(&path)? {
            return Ok(Some(path));
        }
    }
    // A plain directory may hold the tree itself under a plain name.
    let plain = PathBuf::from("modules");
    Ok(root.has_directory(&plain.join("kernel"))?.then_some(plain))
}

/// The releases there are module trees of, for a message.
pub fn releases(root: &Root) -> Result<Vec<String>, Error> {
    let mut releases = root.names(Path::new("lib/modules"))?;
    if releases.is_empty() {
        releases = root.names(Path::new("usr/lib/modules"))?;
    }
    Ok(releases)
}

/// Where the configuration of `version` may be, the likeliest first.
pub fn configs(version: &str) -> Vec<PathBuf> {
    [
        format!("boot/config-{version}"),
        format!("lib/modules/{version}/config"),
        format!("usr/lib/modules/{version}/config"),
        "boot/config".to_owned(),
        format!("config-{version}"),
        "config".to_owned(),
        ".config".to_owned(),
    ]
    .into_iter()
    .map(PathBuf::from)
    .collect()
}

struct Candidate {
    path: PathBuf,
    /// Release in the name; empty if there is none.
    release: String,
    /// Place in [`NAMES`].
    rank: usize,
}

impl Candidate {
    fn of(directory: &Path, name: &str) -> Option<Self> {
        let leftover = [".old", ".bak", ".sig", ".hmac", ".efi.signed"];
        if name.contains("-rescue") || leftover.iter().any(|end| name.ends_with(end)) {
            return None;
        }
        let (rank, release) = NAMES.iter().enumerate().find_map(|(rank, known)| {
            let rest = name.strip_prefix(known)?;
            let release = if rest.is_empty() {
                ""
            } else {
                rest.strip_prefix('-')?
            };
            Some((rank, release))
        })?;
        Some(Self {
            path: directory.join(name),
            release: release.to_owned(),
            rank,
        })
    }

    /// Greater is better: a name without a release was chosen by whoever made the tree.
    fn compare(&self, other: &Self) -> Ordering {
        self.release
            .is_empty()
            .cmp(&other.release.is_empty())
            .then_with(|| compare_versions(&self.release, &other.release))
            .then_with(|| other.rank.cmp(&self.rank))
    }
}

fn consider(
    root: &Root,
    candidate: Candidate,
    release: Option<&str>,
    best: &mut Option<Candidate>,
) -> Result<(), Error> {
    let wanted = release.is_none_or(|release| release == candidate.release);
    let better = best
        .as_ref()
        .is_none_or(|best| candidate.compare(best) == Ordering::Greater);
    if wanted && better && root.has_file(&candidate.path)? {
        *best = Some(candidate);
    }
    Ok(())
}

/// Compares releases as people do: runs of digits as numbers.
fn compare_versions(one: &str, two: &str) -> Ordering {
    let (mut one, mut two) = (one.as_bytes(), two.as_bytes());
    loop {
        let (left, right) = (take_number(&mut one), take_number(&mut two));
        let order = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
        if order != Ordering::Equal {
            return order;
        }
        match (one.split_first(), two.split_first()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some((left, left_rest)), Some((right, right_rest))) => {
                if left != right {
                    return left.cmp(right);
                }
                (one, two) = (left_rest, right_rest);
            }
        }
    }
}

/// Takes the digits at the start, without leading zeros.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    *text = rest;
    let zeros = number.iter().take_while(|byte| **byte == b'0').count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[&str]) -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().expect("a directory");
        for file in files {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().expect("below root")).expect("a directory");
            std::fs::write(path, "x").expect("a file");
        }
        let root = Root::open(directory.path()).expect("a root");
        (directory, root)
    }

    fn found(files: &[&str], release: Option<&str>) -> Option<String> {
        let (_directory, root) = root(files);
        let path = kernel(&root, release).expect("readable")?;
        Some(path.to_str().expect("text").to_owned())
    }

    #[test]
    fn the_newest_kernel_is_taken_or_the_one_asked_for() {
        let files = [
            "boot/vmlinuz-6.1.0-9-amd64",
            "boot/vmlinuz-6.1.0-10-amd64",
            "boot/vmlinuz-0-rescue-1234",
            "boot/vmlinuz-6.9.old",
            "boot/initrd.img-6.1.0-10-amd64",
        ];
        assert_eq!(
            found(&files, None),
            Some("boot/vmlinuz-6.1.0-10-amd64".into())
        );
        assert_eq!(
            found(&files, Some("6.1.0-9-amd64")),
            Some("boot/vmlinuz-6.1.0-9-amd64".into())
        );
        assert_eq!(found(&files, Some("5.0")), None);
    }

    #[test]
    fn every_layout_is_known() {
        assert_eq!(
            found(&["boot/vmlinux", "boot/vmlinuz-9"], None),
            Some("boot/vmlinux".into())
        );
        assert_eq!(
            found(&["boot/vmlinux-6.1", "boot/vmlinuz-6.1"], None),
            Some("boot/vmlinux-6.1".into())
        );
        assert_eq!(found(&["vmlinuz"], None), Some("vmlinuz".into()));
        let fedora = [
            "usr/lib/modules/6.1.fc/vmlinuz",
            "usr/lib/modules/6.1.fc/config",
        ];
        assert_eq!(
            found(&fedora, None),
            Some("usr/lib/modules/6.1.fc/vmlinuz".into())
        );
        assert_eq!(found(&["kernels", "boot/grub/x"], None), None);
    }

    #[test]
    fn modules_are_found_by_version() {
        for (file, tree) in [
            ("usr/lib/modules/6.1/modules.order", "usr/lib/modules/6.1"),
            ("modules/6.1/modules.order", "modules/6.1"),
            ("6.1/modules.order", "6.1"),
            ("modules/kernel/x.ko", "modules"),
        ] {
            let (_directory, root) = root(&[file]);
            assert_eq!(
                modules(&root, "6.1").expect("readable"),
                Some(PathBuf::from(tree))
            );
        }
        let (_directory, root) = root(&["lib/modules/5.9/modules.order"]);
        assert_eq!(modules(&root, "6.1").expect("readable"), None);
        assert_eq!(releases(&root).expect("readable"), ["5.9"]);
    }

    #[test]
    fn versions_compare_by_numbers() {
        assert_eq!(compare_versions("6.10.1", "6.9.30"), Ordering::Greater);
        assert_eq!(compare_versions("6.1.0-09", "6.1.0-9"), Ordering::Equal);
        assert_eq!(compare_versions("6.1", "6.1.0"), Ordering::Less);
        assert_eq!(compare_versions("6.1-amd64", "6.1-cloud"), Ordering::Less);
    }
}
