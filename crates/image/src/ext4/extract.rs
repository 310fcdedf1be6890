//! The files of a file system of ours, taken out again: by `debugfs`, so that nothing is mounted.

use std::path::Path;
use std::time::Duration;

use ignite_host::process::{self, Limits, Spec};

/// Some hundred megabytes on a slow disk.
const WITHIN: Duration = Duration::from_secs(300);

/// Why the files cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// `debugfs` could not be run.
    #[error("cannot run debugfs")]
    Program(#[from] process::Error),
    /// It failed or took too long.
    #[error("debugfs failed: {message}")]
    Failed {
        /// What it said.
        message: String,
    },
}

impl ExtractError {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Program(source) if source.is_not_found() => {
                Some("install the package e2fsprogs".into())
            }
            Self::Program(source) => source.hint(),
            Self::Failed { .. } => None,
        }
    }
}

/// Copies all files of the file system in `image` into the directory `target`. Only for one that
/// [`make`](super::make) made of files and directories.
pub fn extract(image: &Path, target: &Path) -> Result<(), ExtractError> {
    // By its working directory: `debugfs` has rules of its own for what a path may hold.
    let spec = Spec::new("debugfs")
        .args(["-R", "rdump / ."])
        .arg(image)
        .cwd(target)
        .env_clear()
        .env_keep(&["PATH"])
        .env("LC_ALL", "C");
    let limits = Limits {
        time: WITHIN,
        ..Limits::default()
    };
    let output = process::run(spec, &[], limits)?;
    let complaints = complaints(&String::from_utf8_lossy(&output.stderr));
    // It also ends well when it has failed.
    if output.status.success() && complaints.is_empty() {
        return Ok(());
    }
    Err(ExtractError::Failed {
        message: complaints,
    })
}

/// What it says but for its name and version.
fn complaints(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let ours = lines.filter(|line| !line.is_empty() && !line.starts_with("debugfs 1."));
    ours.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext4::{Options, make};

    #[test]
    fn what_was_put_in_comes_out() {
        let directory = tempfile::tempdir().expect("a directory");
        let (tree, out) = (directory.path().join("tree"), directory.path().join("out"));
        for path in [tree.join("a/b"), out.clone()] {
            std::fs::create_dir_all(path).expect("a directory");
        }
        std::fs::write(tree.join("a/b/file"), b"content").expect("a file");
        let image = directory.path().join("an image");
        make(&tree, &image, &Options::default()).expect("made");
        extract(&image, &out).expect("extracted");
        let content = std::fs::read(out.join("a/b/file")).expect("a file");
        assert_eq!(content, b"content");
    }

    #[test]
    fn a_failure_is_not_a_good_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let image = directory.path().join("image");
        std::fs::write(&image, b"no file system").expect("a file");
        let error = extract(&image, directory.path()).expect_err("nothing to extract");
        assert!(
            error.to_string().len() > "debugfs failed: ".len(),
            "{error}"
        );
    }
}
