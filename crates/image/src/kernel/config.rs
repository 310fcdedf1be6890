//! The configuration a kernel was built with: `CONFIG_X=y` lines.

use std::collections::BTreeMap;

use super::compression::Format;
use super::vmlinux::find;

/// The largest configuration taken, in bytes; they have some 300 kB.
pub const MAX_SIZE: u64 = 4 * 1024 * 1024;
/// What stands before a configuration kept in the kernel itself (`CONFIG_IKCONFIG`).
const EMBEDDED: &[u8] = b"IKCFG_ST\x1f\x8b\x08";

/// How a kernel has something that can be a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Built in.
    Yes,
    /// As a module.
    Module,
    /// Not at all.
    No,
}

/// A kernel's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    set: BTreeMap<String, Setting>,
}

impl Config {
    /// Of the text of a `config-*` file. None if it says nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let set: BTreeMap<_, _> = text.lines().filter_map(setting).collect();
        (!set.is_empty()).then_some(Self { set })
    }

    /// Of the copy some kernels carry in themselves.
    pub fn embedded(vmlinux: &[u8]) -> Option<Self> {
        let packed = &vmlinux[find(vmlinux, EMBEDDED)? + b"IKCFG_ST".len()..];
        let text = Format::Gzip.decompress(packed, MAX_SIZE).ok()?;
        Self::parse(&String::from_utf8_lossy(&text))
    }

    /// How it has `option` (`CONFIG_...`).
    pub fn get(&self, option: &str) -> Setting {
        self.set.get(option).copied().unwrap_or(Setting::No)
    }
}

fn setting(line: &str) -> Option<(String, Setting)> {
    let (option, value) = line.trim().split_once('=')?;
    let setting = match value {
        "y" => Setting::Yes,
        "m" => Setting::Module,
        _ => return None,
    };
    option
        .starts_with("CONFIG_")
        .then(|| (option.to_owned(), setting))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const TEXT: &str = "#\n# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=m\nCONFIG_D=\"y\"\n";

    fn check(config: &Config) {
        assert_eq!(config.get("CONFIG_A"), Setting::No);
        assert_eq!(config.get("CONFIG_B"), Setting::Yes);
        assert_eq!(config.get("CONFIG_C"), Setting::Module);
        assert_eq!(config.get("CONFIG_D"), Setting::No);
    }

    #[test]
    fn reads_a_file_and_the_copy_in_the_kernel() {
        check(&Config::parse(TEXT).expect("a configuration"));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(TEXT.as_bytes()).expect("to memory");
        let packed = gzip.finish().expect("to memory");
        let kernel = [b"...IKCFG_ST", packed.as_slice(), b"IKCFG_ED..."].concat();
        check(&Config::embedded(&kernel).expect("a configuration"));
        assert_eq!(Config::embedded(&kernel[..20]), None);
        assert_eq!(Config::parse("words\n"), None);
    }
}
