//! Which object a person means: exactly its uid or name, else the only one that begins so.

use ignite_api::{Kind, Uid};

use crate::Error;

/// An object and the names it goes by.
pub(crate) struct Candidate<'a> {
    pub uid: Uid,
    pub names: Vec<&'a str>,
}

/// Finds the object that `text` means.
pub(crate) fn resolve<'a>(
    kind: Kind,
    text: &str,
    candidates: impl IntoIterator<Item = Candidate<'a>>,
) -> Result<Uid, Error> {
    if text.is_empty() {
        return Err(Error::Nothing { kind });
    }
    let (mut exact, mut begins) = (Vec::new(), Vec::new());
    for candidate in candidates {
        let is = |test: fn(&str, &str) -> bool| {
            test(candidate.uid.as_str(), text)
                || candidate.names.iter().any(|name| test(name, text))
        };
        if is(|a, b| a == b) {
            exact.push(candidate);
        } else if is(|a, b| a.starts_with(b)) {
            begins.push(candidate);
        }
    }
    let found = if exact.is_empty() { begins } else { exact };
    match found.as_slice() {
        [one] => Ok(one.uid),
        [] => Err(Error::NotFound {
            kind,
            text: text.into(),
        }),
        several => Err(Error::Ambiguous {
            kind,
            text: text.into(),
            matches: shown(several),
        }),
    }
}

fn shown(candidates: &[Candidate<'_>]) -> Vec<String> {
    let mut shown: Vec<String> = candidates
        .iter()
        .map(|candidate| match candidate.names.first() {
            Some(name) => format!("{} ({name})", candidate.uid),
            None => candidate.uid.to_string(),
        })
        .collect();
    shown.sort();
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(text: &str) -> Uid {
        text.parse().expect("a uid")
    }

    fn find(text: &str) -> Result<Uid, Error> {
        let candidates = [
            ("aaaaaaaaaaaaaaaa", "web"),
            ("aaaaaaaaaaaaaaab", "web-2"),
            ("bbbbbbbbbbbbbbbb", "aaaaaaaaaaaaaaaa"),
            ("cccccccccccccccc", "db"),
        ];
        resolve(
            Kind::Vm,
            text,
            candidates.map(|(id, name)| Candidate {
                uid: uid(id),
                names: vec![name],
            }),
        )
    }

    #[test]
    fn exact_before_beginning() {
        assert_eq!(find("web").expect("exact"), uid("aaaaaaaaaaaaaaaa"));
        assert_eq!(find("web-").expect("one"), uid("aaaaaaaaaaaaaaab"));
        assert_eq!(find("d").expect("one"), uid("cccccccccccccccc"));
        assert_eq!(find("cc").expect("one"), uid("cccccccccccccccc"));
    }

    #[test]
    fn ambiguity_lists_what_it_could_be() {
        let error = find("we").expect_err("two");
        assert_eq!(
            error.to_string(),
            "\"we\" is the beginning of more than one VM: aaaaaaaaaaaaaaaa (web), aaaaaaaaaaaaaaab (web-2)"
        );
        assert!(
            matches!(find("aaaaaaaaaaaaaaaa"), Err(Error::Ambiguous { .. })),
            "a uid and a name"
        );
    }

    #[test]
    fn nothing_is_not_everything() {
        assert!(matches!(find(""), Err(Error::Nothing { .. })));
        assert!(find("x").expect_err("none").is_not_found());
    }
}
