//! Whiteouts: names in a layer that remove what lower layers have.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use ignite_archive::EntryError;

/// What an entry's last name asks of the layers below.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whiteout<'a> {
    /// This name goes.
    Of(&'a OsStr),
    /// All the lower layers have in the directory goes.
    Opaque,
    /// Bookkeeping of AUFS, of no meaning here.
    Ignored,
}

/// Whether `name` is a whiteout, and of what (OCI image specification, "Layer filesystem changeset").
pub(super) fn whiteout(name: &OsStr) -> Result<Option<Whiteout<'_>>, EntryError> {
    let Some(rest) = name.as_bytes().strip_prefix(b".wh.") else {
        return Ok(None);
    };
    match rest {
        b".wh..opq" => Ok(Some(Whiteout::Opaque)),
        rest if rest.starts_with(b".wh.") => Ok(Some(Whiteout::Ignored)),
        b"" | b"." | b".." => Err(EntryError::Whiteout),
        rest => Ok(Some(Whiteout::Of(OsStr::from_bytes(rest)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteouts() {
        let of = |name: &'static str| whiteout(OsStr::new(name)).expect(name);
        assert_eq!(of("x"), None);
        assert_eq!(of(".wh.x"), Some(Whiteout::Of(OsStr::new("x"))));
        assert_eq!(of(".wh..wh..opq"), Some(Whiteout::Opaque));
        assert_eq!(of(".wh..wh.plnk"), Some(Whiteout::Ignored));
        for name in [".wh.", ".wh..", ".wh..."] {
            assert!(whiteout(OsStr::new(name)).is_err(), "{name}");
        }
    }
}
