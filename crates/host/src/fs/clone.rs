//! A file's content in another file, for as little as the file system takes: blocks that both share
//! (a reflink), else a copy of what is no hole.
//!
//! What a file system can do is found out by asking it to, never by its name.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, ioctl_ficlone, seek};
use rustix::io::Errno;

use crate::step::{self, Step};

/// Bytes read and written at once. `copy_file_range` is no quicker between files that share nothing.
const BUFFER: usize = 1 << 20;

/// Bytes after which the disk is put to work, and the caller is asked whether to go on: some
/// milliseconds.
const PIECE: u64 = 4 << 20;

/// What a file system says that shares no blocks, or not these: another one holds the other file, the
/// file is of a kind it shares none of.
const NO_REFLINK: [Errno; 7] = [
    Errno::OPNOTSUPP,
    Errno::NOTTY,
    Errno::INVAL,
    Errno::XDEV,
    Errno::NOSYS,
    Errno::PERM,
    Errno::TXTBSY,
];

/// Why a file has no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It was asked to stop.
    #[error("interrupted")]
    Stopped,
    /// The kernel refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Makes `to` share all blocks of `from`, and its length; false where that cannot be. What is written
/// to either afterwards is its own.
pub fn reflink(from: &File, to: &File) -> io::Result<bool> {
    match ioctl_ficlone(to, from) {
        Ok(()) => Ok(true),
        Err(errno) if NO_REFLINK.contains(&errno) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Copies what `from` holds into `to`, which holds nothing and is at least as long: a hole stays one.
/// `stop` is asked between pieces of 4 MiB.
///
/// The disk writes one piece while the next one is copied, so that a sync afterwards finds little to do.
pub fn copy_data(from: &File, to: &File, stop: &dyn Fn() -> bool) -> Result<(), CopyError> {
    let mut buffer = vec![0; BUFFER];
    let mut at = 0;
    while let Some((start, end)) = data_from(from, at)? {
        at = start;
        while at < end {
            if stop() {
                return Err(CopyError::Stopped);
            }
            let length = (end - at).min(PIECE);
            copy_range(from, to, at, length, &mut buffer)?;
            begin_writing(to, at, length);
            step::reached(Step::DiskPiece);
            at += length;
        }
    }
    Ok(())
}

/// The first range of data at `offset` or behind it; none where only a hole is left.
fn data_from(file: &File, offset: u64) -> io::Result<Option<(u64, u64)>> {
    match seek(file, SeekFrom::Data(offset)) {
        Ok(start) => Ok(Some((start, seek(file, SeekFrom::Hole(start))?))),
        Err(Errno::NXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn copy_range(
    from: &File,
    to: &File,
    start: u64,
    length: u64,
    buffer: &mut [u8],
) -> io::Result<()> {
    let (mut at, end) = (start, start + length);
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(usize::MAX);
        let piece = &mut buffer[..most.min(BUFFER)];
        from.read_exact_at(piece, at)?;
        to.write_all_at(piece, at)?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// Has the kernel begin to write a range of the file to the disk, and does not wait for it.
fn begin_writing(file: &File, start: u64, length: u64) {
    let (Ok(start), Ok(length)) = (start.try_into(), length.try_into()) else {
        return;
    };
    // It only saves time: what fails here fails in the sync that follows, where it is told.
    // SAFETY: the descriptor is open, and the call reads and writes no memory of ours.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), start, length, libc::SYNC_FILE_RANGE_WRITE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::os::unix::fs::MetadataExt;

    const LENGTH: u64 = 64 << 20;

    fn never() -> bool {
        false
    }

    /// Two islands of data in holes, the second one longer than a piece.
    fn islands(directory: &std::path::Path) -> File {
        let file = File::create_new(directory.join("from")).expect("new");
        file.set_len(LENGTH).expect("long");
        file.write_all_at(&[7; 5000], 1 << 20).expect("written");
        let long = vec![8; PIECE as usize + 123_456];
        file.write_all_at(&long, 32 << 20).expect("written");
        File::open(directory.join("from")).expect("there")
    }

    fn empty(directory: &std::path::Path) -> File {
        let options = || {
            let mut options = std::fs::OpenOptions::new();
            options.read(true).write(true).create(true).truncate(true);
            options
        };
        let file = options().open(directory.join("to")).expect("new");
        file.set_len(LENGTH).expect("long");
        file
    }

    fn content(file: &File) -> Vec<u8> {
        let mut bytes = vec![0; LENGTH as usize];
        file.read_exact_at(&mut bytes, 0).expect("read");
        bytes
    }

    #[test]
    fn a_copy_is_equal_and_its_holes_are_holes() {
        let directory = tempfile::tempdir().expect("tempdir");
        let (from, to) = (islands(directory.path()), empty(directory.path()));
        copy_data(&from, &to, &never).expect("copied");
        assert!(content(&from) == content(&to));
        let blocks = to.metadata().expect("stat").blocks() * 512;
        assert!(blocks < PIECE + (1 << 20), "{blocks} bytes of disk");
    }

    #[test]
    fn it_stops_between_pieces() {
        let directory = tempfile::tempdir().expect("tempdir");
        let (from, to) = (islands(directory.path()), empty(directory.path()));
        let asked = Cell::new(0);
        let third = || {
            asked.set(asked.get() + 1);
            asked.get() == 3
        };
        let stopped = copy_data(&from, &to, &third);
        assert!(matches!(stopped, Err(CopyError::Stopped)));
        assert!(content(&from) != content(&to));
    }

    #[test]
    fn other_file_systems_share_no_blocks() {
        let directory = tempfile::tempdir().expect("tempdir");
        let from = File::open("/proc/self/status").expect("a file of another one");
        let to = empty(directory.path());
        assert!(!reflink(&from, &to).expect("an answer"));
    }
}
