//! Raw disks: the image's own bytes, for VMMs that know no other format.
//!
//! The file system is asked to share the image's blocks; where it cannot, the data is copied and the
//! holes stay holes. Either way the disk is a file of its own: what becomes of the image afterwards
//! is of no concern to it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ignite_host::fs::{CopyError, copy_data, reflink};
use ignite_host::probe::disk::{can_reflink, look};
use ignite_host::step::{self, Step};
use rustix::io::Errno;

use super::{Error, How, image_length, sectors};

/// What a copy leaves free, in bytes: other VMs' disks grow on the same file system, and a guest whose
/// disk does not get a block loses what it wrote.
const RESERVE: u64 = 64 << 20;

/// Makes the disk `path`, which must not exist, of `size` bytes (rounded up to whole sectors) from
/// the raw file `image`. What lies past the end of the image reads as zeros.
///
/// It grows under a name of its own beside `path`; its bytes are durable before it has its name. A
/// killed process leaves that file to whoever sweeps the directory. `stop` is asked between pieces
/// of a copy; then, as after any failure, nothing is left.
pub fn create(path: &Path, image: &Path, size: u64, stop: &dyn Fn() -> bool) -> Result<How, Error> {
    image_length(image, size)?;
    let size = sectors(size)?;
    if path.symlink_metadata().is_ok() {
        return Err(Error::at("create", path)(io::Error::from(
            io::ErrorKind::AlreadyExists,
        )));
    }
    let source = File::open(image).map_err(Error::at("open", image))?;
    let unfinished = unfinished(path);
    let made = fill(&unfinished, &source, size, stop).and_then(|how| {
        step::reached(Step::DiskFilled);
        std::fs::rename(&unfinished, path).map_err(Error::at("name", path))?;
        Ok(how)
    });
    if made.is_err() {
        // The first failure is what the caller must hear of.
        let _ = std::fs::remove_file(&unfinished);
    }
    made
}

/// Finds out whether a disk at `path` made from `image` has room, if `freed` bytes more were free than
/// are now. Nothing is written.
pub fn ensure_room(path: &Path, image: &Path, freed: u64) -> Result<(), Error> {
    let source = std::fs::metadata(image).map_err(Error::at("look at", image))?;
    let place = look(path).map_err(Error::at("look at", path))?;
    let device = std::fs::metadata(&place.directory).map_err(Error::at("look at", path))?;
    let shares = device.dev() == source.dev() && can_reflink(&place.directory).unwrap_or(false);
    if shares {
        return Ok(());
    }
    fits(path, allocated(&source), place.free.saturating_add(freed))
}

/// Whether a copy of so many bytes leaves enough of those that are free.
fn fits(path: &Path, needed: u64, free: u64) -> Result<(), Error> {
    match needed.saturating_add(RESERVE) > free {
        true => Err(Error::at("fill", path)(Errno::NOSPC)),
        false => Ok(()),
    }
}

/// Bytes of a file that are no holes.
fn allocated(file: &std::fs::Metadata) -> u64 {
    const BLOCK: u64 = 512;
    file.blocks().saturating_mul(BLOCK)
}

/// A disk that has no name yet. One that a killed process left there is of no use.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".unfinished");
    path.with_file_name(name)
}

fn fill(path: &Path, image: &File, size: u64, stop: &dyn Fn() -> bool) -> Result<How, Error> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::at("create", path))?;
    step::reached(Step::DiskBegun);
    let shared = reflink(image, &file).map_err(Error::at("fill", path))?;
    file.set_len(size).map_err(|source| match source.kind() {
        io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidInput => Error::TooLarge { size },
        _ => Error::at("fill", path)(source),
    })?;
    if !shared {
        let needed = allocated(&image.metadata().map_err(Error::at("fill", path))?);
        let free = look(path).map_err(Error::at("fill", path))?.free;
        fits(path, needed, free)?;
        copy_data(image, &file, stop).map_err(|error| match error {
            CopyError::Stopped => Error::Stopped,
            CopyError::Io(source) => Error::at("fill", path)(source),
        })?;
    }
    file.sync_all().map_err(Error::at("fill", path))?;
    Ok(if shared { How::Reflink } else { How::Copy })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    const IMAGE: u64 = 8 << 20;

    fn image(directory: &Path) -> PathBuf {
        let path = directory.join("image.ext4");
        let file = File::create(&path).expect("new");
        file.set_len(IMAGE).expect("long");
        file.write_all_at(&[1; 4096], 4 << 20).expect("written");
        path
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).expect("list");
        let mut names: Vec<String> = entries
            .map(|entry| {
                let name = entry.expect("entry").file_name();
                name.to_string_lossy().into_owned()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_disk_begins_with_the_image_and_ends_in_zeros() {
        let directory = tempfile::tempdir().expect("tempdir");
        let (image, disk) = (image(directory.path()), directory.path().join("disk"));
        // Of a process that was killed: longer than what takes its place.
        let left = directory.path().join(".disk.unfinished");
        std::fs::write(&left, vec![9; 20 << 20]).expect("written");
        create(&disk, &image, 2 * IMAGE + 1, &|| false).expect("made");
        let bytes = std::fs::read(&disk).expect("read");
        assert_eq!(bytes.len() as u64, 2 * IMAGE + 512);
        let (begin, end) = bytes.split_at(IMAGE as usize);
        assert!(begin == std::fs::read(&image).expect("read"));
        assert!(end.iter().all(|byte| *byte == 0));
        assert_eq!(names(directory.path()), ["disk", "image.ext4"]);
    }

    #[test]
    fn a_copy_leaves_room_for_others() {
        let path = Path::new("/vm/disk.raw");
        fits(path, 1 << 30, (1 << 30) + RESERVE).expect("just enough");
        let full = fits(path, 1 << 30, (1 << 30) + RESERVE - 1).expect_err("too little");
        assert!(full.is_full() && full.hint().is_some(), "{full}");
        let directory = tempfile::tempdir().expect("tempdir");
        let (image, disk) = (image(directory.path()), directory.path().join("none/disk"));
        ensure_room(&disk, &image, 0).expect("8 MB");
        // Of all that there is nothing would be free then.
        let written = allocated(&image.metadata().expect("stat"));
        assert!((4096..IMAGE).contains(&written), "{written}");
    }

    #[test]
    fn what_cannot_be_leaves_nothing() {
        let directory = tempfile::tempdir().expect("tempdir");
        let (image, disk) = (image(directory.path()), directory.path().join("disk"));
        let go_on: &dyn Fn() -> bool = &|| false;
        let small = create(&disk, &image, IMAGE - 1, go_on).expect_err("smaller than the image");
        assert_eq!(
            small.hint().as_deref(),
            Some("ask for a size of at least 9 MB")
        );
        for size in [u64::MAX, 1 << 62] {
            let large = create(&disk, &image, size, go_on).expect_err("larger than any file");
            assert!(matches!(large, Error::TooLarge { .. }), "{large}");
        }
        assert_eq!(names(directory.path()), ["image.ext4"]);
        create(&disk, &image, IMAGE, go_on).expect("made");
        let twice = create(&disk, &image, IMAGE, go_on).expect_err("there already");
        assert!(twice.to_string().starts_with("cannot create "), "{twice}");
        assert_eq!(names(directory.path()), ["disk", "image.ext4"]);
    }
}
