//! In what a VM is not as its manifest says: a comparison of what was asked for, then and now.
//!
//! Defaults are filled in on both sides, and what a manifest leaves to chance (a name, a MAC) is
//! settled by what the VM has, so that an unchanged manifest never differs. An image is its
//! reference, not its content.

use std::collections::BTreeMap;

use ignite_api::{
    BitRate, DiskOrigin, InterfaceSpec, Limit, Mac, PortMapping, Reference, Ssh, Uid, Vm, VmSpec,
};
use ignite_store::{PortsPending, StatusRecord, VmRecord};
use serde::Serialize;

use super::{Change, Difference};
use crate::network::list;
use crate::vm::{update, vmm};

/// The path of the published ports.
pub(super) const PORTS: &str = "spec.network.ports";

/// The path of the root disk's rate.
const DISK_RATE: &str = "spec.diskRate";

/// The path of the balloon.
pub(super) const BALLOON: &str = "spec.balloon";

/// The end of the path of an interface's rate.
const RATE: &str = "].rate";

/// What is said of a field without a value.
const NONE: &str = "none";

/// What is said of a field that is left to the engine.
const DEFAULT: &str = "the default";

/// The most characters of a value that are shown.
const SHOWN: usize = 200;

/// Where a field's change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    InPlace,
    Recreate,
}

/// One field: what is compared, and what is shown of it.
#[derive(Debug)]
struct Field {
    path: String,
    reach: Reach,
    value: String,
    shown: String,
}

/// What is asked of a VM, with everything filled in.
struct Asked<'a> {
    uid: Uid,
    name: String,
    image: String,
    kernel: Option<String>,
    cmdline: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    interfaces: Vec<InterfaceSpec>,
    /// Of each interface the VM has.
    rates: Vec<Option<BitRate>>,
    ports: &'a [PortMapping],
    disk: DiskOrigin,
    spec: &'a VmSpec,
}

/// In what the VM of these records is not as `vm` says.
pub(super) fn difference(record: &VmRecord, status: &StatusRecord, vm: &Vm) -> Difference {
    let (have, want) = (
        of_record(record, vm).fields(),
        of_manifest(vm, record).fields(),
    );
    let mut difference = Difference::default();
    let value = |field: Option<&Field>| field.map_or(NONE.to_owned(), |field| field.shown.clone());
    let find = |fields: &[Field], path: &str| fields.iter().position(|field| field.path == path);
    let only_had = have
        .iter()
        .filter(|field| find(&want, &field.path).is_none());
    for field in want.iter().chain(only_had) {
        let from = find(&have, &field.path).map(|at| &have[at]);
        let to = find(&want, &field.path).map(|at| &want[at]);
        if from.map(|field| &field.value) == to.map(|field| &field.value) {
            continue;
        }
        let changes = match field.reach {
            Reach::InPlace => &mut difference.in_place,
            Reach::Recreate => &mut difference.recreate,
        };
        changes.push(Change {
            path: field.path.clone(),
            from: value(from),
            to: value(to),
        });
    }
    let pending = pending(record, status);
    difference.restart = runs_otherwise(record, status);
    difference.restart |= pending.is_some_and(|pending| pending.next_start.is_some());
    let is_cut_off = pending.is_some_and(|pending| pending.next_start.is_none());
    if is_cut_off && !difference.in_place.iter().any(|it| it.path == PORTS) {
        difference.in_place.push(Change {
            path: PORTS.into(),
            from: "those of its last start, in part".into(),
            to: ports(&vm.spec.network.ports),
        });
    }
    if update::is_cut_off(record, status) && !has_rates(&difference.in_place) {
        difference.in_place.push(Change {
            path: DISK_RATE.into(),
            from: "not known, nor of its interfaces: a change was cut off".into(),
            to: optional(vm.spec.disk_rate.and_then(Limit::rate)),
        });
    }
    difference
}

/// Whether another VMM runs the VM than those that are wanted now, or the same with a balloon where none
/// is wanted, or without one.
pub(super) fn runs_otherwise(record: &VmRecord, status: &StatusRecord) -> bool {
    let wanted = vmm::choice(record.spec.vmm.unwrap_or_default());
    let has_balloon = record.spec.balloon.is_some();
    let running = status.vmm.as_ref().filter(|_| status.state.is_live());
    running.is_some_and(|vmm| !wanted.admits(vmm.kind) || vmm.balloon != has_balloon)
}

