//! From whatever a kernel is shipped as to the uncompressed kernel a VMM boots directly.
//!
//! ```text
//!  bzImage: boot sector | setup (header at 0x1f1) | unpacker ... payload ... |
//!                                                               `-- gzip, xz, zstd, lz4, lzma: the ELF vmlinux
//! ```
//!
//! Booting the unpacked kernel saves the guest from doing it: 0.3 s under translation. Offsets are
//! those of the kernel's `Documentation/arch/x86/boot.rst`. [`unpack`] takes a stranger's bytes.

use serde::{Deserialize, Serialize};

use super::compression::{self, Format};
use super::elf::{AARCH64, Elf, X86_64};

/// The largest kernel taken, packed or unpacked, in bytes.
pub const MAX_SIZE: u64 = 512 * 1024 * 1024;

/// A release is cut off here: longer ones do not exist (`__NEW_UTS_LEN`).
const MAX_RELEASE: usize = 64;
const BANNER: &[u8] = b"Linux version ";

/// The processor a kernel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// aarch64.
    Arm64,
}

impl Architecture {
    /// Its name as `uname -m` gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }
}

/// An unpacked kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vmlinux {
    /// Its bytes: an ELF file, or for aarch64 an `Image`.
    pub bytes: Vec<u8>,
    /// The processor it is for.
    pub architecture: Architecture,
    /// Whether it boots by the PVH protocol, which QEMU needs.
    pub pvh: bool,
    /// The release, as `uname -r` will say.
    pub version: String,
}

/// Why bytes are no kernel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a bzImage nor an ELF file nor an aarch64 `Image`, packed or not.
    #[error("this is not a Linux kernel (vmlinux, vmlinuz or bzImage)")]
    NotKernel,
    /// A bzImage whose header points outside of it.
    #[error("the kernel is cut short: its header points outside of it")]
    CutShort,
    /// A bzImage from before Linux 2.6.24.
    #[error("the boot protocol {}.{:02} of this kernel is too old", version >> 8, version & 0xff)]
    TooOld {
        /// Version of the boot protocol.
        version: u16,
    },
    /// The payload does not begin like any compressed file.
    #[error("the payload of this kernel is in no known compression format")]
    UnknownPayload,
    /// The payload could not be unpacked.
    #[error("the kernel cannot be unpacked")]
    Decompress(#[from] compression::Error),
    /// An ELF file, but no kernel for a processor we know.
    #[error("this is an ELF file for machine {machine}, not a 64-bit kernel for x86-64 or aarch64")]
    ForeignElf {
        /// The ELF machine number.
        machine: u16,
    },
    /// No "Linux version ..." in it.
    #[error("this does not say which version of Linux it is")]
    NoVersion,
}

impl Error {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NotKernel | Self::ForeignElf { .. } | Self::NoVersion => {
                "give a vmlinux or vmlinuz file, a directory or image with boot/vmlinuz-*, or a \
                 distribution's kernel package (.deb)"
            }
            Self::CutShort | Self::UnknownPayload => "get the file again: it seems incomplete",
            Self::TooOld { .. } => "use a kernel of this decade",
            Self::Decompress(compression::Error::Unsupported { .. }) => {
                "unpack it with the kernel's scripts/extract-vmlinux, and give the vmlinux"
            }
            Self::Decompress(_) => return None,
        };
        Some(text.to_owned())
    }
}

/// Unpacks a kernel: a bzImage, an ELF vmlinux, an aarch64 `Image`, or any of these compressed.
pub fn unpack(bytes: &[u8]) -> Result<Vmlinux, Error> {
    if let Some(header) = Header::parse(bytes)? {
        let payload = header.payload(bytes)?;
        let format = Format::of(payload).ok_or(Error::UnknownPayload)?;
        let content = format.decompress(payload, MAX_SIZE)?;
        return examine(content, header.version(bytes));
    }
    match Format::of(bytes) {
        // Once: a kernel is not packed twice but for a compressed bzImage, which nobody ships.
        Some(format) => examine(format.decompress(bytes, MAX_SIZE)?, None),
        None => examine(bytes.to_vec(), None),
    }
}

