//! How a registry wants to be asked: `WWW-Authenticate` challenges (RFC 9110, section 11).

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from another server.
    Bearer {
        /// URL of that server.
        realm: String,
        /// What it is asked for.
        service: Option<String>,
    },
}

impl Challenge {
    /// The first usable challenge of a header; a token is preferred to the password itself.
    pub fn parse(headers: &[&str]) -> Option<Self> {
        let bearer = headers.iter().find_map(|header| {
            let parameters = parameters(after_scheme(header, "bearer")?);
            let get = |name: &str| {
                let found = parameters
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.clone())
            };
            Some(Self::Bearer {
                realm: get("realm")?,
                service: get("service"),
            })
        });
        let basic = || {
            let asked = headers
                .iter()
                .any(|header| after_scheme(header, "basic").is_some());
            asked.then_some(Self::Basic)
        };
        bearer.or_else(basic)
    }
}

fn after_scheme<'a>(header: &'a str, scheme: &str) -> Option<&'a str> {
    let (first, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    first.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// `name=value, name="quoted, value"`.
fn parameters(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((name, rest)) = text.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_owned();
        let (value, rest) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        found.push((name, value));
        text = rest;
    }
    found
}

/// The text up to the closing quote, and what is behind it.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, &text[index + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            character => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_registries_send() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a,b""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.docker.io/token".into(),
            service: Some("registry.docker.io".into()),
        };
        assert_eq!(Challenge::parse(&[hub]), Some(expected.clone()));
        assert_eq!(
            Challenge::parse(&["Basic realm=\"x\"", hub]),
            Some(expected)
        );
        assert_eq!(Challenge::parse(&["basic realm=x"]), Some(Challenge::Basic));
        assert_eq!(Challenge::parse(&["Bearer service=x"]), None);
        assert_eq!(Challenge::parse(&["Negotiate"]), None);
    }

    proptest! {
        #[test]
        fn never_panics(header in "(Bearer |Basic )?[ -~é]{0,60}") {
            let _ = Challenge::parse(&[&header]);
        }
    }
}
