//! The few things read from ELF files: 64-bit, little-endian, every offset taken with suspicion.

/// Machine number of x86-64.
pub const X86_64: u16 = 62;
/// Machine number of aarch64.
pub const AARCH64: u16 = 183;

const SEGMENT_INTERPRETER: u32 = 3;
const SEGMENT_NOTE: u32 = 4;
/// `XEN_ELFNOTE_PHYS32_ENTRY`: the entry point of the PVH boot protocol.
const NOTE_PVH_ENTRY: u32 = 18;

/// Bytes of a program header and of a section header.
const SEGMENT_HEADER: u16 = 56;
const SECTION_HEADER: u16 = 64;
/// Segments of notes looked at, and bytes of each; kernels have one, of less than a kilobyte.
const MAX_NOTE_SEGMENTS: usize = 16;
const MAX_NOTES: usize = 64 * 1024;

/// An ELF file in memory.
#[derive(Debug, Clone, Copy)]
pub struct Elf<'a> {
    bytes: &'a [u8],
}

impl<'a> Elf<'a> {
    /// The ELF file that `bytes` is, if it is a 64-bit little-endian one.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() >= 64 && bytes.starts_with(b"\x7fELF\x02\x01")).then_some(Self { bytes })
    }

    /// The machine it is for.
    pub fn machine(&self) -> u16 {
        self.u16(18).unwrap_or(0)
    }

    /// Whether it needs a dynamic loader.
    pub fn has_interpreter(&self) -> bool {
        self.segments().any(|(kind, _)| kind == SEGMENT_INTERPRETER)
    }

    /// Whether it carries the note that makes it bootable by the PVH protocol.
    pub fn has_pvh_entry(&self) -> bool {
        self.segments()
            .filter(|(kind, _)| *kind == SEGMENT_NOTE)
            .take(MAX_NOTE_SEGMENTS)
            .flat_map(|(_, content)| notes(&content[..content.len().min(MAX_NOTES)]))
            .any(|(name, kind)| name == b"Xen\0" && kind == NOTE_PVH_ENTRY)
    }

    /// Content of the first section of that name.
    pub fn section(&self, name: &[u8]) -> Option<&'a [u8]> {
        let names = self.section_at(self.u16(62)?)?;
        (0..self.u16(60)?).find_map(|number| {
            let header = self.section_header(number)?;
            let start = names.get(u32_at(header, 0)? as usize..)?;
            let is_named = start.strip_prefix(name)?.first() == Some(&0);
            is_named.then(|| self.section_at(number)).flatten()
        })
    }

    fn segments(&self) -> impl Iterator<Item = (u32, &'a [u8])> {
        let elf = *self;
        // Headers of another size could all lie over each other.
        let size = elf.u16(54).filter(|size| *size == SEGMENT_HEADER);
        let (table, count) = (elf.u64(32), elf.u16(56).unwrap_or(0));
        (0..usize::from(count)).filter_map(move |number| {
            let offset = number as u64 * u64::from(size?);
            let header = elf.range(table?.checked_add(offset)?, SEGMENT_HEADER.into())?;
            let content = elf.range(u64_at(header, 8)?, u64_at(header, 32)?)?;
            Some((u32_at(header, 0)?, content))
        })
    }

    fn section_header(&self, number: u16) -> Option<&'a [u8]> {
        let size = self.u16(58).filter(|size| *size == SECTION_HEADER)?;
        let offset = u64::from(number) * u64::from(size);
        self.range(self.u64(40)?.checked_add(offset)?, SECTION_HEADER.into())
    }

    fn section_at(&self, number: u16) -> Option<&'a [u8]> {
        let header = self.section_header(number)?;
        self.range(u64_at(header, 24)?, u64_at(header, 32)?)
    }

    fn range(&self, offset: u64, length: u64) -> Option<&'a [u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        self.bytes.get(start..end)
    }

    fn u16(&self, offset: usize) -> Option<u16> {
        let bytes = self.bytes.get(offset..)?.first_chunk()?;
        Some(u16::from_le_bytes(*bytes))
    }

    fn u64(&self, offset: usize) -> Option<u64> {
        u64_at(self.bytes, offset)
    }
}

