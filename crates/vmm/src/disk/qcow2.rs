//! Writer of empty qcow2 overlays: a VM's disk above the image it shares (QEMU: `docs/interop/qcow2.txt`).
//!
//! ```text
//!   cluster 0   header, extensions, name of the backing file
//!   cluster 1   refcount table: one entry, cluster 2
//!   cluster 2   refcount block: 1 for every cluster here
//!   cluster 3.. L1 table, all zero: everything is read from the backing file
//! ```
//!
//! The backing file is in the header for people and their tools; the driver names it to QEMU itself.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::{Error, image_length, sectors};

const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;

/// Bytes of the disk that one entry of the L1 table stands for: one L2 table full of clusters.
const L1_REACH: u64 = CLUSTER / 8 * CLUSTER;

/// QEMU takes L1 tables up to 32 MiB.
const MAX_L1_ENTRIES: u64 = (32 << 20) / 8;

/// Length of a version 3 header with no compression type.
const HEADER_LENGTH: u32 = 104;

/// Header extension: format of the backing file.
const BACKING_FORMAT: u32 = 0xE279_2ACA;

/// Longest name of a backing file.
const MAX_NAME: usize = 1023;

/// Makes the overlay `path`, which must not exist, of `size` bytes (rounded up to whole sectors) over
/// the raw file `backing`. What lies past the end of the backing file reads as zeros. The file is
/// durable when this returns, or not there.
pub fn create(path: &Path, backing: &Path, size: u64) -> Result<(), Error> {
    image_length(backing, size)?;
    let layout = Layout::new(size)?;
    let header = header(&layout, backing)?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::at("create", path))?;
    write(&file, &layout, &header).map_err(|source| {
        // The first failure is what the caller must hear of.
        let _ = std::fs::remove_file(path);
        Error::at("write", path)(source)
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    size: u64,
    l1_entries: u64,
    clusters: u64,
}

impl Layout {
    fn new(size: u64) -> Result<Self, Error> {
        let too_large = Error::TooLarge { size };
        let size = sectors(size)?;
        let l1_entries = size.div_ceil(L1_REACH).max(1);
        if l1_entries > MAX_L1_ENTRIES {
            return Err(too_large);
        }
        Ok(Self {
            size,
            l1_entries,
            clusters: 3 + (l1_entries * 8).div_ceil(CLUSTER),
        })
    }
}

fn header(layout: &Layout, backing: &Path) -> Result<Vec<u8>, Error> {
    let name = backing.as_os_str().as_bytes();
    if !backing.is_absolute() || name.len() > MAX_NAME {
        return Err(Error::BadName {
            path: backing.to_owned(),
        });
    }
    let extensions = [
        &BACKING_FORMAT.to_be_bytes()[..],
        &3u32.to_be_bytes(),
        b"raw\0\0\0\0\0",
        &[0; 8],
    ]
    .concat();
    let name_offset = u64::from(HEADER_LENGTH) + extensions.len() as u64;
    let mut header = Header(Vec::new());
    header.0.extend_from_slice(b"QFI\xfb");
    header.u32(3);
    header.u64(name_offset);
    header.u32(name.len() as u32);
    header.u32(CLUSTER_BITS);
    header.u64(layout.size);
    header.u32(0); // no encryption
    header.u32(layout.l1_entries as u32);
    header.u64(3 * CLUSTER);
    header.u64(CLUSTER);
    header.u32(1);
    header.u32(0); // no snapshots
    header.u64(0);
    header.u64(0); // incompatible, compatible and autoclear features
    header.u64(0);
    header.u64(0);
    header.u32(4); // refcounts of 16 bits
    header.u32(HEADER_LENGTH);
    header.0.extend(extensions);
    header.0.extend_from_slice(name);
    Ok(header.0)
}

/// Fields in the format's byte order.
struct Header(Vec<u8>);

impl Header {
    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_be_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend(value.to_be_bytes());
    }
}

