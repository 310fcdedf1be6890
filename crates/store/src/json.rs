//! Records as JSON files, written whole.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use ignite_host::fs::{read_bounded, write_atomic};

use crate::Error;

/// No record is larger; a larger file is something else.
const MAX_RECORD: u64 = 4 << 20;

/// Reads a record; an absent file is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let bytes = match read_bounded(path, MAX_RECORD) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| Error::Corrupt {
            path: path.to_owned(),
            source,
        })
}

/// Replaces a record that only root may read: a VM's environment holds secrets.
pub(crate) fn write<T: Serialize>(path: &Path, record: &T) -> Result<(), Error> {
    write_with_mode(path, record, 0o600)
}

/// Replaces a record with these permissions.
pub(crate) fn write_with_mode<T: Serialize>(
    path: &Path,
    record: &T,
    mode: u32,
) -> Result<(), Error> {
    let mut bytes = serde_json::to_vec_pretty(record).expect("records are maps with text keys");
    bytes.push(b'\n');
    Ok(write_atomic(path, &bytes, mode)?)
}
