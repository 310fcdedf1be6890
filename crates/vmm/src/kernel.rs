//! Arguments of the guest's kernel, for every VMM.

use ignite_wire::supervisor::{Machine, Vmm};

/// What every guest gets.
const COMMON: [&str; 4] = [
    "console=ttyS0",
    "panic=-1",
    "8250.nr_uarts=1",
    "cryptomgr.notests",
];

/// What a guest under translation gets: slow paths it needs no protection by, and no wait for
/// entropy.
const TRANSLATED: [&str; 2] = ["mitigations=off", "random.trust_cpu=on"];

/// What a guest in Firecracker gets: the keyboard's controller is the machine's only reset, and takes
/// Ctrl-Alt-Del from a plain keyboard; there is no PCI bus to look for. Releases from 1.13 on say the
/// last by themselves.
const FIRECRACKER: [&str; 5] = [
    "reboot=k",
    "i8042.noaux",
    "i8042.nomux",
    "i8042.dumbkbd",
    "pci=off",
];

/// A plan that speaks of one of these has chosen how much the kernel prints.
const LOG_LEVEL: [&str; 4] = ["quiet", "loglevel", "debug", "ignore_loglevel"];

/// Arguments of the kernel: the plan's, and what this machine type needs or starts faster with, as
/// far as the plan's do not speak of it.
pub(crate) fn arguments(machine: &Machine, tsc_khz: Option<u32>) -> String {
    let mut arguments: Vec<String> = machine
        .cmdline
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect();
    let special: &[&str] = match machine.vmm {
        Vmm::QemuTcg => &TRANSLATED,
        Vmm::QemuKvm => &[],
        Vmm::Firecracker => &FIRECRACKER,
    };
    if !arguments
        .iter()
        .any(|given| LOG_LEVEL.contains(&key(given)))
    {
        arguments.push("quiet".to_owned());
    }
    let tsc = tsc_khz.map(|khz| format!("tsc_early_khz={khz}"));
    let ours = COMMON.iter().chain(special).map(|&text| text.to_owned());
    for argument in ours.chain(tsc) {
        if !arguments.iter().any(|given| key(given) == key(&argument)) {
            arguments.push(argument);
        }
    }
    arguments.join(" ")
}

fn key(argument: &str) -> &str {
    argument.split_once('=').map_or(argument, |(key, _)| key)
}
