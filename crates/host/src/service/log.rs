//! The log of a kept service: a file of bounded length, and one before it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file that grows to a bound, is put aside then, and begun anew.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    length: u64,
    max: u64,
}

impl LogFile {
    /// Goes on with the file at `path`; `max` is in bytes.
    pub fn open(path: &Path, max: u64) -> io::Result<Self> {
        let file = open(path)?;
        Ok(Self {
            path: path.to_owned(),
            length: file.metadata()?.len(),
            file,
            max,
        })
    }

    /// Takes all that `from` gives, to its end. What cannot be written is lost: the service must not
    /// stand still for a full disk.
    pub fn fill(&mut self, mut from: impl Read) {
        let mut chunk = [0; 8192];
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            let _ = self.write(&chunk[..read]);
        }
    }

    /// Appends a line of the keeper's own.
    pub fn line(&mut self, text: &str) {
        let _ = self.write(format!("{text}\n").as_bytes());
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.length >= self.max {
            std::fs::rename(&self.path, before(&self.path))?;
            self.file = open(&self.path)?;
            self.length = 0;
        }
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// Where what was before is.
pub(super) fn before(path: &Path) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(".1");
    name.into()
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_grows_far_beyond_its_bound() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("x.log");
        let mut log = LogFile::open(&path, 10_000).expect("open");
        log.fill(&vec![b'a'; 30_000][..]);
        log.line("the end");
        let now = std::fs::read(&path).expect("now");
        let old = std::fs::read(before(&path)).expect("before");
        assert!(now.len() < 20_000 && old.len() < 20_000 && now.ends_with(b"the end\n"));
        let mut again = LogFile::open(&path, 10_000).expect("again");
        again.line("more");
        let more = std::fs::read(&path).expect("more");
        assert_eq!(more.len(), now.len() + 5);
    }
}
