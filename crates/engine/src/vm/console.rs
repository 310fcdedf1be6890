//! A VM's console a piece at a time, for readers that come back for more.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ignite_api::Uid;

use crate::{Engine, Error};

/// The console log in a VM's directory.
const CONSOLE: &str = "console.log";

/// Most bytes of one piece.
pub const CONSOLE_PIECE: u64 = 64 << 10;

/// How far a reader has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConsolePlace {
    /// The file's inode: its newer half comes to be another file.
    pub file: u64,
    /// Bytes of it that were read.
    pub offset: u64,
}

/// A piece of a console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsolePiece {
    /// What there is.
    pub bytes: Vec<u8>,
    /// Where to go on.
    pub next: ConsolePlace,
    /// Whether it goes on where the reader was; else it is the end of what there is.
    pub follows: bool,
}

impl Engine {
    /// The console of a VM from where the reader was. A reader that has not begun, that stayed behind or
    /// whose file was replaced gets the last [`CONSOLE_PIECE`] bytes.
    pub fn console(&self, uid: Uid, place: ConsolePlace) -> Result<ConsolePiece, Error> {
        self.vms.get(uid)?;
        let path = self.vms.dir(uid).join(CONSOLE);
        piece(&path, place).map_err(|source| Error::Console { path, source })
    }
}

fn piece(path: &Path, place: ConsolePlace) -> io::Result<ConsolePiece> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        // Who was never started has said nothing.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(ConsolePiece {
                bytes: Vec::new(),
                next: ConsolePlace::default(),
                follows: place == ConsolePlace::default(),
            });
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    let (inode, length) = (metadata.ino(), metadata.len());
    let last = length.saturating_sub(CONSOLE_PIECE);
    let follows = place.file == inode && (last..=length).contains(&place.offset);
    let from = if follows { place.offset } else { last };
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(CONSOLE_PIECE).read_to_end(&mut bytes)?;
    Ok(ConsolePiece {
        next: ConsolePlace {
            file: inode,
            offset: from + bytes.len() as u64,
        },
        bytes,
        follows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path, place: ConsolePlace) -> (String, ConsolePlace, bool) {
        let piece = piece(path, place).expect("a file that can be read");
        let text = String::from_utf8(piece.bytes).expect("text");
        (text, piece.next, piece.follows)
    }

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(CONSOLE);
        let start = ConsolePlace::default();
        assert_eq!(read(&path, start), (String::new(), start, true));
        std::fs::write(&path, "one\n").expect("written");
        let (text, next, follows) = read(&path, start);
        assert_eq!((text.as_str(), follows), ("one\n", false));
        assert_eq!(read(&path, next), (String::new(), next, true));
        std::fs::write(&path, "one\ntwo\n").expect("written");
        let (text, _, follows) = read(&path, next);
        assert_eq!((text.as_str(), follows), ("two\n", true));
    }

    #[test]
    fn another_file_or_a_shorter_one_is_begun_anew() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(CONSOLE);
        std::fs::write(&path, "a long line\n").expect("written");
        let (_, next, _) = read(&path, ConsolePlace::default());
        std::fs::write(&path, "new\n").expect("written");
        assert_eq!(read(&path, next).0, "new\n");
        let other = ConsolePlace { file: 1, offset: 2 };
        let (text, _, follows) = read(&path, other);
        assert_eq!((text.as_str(), follows), ("new\n", false));
    }

    #[test]
    fn who_stayed_behind_gets_the_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(CONSOLE);
        std::fs::write(&path, vec![b'x'; 200 << 10]).expect("written");
        let (text, next, _) = read(&path, ConsolePlace::default());
        assert_eq!(text.len() as u64, CONSOLE_PIECE);
        let behind = ConsolePlace { offset: 5, ..next };
        let (text, at, follows) = read(&path, behind);
        assert_eq!(
            (text.len() as u64, at, follows),
            (CONSOLE_PIECE, next, false)
        );
        let beyond = ConsolePlace {
            offset: u64::MAX,
            ..next
        };
        assert!(!read(&path, beyond).2);
    }
}
