//! Single values of the engine's answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};

use super::Malformed;

/// How much of the engine's words is quoted, in characters.
const QUOTE: usize = 400;
/// Characters of a name.
const NAME: usize = 255;

/// The beginning of foreign words, harmless on a terminal.
pub(super) fn excerpt(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() || is_direction(c) => '\u{fffd}',
        c => c,
    };
    let mut cut: String = text.trim().chars().take(QUOTE).map(harmless).collect();
    if text.trim().chars().nth(QUOTE).is_some() {
        cut.push_str("...");
    }
    cut
}

/// Signs that turn the direction of writing, and so what a reader believes to see.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

pub(super) fn wrong(what: &'static str, text: &str) -> Malformed {
    Malformed::Value {
        what,
        value: excerpt(text),
    }
}

/// An id as the engine makes them.
pub(super) fn id(text: String) -> Result<String, Malformed> {
    let digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    match text.len() == 64 && text.bytes().all(digit) {
        true => Ok(text),
        false => Err(wrong("id of a container", &text)),
    }
}

/// A container's name; the engine writes a slash before it.
pub(super) fn name(text: &str) -> Result<String, Malformed> {
    let bare = text.strip_prefix('/').unwrap_or(text);
    let printable = |c: char| !c.is_control() && !is_direction(c);
    match !bare.is_empty() && bare.len() <= NAME && bare.chars().all(printable) {
        true => Ok(bare.to_owned()),
        false => Err(wrong("name of a container", text)),
    }
}

/// A process as the host counts; 0 where there is none. The first process of a host is no container's.
pub(super) fn pid(number: i32) -> Result<Option<i32>, Malformed> {
    match number {
        0 => Ok(None),
        2.. => Ok(Some(number)),
        _ => Err(wrong("process of a container", &number.to_string())),
    }
}

pub(super) fn net4(address: &str, prefix: u8) -> Result<Option<Ipv4Net>, Malformed> {
    let Some(address) = address4(address)? else {
        return Ok(None);
    };
    let net = Ipv4Net::new(address, prefix);
    net.map(Some)
        .map_err(|_| wrong("length of an IPv4 prefix", &prefix.to_string()))
}

pub(super) fn net6(address: &str, prefix: u8) -> Result<Option<Ipv6Net>, Malformed> {
    let Some(address) = address6(address)? else {
        return Ok(None);
    };
    let net = Ipv6Net::new(address, prefix);
    net.map(Some)
        .map_err(|_| wrong("length of an IPv6 prefix", &prefix.to_string()))
}

pub(super) fn address4(text: &str) -> Result<Option<Ipv4Addr>, Malformed> {
    let address: Option<Ipv4Addr> = parse("IPv4 address", text)?;
    address
        .map(
            |address| match is_hosts(address.into()) && !address.is_broadcast() {
                true => Ok(address),
                false => Err(wrong("address of a host", text)),
            },
        )
        .transpose()
}

pub(super) fn address6(text: &str) -> Result<Option<Ipv6Addr>, Malformed> {
    let address: Option<Ipv6Addr> = parse("IPv6 address", text)?;
    address
        .map(|address| match is_hosts(address.into()) {
            true => Ok(address),
            false => Err(wrong("address of a host", text)),
        })
        .transpose()
}

fn is_hosts(address: IpAddr) -> bool {
    !address.is_loopback() && !address.is_multicast() && !address.is_unspecified()
}

/// The engine writes "" for what is not there.
fn parse<T: FromStr>(what: &'static str, text: &str) -> Result<Option<T>, Malformed> {
    match text {
        "" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| wrong(what, text)),
    }
}
