//! What a person types, on its way to a session: the keys that leave it are looked for, and what cannot
//! be sent yet waits, bounded.

use ignite_api::DetachKeys;

/// Bytes that may wait to be sent; what is typed beyond that is lost, and the keys are still seen.
const MOST: usize = 64 * 1024;

/// Typed, and not sent yet.
#[derive(Debug)]
pub(super) struct Keyboard<'a> {
    keys: &'a [u8],
    /// How many of the keys were typed last.
    matched: usize,
    waiting: Vec<u8>,
}

impl<'a> Keyboard<'a> {
    /// With these keys; without, nothing is looked for.
    pub fn new(keys: Option<&'a DetachKeys>) -> Self {
        Self {
            keys: keys.map_or(&[], DetachKeys::bytes),
            matched: 0,
            waiting: Vec::new(),
        }
    }

    /// Takes what was typed; whether the last of the keys was among it. Keys are held back until the next
    /// byte shows that they are none.
    pub fn typed(&mut self, bytes: &[u8]) -> bool {
        if self.keys.is_empty() {
            let room = MOST.saturating_sub(self.waiting.len());
            self.waiting.extend(&bytes[..bytes.len().min(room)]);
            return false;
        }
        for &byte in bytes {
            if self.keys.get(self.matched) == Some(&byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return true;
                }
                continue;
            }
            if !self.give_back(byte) {
                self.wait(byte);
            }
        }
        false
    }

    /// Bytes that may be sent.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the first `most` of them.
    pub fn take(&mut self, most: usize) -> Vec<u8> {
        let count = most.min(self.waiting.len());
        self.waiting.drain(..count).collect()
    }

    /// The keys held back were none, as `byte` shows; whether it may begin them anew, with the last of
    /// those held back.
    fn give_back(&mut self, byte: u8) -> bool {
        let mut held = self.keys[..self.matched].to_vec();
        held.push(byte);
        // The longest end of what was typed that is a beginning of the keys.
        let again = (1..held.len()).find(|&from| self.keys.starts_with(&held[from..]));
        let from = again.unwrap_or(held.len() - 1);
        self.matched = again.map_or(0, |from| held.len() - from);
        for &byte in &held[..from] {
            self.wait(byte);
        }
        again.is_some()
    }

    fn wait(&mut self, byte: u8) {
        if self.waiting.len() < MOST {
            self.waiting.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent, and whether the keys were seen.
    fn typed(keys: &str, pieces: &[&str]) -> (String, bool) {
        let keys: DetachKeys = keys.parse().expect("keys");
        let mut keyboard = Keyboard::new(Some(&keys));
        let left = pieces.iter().any(|piece| keyboard.typed(piece.as_bytes()));
        let sent = keyboard.take(keyboard.waiting());
        (String::from_utf8(sent).expect("text"), left)
    }

    #[test]
    fn keys_are_seen_across_pieces_and_others_pass() {
        let keys = "ctrl-p,ctrl-q";
        assert_eq!(typed(keys, &["ls\r\x10", "\x11x"]), ("ls\r".into(), true));
        assert_eq!(typed(keys, &["\x10", "k"]), ("\x10k".into(), false));
        assert_eq!(typed(keys, &["\x10\x10\x11"]), ("\x10".into(), true));
        assert_eq!(typed(keys, &["é\x11"]), ("é\x11".into(), false));
        assert_eq!(typed("a,a,b", &["aaab"]), ("a".into(), true));
        assert_eq!(typed("a,b,a,c", &["abab", "ac"]), ("ab".into(), true));
        assert_eq!(typed("none", &["\x10\x11"]), ("\x10\x11".into(), false));
    }

    #[test]
    fn what_cannot_be_sent_is_bounded_and_the_keys_are_seen() {
        let keys = DetachKeys::default();
        let mut keyboard = Keyboard::new(Some(&keys));
        assert!(!keyboard.typed(&vec![b'x'; 2 * MOST]));
        assert_eq!(keyboard.waiting(), MOST);
        assert!(keyboard.typed(b"\x10\x11"));
        assert_eq!(keyboard.take(10).len(), 10);
    }
}
