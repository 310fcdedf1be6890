//! The private key of this node, in a file that `flanneld` writes and reads as well: base64, mode 0400.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boringtun::x25519::{PublicKey, StaticSecret};
use ignite_host::fs::{read_bounded, write_atomic};

use crate::backend::Error;
use crate::lease::data::wireguard_key;

/// Base64 of 32 bytes, and room for white space.
const LARGEST: u64 = 128;

/// The key pair.
#[derive(Clone)]
pub(super) struct KeyPair {
    private: StaticSecret,
}

impl KeyPair {
    /// The one in the file `path`; a new one if there is no such file.
    pub(super) fn load(path: &Path) -> Result<Self, Error> {
        let failed = |source: io::Error| Error::Key {
            path: path.to_owned(),
            source,
        };
        match std::fs::exists(path).map_err(failed)? {
            true => {
                let bytes = read_bounded(path, LARGEST).map_err(io::Error::other);
                let text = String::from_utf8(bytes.map_err(failed)?).unwrap_or_default();
                let wrong =
                    || io::Error::new(io::ErrorKind::InvalidData, "it is not 32 bytes in base64");
                let private = wireguard_key(text.trim()).ok_or_else(|| failed(wrong()))?;
                Ok(Self {
                    private: private.into(),
                })
            }
            false => {
                let mut private = [0; 32];
                getrandom::fill(&mut private).expect("the kernel always has random bytes");
                let pair = Self {
                    private: private.into(),
                };
                let directory = path.parent().unwrap_or(Path::new("/"));
                std::fs::create_dir_all(directory).map_err(failed)?;
                let text = STANDARD.encode(pair.private.to_bytes());
                write_atomic(path, text.as_bytes(), 0o400)
                    .map_err(|error| failed(io::Error::other(error)))?;
                Ok(pair)
            }
        }
    }

    /// What others may know.
    pub(super) fn public(&self) -> [u8; 32] {
        PublicKey::from(&self.private).to_bytes()
    }

    /// What nobody else may know.
    pub(super) fn private(&self) -> [u8; 32] {
        self.private.to_bytes()
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").finish_non_exhaustive()
    }
}

/// The base64 of a key.
pub(super) fn encode(key: &[u8; 32]) -> String {
    STANDARD.encode(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn is_made_once_and_read_again() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("flannel/wgkey");
        let made = KeyPair::load(&path).expect("made");
        let read = KeyPair::load(&path).expect("read");
        assert_eq!(made.public(), read.public());
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o400);
        assert!(!format!("{made:?}").contains(&encode(&made.private())));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("wgkey");
        std::fs::write(&path, "hello").expect("write");
        let error = KeyPair::load(&path).expect_err("no key");
        assert!(error.to_string().contains("wgkey"), "{error}");
    }

    #[test]
    fn the_public_key_is_wireguards() {
        // The first pair of RFC 7748, 6.1.
        let private = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
        let pair = KeyPair {
            private: wireguard_key(private).expect("a key").into(),
        };
        let public = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
        assert_eq!(encode(&pair.public()), public);
    }
}
