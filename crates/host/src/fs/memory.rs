//! Files in memory, handed to a child by descriptor.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

use crate::error::{Context, SystemError};

/// A file in memory that holds `bytes`, positioned at its start and sealed: nobody can change it.
///
/// `name` is what `/proc/<pid>/fd` shows, for people. The descriptor closes on exec; pass it on with
/// [`Spec::pass_fd`](crate::process::Spec::pass_fd).
pub fn memfd(name: &str, bytes: &[u8]) -> Result<OwnedFd, SystemError> {
    let action = || format!("keep {name} in memory");
    let fd = create(name).context(action)?;
    let mut file = File::from(fd);
    file.write_all(bytes).context(action)?;
    file.rewind().context(action)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&file, seals).context(action)?;
    Ok(file.into())
}

/// Not executable where the kernel knows the flag (6.3): some are set to refuse any other.
fn create(name: &str) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(name, flags),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn holds_the_bytes_and_refuses_writers() {
        let mut file = File::from(memfd("config", b"hello").expect("memfd"));
        let mut text = String::new();
        file.read_to_string(&mut text).expect("read");
        assert_eq!(text, "hello");
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(0).is_err());
    }
}
