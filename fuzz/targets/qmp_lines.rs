//! What a VMM says on its control stream, in pieces.
#![no_main]

use ignite_vmm::qemu::qmp::Decoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|pieces: Vec<Vec<u8>>| {
    let mut decoder = Decoder::default();
    let mut reports = Vec::new();
    for piece in pieces {
        if decoder.push(&piece, &mut reports).is_err() {
            return;
        }
    }
});
