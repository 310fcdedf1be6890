//! The initramfs of one start: the kernel's, and behind it the guest's configuration as a cpio
//! segment of its own, on a 4-byte boundary (unaligned it is silently lost).
//!
//! It is made in a memfd by the kernel, from file to memory: our heap never holds it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use ignite_wire::guest::{CONFIG_PATH, Config};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create, sendfile};

/// Segments begin on a boundary of that many bytes.
const ALIGNMENT: u64 = 4;

/// Makes the memfd: `kernel`, then `config`. Sealed: nobody can change it.
pub fn build(kernel: &Path, config: &Config) -> io::Result<OwnedFd> {
    let json = serde_json::to_vec(config)?;
    let segment = ignite_wire::cpio::segment(CONFIG_PATH, &json).map_err(io::Error::other)?;
    let source = File::open(kernel)?;
    let mut memory = File::from(memfd_create(
        "initramfs",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?);
    let length = copy(&source, &memory)?;
    let padding = length.next_multiple_of(ALIGNMENT) - length;
    memory.write_all(&[0; ALIGNMENT as usize][..padding as usize])?;
    memory.write_all(&segment)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&memory, seals)?;
    Ok(memory.into())
}

fn copy(source: &File, memory: &File) -> io::Result<u64> {
    const PIECE: usize = 1 << 30;
    let mut length = 0;
    loop {
        match sendfile(memory, source, None, PIECE)? {
            0 => return Ok(length),
            sent => length += sent as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_wire::guest::Process;
    use std::io::{Read, Seek};

    fn config() -> Config {
        let path = "/sbin/init".to_owned();
        Config::new("vm", Process::Init { path })
    }

    #[test]
    fn the_configuration_follows_on_a_boundary() {
        let directory = tempfile::tempdir().expect("tempdir");
        let kernel = directory.path().join("initramfs");
        for length in 0..6 {
            std::fs::write(&kernel, vec![b'k'; length]).expect("write");
            let mut file = File::from(build(&kernel, &config()).expect("memory"));
            let mut bytes = Vec::new();
            file.rewind().expect("seek");
            file.read_to_end(&mut bytes).expect("read");
            let start = length.next_multiple_of(4);
            assert!(bytes[..length].iter().all(|&byte| byte == b'k'));
            assert_eq!(&bytes[start..start + 6], b"070701", "length {length}");
            assert!(file.write_all(b"x").is_err(), "sealed");
        }
    }

    #[test]
    fn a_missing_kernel_initramfs_is_an_error() {
        let error = build(Path::new("/nonexistent"), &config()).expect_err("absent");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
