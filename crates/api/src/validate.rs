//! Everything that is wrong with a VM, at once.
//!
//! What a type rules out cannot be wrong here any more; what is left is what only the whole shows:
//! things that are missing, too small, given twice, or do not fit each other.

use std::collections::HashSet;
use std::fmt;

use crate::interface::MAX_ADDRESSES;
use crate::volume::plain;
use crate::{
    CopyFile, InterfaceSpec, MAX_EXTRA_HOSTS, MAX_HOSTNAME, MAX_INTERFACES, MAX_VOLUMES, Name,
    PortMapping, Size, StorageSpec, Vm, VmSpec, VolumeSource, check_balloon, check_mount_path,
};

/// Most virtual processors.
pub const MAX_CPUS: u64 = 32;

/// Least memory: below it no kernel gets as far as its init.
pub const MIN_MEMORY: Size = Size::from_mib(64);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: `spec.network.ports[1]`.
    pub path: String,
    /// What.
    pub message: String,
}

impl Fault {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Checks a VM that is about to be created; every fault is reported, in the order of the fields.
pub fn validate(vm: &Vm) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    check_name(vm, &mut faults);
    check_labels(vm, &mut faults);
    check_machine(&vm.spec, &mut faults);
    check_ports(&vm.spec.network.ports, &mut faults);
    check_interfaces(&vm.spec.network.interfaces, &mut faults);
    check_storage(&vm.spec.storage, &mut faults);
    check_copies(&vm.spec.copy_files, &mut faults);
    check_process(&vm.spec, &mut faults);
    check_hosts(&vm.spec, &mut faults);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

fn check_name(vm: &Vm, faults: &mut Vec<Fault>) {
    // An empty name is one that is still to be chosen.
    if !vm.metadata.name.is_empty()
        && let Err(error) = vm.metadata.name.parse::<Name>()
    {
        faults.push(Fault::new("metadata.name", error.to_string()));
    }
}

/// They are shown on terminals.
fn check_labels(vm: &Vm, faults: &mut Vec<Fault>) {
    for (key, value) in &vm.metadata.labels {
        let is_plain = |text: &str| !text.contains(char::is_control);
        if key.is_empty() {
            faults.push(Fault::new("metadata.labels", "a label has no key"));
        } else if !is_plain(key) || !is_plain(value) {
            let message = format!("the label {key:?} has control characters");
            faults.push(Fault::new("metadata.labels", message));
        }
    }
}

fn check_machine(spec: &VmSpec, faults: &mut Vec<Fault>) {
    if spec.image.oci.is_none() {
        faults.push(Fault::new("spec.image.oci", "no image is named"));
    }
    if spec.jailer
        && let Some(vmm) = spec.vmm.filter(|vmm| vmm.is_qemu())
    {
        faults.push(Fault::new(
            "spec.jailer",
            format!("the jailer is Firecracker's, and spec.vmm is {vmm}"),
        ));
    }
    if !(1..=MAX_CPUS).contains(&spec.cpus) {
        faults.push(Fault::new(
            "spec.cpus",
            format!("{} is not between 1 and {MAX_CPUS}", spec.cpus),
        ));
    }
    if spec.memory < MIN_MEMORY {
        faults.push(Fault::new(
            "spec.memory",
            format!("{} is less than {MIN_MEMORY}", spec.memory),
        ));
    } else if !spec.memory.bytes().is_multiple_of(Size::MIB.bytes()) {
        faults.push(Fault::new(
            "spec.memory",
            format!("{} is not a whole number of MB", spec.memory),
        ));
    }
    if let Some(balloon) = spec.balloon
        && let Err(error) = check_balloon(balloon, spec.memory)
    {
        faults.push(Fault::new("spec.balloon", error.to_string()));
    }
    if spec.disk_size < Size::MIB {
        faults.push(Fault::new(
            "spec.diskSize",
            format!("{} is less than {}", spec.disk_size, Size::MIB),
        ));
    }
}

fn check_ports(ports: &[PortMapping], faults: &mut Vec<Fault>) {
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.network.ports[{index}]");
        if port.host_port == 0 || port.vm_port == 0 {
            faults.push(Fault::new(&path, "0 is not a port"));
        }
        if let Some(first) = ports[..index].iter().find(|first| first.overlaps(port)) {
            faults.push(Fault::new(
                path,
                format!("takes the same host port as {first}"),
            ));
        }
    }
}