/// The release of a kernel, packed or not; unpacks it only where nothing outside says.
pub fn version(bytes: &[u8]) -> Result<String, Error> {
    let outside = match Header::parse(bytes)? {
        Some(header) => header.version(bytes),
        None => None,
    };
    match outside {
        Some(version) => Ok(version),
        None => unpack(bytes).map(|kernel| kernel.version),
    }
}

fn examine(bytes: Vec<u8>, version: Option<String>) -> Result<Vmlinux, Error> {
    let (architecture, pvh) = if let Some(elf) = Elf::parse(&bytes) {
        match elf.machine() {
            X86_64 => (Architecture::Amd64, elf.has_pvh_entry()),
            AARCH64 => (Architecture::Arm64, false),
            machine => return Err(Error::ForeignElf { machine }),
        }
    } else if bytes.get(56..60) == Some(b"ARM\x64") {
        (Architecture::Arm64, false)
    } else {
        return Err(Error::NotKernel);
    };
    let version = version
        .or_else(|| banner_release(&bytes))
        .ok_or(Error::NoVersion)?;
    Ok(Vmlinux {
        bytes,
        architecture,
        pvh,
        version,
    })
}

/// The setup header of a bzImage.
struct Header {
    setup_sectors: u8,
    payload_offset: u32,
    payload_length: u32,
    version_offset: u16,
}

impl Header {
    /// The header if `bytes` is a bzImage.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, Error> {
        if bytes.get(0x1fe..0x200) != Some(&[0x55, 0xaa])
            || bytes.get(0x202..0x206) != Some(b"HdrS")
        {
            return Ok(None);
        }
        let u16_at = |at: usize| {
            let chunk = bytes.get(at..).and_then(|rest| rest.first_chunk());
            chunk
                .map(|chunk| u16::from_le_bytes(*chunk))
                .ok_or(Error::CutShort)
        };
        let u32_at = |at: usize| {
            let chunk = bytes.get(at..).and_then(|rest| rest.first_chunk());
            chunk
                .map(|chunk| u32::from_le_bytes(*chunk))
                .ok_or(Error::CutShort)
        };
        let version = u16_at(0x206)?;
        if version < 0x0208 {
            return Err(Error::TooOld { version });
        }
        Ok(Some(Self {
            // 0 means 4, says the boot protocol.
            setup_sectors: if bytes[0x1f1] == 0 { 4 } else { bytes[0x1f1] },
            payload_offset: u32_at(0x248)?,
            payload_length: u32_at(0x24c)?,
            version_offset: u16_at(0x20e)?,
        }))
    }

    fn payload<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], Error> {
        let start = (u64::from(self.setup_sectors) + 1) * 512 + u64::from(self.payload_offset);
        let end = start + u64::from(self.payload_length);
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let payload = range.and_then(|(start, end)| bytes.get(start..end));
        payload
            .filter(|payload| !payload.is_empty())
            .ok_or(Error::CutShort)
    }

    fn version(&self, bytes: &[u8]) -> Option<String> {
        if self.version_offset == 0 {
            return None;
        }
        release(bytes.get(usize::from(self.version_offset) + 0x200..)?)
    }
}

/// The release in the banner every kernel carries: `Linux version 6.1.0-9-amd64 (...`.
fn banner_release(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes;
    loop {
        rest = &rest[find(rest, BANNER)? + BANNER.len()..];
        if let Some(release) = release(rest) {
            return Some(release);
        }
    }
}

/// The word at the start of `bytes`, if it can be a kernel's release: it names a directory, too.
fn release(bytes: &[u8]) -> Option<String> {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_+~".contains(byte);
    let head = &bytes[..bytes.len().min(MAX_RELEASE + 1)];
    let length = head.iter().position(|byte| !legal(byte))?;
    let word = &head[..length];
    let plausible = word.first()?.is_ascii_digit() && word.contains(&b'.');
    (plausible && matches!(head[length], b' ' | 0))
        .then(|| String::from_utf8_lossy(word).into_owned())
}

/// Where `needle` first begins in `haystack`.
pub(super) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, mut from) = (*needle.first()?, 0);
    loop {
        from += haystack
            .get(from..)?
            .iter()
            .position(|byte| *byte == first)?;
        if haystack[from..].starts_with(needle) {
            return Some(from);
        }
        from += 1;
    }
}

#[cfg(test)]
#[path = "vmlinux_tests.rs"]
mod tests;
