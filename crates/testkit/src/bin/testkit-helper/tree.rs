//! Files with everything an image may say of them, one line each in order of
//! name: type, mode, owner, links, size, device, target, xattrs, digest.
//! Two trees are the same exactly if the text is.

use std::fs::{self, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Failure;

pub(super) fn print(paths: &[&str]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    for path in paths {
        walk(Path::new(path), fs::symlink_metadata(path)?.dev(), &mut out)?;
    }
    Ok(())
}

/// Prints all below `path`, by the names it has there.
pub(super) fn print_below(path: &str) -> Result<(), Failure> {
    std::env::set_current_dir(path)?;
    let mut out = io::stdout().lock();
    let mut pending = vec![PathBuf::new()];
    while let Some(directory) = pending.pop() {
        let within = Path::new(".").join(&directory);
        let mut names: Vec<_> = fs::read_dir(within)?
            .map(|entry| Ok(directory.join(entry?.file_name())))
            .collect::<io::Result<_>>()?;
        names.sort();
        for name in names {
            let metadata = fs::symlink_metadata(&name)?;
            let line = about(&name, &metadata)?;
            let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
            writeln!(out, "{name:?}{line} {seconds}.{nanoseconds:09}")?;
            if metadata.is_dir() {
                pending.push(name);
            }
        }
    }
    Ok(())
}

/// Prints `path` and all below it that is on the same file system.
fn walk(path: &Path, device: u64, out: &mut impl io::Write) -> Result<(), Failure> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.dev() != device {
        return Ok(());
    }
    writeln!(out, "{}", describe(path, &metadata)?)?;
    if metadata.is_dir() {
        let mut names: Vec<_> = fs::read_dir(path)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<_>>()?;
        names.sort();
        for name in names {
            walk(&name, device, out)?;
        }
    }
    Ok(())
}

fn describe(path: &Path, metadata: &Metadata) -> Result<String, Failure> {
    Ok(format!("{}{}", path.display(), about(path, metadata)?))
}

fn about(path: &Path, metadata: &Metadata) -> Result<String, Failure> {
    let mut line = format!(
        " {} {:04o} {}:{}",
        kind(metadata),
        metadata.mode() & 0o7777,
        metadata.uid(),
        metadata.gid()
    );
    let file_type = metadata.file_type();
    if file_type.is_file() {
        line += &format!(
            " links={} size={} {}",
            metadata.nlink(),
            metadata.size(),
            digest(path)?
        );
    } else if file_type.is_symlink() {
        line += &format!(" -> {}", fs::read_link(path)?.display());
    } else if file_type.is_block_device() || file_type.is_char_device() {
        line += &format!(
            " {}:{}",
            rustix::fs::major(metadata.rdev()),
            rustix::fs::minor(metadata.rdev())
        );
    }
    for (name, value) in xattrs(path) {
        line += &format!(" {name}={value}");
    }
    Ok(line)
}

fn kind(metadata: &Metadata) -> &'static str {
    let file_type = metadata.file_type();
    match () {
        () if file_type.is_dir() => "directory",
        () if file_type.is_symlink() => "symlink",
        () if file_type.is_block_device() => "block",
        () if file_type.is_char_device() => "character",
        () if file_type.is_fifo() => "fifo",
        () if file_type.is_socket() => "socket",
        () => "file",
    }
}

/// The first 16 digits of the content's SHA-256.
fn digest(path: &Path) -> Result<String, Failure> {
    let mut hash = Sha256::new();
    io::copy(&mut fs::File::open(path)?, &mut hash)?;
    Ok(hex::encode(&hash.finalize()[..8]))
}

/// Extended attributes in order of name, values in hexadecimal.
fn xattrs(path: &Path) -> Vec<(String, String)> {
    let mut names = vec![0u8; 4096];
    let Ok(length) = rustix::fs::llistxattr(path, names.as_mut_slice()) else {
        return Vec::new();
    };
    let mut found: Vec<(String, String)> = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            let name = std::str::from_utf8(name).ok()?;
            let mut value = vec![0u8; 4096];
            let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).ok()?;
            Some((name.to_owned(), hex::encode(&value[..length])))
        })
        .collect();
    found.sort();
    found
}
