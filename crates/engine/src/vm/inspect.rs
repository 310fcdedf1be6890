//! `inspect vm`: a VM as an object.

use std::collections::BTreeMap;

use ignite_api::{
    InterfaceStatus, Kind, Metadata, NetworkStatus, OciSource, RuntimeStatus, Size, Uid, Vm,
    VmStatus, VolumeStatus,
};
use ignite_store::{
    InterfaceRecord, Liveness, NetworkRecord, RefusedRecord, State, StatusRecord, VmRecord,
};

use ignite_host::fs::read_bounded;
use ignite_wire::agent::VmmCounters;
use ignite_wire::supervisor::{End, Plan};

use super::group::confinement;
use super::start::PLAN;
use super::{refusals, volumes};
use crate::{Engine, Error};

/// Bytes of a plan; a larger file is something else.
const MAX_PLAN: u64 = 4 << 20;

impl Engine {
    /// The VM that `text` means.
    pub fn inspect(&self, text: &str) -> Result<Vm, Error> {
        let uid = self.vms.resolve(text)?;
        if let Err(error) = self.settle_update(uid) {
            tracing::warn!(%uid, %error, "the VM may have other rates than are told");
        }
        self.look_at(uid)
    }

    /// The VM of this uid, as it is found: nothing is settled, and nothing on the host is changed.
    pub fn look_at(&self, uid: Uid) -> Result<Vm, Error> {
        let (record, status, network, live) = self.records(uid)?;
        let (uid, user) = (record.uid, record.user);
        let size = self.image_size(&record);
        let told = live.then(|| refusals::ask(&self.config.paths.vm_run(uid)));
        let told = told.flatten().unwrap_or_default();
        let mut vm = object(record.clone(), status, &network, live, size);
        let confined = || confinement(uid, user, &self.vms.dir(uid));
        vm.status.confinement = vm.status.running.then(confined).flatten();
        refusals::add(&mut vm.status.network.interfaces, told.refusals);
        let running = vm.status.running;
        if running {
            vm.status.volumes = self.joined(&record);
        }
        vm.status.balloon = told.balloon.filter(|_| running).map(Size::from_bytes);
        vm.status.counters = told.vmm.map(by_name).unwrap_or_default();
        Ok(vm)
    }

