//! When the guest wrote what: the index beside the console's log, bounded as that is.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ignite_host::fs::read_bounded;
use ignite_wire::console::{HEADER_LEN, MARK_LEN, Mark, Times};
use jiff::Timestamp;

/// Milliseconds between two marks, at least.
const FINEST: i64 = 10;

/// Marks that are kept: past that, every second one goes.
const MOST: usize = 64 * 1024;

/// The index, and its file.
#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    file: File,
    times: Times,
    last: i64,
    /// Whether the file lacks what could not be written; then there is none.
    is_behind: bool,
}

impl Index {
    /// Of a log with this inode that has `length` bytes. What is there and belongs to another log is
    /// replaced.
    pub fn open(path: &Path, inode: u64, length: u64) -> io::Result<Self> {
        let most = (HEADER_LEN + MARK_LEN * 2 * MOST) as u64;
        let known = read_bounded(path, most).ok();
        let known = known.and_then(|bytes| Times::parse(&bytes));
        // No mark is behind what was written.
        let is_of = |times: &Times| {
            times.inode == inode && times.last().unwrap_or(0) <= times.base.saturating_add(length)
        };
        let times = known.filter(is_of).unwrap_or_else(|| Times::new(inode, 0));
        // A torn mark goes as well.
        let file = write(path, &times)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            times,
            last: i64::MIN,
            is_behind: false,
        })
    }

    /// Something is about to be written behind `length` bytes of the log.
    pub fn mark(&mut self, length: u64) -> io::Result<()> {
        let time = Timestamp::now().as_millisecond();
        if time.saturating_sub(self.last) < FINEST && time >= self.last {
            return Ok(());
        }
        self.last = time;
        let offset = self.times.base + length;
        let mark = self.times.push(Mark { offset, time });
        if self.times.len() > MOST {
            self.times.thin();
        } else if !self.is_behind {
            let added = mark.map_or(Ok(()), |mark| self.file.write_all(&mark.to_bytes()));
            return added.or_else(|error| self.fall_behind(error));
        }
        self.rewrite()
    }

    /// The log is about to be replaced by one of this inode, without its first `dropped` bytes.
    pub fn cut(&mut self, inode: u64, dropped: u64) -> io::Result<()> {
        self.times.cut(inode, self.times.base + dropped);
        self.rewrite()
    }

    fn rewrite(&mut self) -> io::Result<()> {
        match write(&self.path, &self.times) {
            Ok(file) => {
                (self.file, self.is_behind) = (file, false);
                Ok(())
            }
            Err(error) => self.fall_behind(error),
        }
    }

    /// A file that lacks something would be believed, so it goes until it can be made anew. The failure is
    /// told once.
    fn fall_behind(&mut self, error: io::Error) -> io::Result<()> {
        // One that is not there cannot mislead either.
        let _ = std::fs::remove_file(&self.path);
        match std::mem::replace(&mut self.is_behind, true) {
            true => Ok(()),
            false => Err(error),
        }
    }
}

/// Puts a new file in the place of the old one; open to append to it.
fn write(path: &Path, times: &Times) -> io::Result<File> {
    let new = path.with_extension("times.new");
    // A left-over of a supervisor that was killed at this.
    let _ = std::fs::remove_file(&new);
    let mut file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&times.to_bytes())?;
    std::fs::rename(&new, path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_lacks_something_is_not_there() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("console.times");
        let mut index = Index::open(&path, 7, 0).expect("open");
        let mut mark = |length, full: bool| {
            std::thread::sleep(std::time::Duration::from_millis(12));
            if full {
                let full = OpenOptions::new().write(true).open("/dev/full");
                index.file = full.expect("/dev/full");
            }
            index.mark(length)
        };
        mark(0, false).expect("written");
        mark(10, true).expect_err("told");
        assert!(!path.exists());
        mark(20, false).expect("made anew");
        let times = Times::parse(&std::fs::read(&path).expect("read")).expect("an index");
        assert_eq!((times.len(), times.last()), (3, Some(20)));
    }
}
