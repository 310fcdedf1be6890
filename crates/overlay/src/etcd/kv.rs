//! Keys and values.

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Error;
use super::listing::PAGE;
use super::transport::Client;
use super::wire::{Header, KeyValue, at_most, encode, number};

/// One key as it was at a revision of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The store's revision.
    pub revision: i64,
    /// The key, if it exists.
    pub pair: Option<KeyValue>,
}

/// Whether a conditional write was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It was; the store's revision is the one of the write.
    Yes {
        /// That revision.
        revision: i64,
    },
    /// The condition did not hold.
    No,
}

#[derive(Deserialize)]
pub(super) struct RangeReply {
    #[serde(default)]
    pub(super) header: Header,
    #[serde(default, deserialize_with = "at_most::<PAGE, _, _>")]
    pub(super) kvs: Vec<KeyValue>,
    #[serde(default)]
    pub(super) more: bool,
}

#[derive(Deserialize)]
struct WriteReply {
    #[serde(default)]
    header: Header,
}

#[derive(Deserialize)]
struct DeleteReply {
    #[serde(default, deserialize_with = "number")]
    deleted: i64,
}

#[derive(Deserialize)]
struct TxnReply {
    #[serde(default)]
    header: Header,
    #[serde(default)]
    succeeded: bool,
}

impl Client {
    /// One key.
    pub async fn get(&self, key: &str) -> Result<Read, Error> {
        let body = json!({"key": encode(key)});
        let reply: RangeReply = self.call("/v3/kv/range", &body).await?;
        Ok(Read {
            revision: reply.header.revision,
            pair: reply.kvs.into_iter().next(),
        })
    }

    /// Writes a key, with a lease or for good; the revision of the write.
    pub async fn put(&self, key: &str, value: &[u8], lease: Option<i64>) -> Result<i64, Error> {
        let reply: WriteReply = self.call("/v3/kv/put", &write(key, value, lease)).await?;
        Ok(reply.header.revision)
    }

    /// Writes a key unless it exists.
    pub async fn create_if_absent(
        &self,
        key: &str,
        value: &[u8],
        lease: Option<i64>,
    ) -> Result<Written, Error> {
        let absent =
            json!({"target": "VERSION", "result": "EQUAL", "key": encode(key), "version": "0"});
        let put = json!({"requestPut": write(key, value, lease)});
        self.write_if(absent, put).await
    }

    /// Writes a key that was last changed at `revision`, and not since.
    pub async fn replace_if_unchanged(
        &self,
        key: &str,
        revision: i64,
        value: &[u8],
        lease: Option<i64>,
    ) -> Result<Written, Error> {
        let put = json!({"requestPut": write(key, value, lease)});
        self.write_if(unchanged_since(key, revision), put).await
    }

    /// Removes a key that was last changed at `revision`, and not since.
    pub async fn delete_if_unchanged(&self, key: &str, revision: i64) -> Result<Written, Error> {
        let delete = json!({"requestDeleteRange": {"key": encode(key)}});
        self.write_if(unchanged_since(key, revision), delete).await
    }

    async fn write_if(&self, condition: Value, operation: Value) -> Result<Written, Error> {
        let body = json!({"compare": [condition], "success": [operation]});
        let reply: TxnReply = self.call("/v3/kv/txn", &body).await?;
        Ok(match reply.succeeded {
            true => Written::Yes {
                revision: reply.header.revision,
            },
            false => Written::No,
        })
    }

    /// Removes a key; whether it existed.
    pub async fn delete(&self, key: &str) -> Result<bool, Error> {
        let body = json!({"key": encode(key)});
        let reply: DeleteReply = self.call("/v3/kv/deleterange", &body).await?;
        Ok(reply.deleted > 0)
    }

    /// Has etcd forget the revisions before this one. The overlay never does; its tests do.
    pub async fn compact(&self, revision: i64) -> Result<(), Error> {
        let body = json!({"revision": revision.to_string(), "physical": true});
        let _: WriteReply = self.call("/v3/kv/compaction", &body).await?;
        Ok(())
    }
}

fn unchanged_since(key: &str, revision: i64) -> Value {
    json!({
        "target": "MOD", "result": "EQUAL", "key": encode(key), "mod_revision": revision.to_string(),
    })
}

fn write(key: &str, value: &[u8], lease: Option<i64>) -> Value {
    let mut put = json!({"key": encode(key), "value": encode(value)});
    if let Some(id) = lease {
        put["lease"] = id.to_string().into();
    }
    put
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_put_without_a_lease_names_none() {
        assert_eq!(
            write("/a", b"v", None).to_string(),
            r#"{"key":"L2E=","value":"dg=="}"#
        );
        assert_eq!(
            write("/a", b"v", Some(-1)).to_string(),
            r#"{"key":"L2E=","value":"dg==","lease":"-1"}"#
        );
    }

    #[test]
    fn the_answer_to_a_lost_race_lacks_the_member() {
        let reply: TxnReply =
            serde_json::from_str(r#"{"header":{"revision":"7"}}"#).expect("reply");
        assert!(!reply.succeeded);
        assert_eq!(reply.header.revision, 7);
    }
}