    /// The VM as its records have it: nobody is asked, which would take its time for each of many. None
    /// of one that was removed in the meantime.
    pub fn recorded(&self, uid: Uid) -> Result<Option<Vm>, Error> {
        match self.records(uid) {
            Ok((record, status, network, live)) => {
                let size = self.image_size(&record);
                Ok(Some(object(record, status, &network, live, size)))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Its records, and whether somebody supervises it.
    fn records(&self, uid: Uid) -> Result<(VmRecord, StatusRecord, NetworkRecord, bool), Error> {
        let record = self.vms.get(uid)?;
        let (status, network) = (self.vms.status(uid)?, self.vms.network(uid)?);
        let live = Liveness::is_held(&self.config.paths, uid)?;
        Ok((record, status, network, live))
    }

    fn image_size(&self, record: &VmRecord) -> Size {
        let image = self.images.get(record.image.uid);
        image.map(|image| image.size).unwrap_or_default()
    }
}

impl Engine {
    /// How the volumes of a VM that runs are joined, as its start was planned.
    fn joined(&self, record: &VmRecord) -> Vec<VolumeStatus> {
        if record.spec.storage.volumes.is_empty() {
            return Vec::new();
        }
        let plan = self.config.paths.vm_run(record.uid).join(PLAN);
        let plan = read_bounded(&plan, MAX_PLAN).ok();
        let plan: Option<Plan> = plan.and_then(|plan| serde_json::from_slice(&plan).ok());
        plan.map_or_else(Vec::new, |plan| volumes::status(record, &plan.machine))
    }
}

/// What a VMM counted, as it is written.
fn by_name(counters: VmmCounters) -> BTreeMap<String, u64> {
    let Ok(serde_json::Value::Object(counters)) = serde_json::to_value(counters) else {
        return BTreeMap::new();
    };
    let counters = counters.into_iter();
    counters
        .filter_map(|(name, count)| Some((name, count.as_u64()?)))
        .collect()
}

fn object(
    record: VmRecord,
    status: StatusRecord,
    network: &NetworkRecord,
    live: bool,
    image_size: Size,
) -> Vm {
    let metadata = Metadata {
        name: record.name.to_string(),
        uid: Some(record.uid),
        created: Some(record.created),
        labels: record.labels,
        annotations: record.annotations,
    };
    let mut vm = Vm::new(Kind::Vm, metadata, record.spec);
    vm.spec.image.oci = record.image.name.parse().ok();
    vm.spec.kernel.oci = record.kernel.name.parse().ok();
    vm.spec.kernel.cmd_line = Some(record.cmdline);
    let running = live && matches!(status.state, State::Running | State::Paused);
    let is_live = status.vmm.is_some();
    // Its supervisor vanished; the next command that needs it repairs the record.
    let lost = status.state.is_live() && !live;
    let state = if lost { State::Stopped } else { status.state };
    let end = if lost { Some(End::Lost) } else { status.end };
    vm.status = VmStatus {
        running,
        state: Some(state.as_str().to_owned()),
        end: end.filter(|_| !running).and_then(word),
        exit_code: status.exit_code,
        message: status.message,
        runtime: RuntimeStatus {
            id: record.container_id,
            name: status
                .vmm
                .and_then(|vmm| word(vmm.kind))
                .unwrap_or_default(),
            version: record.vmm_version.filter(|_| is_live),
        },
        confinement: None,
        balloon: None,
        volumes: Vec::new(),
        counters: BTreeMap::new(),
        disk: Some(record.disk.into()),
        start_time: status.started.filter(|_| running),
        network: network_status(
            record.network_plugin,
            &record.interfaces,
            network,
            &status.refused,
            live,
        ),
        image: Some(OciSource {
            id: Some(format!(
                "oci://{}@{}",
                record.image.name, record.image.digest
            )),
            size: image_size,
        }),
        kernel: None,
        id_prefix: Some(record.id_prefix),
    };
    vm
}

/// An enum's name as it is written.
fn word<T: serde::Serialize>(value: T) -> Option<String> {
    serde_json::to_value(value)
        .ok()?
        .as_str()
        .map(str::to_owned)
}

fn network_status(
    plugin: ignite_api::NetworkPlugin,
    records: &[InterfaceRecord],
    network: &NetworkRecord,
    refused: &[RefusedRecord],
    live: bool,
) -> NetworkStatus {
    let interfaces = interfaces(records, network, refused, live);
    let addresses: Vec<_> = interfaces
        .iter()
        .flat_map(|interface| interface.addresses.iter().map(ipnet::IpNet::addr))
        .collect();
    NetworkStatus {
        plugin: Some(plugin),
        ip_addresses: (!addresses.is_empty()).then_some(addresses),
        interfaces,
    }
}

/// Each interface, with what its network gave while the VM runs. A stopped VM still has its MACs.
pub(super) fn interfaces(
    records: &[InterfaceRecord],
    network: &NetworkRecord,
    refused: &[RefusedRecord],
    live: bool,
) -> Vec<InterfaceStatus> {
    let status = |interface: &InterfaceRecord| {
        let made = network
            .attachments
            .iter()
            .find(|made| live && made.interface == interface.name);
        let name = made
            .map(|made| made.network.clone())
            .or_else(|| interface.network.clone())
            .unwrap_or_default();
        let refused = refused
            .iter()
            .find(|refused| live && refused.interface == interface.name)
            .map(|refused| refusals::status_of(&name, None, refused.addresses.clone()));
        InterfaceStatus {
            name: interface.name.clone(),
            network: name,
            mac: interface.mac,
            addresses: made.map(|made| made.addresses.clone()).unwrap_or_default(),
            gateway: made.and_then(|made| made.gateway),
            refused,
        }
    };
    records.iter().map(status).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_vmm_counted_has_names() {
        let counters = by_name(VmmCounters {
            disk_reads: 3,
            exits: 30,
            ..VmmCounters::default()
        });
        assert_eq!(counters["diskReads"], 3);
        assert_eq!(counters["exits"], 30);
        assert_eq!(counters.len(), 15);
    }
}