fn check_storage(storage: &StorageSpec, faults: &mut Vec<Fault>) {
    let (mut names, mut devices) = (HashSet::new(), HashSet::new());
    for (index, volume) in storage.volumes.iter().enumerate() {
        let path = format!("spec.storage.volumes[{index}]");
        if volume.name.is_empty() {
            faults.push(Fault::new(format!("{path}.name"), "is empty"));
        } else if !names.insert(volume.name.as_str()) {
            faults.push(Fault::new(
                format!("{path}.name"),
                format!("{:?} is there twice", volume.name),
            ));
        }
        match volume.source() {
            None if volume.block_device.is_none() => faults.push(Fault::new(
                format!("{path}.blockDevice"),
                "one of blockDevice, file and directory is wanted",
            )),
            None => faults.push(Fault::new(
                path,
                "has more than one of blockDevice, file and directory",
            )),
            Some(source) => {
                let field = format!("{path}.{}.path", source.field());
                check_unique_path(&field, source.path(), &mut devices, faults);
                let is_directory = matches!(source, VolumeSource::Directory(_));
                if is_directory && storage.mount_of(&volume.name).is_none() {
                    faults.push(Fault::new(path, "is a directory, and mounted nowhere"));
                }
            }
        }
    }
    if storage.volumes.len() > MAX_VOLUMES {
        let count = storage.volumes.len();
        let message = format!("{count} are too many; a VM has at most {MAX_VOLUMES}");
        faults.push(Fault::new("spec.storage.volumes", message));
    }
    let (mut mounted, mut targets) = (HashSet::new(), HashSet::new());
    for (index, mount) in storage.volume_mounts.iter().enumerate() {
        let path = format!("spec.storage.volumeMounts[{index}]");
        if !names.contains(mount.name.as_str()) {
            faults.push(Fault::new(
                format!("{path}.name"),
                format!("there is no volume {:?}", mount.name),
            ));
        } else if !mounted.insert(mount.name.as_str()) {
            faults.push(Fault::new(
                format!("{path}.name"),
                format!("{:?} is mounted twice", mount.name),
            ));
        }
        let (path, target) = (format!("{path}.mountPath"), &mount.mount_path);
        if let Err(problem) = check_mount_path(target) {
            faults.push(Fault::new(path, format!("{target:?} {problem}")));
        } else if !targets.insert(plain(target)) {
            faults.push(Fault::new(path, format!("{target:?} is there twice")));
        }
    }
}

fn check_unique_path<'a>(
    path: &str,
    value: &'a str,
    seen: &mut HashSet<&'a str>,
    faults: &mut Vec<Fault>,
) {
    check_absolute(path, value, faults);
    if !seen.insert(value) {
        faults.push(Fault::new(path, format!("{value:?} is there twice")));
    }
}

fn check_absolute(path: &str, value: &str, faults: &mut Vec<Fault>) {
    if !value.starts_with('/') {
        faults.push(Fault::new(
            path,
            format!("{value:?} is not an absolute path"),
        ));
    }
}

fn check_copies(copies: &[CopyFile], faults: &mut Vec<Fault>) {
    for (index, copy) in copies.iter().enumerate() {
        check_absolute(
            &format!("spec.copyFiles[{index}].hostPath"),
            &copy.host_path,
            faults,
        );
        check_absolute(
            &format!("spec.copyFiles[{index}].vmPath"),
            &copy.vm_path,
            faults,
        );
    }
}

fn check_process(spec: &VmSpec, faults: &mut Vec<Fault>) {
    if spec.command.first().is_some_and(String::is_empty) {
        faults.push(Fault::new("spec.command[0]", "the program has no name"));
    }
    for (index, argument) in spec.command.iter().enumerate() {
        if argument.contains('\0') {
            faults.push(Fault::new(
                format!("spec.command[{index}]"),
                "holds a NUL byte",
            ));
        }
    }
    if let Some(line) = &spec.kernel.cmd_line
        && line.contains(['\n', '\0'])
    {
        faults.push(Fault::new("spec.kernel.cmdLine", "is more than one line"));
    }
}

fn check_hosts(spec: &VmSpec, faults: &mut Vec<Fault>) {
    if let Some(hostname) = &spec.hostname
        && hostname.as_str().len() > MAX_HOSTNAME
    {
        let message = format!("is longer than {MAX_HOSTNAME} characters: {hostname}");
        faults.push(Fault::new("spec.hostname", message));
    }
    let count = spec.extra_hosts.len();
    if count > MAX_EXTRA_HOSTS {
        let message = format!("{count} are too many; at most {MAX_EXTRA_HOSTS}");
        faults.push(Fault::new("spec.extraHosts", message));
    }
}

