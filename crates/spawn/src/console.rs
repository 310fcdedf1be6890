//! The guest's serial console: kept in a bounded file, its last lines and the kernel's last words
//! kept in memory.
//!
//! Whatever a guest prints, the file stays below its limit (its newer half survives a cut), a line in
//! memory is cut, and no more than [`TAIL_LINES`] are kept.

mod times;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::log;
use times::Index;

/// Lines kept for error messages.
pub const TAIL_LINES: usize = 64;

/// Bytes kept of one line.
const LINE_LENGTH: usize = 400;

/// What a kernel says last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastWords {
    /// `Kernel panic - not syncing`.
    Panic,
    /// `reboot: System halted`.
    Halted,
    /// `reboot: Power down`, or that there is no switch.
    PowerOff,
    /// `reboot: Restarting system`.
    Restart,
}

/// The last lines of a console.
#[derive(Debug, Default)]
pub struct Tail {
    lines: VecDeque<String>,
    line: Vec<u8>,
}

impl Tail {
    /// Reads `bytes` on; the last of the kernel's last words in the lines they end.
    pub fn push(&mut self, bytes: &[u8]) -> Option<LastWords> {
        let mut words = None;
        for &byte in bytes {
            if byte == b'\n' {
                words = self.end_line().or(words);
            } else if self.line.len() < LINE_LENGTH {
                self.line.push(byte);
            }
        }
        words
    }

    /// The last lines, oldest first, a begun one included; without control characters.
    pub fn lines(&self) -> Vec<String> {
        let begun = Some(printable(&self.line)).filter(|line| !line.is_empty());
        self.lines.iter().cloned().chain(begun).collect()
    }

    fn end_line(&mut self) -> Option<LastWords> {
        let line = printable(&self.line);
        self.line.clear();
        if line.is_empty() {
            return None;
        }
        let words = last_words(&line);
        if self.lines.len() == TAIL_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
        words
    }
}

fn last_words(line: &str) -> Option<LastWords> {
    const WORDS: [(&str, LastWords); 5] = [
        ("Kernel panic - not syncing", LastWords::Panic),
        ("reboot: Power off not available", LastWords::PowerOff),
        ("reboot: System halted", LastWords::Halted),
        ("reboot: Power down", LastWords::PowerOff),
        ("reboot: Restarting system", LastWords::Restart),
    ];
    WORDS
        .iter()
        .find(|(text, _)| line.contains(text))
        .map(|&(_, words)| words)
}

/// What a guest says, as a line that can be shown: bounded, without control characters.
pub fn one_line(text: &str) -> String {
    printable(&text.as_bytes()[..text.len().min(LINE_LENGTH)])
}

fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text: String = text
        .chars()
        .filter(|c| !c.is_control() || *c == '\t')
        .collect();
    text.trim_end().to_owned()
}

/// A log file that never grows past its limit.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    length: u64,
    limit: u64,
    /// Without it the console is kept all the same.
    index: Option<Index>,
    /// When it could not be written, and the bytes that are missing since.
    failed: Option<Instant>,
    lost: u64,
}

/// Time from a failure of writing to the next try.
const RETRY: Duration = Duration::from_secs(1);

