//! etcd's JSON: 64-bit numbers are strings, bytes are base64, members with their default are absent.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct KeyValue {
    /// The key; any bytes.
    #[serde(default, deserialize_with = "bytes")]
    pub key: Vec<u8>,
    /// The value; any bytes.
    #[serde(default, deserialize_with = "bytes")]
    pub value: Vec<u8>,
    /// The revision that made the key.
    #[serde(default, deserialize_with = "number")]
    pub create_revision: i64,
    /// The revision that last changed it.
    #[serde(default, deserialize_with = "number")]
    pub mod_revision: i64,
    /// The lease it ends with; none if it stays.
    #[serde(default, deserialize_with = "lease")]
    pub lease: Option<i64>,
}

/// The head of every answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Header {
    /// The store's revision at the answer.
    #[serde(default, deserialize_with = "number")]
    pub(super) revision: i64,
}

/// Bytes as they are sent.
pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The first key after all that begin with `prefix`; all keys to the end if there is none.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

/// Reads base64.
pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64_STANDARD.decode(text).map_err(D::Error::custom)
}

/// Reads a list of at most `N` elements: each takes more memory than the few bytes it may be written in.
pub(super) fn at_most<'de, const N: usize, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(AtMost::<N, T>(PhantomData))
}

struct AtMost<const N: usize, T>(PhantomData<T>);

impl<'de, const N: usize, T: Deserialize<'de>> Visitor<'de> for AtMost<N, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {N}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(next) = list.next_element()? {
            if all.len() == N {
                return Err(A::Error::invalid_length(N + 1, &self));
            }
            all.push(next);
        }
        Ok(all)
    }
}

/// Reads a number, written as a string or not.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(Number)
}

/// Reads it as it comes: what is none may be of any size, and is not kept.
struct Number;

impl Visitor<'_> for Number {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a 64-bit number or a string of one")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<i64, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<i64, E> {
        number.try_into().map_err(E::custom)
    }
}

/// Reads a number that may take all 64 bits: identifiers of members.
pub(super) fn identifier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => text.parse().map_err(D::Error::custom),
        Value::Number(number) => number
            .as_u64()
            .ok_or_else(|| D::Error::custom("not an unsigned 64-bit number")),
        _ => Err(D::Error::custom("neither a number nor a string of one")),
    }
}

/// Reads the identifier of a lease, of which zero means none.
fn lease<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(Some(number(deserializer)?).filter(|id| *id != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(text: &str) -> Result<KeyValue, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn numbers_are_strings_and_defaults_are_absent() {
        let full = pair(
            r#"{"key":"L2E=","value":"/+8=","create_revision":"5","mod_revision":9007199254740993,"version":"1","lease":"7587"}"#,
        )
        .expect("full");
        assert_eq!(
            (full.key.as_slice(), full.value.as_slice()),
            (&b"/a"[..], &[0xff, 0xef][..])
        );
        assert_eq!(
            (full.create_revision, full.mod_revision),
            (5, 9_007_199_254_740_993)
        );
        assert_eq!(full.lease, Some(7587));
        let bare = pair(r#"{"key":"L2E=","lease":"0"}"#).expect("bare");
        assert_eq!(
            (bare.value.len(), bare.mod_revision, bare.lease),
            (0, 0, None)
        );
    }

    #[test]
    fn lies_are_errors() {
        for text in [
            r#"{"key":"?"}"#,
            r#"{"key":7}"#,
            r#"{"key":"L2E=","mod_revision":"9223372036854775808"}"#,
            r#"{"key":"L2E=","mod_revision":1.5}"#,
            r#"{"key":"L2E=","lease":{}}"#,
        ] {
            pair(text).expect_err(text);
        }
    }

    #[test]
    fn a_list_has_an_end() {
        #[derive(Debug, Deserialize)]
        struct Reply(#[serde(deserialize_with = "at_most::<3, _, _>")] Vec<u8>);
        let read = serde_json::from_str::<Reply>;
        assert_eq!(read("[1,2,3]").expect("three").0, [1, 2, 3]);
        let error = read("[1,2,3,4]").expect_err("four").to_string();
        assert!(error.contains("a list of at most 3"), "{error}");
    }

    #[test]
    fn a_prefix_ends_before_its_successor() {
        assert_eq!(end_of(b"/subnets/"), b"/subnets0");
        assert_eq!(end_of(&[b'a', 0xff]), b"b");
        assert_eq!(end_of(&[0xff]), [0]);
        assert_eq!(end_of(b""), [0]);
    }
}
