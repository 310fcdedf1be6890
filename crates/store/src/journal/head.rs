//! The first line of a file of the journal: its number, by which a reader knows what he missed.

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

/// More than a first line has.
const LONGEST: usize = 64;

/// The first line. It is no event, and passed over as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The first file of a journal is 1, each one after it one more.
    pub file: u64,
}

impl Head {
    /// Of the file that follows this one.
    pub fn after(before: Option<Self>) -> Self {
        Self {
            file: before.map_or(0, |it| it.file).saturating_add(1),
        }
    }

    /// As written.
    pub fn line(self) -> Vec<u8> {
        let mut line = serde_json::to_vec(&self).expect("a number is plain data");
        line.push(b'\n');
        line
    }

    /// Of this file; none where it has none, as those of older versions.
    pub fn of(file: &File) -> Option<Self> {
        let mut bytes = [0; LONGEST];
        let read = file.read_at(&mut bytes, 0).ok()?;
        let line = bytes[..read].split(|byte| *byte == b'\n').next()?;
        serde_json::from_slice(line).ok()
    }
}
