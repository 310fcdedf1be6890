//! Reading the journal, and what is added to it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::head::Head;
use super::{FILE, Happening, MAX_LINE, OLDER};
use crate::{Error, Paths};

/// The files are replaced in between: so often is looked again.
const ATTEMPTS: u32 = 100;

/// An open file, and its inode.
type Open = (File, u64);

/// Where a reader is.
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    /// The file that is read; it stays open though it be replaced.
    open: Option<Open>,
    lines: Lines,
    /// Number of the file that comes next, where that is known.
    next: Option<u64>,
    has_lost: bool,
}

impl Reader {
    /// At the beginning of what is still there.
    pub fn new(paths: &Paths) -> Self {
        Self {
            directory: paths.data.clone(),
            open: None,
            lines: Lines::default(),
            next: None,
            has_lost: false,
        }
    }

    /// Whether files were gone before the last reading came to them.
    pub fn has_lost(&self) -> bool {
        self.has_lost
    }

    /// What happened since the last time this was asked, oldest first.
    pub fn read(&mut self) -> Result<Vec<Happening>, Error> {
        let path = self.directory.join(FILE);
        let mut found = Vec::new();
        self.has_lost = false;
        self.read_on(&mut found)
            .map_err(Error::directory("read", path))?;
        Ok(found)
    }

    fn read_on(&mut self, found: &mut Vec<Happening>) -> io::Result<()> {
        self.rest(found)?;
        let own = self.open.as_ref().map(|(_, inode)| *inode);
        let (older, newer) = self.files()?;
        let Some(newer) = newer else {
            if own.is_none() && older.is_none() {
                // Never written.
                self.next = Some(1);
            }
            // Or rotated in this moment.
            return Ok(());
        };
        if own == Some(newer.1) {
            return Ok(());
        }
        // What was written to the file before it was replaced.
        self.rest(found)?;
        if let Some(older) = older.filter(|(_, inode)| own != Some(*inode)) {
            self.begin(older, found)?;
        }
        self.begin(newer, found)
    }

    fn begin(&mut self, file: Open, found: &mut Vec<Happening>) -> io::Result<()> {
        let number = Head::of(&file.0).map(|head| head.file);
        self.has_lost |= number.zip(self.next).is_some_and(|(it, next)| it > next);
        self.next = number.map(|number| number.saturating_add(1));
        self.lines = Lines::default();
        self.open = Some(file);
        self.rest(found)
    }

    /// The rest of the open file.
    fn rest(&mut self, found: &mut Vec<Happening>) -> io::Result<()> {
        let Some((file, _)) = &mut self.open else {
            return Ok(());
        };
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(()),
                read => self.lines.push(&chunk[..read], found),
            }
        }
    }

    /// Both files, of one instant.
    fn files(&self) -> io::Result<(Option<Open>, Option<Open>)> {
        let path = self.directory.join(FILE);
        for _ in 0..ATTEMPTS {
            let newer = open(&path)?;
            let older = open(&self.directory.join(OLDER))?;
            let now = std::fs::metadata(&path).ok().map(|it| it.ino());
            if now == newer.as_ref().map(|(_, inode)| *inode) {
                return Ok((older, newer));
            }
        }
        Ok((None, None))
    }
}

fn open(path: &Path) -> io::Result<Option<Open>> {
    match File::open(path) {
        Ok(file) => {
            let inode = file.metadata()?.ino();
            Ok(Some((file, inode)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes bytes as they come and gives events; lines that are none are passed over.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    /// A line that is too long is passed over to its end.
    is_too_long: bool,
}

impl Lines {
    /// Reads `bytes` on; appends what they tell to `found`.
    pub fn push(&mut self, bytes: &[u8], found: &mut Vec<Happening>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() > MAX_LINE + 1 {
                self.is_too_long = true;
                self.line.clear();
            }
            if !self.is_too_long {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                if !self.is_too_long {
                    found.extend(serde_json::from_slice::<Happening>(&self.line).ok());
                }
                self.line.clear();
                self.is_too_long = false;
            }
        }
    }
}
