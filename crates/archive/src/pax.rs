//! Extended headers of POSIX (pax) archives.
//!
//! Records are cut by their stated length, not at line ends: a file capability is binary and may hold
//! a line feed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use ignite_host::fs::Time;

use crate::read::{LONGEST_EXTENSION, TarError};

const XATTR: &[u8] = b"SCHILY.xattr.";

/// Extended attributes of one file: far more than any has.
const MOST_XATTRS: usize = 1024;

/// What the records say about the next entry. Unset fields leave the plain header's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<Time>,
    pub xattrs: Vec<(OsString, Vec<u8>)>,
    pub sparse: SparseRecords,
    /// Bytes of all headers that said this.
    length: u64,
}

/// The `GNU.sparse.*` records of formats 0.0, 0.1 and 1.0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SparseRecords {
    pub major: Option<u64>,
    pub minor: Option<u64>,
    pub real_size: Option<u64>,
    pub name: Option<Vec<u8>>,
    /// Offset and length one after the other, formats 0.0 and 0.1.
    pub map: Option<Vec<u64>>,
}

impl Pax {
    /// Adds the records of one extended header. Several for one entry are together no longer than one
    /// may be.
    pub fn read(&mut self, mut bytes: &[u8]) -> Result<(), TarError> {
        self.length += bytes.len() as u64;
        if self.length > LONGEST_EXTENSION {
            return Err(TarError::TooLong);
        }
        // Some writers pad the last record with zeros.
        while bytes.first().is_some_and(|byte| *byte != 0) {
            let (key, value, rest) = record(bytes).ok_or(TarError::Pax)?;
            self.set(key, value)?;
            bytes = rest;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarError> {
        if let Some(name) = key.strip_prefix(XATTR) {
            let name = OsString::from_vec(name.to_vec());
            self.xattrs.retain(|(other, _)| *other != name);
            if self.xattrs.len() >= MOST_XATTRS {
                return Err(TarError::TooLong);
            }
            self.xattrs.push((name, value.to_vec()));
            return Ok(());
        }
        if value.is_empty() {
            return Ok(());
        }
        let sparse = &mut self.sparse;
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number(value)?),
            b"uid" => self.uid = Some(number(value)?),
            b"gid" => self.gid = Some(number(value)?),
            b"mtime" => self.mtime = Some(time(value)?),
            b"GNU.sparse.major" => sparse.major = Some(number(value)?),
            b"GNU.sparse.minor" => sparse.minor = Some(number(value)?),
            b"GNU.sparse.name" => sparse.name = Some(value.to_vec()),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => sparse.real_size = Some(number(value)?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                sparse.map.get_or_insert_default().push(number(value)?);
            }
            b"GNU.sparse.map" => {
                let numbers = value.split(|byte| *byte == b',').map(number);
                sparse.map = Some(numbers.collect::<Result<_, _>>()?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Key and value of the first record, and what follows it: `"<length> <key>=<value>\n"`.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(number(&bytes[..space]).ok()?).ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some((&body[..equals], &body[equals + 1..], rest))
}

/// A decimal number and nothing else.
pub(crate) fn number(text: &[u8]) -> Result<u64, TarError> {
    if !text.iter().all(u8::is_ascii_digit) {
        return Err(TarError::Pax);
    }
    let text = std::str::from_utf8(text).map_err(|_| TarError::Pax)?;
    text.parse().map_err(|_| TarError::Pax)
}

/// `[-]seconds[.fraction]`, rounded down as the files' times are.
fn time(text: &[u8]) -> Result<Time, TarError> {
    let text = std::str::from_utf8(text).map_err(|_| TarError::Pax)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| TarError::Pax)?;
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanoseconds = u32::try_from(number(digits.as_bytes())?).map_err(|_| TarError::Pax)?;
    Ok(match (whole.starts_with('-'), nanoseconds) {
        (true, 1..) => Time {
            seconds: seconds.checked_sub(1).ok_or(TarError::Pax)?,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
        _ => Time {
            seconds,
            nanoseconds,
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes a record; the length counts its own digits.
    pub(crate) fn written(key: &str, value: &[u8]) -> Vec<u8> {
        let body = key.len() + value.len() + 3;
        let mut length = body + 1;
        while body + length.to_string().len() != length {
            length += 1;
        }
        [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
    }

    #[test]
    fn reads_binary_values() {
        let capability = [1, 0, 0, 2, b'\n', b'=', 0, 0, 0, 10, 10];
        let mut bytes = written("SCHILY.xattr.security.capability", &capability);
        bytes.extend(written("path", b"a/b"));
        let mut pax = Pax::default();
        pax.read(&bytes).expect("records");
        assert_eq!(
            pax.xattrs,
            [("security.capability".into(), capability.to_vec())]
        );
        assert_eq!(pax.path.as_deref(), Some(&b"a/b"[..]));
    }

    #[test]
    fn times_before_the_epoch_round_down() {
        let read = |text: &str| {
            time(text.as_bytes())
                .map(|t| (t.seconds, t.nanoseconds))
                .ok()
        };
        assert_eq!(read("12.5"), Some((12, 500_000_000)));
        assert_eq!(read("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(read("-0.25"), Some((-1, 750_000_000)));
        assert_eq!(read("1.1234567899"), Some((1, 123_456_789)));
        assert_eq!(read("1.x"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn refuses_lengths_that_lie() {
        for bytes in [
            &b"99 path=a\n"[..],
            b"3 p",
            b"x path=a\n",
            b"10 path=ab",
            b"0 a=b\n",
        ] {
            assert!(Pax::default().read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn many_headers_are_together_no_longer_than_one() {
        let mut pax = Pax::default();
        let header = written("comment", &[b'x'; 100_000]);
        let read = (0..20).map(|_| pax.read(&header)).take_while(Result::is_ok);
        assert_eq!(read.count(), 10);
        let mut pax = Pax::default();
        let read =
            (0..2000).map(|number| pax.read(&written(&format!("SCHILY.xattr.user.{number}"), b"")));
        assert_eq!(read.take_while(Result::is_ok).count(), MOST_XATTRS);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pax::default().read(&bytes);
        }

        #[test]
        fn reads_back_any_value(value in proptest::collection::vec(any::<u8>(), 1..300)) {
            let mut pax = Pax::default();
            pax.read(&written("linkpath", &value)).expect("a record");
            prop_assert_eq!(pax.link, Some(value));
        }
    }
}
