//! The everyday verbs, each with VMs that run.

mod events;
mod logs;
mod names;
mod prune;
mod stats;
mod top;
mod wait;

use anyhow::{Context as _, Result};
use ignite_testkit::Host;
use serde_json::Value;

/// What a command prints with `-o json`.
fn json(host: &Host, words: &[&str]) -> Result<Value> {
    let words = words.iter().copied().chain(["-o", "json"]);
    let text = host.ignite(words).ok()?;
    serde_json::from_str(&text).with_context(|| format!("it printed {text}"))
}
