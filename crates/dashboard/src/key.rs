//! The key of a dashboard: who has it may look.

use std::fmt;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::Error;

/// 128 random bits, told as 32 digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// A new one.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0; 16];
        let read = getrandom(&mut bytes, GetRandomFlags::empty());
        // Up to 256 bytes come whole (getrandom(2)).
        read.map_err(|error| Error::Key(error.into()))?;
        Ok(Self(hex::encode(bytes)))
    }

    /// Whether it is this one, in a time that does not tell how much of it is right.
    pub(crate) fn is(&self, text: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differs = own.iter().zip(text).fold(0, |sum, (a, b)| sum | (a ^ b));
        text.len() == own.len() && differs == 0
    }

    /// As a part of an address.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    /// Without the key itself: this may come into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_opens() {
        let key = Key::random().expect("random bytes");
        let text = key.as_str().to_owned();
        assert_eq!(text.len(), 32);
        assert!(key.is(text.as_bytes()));
        assert!(!key.is(&text.as_bytes()[..31]));
        assert!(!key.is(format!("{text}0").as_bytes()));
        assert!(!key.is(b""));
        assert!(!Key::random().expect("random bytes").is(text.as_bytes()));
        assert!(!format!("{key:?}").contains(&text));
    }
}
