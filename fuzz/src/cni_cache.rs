//! Cache files of attachments; those of other runtimes lie in the same directory.

use std::sync::LazyLock;

use ignite_cni::cache::{Cache, parse};

use crate::scratch;

static CACHE: LazyLock<Cache> = LazyLock::new(|| Cache::new(scratch::directory()));

/// An entry that can be kept is found again as it was.
pub fn run(bytes: &[u8]) {
    let Ok(cached) = parse(bytes) else { return };
    let _ = cached.result();
    let Some(entry) = cached.entry() else { return };
    let id = entry.attachment.id();
    match CACHE.write(entry) {
        Ok(()) => {
            let again = CACHE.entry(&entry.network, &id).expect("its own file");
            assert_eq!(again.as_ref(), Some(entry));
            CACHE.remove(&entry.network, &id).expect("it is there");
        }
        Err(error) => drop((error.to_string(), error.hint())),
    }
}
