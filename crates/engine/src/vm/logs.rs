//! `logs`: a VM's console, from where on, with when each line came.
//!
//! The log is cut to its newer half now and then. Its index knows how much was cut off, so whoever
//! follows goes on where he was; without one he begins again with what is left, if the file is another.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ignite_host::fs::read_bounded;
use ignite_store::Liveness;
use ignite_wire::console::{HEADER_LEN, MARK_LEN, MAX_MARKS, Times};
use jiff::Timestamp;

use super::remove::PAUSE;
use crate::{Engine, Error, Report};

/// The console log in a VM's directory, and its index.
const CONSOLE: &str = "console.log";
const TIMES: &str = "console.times";

/// The index is replaced just before the log: so often is looked again at those that do not belong together.
const ATTEMPTS: u32 = 10;
const MOMENT: Duration = Duration::from_millis(5);

/// Bytes looked at at a time.
const CHUNK: u64 = 64 * 1024;

/// Which part of a console is shown, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Go on until the VM ends.
    pub follow: bool,
    /// Nothing that came before.
    pub since: Option<Timestamp>,
    /// So many of the last lines.
    pub tail: Option<u64>,
    /// When each line came, before it.
    pub timestamps: bool,
}

type Out<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

impl Engine {
    /// Hands the console of the VM that `text` means to `out`.
    pub fn logs(
        &self,
        text: &str,
        options: &LogOptions,
        report: &dyn Report,
        out: Out<'_>,
    ) -> Result<(), Error> {
        let uid = self.vms.resolve(text)?;
        let directory = self.vms.dir(uid);
        let mut shown = Shown::new(&directory, options);
        let mut untold = None;
        let mut tell = |bytes: &[u8]| {
            out(bytes).map_err(|error| {
                let kind = error.kind();
                untold = Some(error);
                io::Error::from(kind)
            })
        };
        loop {
            // Looked at before reading: what is written until its end is still read.
            let live = Liveness::is_held(&self.config.paths, uid)?;
            let gone_on = shown.go_on(report, &mut tell);
            if let Err(source) = gone_on {
                let path = directory.join(CONSOLE);
                let console = Error::Console { path, source };
                return Err(untold.map_or(console, Error::Told));
            }
            if !options.follow || !live {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// A console that is being shown.
struct Shown<'a> {
    directory: PathBuf,
    options: &'a LogOptions,
    /// Where it goes on; none where nothing was there yet.
    next: Option<Place>,
    /// Whether a line was begun.
    in_line: bool,
}

/// A place in a log.
#[derive(Debug, Clone, Copy)]
struct Place {
    inode: u64,
    /// Bytes of the console before it: those of its file, and the `base` of them that were cut off.
    offset: u64,
    /// Bytes that were cut off before the file begins, as far as an index says; else 0.
    base: u64,
    /// Whether an index said so.
    indexed: bool,
}

/// A log, with its index if it has one.
struct Log {
    file: File,
    inode: u64,
    length: u64,
    times: Option<Times>,
}

impl Log {
    /// None where nobody ever wrote one.
    fn open(directory: &Path) -> io::Result<Option<Self>> {
        for attempt in 1.. {
            let file = match File::open(directory.join(CONSOLE)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let most = (HEADER_LEN + MARK_LEN * MAX_MARKS) as u64;
            let times = read_bounded(&directory.join(TIMES), most).ok();
            let times = times.and_then(|bytes| Times::parse(&bytes));
            let metadata = file.metadata()?;
            let inode = metadata.ino();
            let is_other = times.as_ref().is_some_and(|times| times.inode != inode);
            if is_other && attempt < ATTEMPTS {
                std::thread::sleep(MOMENT);
                continue;
            }
            return Ok(Some(Self {
                file,
                inode,
                length: metadata.len(),
                times: times.filter(|_| !is_other),
            }));
        }
        Ok(None)
    }

    fn base(&self) -> u64 {
        self.times.as_ref().map_or(0, |times| times.base)
    }

    /// Where the part that was asked for begins.
    fn begin(&mut self, options: &LogOptions) -> io::Result<u64> {
        let since = match (&self.times, options.since) {
            (Some(times), Some(since)) => match times.since(since.as_millisecond()) {
                Some(offset) => self.next_line(offset.saturating_sub(self.base()))?,
                None => self.length,
            },
            _ => 0,
        };
        let tail = options.tail.map_or(Ok(0), |lines| self.last(lines))?;
        Ok(self.base() + since.max(tail))
    }

    /// The first line that begins at or behind this byte of the file.
    fn next_line(&mut self, at: u64) -> io::Result<u64> {
        let Some(before) = at.checked_sub(1) else {
            return Ok(0);
        };
        self.file.seek(SeekFrom::Start(before))?;
        let mut chunk = Vec::new();
        self.file.by_ref().take(CHUNK).read_to_end(&mut chunk)?;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        Ok(end.map_or(at, |end| before + end as u64 + 1))
    }

    /// Where the last so many lines begin.
    fn last(&mut self, lines: u64) -> io::Result<u64> {
        let mut missing = lines;
        let mut end = self.length;
        while end > 0 && missing > 0 {
            let begin = end.saturating_sub(CHUNK);
            self.file.seek(SeekFrom::Start(begin))?;
            let mut chunk = Vec::new();
            self.file
                .by_ref()
                .take(end - begin)
                .read_to_end(&mut chunk)?;
            for (index, _) in chunk
                .iter()
                .enumerate()
                .rev()
                .filter(|(_, byte)| **byte == b'\n')
            {
                let next = begin + index as u64 + 1;
                // The last end of a line begins none.
                if next < self.length {
                    missing -= 1;
                }
                if missing == 0 {
                    return Ok(next);
                }
            }
            end = begin;
        }
        Ok(if lines == 0 { self.length } else { 0 })
    }
}

impl<'a> Shown<'a> {
    fn new(directory: &Path, options: &'a LogOptions) -> Self {
        Self {
            directory: directory.to_owned(),
            options,
            next: None,
            in_line: false,
        }
    }

    /// Shows what is new.
    fn go_on(&mut self, report: &dyn Report, out: Out<'_>) -> io::Result<()> {
        let Some(mut log) = Log::open(&self.directory)? else {
            return Ok(());
        };
        let inode = log.inode;
        let same = self.next.filter(|place| place.inode == inode);
        let base = match (&log.times, same) {
            // An index that is gone does not make what was seen new.
            (None, Some(place)) => place.base,
            _ => log.base(),
        };
        let offset = match (self.next, same) {
            (None, _) => {
                self.warn(&log, report);
                log.begin(self.options)?
            }
            // Its number may be another file's by now: what was ever written counts on.
            (Some(place), _) if log.times.is_some() && place.indexed && base >= place.base => {
                place.offset
            }
            (_, Some(place)) => base + (place.offset - place.base),
            // Another file, and nothing says what was cut off: all of it is new.
            (Some(_), None) if log.times.is_none() => 0,
            (Some(place), None) => place.offset,
        };
        let mut at = offset.clamp(base, base + log.length);
        log.file.seek(SeekFrom::Start(at - base))?;
        let mut chunk = vec![0; CHUNK as usize];
        loop {
            let read = log.file.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            self.show(&chunk[..read], at, log.times.as_ref(), out)?;
            at += read as u64;
        }
        self.next = Some(Place {
            inode,
            offset: at,
            base,
            indexed: log.times.is_some() || same.is_some_and(|place| place.indexed),
        });
        Ok(())
    }

    fn warn(&self, log: &Log, report: &dyn Report) {
        let needs_times = self.options.timestamps || self.options.since.is_some();
        if log.times.is_none() && log.length > 0 && needs_times {
            report.warn("when this VM's console was written is not known: it was kept by an earlier version");
        }
    }

    /// Hands on bytes that begin at `at`.
    fn show(
        &mut self,
        bytes: &[u8],
        at: u64,
        times: Option<&Times>,
        out: Out<'_>,
    ) -> io::Result<()> {
        if !self.options.timestamps {
            return out(bytes);
        }
        let mut at = at;
        let mut text = Vec::with_capacity(bytes.len() * 2);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.in_line {
                text.extend_from_slice(stamp(times.and_then(|times| times.at(at))).as_bytes());
            }
            text.extend_from_slice(line);
            self.in_line = !line.ends_with(b"\n");
            at += line.len() as u64;
        }
        out(&text)
    }
}

/// A moment in front of a line.
fn stamp(milliseconds: Option<i64>) -> String {
    let moment = milliseconds.and_then(|time| Timestamp::from_millisecond(time).ok());
    moment.map_or_else(|| "- ".to_owned(), |moment| format!("{moment:.3} "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;
    use ignite_wire::console::Mark;

    /// A directory with a log whose first bytes were cut off, a second between two lines.
    fn directory(text: &str, base: u64) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("tempdir");
        write(directory.path(), text, base);
        directory
    }

    fn write(directory: &Path, text: &str, base: u64) {
        let log = directory.join(CONSOLE);
        std::fs::write(directory.join("new"), text).expect("write");
        std::fs::rename(directory.join("new"), &log).expect("rename");
        let inode = std::fs::metadata(&log).expect("there").ino();
        let mut times = Times::new(inode, base);
        let mut offset = base;
        for line in text.split_inclusive('\n') {
            let time = offset as i64 * 1000;
            times.push(Mark { offset, time });
            offset += line.len() as u64;
        }
        std::fs::write(directory.join(TIMES), times.to_bytes()).expect("write");
    }

    fn show(shown: &mut Shown<'_>) -> String {
        let mut text = Vec::new();
        shown
            .go_on(&Silent, &mut |bytes| {
                text.extend_from_slice(bytes);
                Ok(())
            })
            .expect("shown");
        String::from_utf8(text).expect("text")
    }

    fn of(directory: &Path, options: LogOptions) -> String {
        show(&mut Shown::new(directory, &options))
    }

    #[test]
    fn the_last_lines_and_those_since() {
        let directory = directory("one\ntwo\nthree\nfour", 100);
        let tail = |tail| {
            of(
                directory.path(),
                LogOptions {
                    tail: Some(tail),
                    ..LogOptions::default()
                },
            )
        };
        assert_eq!(tail(0), "");
        assert_eq!(tail(1), "four");
        assert_eq!(tail(2), "three\nfour");
        assert_eq!(tail(4), "one\ntwo\nthree\nfour");
        assert_eq!(tail(u64::MAX), "one\ntwo\nthree\nfour");
        let since = |second| {
            let since = Some(Timestamp::from_second(second).expect("in range"));
            of(
                directory.path(),
                LogOptions {
                    since,
                    ..LogOptions::default()
                },
            )
        };
        assert_eq!(since(0), "one\ntwo\nthree\nfour");
        assert_eq!(since(104), "two\nthree\nfour");
        assert_eq!(since(105), "three\nfour");
        assert_eq!(since(999), "");
    }

    #[test]
    fn an_ended_line_is_the_last_one() {
        let directory = directory("one\ntwo\n", 0);
        let options = LogOptions {
            tail: Some(1),
            ..LogOptions::default()
        };
        assert_eq!(of(directory.path(), options), "two\n");
    }

    #[test]
    fn each_line_has_its_moment() {
        let directory = directory("one\ntwo", 4);
        let options = LogOptions {
            timestamps: true,
            ..LogOptions::default()
        };
        assert_eq!(
            of(directory.path(), options),
            "1970-01-01T00:00:04.000Z one\n1970-01-01T00:00:08.000Z two"
        );
        std::fs::remove_file(directory.path().join(TIMES)).expect("removed");
        assert_eq!(of(directory.path(), options), "- one\n- two");
    }

    #[test]
    fn a_cut_is_no_beginning_for_who_follows() {
        let directory = directory("one\ntwo\n", 0);
        let options = LogOptions::default();
        let mut shown = Shown::new(directory.path(), &options);
        assert_eq!(show(&mut shown), "one\ntwo\n");
        write(directory.path(), "two\nthree\n", 4);
        assert_eq!(show(&mut shown), "three\n");
        write(directory.path(), "five\n", 20);
        assert_eq!(show(&mut shown), "five\n");
    }

    #[test]
    fn a_cut_into_a_file_of_the_same_number_is_no_beginning_either() {
        let directory = directory("one\ntwo\n", 0);
        let options = LogOptions::default();
        let mut shown = Shown::new(directory.path(), &options);
        assert_eq!(show(&mut shown), "one\ntwo\n");
        let log = directory.path().join(CONSOLE);
        std::fs::write(&log, "two\nthree\n").expect("written in place");
        let inode = std::fs::metadata(&log).expect("there").ino();
        std::fs::write(
            directory.path().join(TIMES),
            Times::new(inode, 4).to_bytes(),
        )
        .expect("write");
        assert_eq!(show(&mut shown), "three\n");
    }

    #[test]
    fn nothing_is_shown_twice_where_the_index_goes() {
        let directory = directory("five\n", 20);
        let options = LogOptions::default();
        let mut shown = Shown::new(directory.path(), &options);
        assert_eq!(show(&mut shown), "five\n");
        std::fs::remove_file(directory.path().join(TIMES)).expect("removed");
        assert_eq!(show(&mut shown), "");
        let log = directory.path().join(CONSOLE);
        std::fs::write(&log, "five\nsix\n").expect("written in place");
        assert_eq!(show(&mut shown), "six\n");
        write(directory.path(), "six\nseven\n", 25);
        assert_eq!(show(&mut shown), "seven\n");
        std::fs::remove_file(directory.path().join(TIMES)).expect("removed");
        std::fs::write(directory.path().join("new"), "eight\n").expect("write");
        std::fs::rename(directory.path().join("new"), &log).expect("rename");
        assert_eq!(show(&mut shown), "eight\n", "another file, and no index");
    }
}
