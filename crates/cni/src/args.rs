//! `CNI_ARGS`: pairs `K=V` with `;` between them. There is no quoting, so
//! neither sign can be part of a key or value.

use std::fmt::Display;

/// Why pairs cannot become `CNI_ARGS`, or a text is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// A key or value holds a sign that would end it.
    #[error(
        "the CNI argument {key:?} cannot be passed on: its key or value is empty, or contains ';', '=' or a control character"
    )]
    Unquotable {
        /// The argument's key.
        key: String,
    },
    /// A part of the text is not `K=V`.
    #[error("the CNI argument {part:?} is not of the form KEY=VALUE")]
    NotAPair {
        /// The part as it was found.
        part: String,
    },
    /// `IgnoreUnknown` is neither true nor false.
    #[error("IgnoreUnknown={value} is neither true nor false")]
    NotABool {
        /// The value as it was found.
        value: String,
    },
    /// Keys nobody knows, without `IgnoreUnknown`.
    #[error("unknown CNI arguments: {}", keys.join(", "))]
    Unknown {
        /// The unknown keys.
        keys: Vec<String>,
    },
}

/// Ordered pairs, as `CNI_ARGS` carries them.
pub type Pairs = Vec<(String, String)>;

/// The pairs for an address (with its prefix, where known) and a MAC, only what
/// is given. `IgnoreUnknown=1` comes first: a plugin that parses `CNI_ARGS`
/// and does not know `IP` or `MAC` refuses them without it.
pub fn request(ip: Option<&dyn Display>, mac: Option<&dyn Display>) -> Pairs {
    let mut pairs = vec![("IgnoreUnknown".to_owned(), "1".to_owned())];
    pairs.extend(ip.map(|ip| ("IP".to_owned(), ip.to_string())));
    pairs.extend(mac.map(|mac| ("MAC".to_owned(), mac.to_string())));
    pairs
}

/// The value of `CNI_ARGS` for these pairs, in their order.
pub fn encode(pairs: &[(String, String)]) -> Result<String, ArgsError> {
    let harmless = |text: &str| !text.contains([';', '=']) && !text.contains(char::is_control);
    let mut texts = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        if key.is_empty() || !harmless(key) || !harmless(value) {
            return Err(ArgsError::Unquotable {
                key: key.chars().take(64).collect(),
            });
        }
        texts.push(format!("{key}={value}"));
    }
    Ok(texts.join(";"))
}

/// Splits a `CNI_ARGS` text into its pairs. An empty text has none.
pub fn parse(text: &str) -> Result<Pairs, ArgsError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(';').map(pair).collect()
}

fn pair(part: &str) -> Result<(String, String), ArgsError> {
    match part.split_once('=') {
        Some((key, value)) if !value.contains('=') => Ok((key.to_owned(), value.to_owned())),
        _ => Err(ArgsError::NotAPair {
            part: part.chars().take(64).collect(),
        }),
    }
}

/// The pairs whose keys are in `known`, as a plugin reads `CNI_ARGS`: an unknown
/// key is an error unless `IgnoreUnknown` is true, wherever it stands.
pub fn parse_known(text: &str, known: &[&str]) -> Result<Pairs, ArgsError> {
    let pairs = parse(text)?;
    let mut ignore_unknown = false;
    for (_, value) in pairs.iter().filter(|(key, _)| key == "IgnoreUnknown") {
        ignore_unknown = boolean(value)?;
    }
    let (wanted, others): (Pairs, Pairs) = pairs
        .into_iter()
        .partition(|(key, _)| known.contains(&key.as_str()));
    let unknown: Vec<String> = others
        .into_iter()
        .map(|(key, _)| key)
        .filter(|key| key != "IgnoreUnknown")
        .collect();
    if unknown.is_empty() || ignore_unknown {
        return Ok(wanted);
    }
    Err(ArgsError::Unknown { keys: unknown })
}

fn boolean(value: &str) -> Result<bool, ArgsError> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(ArgsError::NotABool {
            value: value.chars().take(64).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_is_known_is_asked_for() {
        assert_eq!(
            encode(&request(None, None)).as_deref(),
            Ok("IgnoreUnknown=1")
        );
        let pairs = request(Some(&"10.61.0.9/16"), Some(&"02:00:00:00:00:01"));
        let text = "IgnoreUnknown=1;IP=10.61.0.9/16;MAC=02:00:00:00:00:01";
        assert_eq!(encode(&pairs).as_deref(), Ok(text));
    }

    #[test]
    fn signs_that_would_end_a_value_are_refused() {
        for (key, value) in [("A", "1;B=2"), ("A=B", "1"), ("", "1"), ("A", "a\nb")] {
            assert!(encode(&[(key.to_owned(), value.to_owned())]).is_err());
        }
    }

    #[test]
    fn unknown_keys_are_an_error_unless_ignored() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(parse_known("", &[]), Ok(vec![]));
        assert_eq!(
            parse_known("X=1;IgnoreUnknown=1;IP=::1", &["IP"]),
            Ok(vec![pair("IP", "::1")])
        );
        for ignored in ["True", "true", "1", "TRUE"] {
            assert_eq!(
                parse_known(&format!("X=1;IgnoreUnknown={ignored}"), &[]),
                Ok(vec![])
            );
        }
        for text in ["X=1", "IgnoreUnknown=0;X=1", "X=1;IgnoreUnknown=False"] {
            assert!(
                matches!(parse_known(text, &[]), Err(ArgsError::Unknown { .. })),
                "{text}"
            );
        }
        assert!(matches!(
            parse_known("IgnoreUnknown=no", &[]),
            Err(ArgsError::NotABool { .. })
        ));
        assert!(matches!(
            parse_known("IP", &["IP"]),
            Err(ArgsError::NotAPair { .. })
        ));
        assert!(matches!(
            parse_known("IP=1=2", &["IP"]),
            Err(ArgsError::NotAPair { .. })
        ));
    }

    proptest! {
        #[test]
        fn what_is_encoded_reads_back(pairs in prop::collection::vec(
            ("[A-Za-z_]{1,9}", "[A-Za-z0-9:./ -]{0,20}"), 0..6)) {
            let text = encode(&pairs).expect("no forbidden sign");
            prop_assert_eq!(parse(&text), Ok(pairs));
        }

        #[test]
        fn no_text_is_a_surprise(text in any::<String>()) {
            let _ = parse_known(&text, &["IP"]);
        }
    }
}
