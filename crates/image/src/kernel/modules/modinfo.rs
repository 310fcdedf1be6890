//! What a module says of itself: the `.modinfo` section, `key=value` strings with NULs between.

use crate::kernel::elf::Elf;

/// Longer lines are no module's: the longest known have some hundred bytes.
const MAX_LINE: usize = 4096;

/// The lines of `.modinfo` that decide about loading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModInfo {
    /// Names of the modules whose symbols it uses.
    pub depends: Vec<String>,
    /// Patterns of the devices and services it is for.
    pub aliases: Vec<String>,
    /// Values of `softdep`, as they are: `pre: a b post: c`.
    pub softdeps: Vec<String>,
    /// First word of `vermagic`: the release of the kernel it was built for.
    pub release: Option<String>,
}

impl ModInfo {
    /// Of an uncompressed module file; none if it is no module.
    pub fn of(module: &[u8]) -> Option<Self> {
        Elf::parse(module)?.section(b".modinfo").map(Self::parse)
    }

    /// Of the content of the section.
    pub fn parse(section: &[u8]) -> Self {
        let mut info = Self::default();
        for line in section
            .split(|byte| *byte == 0)
            .filter(|line| line.len() <= MAX_LINE)
        {
            let line = String::from_utf8_lossy(line);
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            // A line break would forge lines of the files written for modprobe.
            if value.contains(['\n', '\r']) {
                continue;
            }
            match key {
                "depends" => info.depends.extend(names(value.split(','))),
                "alias" => info.aliases.push(value.to_owned()),
                "softdep" => info.softdeps.push(value.to_owned()),
                "vermagic" => info.release = value.split(' ').next().map(str::to_owned),
                _ => {}
            }
        }
        info
    }

    /// What should be loaded before it if it can be: names or aliases.
    pub fn soft_before(&self) -> Vec<String> {
        let mut before = false;
        let words = self
            .softdeps
            .iter()
            .flat_map(|line| line.split_whitespace());
        let mut wanted = Vec::new();
        for word in words {
            match word {
                "pre:" => before = true,
                "post:" => before = false,
                word if before => wanted.push(word.to_owned()),
                _ => {}
            }
        }
        wanted
    }
}

/// The one spelling of a module's name: files may have `-` where the kernel says `_`.
pub fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

fn names<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    words
        .filter(|word| !word.is_empty())
        .map(canonical)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_decides_about_loading() {
        let info = ModInfo::parse(
            b"license=GPL\0alias=virtio:d00000001v*\0depends=virtio_ring,virtio-x\0\
              softdep=pre: crypto-crc32c other post: late\0name=x\0junk\0\
              vermagic=6.1.0-9 SMP preempt \0alias=evil\nalias a b\0",
        );
        assert_eq!(info.depends, ["virtio_ring", "virtio_x"]);
        assert_eq!(info.aliases, ["virtio:d00000001v*"]);
        assert_eq!(info.soft_before(), ["crypto-crc32c", "other"]);
        assert_eq!(info.release.as_deref(), Some("6.1.0-9"));
        assert_eq!(ModInfo::parse(b"depends=\0").depends, Vec::<String>::new());
    }

    #[test]
    fn reads_the_section_of_a_module() {
        let module = crate::kernel::elf::sample::module(b"depends=a\0");
        assert_eq!(ModInfo::of(&module).expect("a module").depends, ["a"]);
        assert_eq!(ModInfo::of(b"no module"), None);
    }
}
