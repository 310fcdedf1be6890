//! Versions of the CNI specification: syntax, order, negotiation, and which
//! commands a version has.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// A version of the CNI specification. Missing parts are 0; an empty text is
/// 0.1.0, the version before configurations had one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First part.
    pub major: u32,
    /// Second part.
    pub minor: u32,
    /// Third part.
    pub micro: u32,
}

impl Version {
    /// The version `major.minor.micro`.
    pub const fn new(major: u32, minor: u32, micro: u32) -> Self {
        Self {
            major,
            minor,
            micro,
        }
    }

    /// CHECK, and `prevResult` on DEL, came with 0.4.0.
    pub fn has_check(self) -> bool {
        self >= Self::new(0, 4, 0)
    }

    /// GC and STATUS came with 1.1.0.
    pub fn has_gc_and_status(self) -> bool {
        self >= Self::new(1, 1, 0)
    }

    /// Whether this runtime can read and write results of this version.
    pub fn is_known(self) -> bool {
        KNOWN.contains(&self)
    }
}

/// Every version of the specification this runtime speaks, oldest first.
pub const KNOWN: [Version; 7] = [
    Version::new(0, 1, 0),
    Version::new(0, 2, 0),
    Version::new(0, 3, 0),
    Version::new(0, 3, 1),
    Version::new(0, 4, 0),
    Version::new(1, 0, 0),
    Version::new(1, 1, 0),
];

/// What a missing or empty version means.
pub const OLDEST: Version = KNOWN[0];

/// The newest version this runtime speaks.
pub const NEWEST: Version = KNOWN[KNOWN.len() - 1];

/// The known versions from `minimum` on.
pub fn known_from(minimum: Version) -> Vec<Version> {
    KNOWN
        .into_iter()
        .filter(|version| *version >= minimum)
        .collect()
}

/// A text that is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid CNI version {text:?}: one to three numbers with dots between them are expected")]
pub struct InvalidVersion {
    /// The text as it was found.
    pub text: String,
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(OLDEST);
        }
        let invalid = || InvalidVersion {
            text: text.chars().take(64).collect(),
        };
        let mut parts = [0u32; 3];
        for (index, part) in text.split('.').enumerate() {
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            let slot = parts
                .get_mut(index)
                .filter(|_| digits)
                .ok_or_else(invalid)?;
            *slot = part.parse().map_err(|_| invalid())?;
        }
        Ok(Self::new(parts[0], parts[1], parts[2]))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

/// Chooses the version a network runs with.
///
/// `declared` is its `cniVersion`, `offered` its `cniVersions`. Without an offer
/// the declared one is taken as it stands, even one we do not know: the plugin
/// then says so. With an offer the highest that we speak wins.
pub fn select(declared: &str, offered: Option<&[String]>) -> Result<String, InvalidVersion> {
    let Some(offered) = offered else {
        return Ok(declared.to_owned());
    };
    let mut best = None;
    let declared_too = Some(declared).filter(|text| !text.is_empty());
    for text in offered.iter().map(String::as_str).chain(declared_too) {
        let version = Version::from_str(text)?;
        if version <= NEWEST {
            best = best.max(Some((version, text)));
        }
    }
    Ok(best.map_or(declared, |(_, text)| text).to_owned())
}

/// Why a plugin's answer to VERSION is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// The answer is not JSON, or not of the right types.
    #[error("the answer to VERSION cannot be decoded")]
    Malformed(#[source] serde_json::Error),
    /// `cniVersion` is required.
    #[error("the answer to VERSION has no cniVersion")]
    NoVersion,
    /// `supportedVersions` may be absent in 0.2.0 only.
    #[error("the answer to VERSION has no supportedVersions")]
    NoList,
}

/// Reads a plugin's answer to VERSION: the versions it supports, as it spells them.
pub fn parse_reply(stdout: &[u8]) -> Result<Vec<String>, ReplyError> {
    #[derive(serde::Deserialize)]
    struct Reply {
        #[serde(rename = "cniVersion", default)]
        version: Option<String>,
        #[serde(rename = "supportedVersions", default)]
        supported: Option<Vec<String>>,
    }
    let reply: Reply = serde_json::from_slice(stdout).map_err(ReplyError::Malformed)?;
    let version = reply
        .version
        .filter(|text| !text.is_empty())
        .ok_or(ReplyError::NoVersion)?;
    match reply.supported.filter(|list| !list.is_empty()) {
        Some(list) => Ok(list),
        None if version == "0.2.0" => Ok(vec!["0.1.0".to_owned(), "0.2.0".to_owned()]),
        None => Err(ReplyError::NoList),
    }
}

/// The version written in a JSON object under `cniVersion`; empty when absent.
pub(crate) fn of(object: &serde_json::Map<String, Value>) -> Option<&str> {
    match object.get("cniVersion") {
        None | Some(Value::Null) => Some(""),
        Some(Value::String(text)) => Some(text),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn one_to_three_numbers_are_a_version() {
        assert_eq!("1.2.3".parse(), Ok(Version::new(1, 2, 3)));
        assert_eq!("".parse(), Ok(Version::new(0, 1, 0)));
        assert_eq!("1".parse(), Ok(Version::new(1, 0, 0)));
        for bad in [
            "1.1.1.1",
            "foo",
            ".",
            "1.",
            "-1",
            "+1",
            "1.x",
            "99999999999",
        ] {
            assert!(Version::from_str(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_highest_version_we_speak_is_chosen() {
        let select = |declared: &str, list: &[&str]| select(declared, Some(&offered(list)));
        assert_eq!(
            select("", &["0.3.0", "1.0.0", "0.4.0"]).as_deref(),
            Ok("1.0.0")
        );
        assert_eq!(select("0.4.0", &["0.3.0", "9.0.0"]).as_deref(), Ok("0.4.0"));
        assert_eq!(select("", &[]).as_deref(), Ok(""));
        assert_eq!(select("8.0.0", &["9.0.0"]).as_deref(), Ok("8.0.0"));
        assert!(select("", &["0.3.0", "x"]).is_err());
    }

    #[test]
    fn without_an_offer_the_declared_version_stands() {
        assert_eq!(select("1.2.3", None).as_deref(), Ok("1.2.3"));
    }

    #[test]
    fn the_known_versions_from_a_minimum() {
        let texts: Vec<String> = known_from(Version::new(0, 3, 1))
            .iter()
            .map(Version::to_string)
            .collect();
        assert_eq!(texts, ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
    }

    #[test]
    fn replies_to_version() {
        let reply = parse_reply(br#"{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}"#);
        assert_eq!(reply.ok(), Some(offered(&["0.4.0", "1.0.0"])));
        let old = parse_reply(br#"{"cniVersion":"0.2.0"}"#);
        assert_eq!(old.ok(), Some(offered(&["0.1.0", "0.2.0"])));
        assert!(matches!(parse_reply(b"{}"), Err(ReplyError::NoVersion)));
        assert!(matches!(
            parse_reply(br#"{"cniVersion":"1.0.0"}"#),
            Err(ReplyError::NoList)
        ));
        assert!(matches!(
            parse_reply(b"nonsense"),
            Err(ReplyError::Malformed(_))
        ));
    }
}
