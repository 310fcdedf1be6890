//! Published ports where the host's firewall drops what it forwards.
//!
//! Docker and firewalls set the policy of iptables' `FORWARD` to DROP. The CNI plugin `firewall`
//! admits what a VM sends and the answers to it, not a connection that begins outside. An accept in a
//! table of our own would change nothing, so it goes into a chain the dropping table looks at, once
//! for each bridge: connections that a port mapping sent there.

use ignite_host::fs::{self, Lock};
use ignite_host::iptables::{self, Family};
use ignite_store::Paths;

/// Errors of admitting connections.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lock.
    #[error("cannot take the lock of the firewall's rules")]
    Lock(#[from] fs::Error),
    /// The rules.
    #[error(transparent)]
    Rules(#[from] iptables::Error),
}

/// Chains meant for rules of administrators and other programs, in order of preference.
const CHAINS: [&str; 3] = ["CNI-ADMIN", "DOCKER-USER", "FLANNEL-FWD"];

/// Comment of our rule, so that people know whose it is.
const COMMENT: &str = "ignite: published ports";

/// The change that lets connections to published ports through to `bridge`; none if it is there.
///
/// `saved` is the filter table as `iptables-save` prints it.
pub fn plan(saved: &str, bridge: &str) -> Option<String> {
    let rule = format!(
        "-o {bridge} -m conntrack --ctstate DNAT -m comment --comment \"{COMMENT}\" -j ACCEPT"
    );
    let present = |chain: &str| saved.lines().any(|line| is_chain(line, chain));
    let forward = || dropped_by_policy(saved).then_some("FORWARD");
    let chain = CHAINS.into_iter().find(|c| present(c)).or_else(forward)?;
    // Answers, where no plugin admits what the VM sends.
    let back = format!(
        "-i {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment \"{COMMENT}\" -j ACCEPT"
    );
    let done = format!("-A {chain} {rule}");
    if saved.lines().any(|line| line == done) {
        return None;
    }
    // Inserted first: `DOCKER-USER` and others end in a RETURN.
    let mut script = format!("*filter\n-I {chain} 1 {rule}\n");
    if chain != CHAINS[0] {
        script.push_str(&format!("-I {chain} 2 {back}\n"));
    }
    Some(script + "COMMIT\n")
}

fn is_chain(line: &str, chain: &str) -> bool {
    line.strip_prefix(':')
        .and_then(|rest| rest.strip_prefix(chain))
        .is_some_and(|rest| rest.starts_with(' '))
}

fn dropped_by_policy(saved: &str) -> bool {
    saved.lines().any(|line| line.starts_with(":FORWARD DROP"))
}

/// Sees to it that connections to published ports reach `bridge`.
pub fn admit(paths: &Paths, bridge: &str, families: &[Family]) -> Result<(), Error> {
    // Two starts at once would insert the rule twice.
    let _lock = Lock::exclusive(&paths.run.join("forwarding.lock"))?;
    for &family in families {
        let saved = iptables::save("filter", family)?;
        if let Some(script) = plan(&saved, bridge) {
            tracing::debug!(%bridge, ?family, "admitting connections to published ports");
            iptables::restore(&script, family)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str =
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";

    #[test]
    fn nothing_to_do_without_a_dropping_chain() {
        assert_eq!(plan(EMPTY, "ignite0"), None);
    }

    #[test]
    fn prefers_the_chain_of_cni() {
        let saved = EMPTY.replace("COMMIT", ":DOCKER-USER - [0:0]\n:CNI-ADMIN - [0:0]\nCOMMIT");
        let script = plan(&saved, "ignite0").expect("a change");
        assert!(script.contains("-I CNI-ADMIN 1 -o ignite0 "), "{script}");
    }

    #[test]
    fn falls_back_to_the_chain_whose_policy_drops() {
        let saved = EMPTY.replace(":FORWARD ACCEPT", ":FORWARD DROP");
        let script = plan(&saved, "cni0").expect("a change");
        assert!(script.contains("-I FORWARD 1 -o cni0 "), "{script}");
    }

    #[test]
    fn is_done_once_for_each_bridge() {
        let saved = EMPTY.replace("COMMIT", ":CNI-ADMIN - [0:0]\nCOMMIT");
        let script = plan(&saved, "ignite0").expect("a change");
        let rule = script
            .lines()
            .find_map(|line| line.strip_prefix("-I CNI-ADMIN 1 "))
            .expect("a rule");
        let after = saved.replace("COMMIT", &format!("-A CNI-ADMIN {rule}\nCOMMIT"));
        assert_eq!(plan(&after, "ignite0"), None);
        assert!(plan(&after, "ignite1").is_some());
    }
}
