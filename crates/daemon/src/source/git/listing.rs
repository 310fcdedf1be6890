//! What of a commit's files is a manifest: the answer of `ls-tree -r -z -l`, judged by name and size
//! before anything is read.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::object::Id;
use crate::source::{MAX_FILES, MAX_MANIFEST};

/// Most bytes of all manifests of a commit.
pub(super) const MAX_TOTAL: u64 = 64 << 20;
/// Most files that are named in warnings of one kind.
const MAX_NAMED: usize = 10;

/// A file that has the name of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// A file with this content.
    Blob(Id),
    /// It cannot be a manifest, and why.
    Fault(String),
}

/// The files of a commit that matter.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// By path.
    pub entries: BTreeMap<String, Entry>,
    /// What is there and not looked into.
    pub warnings: Vec<String>,
    /// Bytes of all contents.
    pub total: u64,
    /// The same for commits that differ in hidden files only.
    pub digest: [u8; 32],
}

/// A commit that is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The answer is not understood.
    Answer,
    /// It holds more than this number of manifests.
    Files,
    /// Its manifests have more than this number of bytes.
    Bytes,
}

/// One line of the answer.
struct Line<'a> {
    mode: &'a [u8],
    id: Id,
    size: Option<u64>,
    path: &'a [u8],
}

/// Reads the answer.
pub(super) fn parse(answer: &[u8]) -> Result<Listing, Refusal> {
    let mut listing = Listing::default();
    let mut digest = Sha256::new();
    let (mut links, mut modules) = (Vec::new(), Vec::new());
    for record in answer
        .split(|byte| *byte == 0)
        .filter(|record| !record.is_empty())
    {
        let line = line(record).ok_or(Refusal::Answer)?;
        if is_hidden(line.path) {
            continue;
        }
        digest.update(record);
        digest.update([0]);
        match line.mode {
            b"160000" => modules.push(shown(line.path)),
            b"120000" if !is_manifest(line.path) => links.push(shown(line.path)),
            _ if is_manifest(line.path) => add(&mut listing, &line)?,
            _ => {}
        }
    }
    listing
        .warnings
        .extend(warning("submodules are not looked into", &modules));
    listing
        .warnings
        .extend(warning("symbolic links are not followed", &links));
    listing.digest = digest.finalize().into();
    Ok(listing)
}

fn add(listing: &mut Listing, line: &Line<'_>) -> Result<(), Refusal> {
    let entry = judge(line);
    if let (Entry::Blob(_), Some(size)) = (&entry, line.size) {
        listing.total += size;
    }
    listing.entries.insert(shown(line.path), entry);
    if listing.entries.len() > MAX_FILES {
        return Err(Refusal::Files);
    }
    if listing.total > MAX_TOTAL {
        return Err(Refusal::Bytes);
    }
    Ok(())
}

fn judge(line: &Line<'_>) -> Entry {
    let fault = |text: &str| Entry::Fault(text.to_owned());
    let Ok(name) = std::str::from_utf8(line.path) else {
        return fault("its name is not UTF-8");
    };
    if name.chars().any(char::is_control) {
        return fault("its name holds a control character");
    }
    match (line.mode, line.size) {
        (b"120000", _) => fault("it is a symbolic link, which is not followed in a repository"),
        (b"100644" | b"100755" | b"100664", Some(size)) if size <= MAX_MANIFEST => {
            Entry::Blob(line.id.clone())
        }
        (b"100644" | b"100755" | b"100664", Some(size)) => Entry::Fault(format!(
            "it has {size} bytes; a manifest has at most {MAX_MANIFEST}"
        )),
        _ => fault("it is not a file"),
    }
}

/// `<mode> <type> <id> <size>\t<path>`, the size padded, or `-` where there is none.
fn line(record: &[u8]) -> Option<Line<'_>> {
    let tab = record.iter().position(|byte| *byte == b'\t')?;
    let (fields, path) = (&record[..tab], &record[tab + 1..]);
    let mut fields = fields
        .split(|byte| *byte == b' ')
        .filter(|field| !field.is_empty());
    let (mode, _kind, id, size) = (
        fields.next()?,
        fields.next()?,
        fields.next()?,
        fields.next()?,
    );
    let size = match size {
        b"-" => None,
        digits => Some(std::str::from_utf8(digits).ok()?.parse().ok()?),
    };
    let id = Id::parse(id)?;
    Some(Line {
        mode,
        id,
        size,
        path,
    })
}

