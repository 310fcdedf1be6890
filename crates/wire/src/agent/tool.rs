//! What the guest program does itself, with the root of the image, in the place of a program.

use serde::{Deserialize, Serialize};

/// A tool of the guest program's. It runs as a program does: its streams are the channel's, and so is
/// its end. On standard error it says, line by line, `warning: ...` for what it leaves out, and
/// `error: ...`, `hint: ...` for why it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Tool {
    /// Writes a file or tree to standard output, as a tar stream.
    Pack {
        /// Its path, of any bytes; a relative one begins in root's home.
        path: Vec<u8>,
        /// Whether a symbolic link is followed that the path ends in.
        follow: bool,
    },
    /// Reads a tar stream from standard input.
    Unpack {
        /// Where it goes, as above.
        path: Vec<u8>,
        /// Whether it is any archive, for a directory that is there; else it is one file or tree, as
        /// `Pack` makes it.
        any: bool,
    },
    /// Writes the guest's processes to standard output, a line for each: see [`crate::processes`].
    Processes,
}
