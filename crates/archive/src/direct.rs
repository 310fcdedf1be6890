//! A large file written past the page cache, zeros left out.
//!
//! What a guest's processor does for each page of a cached write costs more than the bytes, several
//! times so where the processor is an interpreted one; and the memory of a small guest is not filled
//! with a file that nobody reads.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::data::{PAGE, run};

/// Bytes of one write.
const PIECE: usize = 512 * 1024;

/// Collects bytes into pieces that begin on pages of the file and of memory.
pub(crate) struct Direct<'f> {
    file: &'f File,
    memory: Vec<u8>,
    /// Where the piece begins in the memory.
    start: usize,
    filled: usize,
    /// Where it belongs in the file.
    offset: u64,
    /// Whether the file takes nothing but whole pages.
    direct: bool,
}

impl<'f> Direct<'f> {
    /// Of an empty file. One whose file system knows nothing of it is written as any.
    pub(crate) fn new(file: &'f File) -> Self {
        let memory = vec![0; PIECE + PAGE];
        let start = memory.as_ptr().align_offset(PAGE);
        Self {
            file,
            memory,
            start,
            filled: 0,
            offset: 0,
            direct: set_direct(file, true).is_ok(),
        }
    }

    /// The file's next bytes.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = &mut self.memory[self.start..][self.filled..PIECE];
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.filled += now.len();
            if self.filled == PIECE {
                self.put_piece()?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// All bytes were given. The file is one like any other afterwards.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.put_piece()?;
        self.give_up_direct()
    }

    fn put_piece(&mut self) -> io::Result<()> {
        let mut at = self.start;
        let end = self.start + self.filled;
        while at < end {
            let (zeros, length) = run(&self.memory[at..end]);
            if !zeros {
                self.put(at, length)?;
            }
            at += length;
        }
        self.offset += self.filled as u64;
        self.filled = 0;
        Ok(())
    }

    /// Writes what is at `at` in the memory, which begins on a page.
    fn put(&mut self, at: usize, length: usize) -> io::Result<()> {
        let offset = self.offset + (at - self.start) as u64;
        let mut done = 0;
        while self.direct && length - done >= PAGE {
            let whole = (length - done) / PAGE * PAGE;
            let bytes = &self.memory[at + done..][..whole];
            match self.file.write_at(bytes, offset + done as u64) {
                Ok(written) => {
                    done += written;
                    if written % PAGE != 0 || written == 0 {
                        self.give_up_direct()?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The file system wants larger units than pages, or it only said that it can.
                Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                    self.give_up_direct()?;
                }
                Err(error) => return Err(error),
            }
        }
        if done < length {
            self.give_up_direct()?;
            let rest = &self.memory[at + done..at + length];
            self.file.write_all_at(rest, offset + done as u64)?;
        }
        Ok(())
    }

    fn give_up_direct(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.direct) {
            set_direct(self.file, false)?;
        }
        Ok(())
    }
}

fn set_direct(file: &File, direct: bool) -> io::Result<()> {
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, direct);
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::*;
    use proptest::prelude::*;

    /// In the two kinds of places there are: a disk, and memory, which may know no direct writes.
    fn files() -> Vec<File> {
        [Path::new(env!("CARGO_MANIFEST_DIR")), Path::new("/dev/shm")]
            .iter()
            .map(|place| tempfile::tempfile_in(place).expect("a file"))
            .collect()
    }

    fn written(file: &File, content: &[u8], step: usize) -> Vec<u8> {
        file.set_len(content.len() as u64).expect("its length");
        let mut direct = Direct::new(file);
        for bytes in content.chunks(step) {
            direct.write(bytes).expect("write");
        }
        direct.finish().expect("finish");
        assert!(!fcntl_getfl(file).expect("flags").contains(OFlags::DIRECT));
        let mut seen = vec![0; content.len() + 1];
        let mut read = 0;
        while let count @ 1.. = file.read_at(&mut seen[read..], read as u64).expect("read") {
            read += count;
        }
        seen.truncate(read);
        seen
    }

    #[test]
    fn zeros_become_holes() {
        let mut content = vec![0; 4 * PIECE];
        content[2 * PIECE] = 1;
        content.extend([0; 5]);
        for file in files() {
            assert!(written(&file, &content, 70_000) == content);
            let blocks = file.metadata().expect("metadata").blocks();
            assert!(blocks * 512 <= 64 * 1024, "{blocks} blocks");
        }
    }

    #[test]
    fn a_file_can_be_written_as_any_before_and_after() {
        for mut file in files() {
            assert!(
                written(&file, &[7; PIECE + 1], PIECE)
                    .iter()
                    .all(|&byte| byte == 7)
            );
            file.write_all(b"odd").expect("an odd number of bytes");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// Whatever comes, in whatever pieces, is there.
        #[test]
        fn content_survives(
            runs in prop::collection::vec((any::<bool>(), 1usize..300_000), 1..12),
            step in 1000usize..700_000,
        ) {
            let mut content = Vec::new();
            for (zeros, length) in runs {
                let bytes = (0..length).map(|place| if zeros { 0 } else { (place % 251) as u8 });
                content.extend(bytes);
            }
            for file in files() {
                prop_assert!(written(&file, &content, step) == content);
            }
        }
    }
}
