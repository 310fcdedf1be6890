use proptest::prelude::*;

use super::super::elf::sample;
use super::*;

/// A bzImage around `payload`, with its version string.
fn bzimage(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    bytes[0x1f1] = 1;
    bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
    bytes[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
    bytes[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
    bytes[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    let version = b"6.1.0-9-cloud-amd64 (someone@somewhere) #1 SMP\0";
    bytes[0x300..0x300 + version.len()].copy_from_slice(version);
    bytes.extend([0; 16]);
    bytes.extend(payload);
    bytes.extend([0; 100]);
    bytes
}

fn gzip(content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).expect("to memory");
    encoder.finish().expect("to memory")
}

#[test]
fn a_bzimage_is_unpacked_and_says_its_version_itself() {
    let content = sample::vmlinux(b"nothing else");
    let kernel = unpack(&bzimage(&gzip(&content))).expect("a kernel");
    assert_eq!(kernel.bytes, content);
    assert_eq!(kernel.version, "6.1.0-9-cloud-amd64");
    assert_eq!(kernel.architecture, Architecture::Amd64);
    assert!(kernel.pvh);
}

#[test]
fn an_elf_kernel_is_taken_as_it_is_packed_or_not() {
    let content = sample::vmlinux(b"Linux version %s Linux version 5.10.9+ (gcc) #1\0");
    for bytes in [content.clone(), gzip(&content)] {
        let kernel = unpack(&bytes).expect("a kernel");
        assert_eq!(kernel.bytes, content);
        assert_eq!(kernel.version, "5.10.9+");
    }
}

#[test]
fn an_aarch64_image_is_taken() {
    let mut content = vec![0; 56];
    content.extend(b"ARM\x64.....Linux version 6.6.1 (x)");
    let kernel = unpack(&gzip(&content)).expect("a kernel");
    assert_eq!(kernel.architecture, Architecture::Arm64);
    assert!(!kernel.pvh);
}

#[test]
fn what_is_no_kernel_is_refused_by_its_kind() {
    assert!(matches!(unpack(b""), Err(Error::NotKernel)));
    assert!(matches!(unpack(b"#!/bin/sh\n"), Err(Error::NotKernel)));
    assert!(matches!(
        unpack(&sample::vmlinux(b"")),
        Err(Error::NoVersion)
    ));
    assert!(matches!(unpack(&bzimage(b"")), Err(Error::CutShort)));
    assert!(matches!(
        unpack(&bzimage(b"plain")),
        Err(Error::UnknownPayload)
    ));
    let cut = &bzimage(&gzip(&[7; 5000]))[..0x420];
    assert!(matches!(unpack(cut), Err(Error::CutShort)));
    let error = unpack(&bzimage(b"\x89LZO\0\r\n\x1a\n")).expect_err("lzo");
    assert!(error.hint().expect("a hint").contains("extract-vmlinux"));
}

#[test]
fn a_release_cannot_climb_out_of_a_directory() {
    assert_eq!(release(b"6.1.0 x"), Some("6.1.0".into()));
    assert_eq!(release(b"6.1/../../etc x"), None);
    assert_eq!(release(b"..6.1 x"), None);
    assert_eq!(release(b"6.1"), None);
    assert_eq!(release(&[b'6'; 100]), None);
}

proptest! {
    #[test]
    fn hostile_bytes_are_an_error_never_a_panic(
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..16),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut bytes = bzimage(&gzip(&sample::vmlinux(b"Linux version 6.1.0 (x)")));
        for (index, value) in mutations {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(keep.index(bytes.len() + 1));
        let _ = unpack(&bytes);
    }
}
