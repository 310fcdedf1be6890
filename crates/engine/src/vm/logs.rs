//! `logs`: a VM's console.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ignite_store::Liveness;

use super::remove::PAUSE;
use crate::{Engine, Error};

/// The console log in a VM's directory.
const CONSOLE: &str = "console.log";

impl Engine {
    /// Hands the console of the VM that `text` means to `out`; follows it until the VM ends, if asked.
    pub fn logs(
        &self,
        text: &str,
        follow: bool,
        out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), Error> {
        let uid = self.vms.resolve(text)?;
        let path = self.vms.dir(uid).join(CONSOLE);
        let mut reader = Reader::default();
        loop {
            // Looked at before reading: what is written until its end is still read.
            let live = Liveness::is_held(&self.config.paths, uid)?;
            reader
                .read_new(&path, out)
                .map_err(|source| Error::Console {
                    path: path.clone(),
                    source,
                })?;
            if !follow || !live {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Where we are in a file that grows, and may be replaced by its newer half.
#[derive(Default)]
struct Reader {
    inode: u64,
    offset: u64,
}

impl Reader {
    fn read_new(
        &mut self,
        path: &Path,
        out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            // A VM that was never started has said nothing.
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
