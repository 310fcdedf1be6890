//! Memory, as `/proc/meminfo` counts it.

use super::{field, text};

/// Memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// What new programs can have without swapping.
    pub available: u64,
}

impl Memory {
    /// This host's; none where `/proc` does not say.
    pub fn read() -> Option<Self> {
        Self::parse(&text("/proc/meminfo")?)
    }

    fn parse(meminfo: &str) -> Option<Self> {
        let bytes = |name| {
            let kib = field(meminfo, name)?.strip_suffix("kB")?;
            kib.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self {
            total: bytes("MemTotal")?,
            available: bytes("MemAvailable")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kibibytes_are_bytes() {
        let read = Memory::parse("MemTotal:  2048 kB\nMemFree: 1 kB\nMemAvailable:   512 kB\n");
        let (total, available) = (2 << 20, 512 << 10);
        assert_eq!(read, Some(Memory { total, available }));
        assert_eq!(Memory::parse("MemTotal: much\nMemAvailable: 1 kB\n"), None);
        assert_eq!(Memory::parse(""), None);
    }
}
