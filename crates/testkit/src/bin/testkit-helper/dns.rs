//! A name server for a handful of names: enough of RFC 1035 for a resolver to
//! be satisfied. Every question is printed.

use std::collections::HashMap;
use std::net::{Ipv4Addr, UdpSocket};

use super::Failure;

const HEADER: usize = 12;
const NAME_ERROR: u8 = 3;

pub(super) fn forever(address: &str, names: &[&str]) -> Result<(), Failure> {
    let mut known = HashMap::new();
    for name in names {
        let (name, value) = name.split_once('=').ok_or("a name is NAME=IPV4")?;
        known.insert(name.to_ascii_lowercase(), value.parse::<Ipv4Addr>()?);
    }
    let socket = UdpSocket::bind((address, 53))?;
    println!("serving names");
    let mut query = [0; 512];
    loop {
        let (length, peer) = socket.recv_from(&mut query)?;
        if let Some(answer) = answer(&query[..length], &known) {
            socket.send_to(&answer, peer)?;
        }
    }
}

/// The answer to one query; `None` if the query is not one.
fn answer(query: &[u8], known: &HashMap<String, Ipv4Addr>) -> Option<Vec<u8>> {
    let (name, end) = question(query)?;
    let kind = u16::from_be_bytes([*query.get(end)?, *query.get(end + 1)?]);
    println!("asked for {name} type {kind}");
    let address = known.get(&name);
    let mut answer = query.get(..end + 4)?.to_vec();
    let found = address.filter(|_| kind == 1);
    // Flags: response, authoritative, recursion available.
    answer[2] = 0x84 | (query[2] & 1);
    answer[3] = 0x80 | if address.is_some() { 0 } else { NAME_ERROR };
    // Counts: one question, the answers, no authority, nothing additional.
    answer[4..HEADER].copy_from_slice(&[0, 1, 0, u8::from(found.is_some()), 0, 0, 0, 0]);
    if let Some(address) = found {
        // Pointer to the question's name, type A, class IN, 60 s, 4 bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

/// The name asked for, in lower case, and where its encoding ends.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*query.get(at)?);
        let label = query.get(at + 1..at + 1 + length)?;
        at += 1 + length;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
    }
}
