//! What plugins print.

use ignite_cni::NetworkResult;
use ignite_cni::result::{convert, parse_output};
use ignite_cni::version::{KNOWN, NEWEST};

/// Whatever a plugin printed: what decodes, encodes, and is the same again in the newest version.
pub fn run(bytes: &[u8]) {
    let object = match parse_output(bytes, "1.0.0") {
        Ok(object) => object,
        Err(error) => return drop(error.to_string()),
    };
    for version in KNOWN {
        let version = version.to_string();
        if let Ok(converted) = convert(&object, &version) {
            assert_eq!(converted["cniVersion"], version.as_str());
        }
    }
    let result = match NetworkResult::decode(&object) {
        Ok(result) => result,
        Err(error) => return drop(error.to_string()),
    };
    let _ = result.validate("eth0");
    let _ = (result.addresses_of("eth0"), result.interface_of("eth0"));
    for interface in &result.interfaces {
        let _ = interface.ethernet();
    }
    for version in KNOWN {
        if let Ok(encoded) = result.encode(&version.to_string()) {
            let again = NetworkResult::decode(&encoded).expect("its own object");
            if version == NEWEST {
                assert_eq!(again, result);
            }
        }
    }
}
