//! iptables: which kernel interface it speaks, and what it does with what passes through the host.

use crate::iptables::{self, Family};

/// The kernel interface of iptables' programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// nftables.
    NfTables,
    /// That of its own.
    Legacy,
}

impl Flavour {
    /// From what `iptables --version` prints: `iptables v1.8.9 (nf_tables)`. Before 1.8 there was one.
    pub fn parse(version: &str) -> Self {
        match version.contains("(nf_tables)") {
            true => Self::NfTables,
            false => Self::Legacy,
        }
    }
}

/// What becomes of a packet that no rule decides on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It passes.
    Accept,
    /// It does not.
    Drop,
}

/// The policy of `FORWARD` for IPv4 in the calling thread's network namespace. A table that nobody
/// uses is not asked for: that would make it.
///
/// # Errors
/// As [`iptables::save`].
pub fn forward_policy(flavour: Flavour) -> Result<Policy, iptables::Error> {
    let used = super::text("/proc/net/ip_tables_names").unwrap_or_default();
    if flavour == Flavour::Legacy && !used.lines().any(|table| table == "filter") {
        return Ok(Policy::Accept);
    }
    Ok(policy(&iptables::save("filter", Family::V4)?))
}

fn policy(saved: &str) -> Policy {
    match saved.lines().any(|line| line.starts_with(":FORWARD DROP")) {
        true => Policy::Drop,
        false => Policy::Accept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flavours_are_told_by_the_version() {
        let of = Flavour::parse;
        assert_eq!(of("iptables v1.8.9 (nf_tables)"), Flavour::NfTables);
        assert_eq!(of("iptables v1.8.9 (legacy)"), Flavour::Legacy);
        assert_eq!(of("iptables v1.6.1"), Flavour::Legacy);
    }

    #[test]
    fn the_policy_of_forward_counts_and_no_other() {
        let saved = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n";
        assert_eq!(policy(saved), Policy::Accept);
        assert_eq!(
            policy(&saved.replace("FORWARD ACCEPT", "FORWARD DROP")),
            Policy::Drop
        );
        assert_eq!(policy(""), Policy::Accept);
    }
}
