//! Bytes from a guest's agent, in pieces of any length: what is decoded encodes
//! to itself.
#![no_main]

use ignite_wire::agent::Decoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|pieces: Vec<Vec<u8>>| {
    let mut decoder = Decoder::new();
    for piece in pieces {
        decoder.push(&piece);
        loop {
            match decoder.next() {
                Ok(Some(frame)) => {
                    let mut bytes = Vec::new();
                    if frame.encode(&mut bytes).is_ok() {
                        let mut again = Decoder::new();
                        again.push(&bytes);
                        assert_eq!(again.next().expect("our own bytes"), Some(frame));
                    }
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
