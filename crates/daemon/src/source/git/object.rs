//! The name of an object of git: a commit, a file's content.

/// A whole object id in hexadecimal: 40 digits of SHA-1, or 64 of SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(String);

impl Id {
    /// Reads one, if it is one.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let is_hex = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if !matches!(text.len(), 40 | 64) || !text.iter().all(is_hex) {
            return None;
        }
        String::from_utf8(text.to_vec()).ok().map(Self)
    }

    /// The digits.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The first digits, for people.
    pub(super) fn short(&self) -> &str {
        &self.0[..12]
    }

    /// How git calls the kind of repository that has such ids.
    pub(super) fn format(&self) -> &'static str {
        if self.0.len() == 64 { "sha256" } else { "sha1" }
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
