//! What a container of ours says of itself: `docker ps --filter label=ignite.name=web` finds a VM's.

use std::collections::BTreeMap;

use ignite_api::Uid;
use ignite_store::{Paths, VmRecord};

use super::Identity;

/// The VM's name.
const NAME: &str = "ignite.name";
/// Its uid.
const UID: &str = "ignite.uid";
/// The data directory that has its record, for people: one Docker may serve several.
const DATA_DIR: &str = "ignite.data-dir";
/// Which directory that is, whatever its path.
const DATA_ID: &str = "ignite.data-id";

/// A container's labels.
type Labels = BTreeMap<String, String>;

/// The labels of a VM's container.
pub(super) fn of(record: &VmRecord, paths: &Paths, identity: Identity) -> Labels {
    [
        (NAME, record.name.to_string()),
        (UID, record.uid.to_string()),
        (DATA_DIR, paths.data.display().to_string()),
        (DATA_ID, identity.as_str().to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The label that all containers of this data directory have, as Docker's filters take it.
pub(crate) fn of_all(identity: Identity) -> String {
    format!("{DATA_ID}={}", identity.as_str())
}

/// Whose a container with these labels is; none where it is no VM's of this data directory.
pub(crate) fn uid(labels: &Labels, identity: Identity) -> Option<Uid> {
    if labels.get(DATA_ID)? != identity.as_str() {
        return None;
    }
    claimed(labels)
}

/// Whose it says it is, of whatever data directory.
pub(super) fn claimed(labels: &Labels) -> Option<Uid> {
    labels.get(UID)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_so_is_ours() {
        let identity = || {
            let root = tempfile::tempdir().expect("a directory");
            let paths = Paths::under(root.path()).with_data(root.path());
            Identity::of(&paths).expect("an identity")
        };
        let (here, elsewhere) = (identity(), identity());
        let own = Uid::random();
        let labels = |uid: &str, identity: Identity| {
            let pairs = [(UID, uid), (DATA_ID, identity.as_str())];
            Labels::from(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())))
        };
        assert_eq!(uid(&labels(own.as_str(), here), here), Some(own));
        assert_eq!(uid(&labels(own.as_str(), elsewhere), here), None);
        assert_eq!(uid(&labels("web", here), here), None);
        assert_eq!(uid(&Labels::new(), here), None);
        assert_eq!(claimed(&labels(own.as_str(), elsewhere)), Some(own));
    }
}
