//! Kernels as files: compressed, ELF, bzImage, or something else.
#![no_main]

use ignite_image::kernel::unpack;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = unpack(bytes);
});