/// The ports that the VM's present run does not have yet.
fn pending<'a>(record: &'a VmRecord, status: &StatusRecord) -> Option<&'a PortsPending> {
    let pending = record.ports_pending.as_ref();
    pending.filter(|pending| status.state.is_live() && status.started == Some(pending.since))
}

/// Whether a rate is among the changes.
pub(super) fn has_rates(changes: &[Change]) -> bool {
    let is_rate = |change: &Change| change.path == DISK_RATE || change.path.ends_with(RATE);
    changes.iter().any(is_rate)
}

/// Takes over into the record what needs nothing but that: all of it but ports, rates and balloon.
pub(super) fn apply(record: &mut VmRecord, vm: &Vm) {
    record.labels.clone_from(&vm.metadata.labels);
    record.annotations.clone_from(&vm.metadata.annotations);
    if vmm::reads(vm.spec.vmm.unwrap_or_default(), record.disk) {
        record.spec.vmm = vm.spec.vmm;
    }
    record.spec.jailer = vm.spec.jailer;
    record.spec.restart_policy = vm.spec.restart_policy;
    record.spec.recreate_on_change = vm.spec.recreate_on_change;
}

/// What was asked for. A VM that was made from no manifest is known by what was found for it.
fn of_record<'a>(record: &'a VmRecord, vm: &Vm) -> Asked<'a> {
    let kernel = record.spec.kernel.oci.as_ref().map(Reference::familiar);
    let found = || {
        vm.spec
            .kernel
            .oci
            .as_ref()
            .map(|_| record.kernel.name.clone())
    };
    let image = record.spec.image.oci.as_ref().map(Reference::familiar);
    Asked {
        uid: record.uid,
        name: record.name.to_string(),
        image: image.unwrap_or_else(|| record.image.name.clone()),
        kernel: kernel.or_else(found),
        cmdline: record.spec.kernel.cmd_line.as_deref(),
        labels: &record.labels,
        annotations: &record.annotations,
        interfaces: interfaces(&record.spec, &macs(record)),
        rates: rates(&record.spec, record),
        ports: record.wanted_ports(),
        disk: record.disk,
        spec: &record.spec,
    }
}

fn of_manifest<'a>(vm: &'a Vm, record: &VmRecord) -> Asked<'a> {
    let name = match vm.metadata.name.as_str() {
        "" => record.name.to_string(),
        name => name.to_owned(),
    };
    let image = vm.spec.image.oci.as_ref().map(Reference::familiar);
    Asked {
        uid: vm.metadata.uid.unwrap_or(record.uid),
        name,
        image: image.unwrap_or_default(),
        kernel: vm.spec.kernel.oci.as_ref().map(Reference::familiar),
        cmdline: vm.spec.kernel.cmd_line.as_deref(),
        labels: &vm.metadata.labels,
        annotations: &vm.metadata.annotations,
        interfaces: interfaces(&vm.spec, &macs(record)),
        rates: rates(&vm.spec, record),
        ports: &vm.spec.network.ports,
        disk: record.disk,
        spec: &vm.spec,
    }
}

fn macs(record: &VmRecord) -> Vec<Mac> {
    record
        .interfaces
        .iter()
        .map(|interface| interface.mac)
        .collect()
}

/// The rates that `spec` gives to the interfaces of the VM.
fn rates(spec: &VmSpec, record: &VmRecord) -> Vec<Option<BitRate>> {
    let indices = 0..record.interfaces.len();
    indices.map(|index| spec.network.rate_at(index)).collect()
}

/// The interfaces with their names, and with the MACs they have where none is asked for; without their
/// rates, which are compared by themselves.
fn interfaces(spec: &VmSpec, macs: &[Mac]) -> Vec<InterfaceSpec> {
    let default = [InterfaceSpec::default()];
    let asked = match spec.network.interfaces.as_slice() {
        [] => &default,
        some => some,
    };
    let whole = |(index, interface): (usize, &InterfaceSpec)| InterfaceSpec {
        name: Some(interface.name_at(index)),
        mac: interface.mac.or(macs.get(index).copied()),
        rate: None,
        ..interface.clone()
    };
    asked.iter().enumerate().map(whole).collect()
}

