//! Records on disk, perhaps of another version, perhaps damaged.

use std::fmt::Debug;

use ignite_store::{ImageRecord, KernelRecord, NetworkRecord, StatusRecord, VmRecord};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is read is written as something that is read as the same.
pub fn run(bytes: &[u8]) {
    round::<VmRecord>(bytes);
    round::<NetworkRecord>(bytes);
    round::<StatusRecord>(bytes);
    round::<ImageRecord>(bytes);
    round::<KernelRecord>(bytes);
}

fn round<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<T>(bytes) {
        let written = serde_json::to_vec_pretty(&record).expect("records are maps with text keys");
        let again: T = serde_json::from_slice(&written).expect("its own text");
        assert_eq!(again, record);
    }
}
