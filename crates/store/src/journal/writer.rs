//! Appending to the journal.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ignite_host::fs::Lock;

use super::head::Head;
use super::{FILE, Happening, LOCK, MAX_LINE, OLDER};
use crate::{Error, Paths};

/// Bytes of one file; there are two.
const MOST: u64 = 1 << 20;

/// The journal of a host, to be written.
#[derive(Debug, Clone)]
pub struct Journal {
    directory: PathBuf,
    most: u64,
}

impl Journal {
    /// The one of these paths; nothing is made before it is needed.
    pub fn new(paths: &Paths) -> Self {
        Self::within(&paths.data)
    }

    /// The one of the host to whose VM this durable directory belongs; none where it is no such directory.
    pub fn of_vm(directory: &Path) -> Option<Self> {
        let vms = directory.parent().filter(|vms| vms.ends_with("vm"))?;
        Some(Self::within(vms.parent()?))
    }

    fn within(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            most: MOST,
        }
    }

    /// The same with other bounds.
    #[cfg(test)]
    pub(super) fn bounded(self, most: u64) -> Self {
        Self { most, ..self }
    }

    /// Writes down what happened. That it could not be is told in the log, and hinders nothing.
    pub fn write(&self, happening: &Happening) {
        if let Err(error) = self.append(happening) {
            tracing::warn!(%error, event = happening.event, "an event is not written down");
        }
    }

    /// Writes down what happened.
    pub fn append(&self, happening: &Happening) -> Result<(), Error> {
        let mut line = serde_json::to_vec(happening).expect("an event is plain data");
        line.push(b'\n');
        if line.len() > MAX_LINE {
            return Ok(());
        }
        let _lock = Lock::exclusive(&self.directory.join(LOCK))?;
        let path = self.directory.join(FILE);
        let mut write = || -> io::Result<()> {
            let mut file = open(&path)?;
            let older = self.directory.join(OLDER);
            if file.metadata()?.len() + line.len() as u64 > self.most {
                std::fs::rename(&path, &older)?;
                file = open(&path)?;
            }
            if file.metadata()?.len() == 0 {
                let before = File::open(&older).ok().and_then(|it| Head::of(&it));
                line = [Head::after(before).line(), std::mem::take(&mut line)].concat();
            }
            // What a crash left of a line must not spoil this one.
            if is_torn(&mut file)? {
                line.insert(0, b'\n');
            }
            file.write_all(&line)
        };
        write().map_err(Error::directory("write", path.clone()))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Whether the last line has no end.
fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}
