//! Kernels of a few instructions, in the PVH format, as QEMU boots a `vmlinux`.

/// Prints `Hi` on the first serial port, then waits for ever (`out`; `cli`; `hlt`).
pub const IDLE: &[u8] = &[
    0x66, 0xba, 0xf8, 0x03, 0xb0, b'H', 0xee, 0xb0, b'i', 0xee, 0xfa, 0xf4, 0xeb, 0xfc,
];

/// An ELF file with `code` at 1 MiB and the note that makes it bootable by PVH
/// (`XEN_ELFNOTE_PHYS32_ENTRY`).
pub fn pvh_kernel(code: &[u8]) -> Vec<u8> {
    const ENTRY: u64 = 0x10_0000;
    const HEADERS: u64 = 64 + 2 * 56;
    let mut note = Vec::new();
    for word in [4u32, 8, 18] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"Xen\0");
    note.extend(ENTRY.to_le_bytes());
    let program = |kind: u32, offset: u64, address: u64, size: u64| {
        let mut header = Vec::new();
        header.extend(kind.to_le_bytes());
        header.extend(5u32.to_le_bytes());
        for field in [offset, address, address, size, size, 4] {
            header.extend(field.to_le_bytes());
        }
        header
    };
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for field in [ENTRY, 64, 0] {
        elf.extend(field.to_le_bytes());
    }
    elf.extend(0u32.to_le_bytes());
    for field in [64u16, 56, 2, 64, 0, 0] {
        elf.extend(field.to_le_bytes());
    }
    let note_size = note.len() as u64;
    elf.extend(program(4, HEADERS, ENTRY + 0x1000, note_size));
    elf.extend(program(1, HEADERS + note_size, ENTRY, code.len() as u64));
    elf.extend(note);
    elf.extend(code);
    elf
}
