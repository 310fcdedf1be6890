//! etcd's lease objects: a time to live that keys are attached to.

use std::num::NonZeroU32;

use serde::Deserialize;
use serde_json::json;

use super::error::Error;
use super::transport::Client;
use super::wire::{bytes, number};

/// A lease newly granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// Its identifier.
    pub id: i64,
    /// Its time in seconds: what was asked for, or etcd's minimum.
    pub ttl: u64,
}

/// What is left of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeToLive {
    /// Seconds until it ends.
    pub remaining: u64,
    /// Seconds it was granted for.
    pub granted: u64,
    /// The keys that end with it.
    pub keys: Vec<Vec<u8>>,
}

#[derive(Deserialize)]
struct GrantReply {
    #[serde(rename = "ID", default, deserialize_with = "number")]
    id: i64,
    #[serde(rename = "TTL", default, deserialize_with = "number")]
    ttl: i64,
}

#[derive(Deserialize)]
struct RevokeReply {}

#[derive(Deserialize)]
struct TimeReply {
    #[serde(rename = "TTL", default, deserialize_with = "number")]
    ttl: i64,
    #[serde(rename = "grantedTTL", default, deserialize_with = "number")]
    granted: i64,
    #[serde(default)]
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key(#[serde(deserialize_with = "bytes")] Vec<u8>);

impl Client {
    /// A new lease of `ttl` seconds. (Of zero seconds etcd would make its minimum: not asked for.)
    pub async fn grant(&self, ttl: NonZeroU32) -> Result<Granted, Error> {
        let body = json!({"TTL": ttl.to_string()});
        let reply: GrantReply = self.call("/v3/lease/grant", &body).await?;
        Ok(Granted {
            id: reply.id,
            ttl: seconds(reply.ttl),
        })
    }

    /// Ends a lease and removes the keys attached to it; whether it existed.
    pub async fn revoke(&self, id: i64) -> Result<bool, Error> {
        let body = json!({"ID": id.to_string()});
        match self.call::<RevokeReply>("/v3/lease/revoke", &body).await {
            Ok(RevokeReply {}) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is left of a lease; none if it ended.
    pub async fn time_to_live(&self, id: i64) -> Result<Option<TimeToLive>, Error> {
        let body = json!({"ID": id.to_string(), "keys": true});
        let reply: TimeReply = match self.call("/v3/lease/timetolive", &body).await {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        // -1 is etcd's answer for a lease that ended.
        Ok((reply.ttl >= 0).then(|| TimeToLive {
            remaining: seconds(reply.ttl),
            granted: seconds(reply.granted),
            keys: reply.keys.into_iter().map(|key| key.0).collect(),
        }))
    }
}

fn seconds(ttl: i64) -> u64 {
    u64::try_from(ttl).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_is_read() {
        let reply: TimeReply = serde_json::from_str(
            r#"{"header":{},"ID":"7","TTL":"86390","grantedTTL":"86400","keys":["L2E=","L2I="]}"#,
        )
        .expect("reply");
        assert_eq!((reply.ttl, reply.granted), (86390, 86400));
        assert_eq!(reply.keys[1].0, b"/b");
        let ended: TimeReply =
            serde_json::from_str(r#"{"header":{},"ID":"7","TTL":"-1"}"#).expect("ended");
        assert_eq!(ended.ttl, -1);
        assert_eq!(seconds(ended.ttl), 0);
    }
}
