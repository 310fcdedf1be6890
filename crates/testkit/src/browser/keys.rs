//! Key presses as the DevTools protocol has them.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Name, code of Windows, and the text it types.
const KEYS: &[(&str, u32, &str)] = &[
    ("Tab", 9, ""),
    ("Enter", 13, "\r"),
    ("Escape", 27, ""),
    (" ", 32, " "),
    ("End", 35, ""),
    ("Home", 36, ""),
    ("ArrowLeft", 37, ""),
    ("ArrowUp", 38, ""),
    ("ArrowRight", 39, ""),
    ("ArrowDown", 40, ""),
    ("/", 191, "/"),
];

const SHIFT: u32 = 8;

/// The key goes down and up.
pub(super) fn events(name: &str) -> Result<[Value; 2]> {
    let (key, modifiers) = match name.strip_prefix("Shift+") {
        Some(key) => (key, SHIFT),
        None => (name, 0),
    };
    let known = KEYS.iter().find(|(known, ..)| *known == key);
    let (_, code, text) = known.with_context(|| format!("the key {key} is not known here"))?;
    let event = |kind: &str| {
        let mut event = json!({
            "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers,
        });
        if kind == "keyDown" && !text.is_empty() {
            event["text"] = (*text).into();
        }
        event
    };
    Ok([event("keyDown"), event("keyUp")])
}
