//! What a guest needs of its kernel, and whether a kernel has it.
//!
//! Evidence, the best first: the module tree (files, `modules.builtin`), the configuration, and for a
//! bare kernel the names of the drivers in it, which every built-in driver leaves there.

use serde::{Deserialize, Serialize};

use super::config::{Config, Setting};
use super::modules::{Tree, When};
use super::vmlinux::find;

/// One thing a guest uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// What it is, for people.
    pub feature: &'static str,
    /// The option it is configured by.
    pub option: &'static str,
    /// The module it may be.
    pub module: Option<&'static str>,
    /// What a kernel that has it built in holds as a string.
    probe: Option<&'static str>,
    /// Whether no guest runs without it.
    pub required: bool,
    /// When it is loaded, where it is a module.
    pub when: When,
}

/// How a kernel has something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// In the kernel itself.
    BuiltIn,
    /// As a module of its tree.
    Module,
    /// As a module, but the module is not there.
    ModuleMissing,
    /// Not at all.
    Absent,
    /// Nothing says.
    Unknown,
}

const fn driver(
    feature: &'static str,
    option: &'static str,
    module: &'static str,
    probe: &'static str,
) -> Need {
    Need {
        feature,
        option,
        module: Some(module),
        probe: Some(probe),
        required: true,
        when: When::Start,
    }
}

const fn part(feature: &'static str, option: &'static str) -> Need {
    Need {
        feature,
        option,
        module: None,
        probe: None,
        required: true,
        when: When::Start,
    }
}

const fn useful(
    feature: &'static str,
    option: &'static str,
    module: &'static str,
    when: When,
) -> Need {
    Need {
        feature,
        option,
        module: Some(module),
        probe: None,
        required: false,
        when,
    }
}

/// What a machine without a virtio console needs besides: there the agent's stream goes over vsock.
pub const VSOCK_OPTION: &str = "CONFIG_VIRTIO_VSOCKETS";

/// What a machine with a balloon needs besides.
pub const BALLOON_OPTION: &str = "CONFIG_VIRTIO_BALLOON";

/// What a guest uses, in the order in which its modules are loaded.
pub const NEEDS: &[Need] = &[
    part("an initramfs", "CONFIG_BLK_DEV_INITRD"),
    part("a device file system", "CONFIG_DEVTMPFS"),
    part("a process file system", "CONFIG_PROC_FS"),
    part("a serial console", "CONFIG_SERIAL_8250_CONSOLE"),
    part("TCP/IP", "CONFIG_INET"),
    driver(
        "virtio devices on the machine's bus",
        "CONFIG_VIRTIO_MMIO",
        "virtio_mmio",
        "virtio-mmio\0",
    ),
    driver(
        "virtio disks",
        "CONFIG_VIRTIO_BLK",
        "virtio_blk",
        "virtio_blk\0",
    ),
    driver(
        "virtio network interfaces",
        "CONFIG_VIRTIO_NET",
        "virtio_net",
        "virtio_net\0",
    ),
    driver(
        "virtio consoles",
        "CONFIG_VIRTIO_CONSOLE",
        "virtio_console",
        "virtio_console\0",
    ),
    driver("the ext4 file system", "CONFIG_EXT4_FS", "ext4", "ext4\0"),
    Need {
        feature: "virtio vsock",
        option: VSOCK_OPTION,
        module: Some("vmw_vsock_virtio_transport"),
        probe: Some("vmw_vsock_virtio_transport\0"),
        required: false,
        when: When::Vsock,
    },
    Need {
        feature: "virtio balloons",
        option: BALLOON_OPTION,
        module: Some("virtio_balloon"),
        probe: Some("virtio_balloon\0"),
        required: false,
        when: When::Late,
    },
    useful(
        "the host's random numbers",
        "CONFIG_HW_RANDOM_VIRTIO",
        "virtio_rng",
        When::Late,
    ),
    useful(
        "the power button",
        "CONFIG_ACPI_BUTTON",
        "button",
        When::Late,
    ),
    useful(
        "packet sockets (DHCP clients)",
        "CONFIG_PACKET",
        "af_packet",
        When::Start,
    ),
    useful("unix sockets", "CONFIG_UNIX", "unix", When::Start),
];

/// All that is known of a kernel.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Its module tree.
    pub tree: Option<&'a Tree>,
    /// Its configuration.
    pub config: Option<&'a Config>,
    /// The unpacked kernel.
    pub vmlinux: &'a [u8],
}