impl Asked<'_> {
    fn fields(&self) -> Vec<Field> {
        let spec = self.spec;
        let policy = spec.restart_policy.unwrap_or_default();
        let mut fields = vec![
            recreate("metadata.uid", self.uid),
            recreate("metadata.name", &self.name),
            recreate("spec.image.oci", &self.image),
            recreate("spec.kernel.oci", self.kernel.as_deref().unwrap_or(DEFAULT)),
            recreate("spec.kernel.cmdLine", self.cmdline.unwrap_or(DEFAULT)),
            self.vmm(),
            in_place("spec.jailer", spec.jailer),
            recreate("spec.cpus", spec.cpus),
            recreate("spec.memory", spec.memory),
            recreate("spec.diskSize", spec.disk_size),
            json("spec.storage", &spec.storage),
            json("spec.copyFiles", &spec.copy_files),
            json(
                "spec.ssh",
                &spec.ssh.as_ref().filter(|ssh| **ssh != Ssh::Off),
            ),
            json("spec.command", &spec.command),
            recreate("spec.dns", list(&spec.dns)),
            recreate("spec.hostname", optional(spec.hostname.as_ref())),
            recreate("spec.extraHosts", list(&spec.extra_hosts)),
            in_place(PORTS, ports(self.ports)),
            in_place(DISK_RATE, optional(spec.disk_rate.and_then(Limit::rate))),
            in_place(BALLOON, optional(spec.balloon)),
            in_place("spec.restartPolicy", policy),
            in_place("spec.recreateOnChange", spec.recreate_on_change),
        ];
        let interfaces = self.interfaces.iter().enumerate();
        fields.extend(interfaces.map(|(index, interface)| {
            recreate(&format!("spec.network.interfaces[{index}]"), interface)
        }));
        let rates = self.rates.iter().enumerate();
        fields.extend(rates.map(|(index, value)| {
            in_place(
                &format!("spec.network.interfaces[{index}{RATE}"),
                optional(*value),
            )
        }));
        let maps = [("labels", self.labels), ("annotations", self.annotations)];
        fields.extend(maps.into_iter().flat_map(|(map, entries)| {
            let one = move |(key, value)| in_place(&format!("metadata.{map}.{key}"), value);
            entries.iter().map(one)
        }));
        fields.extend(environment(spec));
        fields
    }
}

impl Asked<'_> {
    /// Another VMM takes over at the next start, if it reads the disk.
    fn vmm(&self) -> Field {
        let vmm = self.spec.vmm.unwrap_or_default();
        let reach = match vmm::reads(vmm, self.disk) {
            true => Reach::InPlace,
            false => Reach::Recreate,
        };
        field(reach, "spec.vmm", vmm.to_string())
    }
}

/// The last value of each variable. Values may be secrets, and are not shown.
fn environment(spec: &VmSpec) -> impl Iterator<Item = Field> {
    let variables = spec.env.iter();
    let last: BTreeMap<&str, &str> = variables
        .map(|variable| (variable.name(), variable.value()))
        .collect();
    last.into_iter().map(|(name, value)| Field {
        path: format!("spec.env.{name}"),
        reach: Reach::Recreate,
        value: value.to_owned(),
        shown: "a value".into(),
    })
}

fn field(reach: Reach, path: &str, value: String) -> Field {
    let shown = match value.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", &value[..at]),
        None => value.clone(),
    };
    Field {
        path: path.to_owned(),
        reach,
        value,
        shown,
    }
}

fn recreate(path: &str, value: impl ToString) -> Field {
    field(Reach::Recreate, path, value.to_string())
}

fn in_place(path: &str, value: impl ToString) -> Field {
    field(Reach::InPlace, path, value.to_string())
}

fn json(path: &str, value: &impl Serialize) -> Field {
    let text = serde_json::to_string(value).expect("a manifest's fields are plain data");
    recreate(path, text)
}

fn optional(value: Option<impl ToString>) -> String {
    value.map_or(NONE.to_owned(), |value| value.to_string())
}

/// In an order of their own: that of the manifest means nothing.
fn ports(ports: &[PortMapping]) -> String {
    let mut texts: Vec<String> = ports.iter().map(PortMapping::to_argument).collect();
    texts.sort();
    list(&texts)
}

#[cfg(test)]
#[path = "diff_tests.rs"]
pub(crate) mod tests;
