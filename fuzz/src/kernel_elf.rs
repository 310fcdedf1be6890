//! ELF files: kernels, modules, programs of an image.

use ignite_image::kernel::elf::Elf;
use ignite_image::kernel::modules::ModInfo;

/// Whatever the tables say, nothing outside of the file is read; a module cannot forge lines of the
/// lists that are written from what it says.
pub fn run(bytes: &[u8]) {
    let Some(elf) = Elf::parse(bytes) else { return };
    let _ = (elf.machine(), elf.has_interpreter(), elf.has_pvh_entry());
    let _ = elf.section(b".modinfo");
    if let Some(info) = ModInfo::of(bytes) {
        let before = info.soft_before();
        let words = info.depends.iter().chain(&info.aliases).chain(&before);
        for word in words.chain(&info.softdeps) {
            assert!(!word.contains(['\n', '\r', '\0']), "{word:?}");
        }
    }
}