impl Need {
    /// How the kernel has it.
    pub fn presence(&self, evidence: &Evidence<'_>) -> Presence {
        if let (Some(module), Some(tree)) = (self.module, evidence.tree) {
            if tree.is_builtin(module) {
                return Presence::BuiltIn;
            }
            if tree.has(module) {
                return Presence::Module;
            }
        }
        if let Some(config) = evidence.config {
            return match config.get(self.option) {
                Setting::Yes => Presence::BuiltIn,
                Setting::Module => Presence::ModuleMissing,
                Setting::No => Presence::Absent,
            };
        }
        match self.probe {
            // The list of what is built in is complete.
            Some(_) if evidence.tree.is_some_and(Tree::knows_builtin) => Presence::Absent,
            Some(probe) if find(evidence.vmlinux, probe.as_bytes()).is_some() => Presence::BuiltIn,
            Some(_) => Presence::Absent,
            None => Presence::Unknown,
        }
    }
}

/// The modules a guest loads of this kernel, in the order of [`NEEDS`].
pub fn modules(evidence: &Evidence<'_>) -> Vec<(&'static str, When)> {
    NEEDS
        .iter()
        .filter(|need| need.presence(evidence) == Presence::Module)
        .filter_map(|need| Some((need.module?, need.when)))
        .collect()
}

/// What no guest runs without and the kernel has not, for people: one text each.
pub fn missing(evidence: &Evidence<'_>) -> Vec<String> {
    NEEDS
        .iter()
        .filter(|need| need.required)
        .filter_map(|need| match need.presence(evidence) {
            Presence::Absent => Some(format!("{} ({})", need.feature, need.option)),
            Presence::ModuleMissing => Some(format!(
                "{} ({}=m, but there is no module {})",
                need.feature,
                need.option,
                need.module.unwrap_or("for it"),
            )),
            Presence::BuiltIn | Presence::Module | Presence::Unknown => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::modules::sample;
    use super::*;

    const BARE: &[u8] = b"x\0virtio-mmio\0virtio_blk\0virtio_net\0virtio_console\0ext4\0";

    #[test]
    fn a_tree_gives_the_modules_to_load() {
        let directory = tempfile::tempdir().expect("a directory");
        sample::tree(directory.path());
        let tree = Tree::open(directory.path()).expect("a tree");
        let evidence = Evidence {
            tree: Some(&tree),
            config: None,
            vmlinux: b"",
        };
        assert_eq!(
            modules(&evidence),
            [
                ("virtio_mmio", When::Start),
                ("virtio_blk", When::Start),
                ("virtio_net", When::Start),
                ("virtio_console", When::Start),
                ("vmw_vsock_virtio_transport", When::Vsock),
                ("virtio_rng", When::Late)
            ]
        );
        assert_eq!(missing(&evidence), Vec::<String>::new());
    }

    #[test]
    fn a_bare_kernel_is_judged_by_what_is_in_it() {
        let evidence = |vmlinux| Evidence {
            tree: None,
            config: None,
            vmlinux,
        };
        assert_eq!(missing(&evidence(BARE)), Vec::<String>::new());
        let without = BARE.strip_suffix(b"ext4\0").expect("the last");
        assert_eq!(
            missing(&evidence(without)),
            ["the ext4 file system (CONFIG_EXT4_FS)"]
        );
    }

    #[test]
    fn a_configuration_without_its_modules_is_told_apart() {
        let config = Config::parse(
            "CONFIG_BLK_DEV_INITRD=y\nCONFIG_DEVTMPFS=y\nCONFIG_PROC_FS=y\nCONFIG_INET=y\n\
             CONFIG_SERIAL_8250_CONSOLE=y\nCONFIG_VIRTIO_MMIO=m\nCONFIG_VIRTIO_BLK=y\n\
             CONFIG_VIRTIO_NET=y\nCONFIG_VIRTIO_CONSOLE=y\n",
        );
        let evidence = Evidence {
            tree: None,
            config: config.as_ref(),
            vmlinux: BARE,
        };
        assert_eq!(
            missing(&evidence),
            [
                "virtio devices on the machine's bus (CONFIG_VIRTIO_MMIO=m, but there is no module virtio_mmio)",
                "the ext4 file system (CONFIG_EXT4_FS)",
            ]
        );
    }
}
