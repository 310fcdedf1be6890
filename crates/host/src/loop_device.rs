//! Loop devices: a file as a block device, for a VMM that opens a disk by its name and has no right to
//! the file.
//!
//! The device lets go of its file by itself with the last descriptor of it (`LO_FLAGS_AUTOCLEAR`), so
//! nothing is left of a process that was killed.

use std::fs::{File, Metadata, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::Context;
pub use crate::error::SystemError as Error;

const CONTROL: &str = "/dev/loop-control";

/// Others look for a free device as well.
const ATTEMPTS: u32 = 64;

// linux/loop.h
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4c82;
const LOOP_GET_STATUS64: libc::c_ulong = 0x4c05;
const LOOP_CONFIGURE: libc::c_ulong = 0x4c0a;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_info64`.
#[repr(C)]
struct Info {
    /// Device and inode of the file, the loop device, offset, size.
    places: [u64; 5],
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    names: [u8; 160],
    init: [u64; 2],
}

impl Default for Info {
    fn default() -> Self {
        Self {
            places: [0; 5],
            number: 0,
            encryption: [0; 2],
            flags: 0,
            names: [0; 160],
            init: [0; 2],
        }
    }
}

/// `struct loop_config`.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// A loop device, as long as it is open: claimed, so that nobody mounts it meanwhile.
#[derive(Debug)]
pub struct LoopDevice {
    fd: OwnedFd,
    path: PathBuf,
}

impl LoopDevice {
    /// Puts a device over an open file.
    pub fn attach(file: &OwnedFd, read_only: bool) -> Result<Self, Error> {
        let attach = || "put a loop device over a file".to_owned();
        let control = OpenOptions::new().read(true).write(true).open(CONTROL);
        let control = control.context(|| format!("open {CONTROL}"))?;
        for _ in 0..ATTEMPTS {
            let path = free(&control)?;
            match claimed(&path, read_only) {
                Ok(device) => match configure(&device, file, read_only) {
                    Ok(()) => {
                        let fd = device.into();
                        return Ok(Self { fd, path });
                    }
                    Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
                    Err(error) => return Err(error).context(attach),
                },
                Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
                Err(error) => {
                    return Err(error).context(|| format!("open {}", path.display()));
                }
            }
        }
        Err(std::io::Error::from(ErrorKind::ResourceBusy)).context(attach)
    }

    /// Its path, and what keeps it.
    pub fn into_parts(self) -> (PathBuf, OwnedFd) {
        (self.path, self.fd)
    }
}

/// What becomes of a file that a loop device is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// Nobody claims the device, and it lets go of the file with the last descriptor of it: whoever
    /// looks at new devices may have it open for a moment yet.
    Leaving,
    /// It is mounted, part of another device, a running VM's, or there until somebody takes it away.
    Used,
}

/// Whether some loop device is over this file, and how. Asked of the devices themselves: the path that
/// is told of a device's file may mean another one here.
pub fn hold(file: &Metadata) -> Option<Hold> {
    let devices = std::fs::read_dir("/sys/block").into_iter().flatten();
    devices
        .flatten()
        .filter(|device| device.path().join("loop/backing_file").exists())
        .filter_map(|device| {
            let device = Path::new("/dev").join(device.file_name());
            let info = status(&device)?;
            let over = (info.places[0], info.places[1]) == (file.dev(), file.ino());
            over.then(|| match info.flags & LO_FLAGS_AUTOCLEAR {
                0 => Hold::Used,
                _ if claimed(&device, true).is_err() => Hold::Used,
                _ => Hold::Leaving,
            })
        })
        .max()
}

/// A device opened for whoever comes first.
fn claimed(device: &Path, read_only: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(!read_only);
    options.custom_flags(libc::O_EXCL).open(device)
}

/// What a loop device says of itself.
fn status(device: &Path) -> Option<Info> {
    let device = File::open(device).ok()?;
    let mut info = Info::default();
    // SAFETY: the descriptor is open, and the kernel writes the structure, which has its layout.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_GET_STATUS64, &raw mut info) };
    (done == 0).then_some(info)
}

fn free(control: &File) -> Result<PathBuf, Error> {
    // SAFETY: the descriptor is open, and the request takes and returns a number only.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
    if number < 0 {
        return Err(std::io::Error::last_os_error())
            .context(|| "find a free loop device".to_owned());
    }
    Ok(PathBuf::from(format!("/dev/loop{number}")))
}

fn configure(device: &File, file: &OwnedFd, read_only: bool) -> std::io::Result<()> {
    let flags = match read_only {
        true => LO_FLAGS_AUTOCLEAR | LO_FLAGS_READ_ONLY,
        false => LO_FLAGS_AUTOCLEAR,
    };
    let config = Config {
        fd: file.as_raw_fd().unsigned_abs(),
        block_size: 0,
        info: Info {
            flags,
            ..Info::default()
        },
        reserved: [0; 8],
    };
    // SAFETY: both descriptors are open, and the kernel reads the structure, which has its layout.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
    match done {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_device_shows_its_file_and_lets_go_of_it() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("disk");
        let file = File::create_new(&path).expect("created");
        file.set_len(1 << 20).expect("sparse");
        file.write_all_at(b"content", 512).expect("written");
        let file = File::open(&path).expect("there").into();
        let of_file = || hold(&std::fs::metadata(&path).expect("there"));
        assert_eq!(of_file(), None);
        let device = LoopDevice::attach(&file, true).expect("a device");
        assert_eq!(of_file(), Some(Hold::Used));
        let (path, fd) = device.into_parts();
        let mut seen = [0; 7];
        File::open(&path)
            .and_then(|device| device.read_exact_at(&mut seen, 512))
            .expect("read");
        assert_eq!(&seen, b"content");
        let name = path.file_name().expect("a name").to_owned();
        let backing = std::path::Path::new("/sys/block")
            .join(name)
            .join("loop/backing_file");
        let behind = || std::fs::read_to_string(&backing).unwrap_or_default();
        let directory = directory.path().display().to_string();
        assert!(behind().contains(&directory));
        drop(fd);
        // Whoever looks at new devices may have it open for a moment.
        let gone = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            !behind().contains(&directory)
        });
        assert!(gone, "it keeps {}", behind());
    }
}
