//! Reading what is added to a file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Where we are in a file that grows, and may be replaced by its newer half.
#[derive(Debug, Default)]
pub(crate) struct Grown {
    inode: u64,
    offset: u64,
}

impl Grown {
    /// Hands on what is new.
    pub(crate) fn read_new(
        &mut self,
        path: &Path,
        out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            // Who was never started has said nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if self.inode != 0 && (metadata.ino() != self.inode || metadata.len() < self.offset) {
            self.offset = 0;
        }
        self.inode = metadata.ino();
        file.seek(SeekFrom::Start(self.offset))?;
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(()),
                read => {
                    out(&chunk[..read])?;
                    self.offset += read as u64;
                }
            }
        }
    }
}
