//! From a commit to what the daemon is told of it.

use std::collections::BTreeMap;

use super::listing::{self, Entry, Listing, MAX_TOTAL, Refusal};
use super::object::Id;
use super::repository::Repository;
use super::{Error, batch};
use crate::source::{File, MAX_FILES, Snapshot};

/// What the daemon was last told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// The commit whose files it knows.
    pub commit: Id,
    /// What the visible files of it were.
    digest: [u8; 32],
    /// The content of each.
    blobs: BTreeMap<String, Id>,
}

/// A commit, read.
pub(super) struct Contents {
    /// What is to be told.
    pub snapshot: Snapshot,
    /// What is known once it was told.
    pub known: Known,
    /// Whether something visible differs from what was known before.
    pub is_news: bool,
}

/// Reads what of a commit was not known before.
pub(super) fn read(
    repository: &Repository,
    commit: &Id,
    before: Option<&Known>,
) -> Result<Contents, Error> {
    let listing =
        listing::parse(&repository.listing(commit)?).map_err(|refusal| refuse(commit, &refusal))?;
    let is_same =
        |path: &str, id: &Id| before.is_some_and(|known| known.blobs.get(path) == Some(id));
    let wanted: Vec<&Id> = blobs(&listing)
        .filter(|(path, id)| !is_same(path, id))
        .map(|(_, id)| id)
        .collect();
    let contents = batch::contents(repository, &wanted, listing.total)?;
    let file = |path: &str, entry: &Entry| match entry {
        Entry::Fault(text) => File::Fault(text.clone()),
        Entry::Blob(id) if is_same(path, id) => File::Unchanged,
        Entry::Blob(id) => text(contents.get(id).map(Vec::as_slice).unwrap_or_default()),
    };
    let files = listing
        .entries
        .iter()
        .map(|(path, entry)| (path.clone(), file(path, entry)))
        .collect();
    let known = Known {
        commit: commit.clone(),
        digest: listing.digest,
        blobs: blobs(&listing)
            .map(|(path, id)| (path.to_owned(), id.clone()))
            .collect(),
    };
    Ok(Contents {
        is_news: before.is_none_or(|before| before.digest != known.digest),
        known,
        snapshot: Snapshot {
            files,
            warnings: listing.warnings,
            revision: Some(commit.to_string()),
        },
    })
}

fn blobs(listing: &Listing) -> impl Iterator<Item = (&str, &Id)> {
    listing
        .entries
        .iter()
        .filter_map(|(path, entry)| match entry {
            Entry::Blob(id) => Some((path.as_str(), id)),
            Entry::Fault(_) => None,
        })
}

fn text(bytes: &[u8]) -> File {
    match std::str::from_utf8(bytes) {
        Ok(text) => File::Text(text.to_owned()),
        Err(error) => File::Fault(format!("it is not UTF-8 at byte {}", error.valid_up_to())),
    }
}

fn refuse(commit: &Id, refusal: &Refusal) -> Error {
    let (most, what) = match refusal {
        Refusal::Answer => {
            return Error::Answer {
                action: "list the files",
            };
        }
        Refusal::Files => (MAX_FILES as u64, "manifests"),
        Refusal::Bytes => (MAX_TOTAL, "bytes in manifests"),
    };
    Error::TooMuch {
        commit: commit.short().to_owned(),
        most,
        what,
    }
}
