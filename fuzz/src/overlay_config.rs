//! Configurations of the overlay, and the subnet a node comes to with them.

use std::net::Ipv4Addr;

use ignite_overlay::config::Config;
use ignite_overlay::pool::{Situation, decide, fits};

/// A configuration, written again, is read as the same; a subnet that is taken fits.
pub fn run(bytes: &[u8]) {
    let config = match Config::parse(bytes) {
        Ok(config) => config,
        Err(error) => return drop((error.to_string(), error.hint())),
    };
    let again = Config::parse(config.to_json().as_bytes()).expect("its own text");
    assert_eq!(again, config);
    let situation = Situation {
        config: &config,
        leases: &[],
        unreadable: &[],
        public_ip: Ipv4Addr::LOCALHOST,
        previous: None,
    };
    match decide(&situation, &mut |length| bytes.len() % length) {
        Ok(decision) => assert!(fits(&config, &decision.take.subnet())),
        Err(error) => assert!(config.ipv4.is_none(), "nothing is taken: {error}"),
    }
}
