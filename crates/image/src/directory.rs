//! The identity of a directory tree: a digest of all that becomes part of the image.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::digest::{Digest, Hasher, Hashing};

/// Names of the extended attributes of one file never need more.
const LONGEST_XATTRS: usize = 64 << 10;

/// Digests names, kinds, modes, owners, times, extended attributes and content of `tree`, in the order
/// of the names. Access times and inode numbers do not count.
pub(crate) fn digest(tree: &Path, read: &dyn Fn(u64) -> io::Result<()>) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    let root = fs::metadata(tree)?;
    if !root.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    add_entry(&mut hasher, Path::new(""), tree, &root, read)?;
    walk(&mut hasher, tree, Path::new(""), read)?;
    Ok(hasher.finish())
}

fn walk(
    hasher: &mut Hasher,
    tree: &Path,
    below: &Path,
    read: &dyn Fn(u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(tree.join(below))? {
        names.push(entry?.file_name());
    }
    names.sort_unstable();
    for name in names {
        let relative = below.join(name);
        let path = tree.join(&relative);
        let metadata = fs::symlink_metadata(&path)?;
        add_entry(hasher, &relative, &path, &metadata, read)?;
        if metadata.is_dir() {
            walk(hasher, tree, &relative, read)?;
        }
    }
    Ok(())
}

fn add_entry(
    hasher: &mut Hasher,
    name: &Path,
    path: &Path,
    metadata: &Metadata,
    read: &dyn Fn(u64) -> io::Result<()>,
) -> io::Result<()> {
    read(0)?;
    add(hasher, name.as_os_str().as_bytes());
    for number in [metadata.mode(), metadata.uid(), metadata.gid()] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(&metadata.mtime().to_le_bytes());
    hasher.update(&metadata.mtime_nsec().to_le_bytes());
    let kind = metadata.file_type();
    if kind.is_char_device() || kind.is_block_device() {
        hasher.update(&metadata.rdev().to_le_bytes());
    }
    if kind.is_symlink() {
        add(hasher, fs::read_link(path)?.as_os_str().as_bytes());
    }
    if kind.is_file() {
        let mut content = Hashing::new(File::open(path)?);
        io::copy(&mut content, &mut io::sink())?;
        let (digest, length) = content.finish();
        add(hasher, digest.to_string().as_bytes());
        read(length)?;
    }
    add_xattrs(hasher, path)
}

fn add_xattrs(hasher: &mut Hasher, path: &Path) -> io::Result<()> {
    let mut list = vec![0; LONGEST_XATTRS];
    let length = match rustix::fs::llistxattr(path, &mut list[..]) {
        Ok(length) => length,
        // A file system without them.
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(errno.into()),
    };
    let mut names: Vec<&[u8]> = list[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    let mut value = vec![0; LONGEST_XATTRS];
    for name in names {
        let length = rustix::fs::lgetxattr(path, name, &mut value[..])?;
        add(hasher, name);
        add(hasher, &value[..length]);
    }
    Ok(())
}

/// With its length in front, so that no two lists of fields look the same.
fn add(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn whatever_becomes_part_of_the_image_counts() {
        let tree = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| tree.path().join(name);
        let now = || digest(tree.path(), &|_| Ok(())).expect("a digest");
        fs::write(at("a"), "text").expect("write");
        symlink("a", at("b")).expect("symlink");
        let mut seen = vec![now()];
        assert_eq!(now(), seen[0], "the same tree");
        fs::set_permissions(at("a"), fs::Permissions::from_mode(0o600)).expect("chmod");
        seen.push(now());
        rustix::fs::lsetxattr(at("a"), "user.x", b"1", rustix::fs::XattrFlags::empty())
            .expect("xattr");
        seen.push(now());
        fs::remove_file(at("b"))
            .and_then(|()| symlink("c", at("b")))
            .expect("symlink");
        seen.push(now());
        fs::write(at("a"), "texu").expect("write");
        seen.push(now());
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }
}
