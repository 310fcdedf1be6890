//! Debian packages: an `ar` archive with `debian-binary`, `control.tar.*` and `data.tar.*`, the last
//! of which holds the files (deb(5)).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;
/// A package has three; more than this is something else.
const MAX_MEMBERS: usize = 32;

/// Why a file is no package.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the package")]
    Read(#[from] io::Error),
    /// It is no `ar` archive, or a damaged one.
    #[error("this is not a Debian package")]
    NotPackage,
    /// There is no `data.tar` in it.
    #[error("this package has no files: there is no data.tar in it")]
    NoData,
}

/// The packed tar with the package's files.
#[derive(Debug)]
pub struct Data<R> {
    /// Its bytes.
    pub reader: io::Take<R>,
    /// How many.
    pub size: u64,
}

/// The files of the package at `path`.
pub fn open(path: &Path) -> Result<Data<File>, Error> {
    data(File::open(path)?)
}

/// The files of a package.
pub fn data<R: Read + Seek>(mut package: R) -> Result<Data<R>, Error> {
    let length = package.seek(SeekFrom::End(0))?;
    package.rewind()?;
    let mut magic = [0; MAGIC.len()];
    fill(&mut package, &mut magic)?;
    if &magic != MAGIC {
        return Err(Error::NotPackage);
    }
    let mut at = MAGIC.len() as u64;
    for _ in 0..MAX_MEMBERS {
        if at >= length {
            break;
        }
        package.seek(SeekFrom::Start(at))?;
        let mut header = [0; HEADER];
        fill(&mut package, &mut header)?;
        let (name, size) = member(&header).ok_or(Error::NotPackage)?;
        let start = at + HEADER as u64;
        if length - start < size {
            return Err(Error::NotPackage);
        }
        if name == "data.tar" || name.starts_with("data.tar.") {
            let reader = package.take(size);
            return Ok(Data { reader, size });
        }
        // Members begin at even offsets.
        at = start + size.next_multiple_of(2);
    }
    Err(Error::NoData)
}

/// Name and size in the header of a member.
fn member(header: &[u8; HEADER]) -> Option<(&str, u64)> {
    let text = std::str::from_utf8(header).ok()?;
    let name = text.get(..16)?.trim_end().trim_end_matches('/');
    let size = text.get(48..58)?.trim_end().parse().ok()?;
    text.ends_with("`\n").then_some((name, size))
}

fn fill(package: &mut impl Read, buffer: &mut [u8]) -> Result<(), Error> {
    package
        .read_exact(buffer)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::NotPackage,
            _ => error.into(),
        })
}

#[cfg(test)]
pub(crate) mod sample {
    /// A package with that `data.tar`, whatever its packing.
    pub fn package(data: &[u8]) -> Vec<u8> {
        let mut bytes = super::MAGIC.to_vec();
        for (name, content) in [
            ("debian-binary", &b"2.0\n"[..]),
            ("control.tar.xz", b"odd"),
            ("data.tar.gz", data),
        ] {
            let size = content.len();
            bytes.extend(
                format!(
                    "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
                    0, 0, 0, 100_644
                )
                .bytes(),
            );
            bytes.extend(content);
            bytes.resize(bytes.len().next_multiple_of(2), b'\n');
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    #[test]
    fn finds_the_files_behind_members_of_odd_size() {
        let mut found = data(Cursor::new(sample::package(b"the files"))).expect("a package");
        let mut content = Vec::new();
        found.reader.read_to_end(&mut content).expect("memory");
        assert_eq!((content.as_slice(), found.size), (&b"the files"[..], 9));
    }

    #[test]
    fn what_is_no_package_is_refused() {
        assert!(matches!(data(Cursor::new(b"")), Err(Error::NotPackage)));
        assert!(matches!(data(Cursor::new(MAGIC)), Err(Error::NoData)));
        let whole = sample::package(b"the files");
        let cut = &whole[..whole.len() - 5];
        assert!(matches!(data(Cursor::new(cut)), Err(Error::NotPackage)));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(
            mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..16),
            keep in any::<prop::sample::Index>(),
        ) {
            let mut bytes = sample::package(b"the files");
            for (index, value) in mutations {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            bytes.truncate(keep.index(bytes.len() + 1));
            if let Ok(mut found) = data(Cursor::new(bytes)) {
                let _ = io::copy(&mut found.reader, &mut io::sink());
            }
        }
    }
}
