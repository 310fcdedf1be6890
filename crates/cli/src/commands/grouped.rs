//! The many flags of `create` and `run`, by what they are about; and which of them `-h` shows.

use clap::Arg;

/// What a flag is about, and the flags.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "Machine",
        &[
            "vmm",
            "jailer",
            "cpus",
            "memory",
            "balloon",
            "size",
            "disk_rate",
            "kernel_image",
            "kernel_args",
            "volumes",
            "copy_files",
        ],
    ),
    (
        "Network",
        &[
            "ports", "network", "ip", "mac", "dns", "hostname", "add_host", "net_rate",
        ],
    ),
];

/// What few people need: only `--help` shows it.
const RARE: &[&str] = &[
    "require_name",
    "vmm",
    "label",
    "detach_keys",
    "kernel_image",
    "jailer",
    "balloon",
    "disk_rate",
    "kernel_args",
    "mac",
    "dns",
    "hostname",
    "add_host",
    "net_rate",
    "insecure_registry",
    "registry_config_dir",
    "boot_timeout",
    "timings",
];

/// A flag in its place.
pub fn grouped(arg: Arg) -> Arg {
    let id = arg.get_id().as_str();
    let rare = RARE.contains(&id);
    let heading = GROUPS.iter().find(|(_, ids)| ids.contains(&id));
    let arg = match heading {
        Some((heading, _)) => arg.help_heading(*heading),
        None => arg,
    };
    if rare { arg.hide_short_help(true) } else { arg }
}
