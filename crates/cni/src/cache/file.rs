//! One file of the cache, as libcni spells it.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Cached, Entry};
use crate::args::Pairs;
use crate::attachment::Attachment;
use crate::json::Object;

/// The kind written into each file.
pub(super) const KIND: &str = "cniCacheV1";

/// The file as libcni spells it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    container_id: String,
    #[serde(default)]
    config: String,
    #[serde(default)]
    if_name: String,
    #[serde(default)]
    network_name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    netns: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cni_args: Option<Pairs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capability_args: Option<Object>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<Object>,
}

/// The bytes of an entry's file.
pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    serde_json::to_vec(&File::from_entry(entry)).expect("texts and JSON values are always JSON")
}

/// Reads the bytes of a cache file: an entry if it says so, else a bare result.
pub fn parse(bytes: &[u8]) -> Result<Cached, String> {
    let object: Object = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    match object.get("kind") {
        None => return Ok(Cached::Result(object)),
        Some(Value::String(kind)) if kind == KIND => {}
        Some(other) => return Err(format!("its kind is {other}, not {KIND}")),
    }
    let file: File = serde_json::from_value(Value::Object(object)).map_err(|e| e.to_string())?;
    file.into_entry()
        .map(|entry| Cached::Entry(Box::new(entry)))
}

impl File {
    fn from_entry(entry: &Entry) -> Self {
        let attachment = &entry.attachment;
        Self {
            kind: KIND.to_owned(),
            container_id: attachment.container_id.clone(),
            config: BASE64.encode(&entry.config),
            if_name: attachment.ifname.clone(),
            network_name: entry.network.clone(),
            netns: attachment.netns.to_string_lossy().into_owned(),
            cni_args: Some(attachment.args.clone()).filter(|args| !args.is_empty()),
            capability_args: Some(attachment.capabilities.clone()).filter(|args| !args.is_empty()),
            result: entry.result.clone(),
        }
    }

    fn into_entry(self) -> Result<Entry, String> {
        let config = BASE64
            .decode(&self.config)
            .map_err(|error| format!("config: {error}"))?;
        let attachment = Attachment {
            container_id: self.container_id,
            netns: PathBuf::from(self.netns),
            ifname: self.if_name,
            args: self.cni_args.unwrap_or_default(),
            capabilities: self.capability_args.unwrap_or_default(),
        };
        Ok(Entry {
            network: self.network_name,
            attachment,
            config,
            result: self.result,
        })
    }
}
