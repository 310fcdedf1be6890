//! The keys that leave a terminal session and let its program go on.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// Most keys of a sequence.
const MOST: usize = 16;

/// A sequence of keys, such as `ctrl-p,ctrl-q`: plain ASCII characters, and those that come with the
/// control key. Empty, written `none`, where there is no leaving by keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys(Vec<u8>);

/// Text that is no sequence of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DetachKeysError {
    /// One of them is no key.
    #[error("{key:?} is no key to detach with")]
    Key {
        /// The text between the commas.
        key: String,
    },
    /// Nobody types that many.
    #[error("{count} keys to detach with are too many")]
    TooMany {
        /// How many.
        count: usize,
    },
}

impl DetachKeysError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Key { .. } => {
                "write characters and ctrl-a to ctrl-z, ctrl-@, ctrl-[, ctrl-], ctrl-\\, ctrl-^, \
                 ctrl-_ between commas, or none"
                    .to_owned()
            }
            Self::TooMany { .. } => format!("take {MOST} at most, such as ctrl-p,ctrl-q"),
        })
    }
}

impl DetachKeys {
    /// What a terminal sends when they are typed.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Docker's: Ctrl-P, then Ctrl-Q.
impl Default for DetachKeys {
    fn default() -> Self {
        Self(vec![b'P' - b'@', b'Q' - b'@'])
    }
}

impl FromStr for DetachKeys {
    type Err = DetachKeysError;

    fn from_str(text: &str) -> Result<Self, DetachKeysError> {
        match text {
            "" => return Ok(Self::default()),
            "none" => return Ok(Self(Vec::new())),
            _ => {}
        }
        let count = text.split(',').count();
        if count > MOST {
            return Err(DetachKeysError::TooMany { count });
        }
        let bytes = text.split(',').map(|key| {
            byte(key).ok_or_else(|| DetachKeysError::Key {
                key: key.to_owned(),
            })
        });
        Ok(Self(bytes.collect::<Result<_, _>>()?))
    }
}

/// What one key sends.
fn byte(key: &str) -> Option<u8> {
    if let [byte] = key.as_bytes() {
        return byte.is_ascii_graphic().then_some(*byte);
    }
    let (control, rest) = key.split_at_checked("ctrl-".len())?;
    let &[byte] = rest.as_bytes() else {
        return None;
    };
    let known = matches!(byte.to_ascii_uppercase(), b'@'..=b'_');
    (control.eq_ignore_ascii_case("ctrl-") && known).then(|| byte.to_ascii_uppercase() - b'@')
}

impl fmt::Display for DetachKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, &byte) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match byte {
                0..b' ' => write!(
                    f,
                    "{comma}ctrl-{}",
                    char::from(byte + b'@').to_ascii_lowercase()
                ),
                _ => write!(f, "{comma}{}", char::from(byte)),
            }?;
        }
        Ok(())
    }
}

serde_as_text!(DetachKeys);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_people_write_them() {
        let cases: [(&str, &[u8], &str); 6] = [
            ("ctrl-p,ctrl-q", &[16, 17], "ctrl-p,ctrl-q"),
            ("", &[16, 17], "ctrl-p,ctrl-q"),
            ("none", &[], "none"),
            ("Ctrl-A,d", &[1, b'd'], "ctrl-a,d"),
            ("ctrl-],ctrl-@,ctrl-_", &[29, 0, 31], "ctrl-],ctrl-@,ctrl-_"),
            ("~,.", b"~.", "~,."),
        ];
        for (text, bytes, shown) in cases {
            let keys: DetachKeys = text.parse().expect(text);
            assert_eq!(
                (keys.bytes(), keys.to_string().as_str()),
                (bytes, shown),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_key_is_named() {
        for text in [
            "ctrl-", "ctrl-1", "alt-a", "ctrl-p,", "é", " ", "ctrl-ä", "ab",
        ] {
            let error = text.parse::<DetachKeys>().expect_err(text);
            assert!(matches!(error, DetachKeysError::Key { .. }), "{text}");
        }
        let many = ["a"; 17].join(",");
        let error = many.parse::<DetachKeys>().expect_err("too many");
        assert_eq!(error, DetachKeysError::TooMany { count: 17 });
    }
}
