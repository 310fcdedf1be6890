//! Files of an image, with everything an image may say of them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};

/// What an entry is.
#[derive(Debug, Clone)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file with this content.
    File(Vec<u8>),
    /// A regular file of this length whose last byte alone is written.
    Sparse(u64),
    /// A symbolic link to this target.
    Symlink(&'static str),
    /// Another name of this earlier entry.
    Hardlink(&'static str),
    /// A character device.
    Character(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One file: path from the root, without a slash at its head.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(super) path: String,
    node: Node,
    mode: u32,
    owner: (u32, u32),
    xattrs: Vec<(&'static str, Vec<u8>)>,
}

impl Entry {
    /// An entry of root's with the usual mode.
    pub fn new(path: impl Into<String>, node: Node) -> Self {
        let mode = if matches!(node, Node::Directory) {
            0o755
        } else {
            0o644
        };
        Self {
            path: path.into(),
            node,
            mode,
            owner: (0, 0),
            xattrs: Vec::new(),
        }
    }

    /// A directory.
    pub fn directory(path: &str) -> Self {
        Self::new(path, Node::Directory)
    }

    /// A file.
    pub fn file(path: &str, content: impl Into<Vec<u8>>) -> Self {
        Self::new(path, Node::File(content.into()))
    }

    /// What takes `path` away from the layers below (OCI layer.md, whiteouts).
    pub fn whiteout(directory: &str, name: &str) -> Self {
        Self::file(&format!("{directory}/.wh.{name}"), "")
    }

    /// What takes all of a directory's content in the layers below away.
    pub fn opaque(directory: &str) -> Self {
        Self::file(&format!("{directory}/.wh..wh..opq"), "")
    }

    /// The same with another mode.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The same with another owner and group.
    pub fn owner(mut self, user: u32, group: u32) -> Self {
        self.owner = (user, group);
        self
    }

    /// The same with an extended attribute.
    pub fn xattr(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.xattrs.push((name, value.into()));
        self
    }

    fn write(&self, root: &Path) -> Result<()> {
        let path = root.join(&self.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match &self.node {
            Node::Directory => fs::create_dir_all(&path)?,
            Node::File(content) => fs::write(&path, content)?,
            Node::Sparse(length) => {
                let file = fs::File::create(&path)?;
                std::os::unix::fs::FileExt::write_all_at(&file, b"!", length - 1)?;
            }
            Node::Symlink(target) => symlink(target, &path)?,
            Node::Hardlink(to) => return Ok(fs::hard_link(root.join(to), &path)?),
            Node::Character(major, minor) => {
                mknodat(
                    CWD,
                    &path,
                    FileType::CharacterDevice,
                    Mode::from(0o600),
                    makedev(*major, *minor),
                )?;
            }
            Node::Fifo => mknodat(CWD, &path, FileType::Fifo, Mode::from(0o600), 0)?,
        }
        // The owner first: changing it clears set-user-ID and capabilities.
        lchown(&path, Some(self.owner.0), Some(self.owner.1))?;
        if !matches!(self.node, Node::Symlink(_)) {
            fs::set_permissions(&path, fs::Permissions::from_mode(self.mode))?;
        }
        for (name, value) in &self.xattrs {
            lsetxattr(&path, *name, value, XattrFlags::empty())?;
        }
        Ok(())
    }
}

/// Makes the entries below `root`, as root alone can.
///
/// # Errors
/// Names the entry that cannot be made.
pub fn write_tree(entries: &[Entry], root: &Path) -> Result<()> {
    for entry in entries {
        entry
            .write(root)
            .with_context(|| format!("cannot make {}", entry.path))?;
    }
    Ok(())
}

/// The entries as GNU tar packs them: holes as holes, xattrs in pax headers.
pub(super) fn tar(entries: &[Entry]) -> Result<Vec<u8>> {
    let scratch = tempfile::tempdir()?;
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755))?;
    ensure!(
        fs::metadata(scratch.path())?.uid() == 0,
        "making layers needs root"
    );
    write_tree(entries, scratch.path())?;
    let output = Command::new("tar")
        .args([
            "--format=pax",
            "--xattrs",
            "--xattrs-include=*",
            "--sparse",
            "--numeric-owner",
            "--sort=name",
        ])
        .arg("-C")
        .arg(scratch.path())
        .args(["-cf", "-", "."])
        .output()?;
    ensure!(
        output.status.success(),
        "tar: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

/// Packs the entries to a file, for a `tar:` source.
///
/// # Errors
/// If they cannot be made.
pub fn write_tar(entries: &[Entry], file: &Path) -> Result<()> {
    Ok(fs::write(file, tar(entries)?)?)
}