fn is_hidden(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/')
        .any(|part| part.starts_with(b"."))
}

fn is_manifest(path: &[u8]) -> bool {
    [&b".yaml"[..], b".yml", b".json"]
        .iter()
        .any(|ending| path.ends_with(ending))
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn warning(what: &str, paths: &[String]) -> Option<String> {
    let (first, rest) = paths.split_at(paths.len().min(MAX_NAMED));
    let names: Vec<String> = first.iter().map(|path| format!("{path:?}")).collect();
    let more = if rest.is_empty() {
        String::new()
    } else {
        format!(" and {} more", rest.len())
    };
    (!names.is_empty()).then(|| format!("{what}: {}{more}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789012345678901234567890123456789";

    fn listed(lines: &[(&str, &str, &[u8])]) -> Vec<u8> {
        let mut answer = Vec::new();
        for (mode, size, path) in lines {
            answer.extend(format!("{mode} blob {ID} {size:>7}\t").bytes());
            answer.extend(*path);
            answer.push(0);
        }
        answer
    }

    fn entry(mode: &str, size: &str, path: &[u8]) -> Option<Entry> {
        let listing = parse(&listed(&[(mode, size, path)])).expect("understood");
        listing.entries.into_values().next()
    }

    #[test]
    fn manifests_are_told_by_name() {
        for path in ["web.yaml", "a/b c/db.yml", "x.json"] {
            assert!(
                matches!(entry("100644", "9", path.as_bytes()), Some(Entry::Blob(_))),
                "{path}"
            );
        }
        for path in [
            "README.md",
            ".hidden.yaml",
            ".github/ci.yml",
            "a/.b/c.json",
            "x.yaml.bak",
            "../x.yaml",
            "X.YAML",
        ] {
            assert_eq!(entry("100644", "9", path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_a_manifest_is_a_fault_by_name() {
        let cases: [(&str, &str, &[u8], &str); 5] = [
            ("120000", "11", b"x.yaml", "symbolic link"),
            ("100644", "1048577", b"x.yaml", "1048577 bytes"),
            ("100644", "1", b"\xff.yaml", "UTF-8"),
            ("100644", "1", b"a\nb.yaml", "control character"),
            ("100000", "-", b"x.yaml", "not a file"),
        ];
        for (mode, size, path, word) in cases {
            let Some(Entry::Fault(text)) = entry(mode, size, path) else {
                panic!("{word}")
            };
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn what_may_hold_manifests_and_is_not_looked_into_is_said() {
        let names: Vec<String> = (0..12).map(|n| format!("m{n}")).collect();
        let mut lines: Vec<(&str, &str, &[u8])> = names
            .iter()
            .map(|n| ("160000", "-", n.as_bytes()))
            .collect();
        lines.push(("120000", "3", b"vms"));
        lines.push(("160000", "-", b"vendor.yaml"));
        let warnings = parse(&listed(&lines)).expect("understood").warnings;
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("\"m9\" and 3 more"), "{warnings:?}");
        assert!(warnings[1].contains("\"vms\""), "{warnings:?}");
    }

    #[test]
    fn hidden_files_are_no_news() {
        let digest = |lines: &[_]| parse(&listed(lines)).expect("understood").digest;
        let one = digest(&[("100644", "9", b"a.yaml" as &[u8])]);
        assert_eq!(
            one,
            digest(&[
                ("100644", "9", b".ignite-status/x.json"),
                ("100644", "9", b"a.yaml")
            ])
        );
        assert_ne!(
            one,
            digest(&[("100644", "9", b"README.md"), ("100644", "9", b"a.yaml")])
        );
    }

    #[test]
    fn bounds_hold() {
        let names: Vec<String> = (0..=MAX_FILES).map(|n| format!("{n}.yaml")).collect();
        let lines: Vec<(&str, &str, &[u8])> = names
            .iter()
            .map(|n| ("100644", "1", n.as_bytes()))
            .collect();
        assert_eq!(parse(&listed(&lines)), Err(Refusal::Files));
        let big: Vec<(&str, &str, &[u8])> = names[..65]
            .iter()
            .map(|n| ("100644", "1048576", n.as_bytes()))
            .collect();
        assert_eq!(parse(&listed(&big)), Err(Refusal::Bytes));
        assert_eq!(parse(b"nonsense\0"), Err(Refusal::Answer));
    }
}
