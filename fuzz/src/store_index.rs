//! The index behind the list of VMs: a cache that may be cut, stale or garbage.

use std::sync::LazyLock;

use ignite_store::{Paths, VmRecord, VmSummary, Vms};

use crate::scratch;

const RECORD: &[u8] = include_bytes!("../corpus/store_records/vm.json");

struct Store {
    vms: Vms,
    index: std::path::PathBuf,
    expected: Vec<VmSummary>,
}

static STORE: LazyLock<Store> = LazyLock::new(|| {
    let root = scratch::directory().join("store");
    scratch::empty(&root);
    let paths = Paths::under(&root);
    let vms = Vms::new(&paths);
    let record: VmRecord = serde_json::from_slice(RECORD).expect("a record");
    vms.create(&record).expect("the store is empty");
    let summary = vms.summary().expect("the record can be read");
    Store {
        index: paths.vms().join("index"),
        expected: summary.vms,
        vms,
    }
});

/// Whatever the index says, the list is what the records say.
pub fn run(bytes: &[u8]) {
    scratch::write(&STORE.index, bytes);
    let summary = STORE.vms.summary().expect("the index is only a cache");
    assert_eq!(summary.vms, STORE.expected);
    assert!(summary.damaged.is_empty());
}