fn write(file: &File, layout: &Layout, header: &[u8]) -> io::Result<()> {
    let refcounts: Vec<u8> = (0..layout.clusters)
        .flat_map(|_| 1u16.to_be_bytes())
        .collect();
    file.set_len(layout.clusters * CLUSTER)?;
    file.write_all_at(header, 0)?;
    file.write_all_at(&(2 * CLUSTER).to_be_bytes(), CLUSTER)?;
    file.write_all_at(&refcounts, 2 * CLUSTER)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::PathBuf;
    use std::process::Command;

    fn backing(directory: &Path, size: u64) -> PathBuf {
        let path = directory.join("image.ext4");
        File::create(&path)
            .and_then(|file| file.set_len(size))
            .expect("sparse file");
        path
    }

    #[test]
    fn header_is_as_specified() {
        let layout = Layout::new(1 << 30).expect("fits");
        let bytes = header(&layout, Path::new("/a/b.ext4")).expect("a good name");
        assert_eq!(
            hex(&bytes),
            concat!(
                "514649fb00000003",
                "0000000000000080",
                "0000000900000010",
                "0000000040000000",
                "0000000000000002",
                "0000000000030000",
                "0000000000010000",
                "0000000100000000",
                "0000000000000000",
                "0000000000000000",
                "0000000000000000",
                "0000000000000000",
                "0000000400000068",
                "e2792aca00000003",
                "7261770000000000",
                "0000000000000000",
                "2f612f622e65787434",
            )
        );
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let directory = tempfile::tempdir().expect("tempdir");
        let base = backing(directory.path(), 2_000_000);
        let overlay = directory.path().join("disk");
        let error = create(&overlay, &base, 1_999_999).expect_err("smaller than the image");
        assert_eq!(
            error.hint().as_deref(),
            Some("ask for a size of at least 2 MB")
        );
        assert!(matches!(
            create(&overlay, &base, u64::MAX),
            Err(Error::TooLarge { .. })
        ));
        assert!(matches!(Layout::new(1 << 62), Err(Error::TooLarge { .. })));
        assert!(header(&Layout::new(512).expect("fits"), Path::new("relative")).is_err());
        assert!(!overlay.exists());
    }

    #[test]
    fn never_replaces_a_disk() {
        let directory = tempfile::tempdir().expect("tempdir");
        let base = backing(directory.path(), 4096);
        let overlay = directory.path().join("disk");
        create(&overlay, &base, 4096).expect("new");
        let error = create(&overlay, &base, 4096).expect_err("there already");
        assert!(error.to_string().starts_with("cannot create "), "{error}");
        assert!(overlay.exists());
    }

    /// `qemu-img` comes with another package than QEMU; where it is, it must agree.
    #[test]
    fn qemu_img_finds_no_fault() {
        let directory = tempfile::tempdir().expect("tempdir");
        let base = backing(directory.path(), 3_000_001);
        for (number, size) in [3_000_001, 4 << 30, 5 << 40].into_iter().enumerate() {
            let overlay = directory.path().join(format!("disk{number}"));
            create(&overlay, &base, size).expect("overlay");
            let Ok(output) = Command::new("qemu-img").arg("check").arg(&overlay).output() else {
                return;
            };
            assert!(output.status.success(), "{output:?}");
        }
    }

    proptest! {
        #[test]
        fn every_size_is_reached(size in 1..=MAX_L1_ENTRIES * L1_REACH - 512) {
            let layout = Layout::new(size).expect("within the format");
            prop_assert!(layout.size >= size && layout.size - size < 512);
            prop_assert!(layout.l1_entries * L1_REACH >= layout.size);
            prop_assert!((layout.l1_entries - 1) * L1_REACH < layout.size);
            prop_assert!((layout.clusters - 3) * CLUSTER >= layout.l1_entries * 8);
            prop_assert!(layout.clusters * 2 <= CLUSTER);
        }
    }
}
