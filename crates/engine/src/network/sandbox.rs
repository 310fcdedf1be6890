//! The sandbox: a VM's network namespace, silent from its first moment.
//!
//! The interface in it keeps the guest's address (CNI plugins read it at DEL), so the namespace's own
//! stack would answer in the VM's place: pings with no VM at all. Before anything is attached it
//! therefore forwards nothing, answers no ARP, has no IPv6 of its own, and drops what its own stack
//! receives or sends. The guest's frames pass by `tc` before any of this sees them.

use std::path::Path;

use ignite_host::netns::{self, Namespace};
use ignite_host::step::{self, Step};
use ignite_host::{nft, sysctl};

/// What the namespace's own stack must not do.
const SYSCTLS: [(&str, &str); 6] = [
    ("net/ipv4/ip_forward", "0"),
    // 8: never reply to an ARP request.
    ("net/ipv4/conf/all/arp_ignore", "8"),
    ("net/ipv4/conf/default/arp_ignore", "8"),
    ("net/ipv6/conf/all/disable_ipv6", "1"),
    ("net/ipv6/conf/default/disable_ipv6", "1"),
    // The reference plugins switch IPv6 on for the interface, and wait until its addresses are no
    // longer tentative: for nothing, since whoever could object is not heard here.
    ("net/ipv6/conf/default/accept_dad", "0"),
];

const RULES: &str = "\
table inet ignite {
  chain input { type filter hook input priority -300; policy drop; }
  chain output { type filter hook output priority -300; policy drop; }
  chain forward { type filter hook forward priority -300; policy drop; }
}
";

/// Errors of making a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The namespace could not be made or entered.
    #[error("cannot make the VM's network namespace")]
    Namespace(#[source] netns::Error),
    /// A setting was refused.
    #[error("cannot silence the VM's network namespace")]
    Sysctl(#[source] sysctl::Error),
    /// The packet filter was refused.
    #[error("cannot load the packet filter of the VM's network namespace")]
    Filter(#[source] nft::Error),
}

/// Makes the namespace at `path` and silences it. A left-over of the same name is replaced.
pub fn create(path: &Path) -> Result<Namespace, Error> {
    netns::delete(path).map_err(Error::Namespace)?;
    let namespace = Namespace::create(path).map_err(Error::Namespace)?;
    settle(path, &namespace)?;
    Ok(namespace)
}

/// Gives a namespace that somebody else made the name `path`, and silences it.
pub fn adopt(path: &Path, namespace: &Namespace) -> Result<(), Error> {
    netns::delete(path).map_err(Error::Namespace)?;
    namespace.bind(path).map_err(Error::Namespace)?;
    settle(path, namespace)
}

fn settle(path: &Path, namespace: &Namespace) -> Result<(), Error> {
    step::reached(Step::SandboxMade);
    silence(namespace).inspect_err(|_| {
        if let Err(error) = netns::delete(path) {
            tracing::warn!(path = %path.display(), %error, "namespace left behind");
        }
    })?;
    step::reached(Step::SandboxSilent);
    Ok(())
}

fn silence(namespace: &Namespace) -> Result<(), Error> {
    namespace
        .run(|| {
            for (key, value) in SYSCTLS {
                // A kernel without IPv6 has nothing to switch off.
                if key.starts_with("net/ipv6") && !sysctl::exists(key) {
                    continue;
                }
                sysctl::set(key, value).map_err(Error::Sysctl)?;
            }
            nft::apply(RULES).map_err(Error::Filter)
        })
        .map_err(Error::Namespace)?
}
