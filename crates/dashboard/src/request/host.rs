//! Which `Host` a request may name.

use std::net::{Ipv4Addr, Ipv6Addr};

/// No address with a port is longer, in bytes.
const MAX: usize = 64;

/// Whether the value of a `Host` header is an address or `localhost`, with a port or without.
pub fn is_ours(value: &[u8]) -> bool {
    let Some(text) = std::str::from_utf8(value)
        .ok()
        .filter(|text| text.len() <= MAX)
    else {
        return false;
    };
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, port)| {
            address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || is_port(port))
        });
    }
    let (name, port) = match text.find(':') {
        Some(colon) => text.split_at(colon),
        None => (text, ""),
    };
    let known = name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok();
    known && (port.is_empty() || is_port(port))
}

/// `:80`.
fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|digits| {
        digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:4280",
            "localhost",
            "LocalHost:9000",
            "[::1]",
            "[::1]:4280",
            "192.0.2.1:4280",
        ] {
            assert!(is_ours(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn everything_else_is_somebody_elses() {
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1:",
            "127.0.0.1:x",
            "127.0.0.1:99999",
            "127.0.0.1:+80",
            "[::1",
            "[::1]x",
            "::1",
            "user@127.0.0.1",
            "127.0.0.1, localhost",
            "[localhost]",
            "0x7f.1",
            "\u{661}27.0.0.1",
        ] {
            assert!(!is_ours(host.as_bytes()), "{host}");
        }
        assert!(!is_ours(&[0xff; 9]));
        assert!(!is_ours(&[b'1'; 9000]));
    }
}
