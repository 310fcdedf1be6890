//! Which program loads a program: the little of the ELF format that tells it.
//!
//! The file is a stranger's: every read is bounded, and what does not add up is refused.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// More program headers than any program has.
const MOST_HEADERS: u16 = 256;
/// The size of a program header of a 64-bit file.
const HEADER: u16 = 56;
/// `PATH_MAX`, its zero byte included.
const LONGEST_PATH: u64 = 4096;
/// Loads the program itself, in the header's `p_type`.
const PT_INTERP: u32 = 3;

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// Why a file was not understood.
#[derive(Debug)]
pub(super) enum Fault {
    /// It could not be read.
    Io(io::Error),
    /// It is not what it should be.
    Format(&'static str),
}

/// The program that loads this one (`PT_INTERP`); none for a static one.
pub(super) fn interpreter(file: &File) -> Result<Option<PathBuf>, Fault> {
    let head: [u8; 64] = read(file, 0, "it is too short")?;
    if &head[..4] != b"\x7fELF" {
        return Err(Fault::Format("it is not an ELF file"));
    }
    // 64 bits, the lesser byte first.
    if head[4..6] != [2, 1] || half(&head, 18) != MACHINE {
        return Err(Fault::Format("it is for another kind of processor"));
    }
    let (start, size, count) = (wide(&head, 32), half(&head, 54), half(&head, 56));
    if size != HEADER || count > MOST_HEADERS {
        return Err(Fault::Format("its table of program headers is not usual"));
    }
    for index in 0..u64::from(count) {
        let place = start
            .checked_add(index * u64::from(HEADER))
            .ok_or(Fault::Format("its program headers lie outside of it"))?;
        let header: [u8; HEADER as usize] =
            read(file, place, "its program headers lie outside of it")?;
        if word(&header, 0) == PT_INTERP {
            return path(file, wide(&header, 8), wide(&header, 32)).map(Some);
        }
    }
    Ok(None)
}

/// The path of `length` bytes at `place`, its zero byte included.
fn path(file: &File, place: u64, length: u64) -> Result<PathBuf, Fault> {
    const WRONG: Fault = Fault::Format("the path of its loader makes no sense");
    let length = usize::try_from(length).map_err(|_| WRONG)?;
    if length as u64 > LONGEST_PATH {
        return Err(WRONG);
    }
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, place).map_err(|_| WRONG)?;
    match bytes.split_last() {
        Some((0, path)) if path.starts_with(b"/") && !path.contains(&0) => {
            Ok(PathBuf::from(OsStr::from_bytes(path)))
        }
        _ => Err(WRONG),
    }
}

fn read<const N: usize>(file: &File, place: u64, short: &'static str) -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    match file.read_exact_at(&mut bytes, place) {
        Ok(()) => Ok(bytes),
        // A place past what a file can have is refused as an invalid argument.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput
            ) =>
        {
            Err(Fault::Format(short))
        }
        Err(error) => Err(Fault::Io(error)),
    }
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from(half(bytes, at)) | u32::from(half(bytes, at + 2)) << 16
}

fn wide(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        file
    }

    /// A program with one header of this type that tells of this path.
    fn program(kind: u32, path: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 64 + usize::from(HEADER)];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&MACHINE.to_le_bytes());
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64..68].copy_from_slice(&kind.to_le_bytes());
        bytes[72] = 120;
        bytes[96..104].copy_from_slice(&(path.len() as u64).to_le_bytes());
        bytes.extend(path);
        bytes
    }

    fn fault(bytes: &[u8]) -> &'static str {
        match interpreter(&file(bytes)) {
            Err(Fault::Format(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tells_the_loader() {
        let found = interpreter(&file(&program(PT_INTERP, b"/lib64/ld.so\0"))).expect("understood");
        assert_eq!(found, Some(PathBuf::from("/lib64/ld.so")));
        let found = interpreter(&file(&program(1, b"/lib64/ld.so\0"))).expect("understood");
        assert_eq!(found, None);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        assert_eq!(fault(b""), "it is too short");
        assert_eq!(fault(&[b'#'; 100]), "it is not an ELF file");
        let loader = "the path of its loader makes no sense";
        for path in [
            &b""[..],
            b"\0",
            b"/lib",
            b"lib\0",
            b"/a\0b\0",
            &[b'/'; 5000],
        ] {
            assert_eq!(fault(&program(PT_INTERP, path)), loader, "{path:?}");
        }
        let good = program(PT_INTERP, b"/lib64/ld.so\0");
        let with = |place: usize, bytes: &[u8]| {
            let mut file = good.clone();
            file[place..place + bytes.len()].copy_from_slice(bytes);
            file
        };
        assert_eq!(fault(&with(4, &[1])), "it is for another kind of processor");
        assert_eq!(
            fault(&with(18, &[0xff])),
            "it is for another kind of processor"
        );
        let table = "its table of program headers is not usual";
        assert_eq!(fault(&with(54, &[57])), table);
        assert_eq!(fault(&with(56, &[0xff, 0xff])), table);
        let outside = "its program headers lie outside of it";
        assert_eq!(fault(&with(32, &[0xff; 8])), outside);
        assert_eq!(fault(&with(32, &[0xff, 0xff])), outside);
        assert_eq!(fault(&with(96, &[0xff; 8])), loader);
        assert_eq!(fault(&with(72, &[0xff; 8])), loader);
    }

    proptest! {
        #[test]
        fn any_file_gets_an_answer(place in 6..150usize, bytes in prop::collection::vec(any::<u8>(), 1..12)) {
            let mut program = program(PT_INTERP, b"/lib64/ld.so\0");
            for (byte, new) in program.iter_mut().skip(place).zip(bytes) {
                *byte = new;
            }
            let _ = interpreter(&file(&program));
        }
    }
}