/// Name and type of each note in `content`.
fn notes(mut content: &[u8]) -> impl Iterator<Item = (&[u8], u32)> {
    std::iter::from_fn(move || {
        let name_length = u32_at(content, 0)? as usize;
        let value_length = u32_at(content, 4)? as usize;
        let kind = u32_at(content, 8)?;
        let name = content.get(12..)?.get(..name_length)?;
        let next = 12_usize
            .checked_add(name_length.checked_next_multiple_of(4)?)?
            .checked_add(value_length.checked_next_multiple_of(4)?)?;
        content = content.get(next..).unwrap_or(&[]);
        Some((name, kind))
    })
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// ELF files made by hand, for tests.
#[cfg(test)]
pub(crate) mod sample {
    /// An ELF file with one note segment holding the PVH entry, then `tail`.
    pub fn vmlinux(tail: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [4_u32, 4, 18] {
            note.extend(word.to_le_bytes());
        }
        note.extend(b"Xen\0\0\0\x00\x01");
        let mut bytes = header(1, 0, 0);
        bytes.extend(segment(4, 120, note.len() as u64));
        bytes.extend(note);
        bytes.extend(tail);
        bytes
    }

    /// A module with that `.modinfo`.
    pub fn module(modinfo: &[u8]) -> Vec<u8> {
        let names = b"\0.modinfo\0.shstrtab\0";
        let (info_at, names_at) = (64, 64 + modinfo.len() as u64);
        let table = names_at + names.len() as u64;
        let mut bytes = header(0, table, 3);
        bytes.extend(modinfo);
        bytes.extend(names);
        bytes.extend([0; 64]);
        bytes.extend(section(1, info_at, modinfo.len() as u64));
        bytes.extend(section(10, names_at, names.len() as u64));
        bytes
    }

    /// A static program, or one that needs a loader.
    pub fn program(interpreter: bool) -> Vec<u8> {
        let mut bytes = header(1, 0, 0);
        bytes.extend(segment(if interpreter { 3 } else { 1 }, 0, 64));
        bytes
    }

    fn header(segments: u16, sections_at: u64, sections: u16) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend(2_u16.to_le_bytes());
        bytes.extend(super::X86_64.to_le_bytes());
        bytes.resize(32, 0);
        bytes.extend(64_u64.to_le_bytes());
        bytes.extend(sections_at.to_le_bytes());
        bytes.extend([0; 4]);
        for half in [64, 56, segments, 64, sections, sections.saturating_sub(1)] {
            bytes.extend(half.to_le_bytes());
        }
        bytes
    }

    fn segment(kind: u32, offset: u64, size: u64) -> Vec<u8> {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend([0; 4]);
        for value in [offset, 0, 0, size, size, 0] {
            bytes.extend(value.to_le_bytes());
        }
        bytes
    }

    fn section(name: u32, offset: u64, size: u64) -> Vec<u8> {
        let mut bytes = name.to_le_bytes().to_vec();
        bytes.resize(24, 0);
        bytes.extend(offset.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes.resize(64, 0);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_notes_sections_and_the_interpreter() {
        let vmlinux = sample::vmlinux(b"");
        let elf = Elf::parse(&vmlinux).expect("an ELF file");
        assert_eq!(elf.machine(), X86_64);
        assert!(elf.has_pvh_entry());
        assert!(!elf.has_interpreter());

        let module = sample::module(b"name=x\0");
        let elf = Elf::parse(&module).expect("an ELF file");
        assert_eq!(elf.section(b".modinfo"), Some(&b"name=x\0"[..]));
        assert_eq!(elf.section(b".absent"), None);
        assert!(!elf.has_pvh_entry());

        assert!(
            Elf::parse(&sample::program(true))
                .expect("an ELF file")
                .has_interpreter()
        );
        assert!(Elf::parse(b"\x7fELF\x01\x01").is_none());
    }

    #[test]
    fn tables_that_lie_over_each_other_cost_no_time() {
        let mut bytes = sample::vmlinux(&vec![0; 4 << 20]);
        // One segment of notes, all of the file, 65535 times.
        bytes[54..58].copy_from_slice(&[0, 0, 0xff, 0xff]);
        bytes[64 + 8..64 + 16].copy_from_slice(&128_u64.to_le_bytes());
        bytes[64 + 32..64 + 40].copy_from_slice(&(4_u64 << 20).to_le_bytes());
        assert!(!Elf::parse(&bytes).expect("an ELF file").has_pvh_entry());
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(
            mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..32),
            keep in any::<prop::sample::Index>(),
            module in any::<bool>(),
        ) {
            let mut bytes = if module { sample::module(b"name=x\0") } else { sample::vmlinux(b"") };
            for (index, value) in mutations {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            bytes.truncate(keep.index(bytes.len() + 1));
            if let Some(elf) = Elf::parse(&bytes) {
                let _ = (elf.machine(), elf.has_interpreter(), elf.has_pvh_entry());
                let _ = elf.section(b".modinfo");
            }
        }
    }
}