impl Log {
    /// Opens the file to append to it, made if absent. A `limit` of 0 means none.
    pub fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let file = append(path)?;
        let (inode, length) = (file.metadata()?.ino(), file.metadata()?.len());
        let index = Index::open(&path.with_extension("times"), inode, length);
        Ok(Self {
            path: path.to_owned(),
            file,
            length,
            limit,
            index: kept(index),
            failed: None,
            lost: 0,
        })
    }

    /// Appends `bytes`; where that goes past the limit, only the newer half is kept. What cannot be
    /// written, on a full disk say, is missing, and said to be as soon as there is room; the failure is
    /// given once.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut left = bytes;
        let waits = self.failed.is_some_and(|at| at.elapsed() < RETRY);
        let put = match waits {
            true => Ok(()),
            false => self.put(&mut left),
        };
        self.lost += left.len() as u64;
        match put {
            Ok(()) if waits => Ok(()),
            Ok(()) => {
                self.failed = None;
                Ok(())
            }
            Err(error) => match self.failed.replace(Instant::now()) {
                None => Err(error),
                Some(_) => Ok(()),
            },
        }
    }

    fn put(&mut self, left: &mut &[u8]) -> io::Result<()> {
        // What it was not possible to cut before.
        self.keep_limit()?;
        if self.lost > 0 {
            let note = format!("\r\n[{} bytes of the console are missing]\r\n", self.lost);
            self.append(&mut note.as_bytes())?;
            self.lost = 0;
        }
        let length = self.length;
        self.note(|index| index.mark(length));
        self.append(left)?;
        self.keep_limit()
    }

    /// Writes what is `left`, as far as that goes.
    fn append(&mut self, left: &mut &[u8]) -> io::Result<()> {
        while !left.is_empty() {
            match self.file.write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.length += written as u64;
                    *left = &left[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn keep_limit(&mut self) -> io::Result<()> {
        match self.limit > 0 && self.length > self.limit {
            true => self.cut(),
            false => Ok(()),
        }
    }

    /// Puts a new file with the newer half, from the start of a line, in the place of the old one.
    fn cut(&mut self) -> io::Result<()> {
        let new_path = self.path.with_extension("log.new");
        // A left-over of a supervisor that was killed while it cut.
        let _ = std::fs::remove_file(&new_path);
        let mut old = File::open(&self.path)?;
        old.seek(SeekFrom::Start(self.length - self.limit / 2))?;
        skip_line(&mut old, self.limit / 4)?;
        let mut new = append(&new_path)?;
        let copied = io::copy(&mut old, &mut new).inspect_err(|_| {
            // It takes room that there is none of.
            let _ = std::fs::remove_file(&new_path);
        })?;
        let (inode, dropped) = (new.metadata()?.ino(), self.length.saturating_sub(copied));
        self.note(|index| index.cut(inode, dropped));
        std::fs::rename(&new_path, &self.path)?;
        (self.file, self.length) = (new, copied);
        Ok(())
    }

    fn note(&mut self, what: impl FnOnce(&mut Index) -> io::Result<()>) {
        if let Some(index) = &mut self.index {
            kept(what(index));
        }
    }
}

/// That times are not kept is told, and hinders nothing.
fn kept<T>(result: io::Result<T>) -> Option<T> {
    let tell = |error: &io::Error| log::line(&format!("the console's times are not kept: {error}"));
    result.inspect_err(tell).ok()
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Moves past the next end of line, if there is one within `most` bytes.
fn skip_line(file: &mut File, most: u64) -> io::Result<()> {
    let start = file.stream_position()?;
    let mut buffer = [0; 1024];
    let length = file.take(most).read(&mut buffer)?;
    let skip = buffer[..length]
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(0, |end| end as u64 + 1);
    file.seek(SeekFrom::Start(start + skip)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_wire::console::Times;
    use proptest::prelude::*;

    #[test]
    fn last_words_are_found_behind_time_stamps_and_control_characters() {
        let mut tail = Tail::default();
        assert_eq!(tail.push(b"\x1b[0mhello\r\n[    1.204] reboot: Sys"), None);
        assert_eq!(tail.push(b"tem halted\r\n"), Some(LastWords::Halted));
        assert_eq!(
            tail.lines(),
            ["[0mhello", "[    1.204] reboot: System halted"]
        );
    }

    #[test]
    fn a_line_of_a_guest_is_bounded_and_plain() {
        assert_eq!(one_line("cannot\x1b[2J mount\n/x\n"), "cannot[2J mount/x");
        assert_eq!(one_line(&"x".repeat(9000)).len(), LINE_LENGTH);
    }

    #[test]
    fn the_last_of_the_last_words_counts() {
        let text = b"Kernel panic - not syncing: x\nreboot: Restarting system\nmore\n";
        assert_eq!(Tail::default().push(text), Some(LastWords::Restart));
    }

    #[test]
    fn the_log_keeps_its_newer_half() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("console.log");
        let mut log = Log::open(&path, 100).expect("open");
        for number in 0..50 {
            log.write(format!("line {number:02}\n").as_bytes())
                .expect("write");
        }
        let text = std::fs::read_to_string(&path).expect("read");
        assert!(text.len() <= 100, "{} bytes", text.len());
        assert!(
            text.starts_with("line ") && text.ends_with("line 48\nline 49\n"),
            "{text}"
        );
        assert_eq!(
            std::fs::read_dir(directory.path()).expect("list").count(),
            2
        );
    }

    #[test]
    fn a_full_disk_costs_what_was_printed_meanwhile() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("console.log");
        let mut log = Log::open(&path, 1000).expect("open");
        log.write(b"before\n").expect("written");
        let full = OpenOptions::new().write(true).open("/dev/full");
        let good = std::mem::replace(&mut log.file, full.expect("/dev/full"));
        log.write(b"lost 1\n").expect_err("told");
        log.write(b"lost 2\n").expect("told once");
        log.failed = log.failed.and_then(|at| at.checked_sub(RETRY));
        log.write(b"lost 3\n").expect("told once");
        log.file = good;
        log.write(b"lost 4\n").expect("not tried");
        log.failed = log.failed.and_then(|at| at.checked_sub(RETRY));
        log.write(b"again\n").expect("written");
        assert_eq!(
            std::fs::read_to_string(&path).expect("read"),
            "before\n\r\n[28 bytes of the console are missing]\r\nagain\n"
        );
    }

    #[test]
    fn the_index_follows_the_log_through_a_cut() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("console.log");
        let mut log = Log::open(&path, 100).expect("open");
        let begun = jiff::Timestamp::now().as_millisecond();
        for number in 0..50 {
            log.write(format!("line {number:02}\n").as_bytes())
                .expect("write");
            std::thread::sleep(std::time::Duration::from_millis(12));
        }
        let times = || {
            let bytes = std::fs::read(directory.path().join("console.times")).expect("read");
            Times::parse(&bytes).expect("an index")
        };
        let (inode, length) = {
            let metadata = std::fs::metadata(&path).expect("there");
            (metadata.ino(), metadata.len())
        };
        assert_eq!(times().inode, inode);
        // Fifty lines of eight bytes were ever written.
        assert_eq!(times().base + length, 400);
        let last = times().at(399).expect("known");
        assert!(last >= begun + 49 * 12, "{last} after {begun}");
        drop(log);
        Log::open(&path, 100)
            .and_then(|mut log| log.write(b"again"))
            .expect("write");
        assert!(times().at(400).expect("known") >= last);
        assert_eq!(times().at(399), Some(last));
    }

    #[test]
    fn a_second_run_appends() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("console.log");
        for text in ["one\n", "two\n"] {
            Log::open(&path, 0)
                .and_then(|mut log| log.write(text.as_bytes()))
                .expect("write");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "one\ntwo\n");
    }

    proptest! {
        #[test]
        fn the_tail_is_bounded(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..20)) {
            let mut tail = Tail::default();
            for piece in &pieces {
                tail.push(piece);
            }
            let lines = tail.lines();
            prop_assert!(lines.len() <= TAIL_LINES + 1);
            // A byte that is no text becomes a replacement character of three.
            prop_assert!(lines.iter().all(|line| line.len() <= 3 * LINE_LENGTH));
        }
    }
}
