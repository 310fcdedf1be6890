//! The binary index kmod reads (`modules.*.bin`): a trie of names, each with values by priority.
//!
//! ```text
//!  magic, version, root          (all numbers big-endian, 32 bits)
//!  node: [prefix, NUL] [first, last, child...] [count, (priority, value, NUL)...]
//! ```
//!
//! A reference to a node is its offset; the upper four bits say which of the three parts it has.
//! Children are written before their parent. kmod's modprobe reads nothing but these; the text files
//! beside them are for busybox.

use std::collections::BTreeMap;

const MAGIC: u32 = 0xB007_F457;
const VERSION: u32 = 0x0002_0001;
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;

/// An index being filled.
#[derive(Debug, Default)]
pub struct Index {
    /// Values by key; lower priorities come first.
    entries: BTreeMap<Vec<u8>, Vec<(u32, String)>>,
}

impl Index {
    /// Adds a value. Keys are ASCII: others cannot be looked up, and are left out.
    pub fn insert(&mut self, key: &str, value: &str, priority: u32) {
        if key.bytes().all(|byte| (1..0x80).contains(&byte)) && !value.contains('\0') {
            let values = self.entries.entry(key.as_bytes().to_vec()).or_default();
            if !values.iter().any(|(_, known)| known == value) {
                values.push((priority, value.to_owned()));
            }
        }
    }

    /// The file's bytes.
    pub fn encode(mut self) -> Vec<u8> {
        for values in self.entries.values_mut() {
            values.sort_by_key(|(priority, _)| *priority);
        }
        let mut bytes = Vec::new();
        bytes.extend(MAGIC.to_be_bytes());
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend([0; 4]);
        let entries: Vec<Entry<'_>> = self
            .entries
            .iter()
            .map(|(key, values)| (key.as_slice(), values.as_slice()))
            .collect();
        let root = node(&entries, 0, &mut bytes);
        bytes[8..12].copy_from_slice(&root.to_be_bytes());
        bytes
    }
}

type Entry<'a> = (&'a [u8], &'a [(u32, String)]);

/// Writes the node of all `entries` (sorted, with their first `depth` bytes in common) and those
/// below it; returns the reference to it.
fn node(entries: &[Entry<'_>], depth: usize, bytes: &mut Vec<u8>) -> u32 {
    let prefix = common(entries, depth);
    let at = depth + prefix.len();
    let (values, longer) = match entries.split_first() {
        Some(((key, values), rest)) if key.len() == at => (*values, rest),
        _ => (&[][..], entries),
    };
    let children: Vec<(u8, u32)> = longer
        .chunk_by(|(one, _), (two, _)| one[at] == two[at])
        .map(|group| (group[0].0[at], node(group, at + 1, bytes)))
        .collect();

    let mut reference = bytes.len() as u32;
    if !prefix.is_empty() {
        bytes.extend(prefix);
        bytes.push(0);
        reference |= HAS_PREFIX;
    }
    if let (Some((first, _)), Some((last, _))) = (children.first(), children.last()) {
        bytes.extend([*first, *last]);
        for byte in *first..=*last {
            let child = children.iter().find(|(key, _)| *key == byte);
            bytes.extend(child.map_or(0, |(_, child)| *child).to_be_bytes());
        }
        reference |= HAS_CHILDREN;
    }
    if !values.is_empty() {
        bytes.extend((values.len() as u32).to_be_bytes());
        for (priority, value) in values {
            bytes.extend(priority.to_be_bytes());
            bytes.extend(value.as_bytes());
            bytes.push(0);
        }
        reference |= HAS_VALUES;
    }
    reference
}

/// What the keys have in common behind their first `depth` bytes. They are sorted, so what the first
/// and the last have in common, all have.
fn common<'a>(entries: &[Entry<'a>], depth: usize) -> &'a [u8] {
    let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) else {
        return &[];
    };
    let pairs = first[depth..].iter().zip(&last[depth..]);
    let length = pairs.take_while(|(one, two)| one == two).count();
    &first[depth..depth + length]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Walks the file as kmod does.
    fn look_up(file: &[u8], key: &[u8]) -> Vec<String> {
        let u32_at = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().expect("4 bytes"));
        let text_at = |at: usize| {
            let end = at
                + file[at..]
                    .iter()
                    .position(|byte| *byte == 0)
                    .expect("a NUL");
            String::from_utf8(file[at..end].to_vec()).expect("text")
        };
        let (mut reference, mut rest) = (u32_at(8), key);
        loop {
            let mut at = (reference & 0x0fff_ffff) as usize;
            if reference & HAS_PREFIX != 0 {
                let prefix = text_at(at);
                at += prefix.len() + 1;
                let Some(tail) = rest.strip_prefix(prefix.as_bytes()) else {
                    return Vec::new();
                };
                rest = tail;
            }
            let children = at;
            let (first, last) = (file.get(at).copied(), file.get(at + 1).copied());
            if reference & HAS_CHILDREN != 0 {
                at += 2 + 4
                    * (usize::from(last.expect("last")) - usize::from(first.expect("first")) + 1);
            }
            let Some((byte, tail)) = rest.split_first() else {
                if reference & HAS_VALUES == 0 {
                    return Vec::new();
                }
                let mut values = Vec::new();
                let count = u32_at(at);
                at += 4;
                for _ in 0..count {
                    let value = text_at(at + 4);
                    at += 4 + value.len() + 1;
                    values.push(value);
                }
                return values;
            };
            if reference & HAS_CHILDREN == 0 || *byte < file[children] || *byte > file[children + 1]
            {
                return Vec::new();
            }
            reference = u32_at(children + 2 + 4 * usize::from(byte - file[children]));
            rest = tail;
            if reference == 0 {
                return Vec::new();
            }
        }
    }

    #[test]
    fn values_come_by_priority_and_once() {
        let mut index = Index::default();
        for (value, priority) in [("late", 9), ("early", 1), ("late", 3)] {
            index.insert("key", value, priority);
        }
        assert_eq!(look_up(&index.encode(), b"key"), ["early", "late"]);
        assert_eq!(
            Index::default().encode(),
            [0xb0, 7, 0xf4, 0x57, 0, 2, 0, 1, 0, 0, 0, 12]
        );
    }

    proptest! {
        #[test]
        fn every_key_is_found_and_no_other(keys in prop::collection::btree_set("[a-d]{0,6}", 0..40)) {
            let mut index = Index::default();
            for key in &keys {
                index.insert(key, key, 0);
            }
            let file = index.encode();
            for key in &keys {
                prop_assert_eq!(look_up(&file, key.as_bytes()), vec![key.clone()]);
                let longer = format!("{key}e");
                prop_assert_eq!(look_up(&file, longer.as_bytes()), Vec::<String>::new());
            }
        }
    }
}
