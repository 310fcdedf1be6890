//! Names the reference plugins make from a network and a container.

use sha2::{Digest, Sha512};

/// The first `digits` hexadecimal digits of the SHA-512 of all parts in a row.
pub fn digest(parts: &[&str], digits: usize) -> String {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part.as_bytes());
    }
    let mut text = hex::encode(hash.finalize());
    text.truncate(digits);
    text
}

/// The chain of the bridge plugin's masquerading.
pub fn masquerade_chain(network: &str, container_id: &str) -> String {
    format!("CNI-{}", digest(&[network, container_id], 24))
}

/// The chain of the portmap plugin's destination NAT.
pub fn port_chain(network: &str, container_id: &str) -> String {
    format!("CNI-DN-{}", digest(&[network, container_id], 21))
}

/// The chain in which older portmap plugins did source NAT.
pub fn old_port_chain(network: &str, container_id: &str) -> String {
    format!("CNI-SN-{}", digest(&[network, container_id], 21))
}

/// How the bridge plugin's nftables rules for an attachment begin their comment.
pub fn masquerade_comment(network: &str, container_id: &str, ifname: &str) -> String {
    format!(
        "{}-{}",
        digest(&[network], 16),
        digest(&[ifname, ":", container_id], 16)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_reference() {
        assert_eq!(
            masquerade_chain("test", "1234"),
            "CNI-2bbe0c48b91a7d1b8a6753a8"
        );
        assert_eq!(
            masquerade_chain("cnx", "cnt1"),
            "CNI-a9e9cf1f3ff39e97442867ab"
        );
        assert_eq!(
            port_chain("ignite-cni-bridge", "ignite-abc"),
            "CNI-DN-3b9a26a30bde7fc5f38a1"
        );
        let comment = masquerade_comment("unit-test", "one", "eth0");
        assert_eq!(comment, "6fd94d501e58f0aa-287fc69eff0574a2");
    }
}
