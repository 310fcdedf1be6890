//! Kernel settings under `/proc/sys`, of the calling thread's network namespace where they have one.

use std::fs;
use std::io;
use std::path::PathBuf;

pub use crate::error::SystemError as Error;

/// Sets `key` (`net/ipv4/ip_forward`, slashes, without `/proc/sys/`) to `value`.
pub fn set(key: &str, value: &str) -> Result<(), Error> {
    fs::write(path(key), value)
        .map_err(|source| Error::new(format!("set the kernel setting {key} to {value}"), source))
}

/// The value of `key`, without the newline at its end.
pub fn get(key: &str) -> Result<String, Error> {
    let text = fs::read_to_string(path(key))
        .map_err(|source| Error::new(format!("read the kernel setting {key}"), source))?;
    Ok(text.trim_end().to_owned())
}

/// Whether this kernel knows `key`.
pub fn exists(key: &str) -> bool {
    path(key).exists()
}

/// Sets `key` only where this kernel knows it; whether it does.
pub fn set_if_known(key: &str, value: &str) -> Result<bool, Error> {
    match set(key, value) {
        Ok(()) => Ok(true),
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn path(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(key.trim_start_matches('/'))
}
