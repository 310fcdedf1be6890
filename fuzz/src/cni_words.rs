//! The small grammars of CNI: arguments, versions, the answer to VERSION.

use ignite_cni::version::{Version, parse_reply};
use ignite_cni::{args, attachment};

/// What is read is written as something that is read as the same.
pub fn run(bytes: &[u8]) {
    if let Ok(versions) = parse_reply(bytes) {
        assert!(!versions.is_empty());
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(version) = text.parse::<Version>() {
        assert_eq!(version.to_string().parse(), Ok(version));
    }
    if let Ok(pairs) = args::parse(text)
        && let Ok(encoded) = args::encode(&pairs)
    {
        assert_eq!(encoded, text);
    }
    if let Ok(known) = args::parse_known(text, &["IP", "MAC"]) {
        assert!(known.iter().all(|(key, _)| key == "IP" || key == "MAC"));
    }
    if attachment::validate_network_name(text).is_ok() {
        assert!(!text.contains('/') && text != ".." && !text.is_empty());
    }
    if attachment::validate_ifname(text).is_ok() {
        assert!(!text.contains('/') && (1..16).contains(&text.len()));
    }
}
