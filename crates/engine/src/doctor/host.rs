//! What every section goes by: who asks, and how something is installed here.

use std::path::PathBuf;

use ignite_host::cpu::{Virtualisation, hardware_virtualisation};
use ignite_host::probe::system::{Family, family};
use ignite_host::process::find_program;

/// The host in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Host {
    /// Whether root asks.
    pub is_root: bool,
    /// How something is installed.
    pub family: Family,
    /// Whether a VMM can use hardware virtualisation.
    pub kvm: Virtualisation,
}

impl Host {
    /// One that says nothing of itself.
    pub const UNKNOWN: Self = Self {
        is_root: false,
        family: Family::Other,
        kvm: Virtualisation::NoDevice,
    };

    /// This one.
    pub fn read() -> Self {
        Self {
            is_root: rustix::process::geteuid().is_root(),
            family: family(),
            kvm: hardware_virtualisation(),
        }
    }

    /// The command that installs what Debian's and Fedora's packages of these names have.
    pub fn install(&self, debian: &str, fedora: &str) -> String {
        match self.family {
            Family::Debian | Family::Ubuntu => format!("apt install {debian}"),
            Family::Fedora => format!("dnf install {fedora}"),
            Family::Other => format!("install {debian} (Fedora's package: {fedora})"),
        }
    }

    /// How the kernel gets a part it has not, by its configuration's option.
    pub fn kernel_with(&self, option: &str) -> String {
        match self.family {
            Family::Ubuntu => "apt install linux-modules-extra-$(uname -r)".to_owned(),
            Family::Fedora => "dnf install kernel-modules-extra-$(uname -r)".to_owned(),
            Family::Debian => {
                format!(
                    "apt install linux-image-$(dpkg --print-architecture), and boot it: it has {option}"
                )
            }
            Family::Other => format!("boot a kernel with {option}"),
        }
    }
}

/// A program of others, where Ignite would find it: in `PATH`, then among those of the system.
pub(super) fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    let directories: Vec<PathBuf> = std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .chain(system)
        .collect();
    find_program(name, &directories).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A Debian with everything, asked by root.
    pub const GOOD: Host = Host {
        is_root: true,
        family: Family::Debian,
        kvm: Virtualisation::Available,
    };

    #[test]
    fn each_family_installs_its_own_way() {
        let of = |family| Host { family, ..GOOD }.install("nftables", "nft");
        assert_eq!(of(Family::Ubuntu), "apt install nftables");
        assert_eq!(of(Family::Fedora), "dnf install nft");
        assert!(of(Family::Other).contains("nftables"));
    }
}