fn check_interfaces(interfaces: &[InterfaceSpec], faults: &mut Vec<Fault>) {
    let path = "spec.network.interfaces";
    if interfaces.len() > MAX_INTERFACES {
        faults.push(Fault::new(
            path,
            format!(
                "{} are too many; a VM has at most {MAX_INTERFACES}",
                interfaces.len()
            ),
        ));
    }
    let (mut names, mut macs, mut addresses) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (index, interface) in interfaces.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = interface.name_at(index);
        if names.contains(&name) {
            let message = format!("another interface is called {name} already");
            faults.push(Fault::new(format!("{path}.name"), message));
        }
        names.insert(name);
        if let Some(mac) = interface.mac.filter(|mac| !macs.insert(*mac)) {
            let message = format!("another interface has {mac} already");
            faults.push(Fault::new(format!("{path}.mac"), message));
        }
        for (number, address) in interface.addresses.iter().enumerate() {
            if !addresses.insert(address.ip()) {
                let path = format!("{path}.addresses[{number}]");
                faults.push(Fault::new(path, format!("{} is there twice", address.ip())));
            }
        }
        for (what, count) in [
            ("addresses", interface.addresses.len()),
            ("allow", interface.allow.len()),
        ] {
            if count > MAX_ADDRESSES {
                let message = format!("{count} are too many; at most {MAX_ADDRESSES}");
                faults.push(Fault::new(format!("{path}.{what}"), message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlockDevice, Volume, VolumeMount};

    fn vm() -> Vm {
        Vm::of_image("alpine".parse().expect("valid"))
    }

    #[test]
    fn the_defaults_are_valid() {
        validate(&vm()).expect("valid");
    }

    #[test]
    fn labels_are_plain_text_with_a_key() {
        let faults = |key: &str, value: &str| {
            let mut vm = vm();
            vm.metadata.labels = [(key.to_owned(), value.to_owned())].into();
            let found = validate(&vm).err().unwrap_or_default();
            found.iter().map(Fault::to_string).collect::<Vec<_>>()
        };
        assert_eq!(faults("a.b/c", "d e, ä="), [""; 0]);
        assert_eq!(faults("", "b"), ["metadata.labels: a label has no key"]);
        for (key, value) in [("a\u{1b}[2J", ""), ("a", "b\nc")] {
            let said = faults(key, value);
            assert!(said[0].ends_with("has control characters"), "{said:?}");
            assert!(!said[0].contains(char::is_control), "{said:?}");
        }
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let mut vm = vm();
        vm.metadata.name = "Not_a_name".into();
        vm.spec.image.oci = None;
        vm.spec.cpus = 33;
        (vm.spec.vmm, vm.spec.jailer) = (Some(crate::VmmChoice::Qemu), true);
        vm.spec.memory = Size::from_bytes(1 << 10);
        vm.spec.balloon = Some(Size::MIB);
        vm.spec.disk_size = Size::from_bytes(5);
        vm.spec.network.ports = PortMapping::parse("80-81:80-81").expect("valid");
        vm.spec.network.ports.push(vm.spec.network.ports[0]);
        vm.spec.storage.volumes = vec![
            Volume {
                name: "a".into(),
                block_device: Some(BlockDevice {
                    path: "dev/x".into(),
                }),
                ..Volume::default()
            },
            Volume {
                name: "a".into(),
                ..Volume::default()
            },
        ];
        vm.spec.storage.volume_mounts = vec![VolumeMount {
            name: "b".into(),
            mount_path: "/m".into(),
        }];
        vm.spec.copy_files = vec![CopyFile {
            host_path: "a".into(),
            vm_path: "/b".into(),
        }];
        vm.spec.command = vec![String::new()];
        vm.spec.kernel.cmd_line = Some("a\nb".into());
        vm.spec.hostname = Some(["a"; 33].join(".").parse().expect("a name"));
        vm.spec.extra_hosts = vec!["db:host-gateway".parse().expect("a host"); 257];
        let same = "n:ip=10.0.0.2/24,ip=10.0.0.2,mac=02:00:00:00:00:01,ifname=eth1";
        vm.spec.network.interfaces =
            InterfaceSpec::parse_all([same, "n", same, "n", "n", "n", "n", "n", "n"])
                .expect("each is valid");
        vm.spec.network.interfaces[3].allow =
            vec!["10.0.0.0/8".parse().expect("a range"); MAX_ADDRESSES + 1];
        let faults = validate(&vm).expect_err("many faults");
        let report: Vec<String> = faults.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(report.join("\n"));
    }
}
