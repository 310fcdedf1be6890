//! Contents of many objects at once: what `cat-file --batch` is asked and answers.

use std::collections::BTreeMap;

use super::Error;
use super::object::Id;
use super::program::Call;
use super::repository::Repository;

const ACTION: &str = "read the files";
/// Room for the line before each content.
const HEADER: usize = 128;

/// The contents of `ids`, which have `total` bytes together.
pub(super) fn contents(
    repository: &Repository,
    ids: &[&Id],
    total: u64,
) -> Result<BTreeMap<Id, Vec<u8>>, Error> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let question: String = ids.iter().map(|id| format!("{id}\n")).collect();
    let most = usize::try_from(total)
        .unwrap_or(usize::MAX)
        .saturating_add((ids.len() + 1) * HEADER);
    let call = Call::new(ACTION, ["cat-file", "--batch"]);
    let answer = repository.run(call.stdin(question.as_bytes()).most(most))?;
    parse(&answer)
        .filter(|contents| ids.iter().all(|id| contents.contains_key(id)))
        .ok_or(Error::Answer { action: ACTION })
}

/// `<id> blob <size>\n<content>\n`, again and again; none for anything else.
fn parse(mut answer: &[u8]) -> Option<BTreeMap<Id, Vec<u8>>> {
    let mut contents = BTreeMap::new();
    while !answer.is_empty() {
        let end = answer.iter().position(|byte| *byte == b'\n')?;
        let header: Vec<&[u8]> = answer[..end].split(|byte| *byte == b' ').collect();
        let [id, b"blob", size] = header[..] else {
            return None;
        };
        let size: usize = std::str::from_utf8(size).ok()?.parse().ok()?;
        let rest = &answer[end + 1..];
        contents.insert(Id::parse(id)?, rest.get(..size)?.to_vec());
        answer = rest[size..].strip_prefix(b"\n")?;
    }
    Some(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_may_hold_anything() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let answer = format!("{a} blob 3\nx\n\n\n{b} blob 0\n\n");
        let contents = parse(answer.as_bytes()).expect("understood");
        let texts: Vec<&[u8]> = contents.values().map(Vec::as_slice).collect();
        assert_eq!(texts, [b"x\n\n" as &[u8], b""]);
    }

    #[test]
    fn anything_else_is_refused() {
        let a = "a".repeat(40);
        for answer in [
            format!("{a} missing\n"),
            format!("{a} tree 1\nx\n"),
            format!("{a} blob 9\nx\n"),
            format!("{a} blob 1\nxy"),
            format!("{a} blob 18446744073709551615\nx\n"),
            "x".to_owned(),
        ] {
            assert_eq!(parse(answer.as_bytes()), None, "{answer}");
        }
    }
}
