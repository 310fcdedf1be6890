//! Network configurations and what plugins print.
#![no_main]

use ignite_cni::{NetworkConfig, result, version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = NetworkConfig::parse_list(bytes);
    let _ = NetworkConfig::parse_single(bytes);
    let _ = version::parse_reply(bytes);
    for wanted in ["0.2.0", "0.4.0", "1.0.0", "1.1.0"] {
        let _ = result::parse_output(bytes, wanted);
    }
});
