//! Writer of cpio archives in the `newc` format, as the kernel unpacks them into its initramfs
//! (kernel documentation: `driver-api/early-userspace/buffer-format`).
//!
//! The kernel takes several archives one behind the other, each beginning on a 4-byte boundary; a
//! [`Writer`]'s archive ends on one, so [`segment`]s can be appended as they are.

use thiserror::Error;

const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const TRAILER: &str = "TRAILER!!!";

/// What does not fit into the format.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// The format counts in 32 bits.
    #[error("{path} has {size} bytes, more than a cpio archive can hold in one file")]
    TooLarge {
        /// Path of the entry.
        path: String,
        /// Its size in bytes.
        size: usize,
    },
    /// A path that is empty, absolute or holds a NUL.
    #[error("{path:?} cannot be the path of an entry of a cpio archive")]
    BadPath {
        /// The path.
        path: String,
    },
}

/// An archive being written, in memory. All owners are root, all times the epoch, so that the same
/// content gives the same bytes.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    entries: u32,
}

struct Entry<'a> {
    path: &'a str,
    mode: u32,
    device: (u32, u32),
    content: &'a [u8],
}

impl Writer {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory; parents must come before children.
    pub fn directory(&mut self, path: &str, permissions: u32) -> Result<(), Error> {
        self.entry(path, DIRECTORY | permissions, (0, 0), b"")
    }

    /// Adds a regular file.
    pub fn file(&mut self, path: &str, permissions: u32, content: &[u8]) -> Result<(), Error> {
        self.entry(path, REGULAR | permissions, (0, 0), content)
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<(), Error> {
        self.entry(path, SYMLINK | 0o777, (0, 0), target.as_bytes())
    }

    /// Adds a character device.
    pub fn character_device(
        &mut self,
        path: &str,
        permissions: u32,
        major: u32,
        minor: u32,
    ) -> Result<(), Error> {
        self.entry(path, CHARACTER_DEVICE | permissions, (major, minor), b"")
    }

    /// Ends the archive and gives its bytes, a multiple of four.
    pub fn finish(mut self) -> Vec<u8> {
        self.entries = 0;
        self.append(&Entry {
            path: TRAILER,
            mode: 0,
            device: (0, 0),
            content: b"",
        });
        self.bytes
    }

    fn entry(
        &mut self,
        path: &str,
        mode: u32,
        device: (u32, u32),
        content: &[u8],
    ) -> Result<(), Error> {
        if path.is_empty() || path.starts_with('/') || path.contains('\0') {
            return Err(Error::BadPath {
                path: path.to_owned(),
            });
        }
        if u32::try_from(content.len()).is_err() {
            return Err(Error::TooLarge {
                path: path.to_owned(),
                size: content.len(),
            });
        }
        self.entries += 1;
        self.append(&Entry {
            path,
            mode,
            device,
            content,
        });
        Ok(())
    }

    fn append(&mut self, entry: &Entry<'_>) {
        // ino, mode, uid, gid, nlink, mtime, size, device of the file (2), of the node (2),
        // length of the name with its NUL, checksum (unused in newc).
        let fields = [
            self.entries,
            entry.mode,
            0,
            0,
            1,
            0,
            entry.content.len() as u32,
            0,
            0,
            entry.device.0,
            entry.device.1,
            entry.path.len() as u32 + 1,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(entry.path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(entry.content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// An archive of one file, readable by root alone, to be appended to an initramfs whose length is a
/// multiple of four (on another boundary the kernel drops it without a word).
pub fn segment(path: &str, content: &[u8]) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new();
    writer.file(path, 0o600, content)?;
    Ok(writer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_aligned_and_ends() {
        for length in 0..9 {
            let bytes = segment("ignite.json", &vec![b'x'; length]).expect("a good path");
            assert_eq!(bytes.len() % 4, 0);
            assert!(bytes.starts_with(b"070701"));
            assert!(
                bytes
                    .windows(TRAILER.len())
                    .any(|window| window == TRAILER.as_bytes())
            );
        }
    }

    #[test]
    fn an_entry_is_as_the_kernel_documents_it() {
        let mut writer = Writer::new();
        writer
            .character_device("dev/console", 0o600, 5, 1)
            .expect("a good path");
        let bytes = writer.finish();
        let header = "070701\
            00000001000021800000000000000000000000010000000000000000\
            000000000000000000000005000000010000000C00000000dev/console\0";
        assert_eq!(String::from_utf8_lossy(&bytes[..header.len()]), header);
        assert_eq!(&bytes[header.len().next_multiple_of(4)..][..6], b"070701");
    }

    #[test]
    fn bad_paths_are_refused() {
        for path in ["", "/init", "a\0b"] {
            assert_eq!(
                Writer::new().file(path, 0o644, b""),
                Err(Error::BadPath {
                    path: path.to_owned()
                })
            );
        }
    }
}
