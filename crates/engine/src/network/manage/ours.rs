//! What is ours: container IDs of VMs, and whether there is a VM.
//!
//! A VM's container ID is `<prefix>-<uid>`, a prefix the VM was created with and sixteen characters.
//! Containerd's and podman's are 64 hexadecimal digits, CNI's own tool's begin with `cnitool-` and
//! have twenty. An attachment, a namespace, a lease or a rule with another ID is another's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ignite_api::{IdPrefix, Uid};
use ignite_cni::Attachment;
use ignite_host::link::Netlink;
use ignite_host::netns::Namespace;
use ignite_store::{AttachmentRecord, Paths};
use ipnet::IpNet;

/// The uid in a container ID of a VM's shape, whatever the prefix.
pub(crate) fn uid(container_id: &str) -> Option<Uid> {
    split(container_id).map(|(_, uid)| uid)
}

fn split(container_id: &str) -> Option<(&str, Uid)> {
    let (prefix, uid) = container_id.rsplit_once('-')?;
    prefix.parse::<IdPrefix>().ok()?;
    Some((prefix, uid.parse().ok()?))
}

/// The prefixes of this host's VMs: those of the VMs there are, the one in use, and the usual one.
#[derive(Debug, Clone)]
pub(crate) struct Prefixes(BTreeSet<String>);

impl Prefixes {
    /// The usual one and these.
    pub(crate) fn new<'a>(known: impl IntoIterator<Item = &'a IdPrefix>) -> Self {
        let mut prefixes: BTreeSet<String> = known
            .into_iter()
            .map(|prefix| prefix.as_str().to_owned())
            .collect();
        prefixes.insert(IdPrefix::default().as_str().to_owned());
        Self(prefixes)
    }

    /// The uid in a container ID that is a VM's.
    pub(crate) fn uid(&self, container_id: &str) -> Option<Uid> {
        let (prefix, uid) = split(container_id)?;
        self.0.contains(prefix).then_some(uid)
    }
}

/// A recorded attachment as the runtime takes it.
pub(crate) fn attachment(made: &AttachmentRecord) -> Attachment {
    Attachment {
        container_id: made.container_id.clone(),
        netns: made.netns.clone(),
        ifname: made.interface.clone(),
        args: made.args.clone(),
        capabilities: made.capabilities.clone(),
    }
}

/// Whether an interface is there with its addresses: the reference plugins read both at DEL to know
/// which rules to remove.
pub(crate) fn is_whole(netns: &Path, ifname: &str, addresses: &[IpNet]) -> bool {
    let found = || {
        let namespace = Namespace::open(netns).ok()?;
        let netlink = Netlink::open_in(&namespace).ok()?;
        let link = netlink.link(ifname).ok()??;
        netlink.addresses(link.index).ok()
    };
    found().is_some_and(|found| addresses.iter().all(|address| found.contains(address)))
}

/// Directory of the locks of containers that are no VMs.
pub(crate) fn locks(paths: &Paths) -> PathBuf {
    paths.run.join("container")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_ids_are_not_ours() {
        let prefixes = Prefixes::new(&["lab".parse().expect("a prefix")]);
        for ours in ["ignite-0123456789abcdef", "lab-0123456789abcdef"] {
            assert!(prefixes.uid(ours).is_some(), "{ours}");
        }
        for other in [
            "other-0123456789abcdef",
            "ignite-0123456789abcde",
            "ignite-0123456789abcdef0",
            "ignite-0123456789ABCDEF",
            "ignite0123456789abcdef",
            "-0123456789abcdef",
            "x-ignite-0123456789abcdef",
            "cnitool-77383ca0a0715733ca6f",
            "8f3c1c0dd3a4cf1e8f3c1c0dd3a4cf1e8f3c1c0dd3a4cf1e8f3c1c0dd3a4cf1e",
            "",
        ] {
            assert_eq!(prefixes.uid(other), None, "{other}");
        }
        assert!(uid("other-0123456789abcdef").is_some());
    }
}
