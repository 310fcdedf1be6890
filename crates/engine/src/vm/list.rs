//! `ps`: all VMs, a line each.

use ignite_api::{DiskStatus, InterfaceStatus, PortMapping, Size, Uid};
use ignite_host::error::chain;
use ignite_store::VmSummary;
use ignite_wire::supervisor::{End, Vmm};
use jiff::Timestamp;
use serde::Serialize;
use std::net::IpAddr;

use super::inspect::interfaces;
use crate::{Engine, Error};

/// One VM, as `ps` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VmLine {
    /// Uid.
    pub uid: Uid,
    /// Name.
    pub name: String,
    /// Image.
    pub image: String,
    /// Kernel.
    pub kernel: String,
    /// Size of the root file system.
    pub disk_size: Size,
    /// Number of virtual processors.
    pub cpus: u64,
    /// Memory.
    pub memory: Size,
    /// Moment of creation.
    pub created: Timestamp,
    /// State in one word.
    pub state: &'static str,
    /// When it was last started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it last ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How it last ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// Exit code of its command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Addresses; only while it runs.
    pub addresses: Vec<IpAddr>,
    /// Published ports.
    pub ports: Vec<PortMapping>,
    /// What there is to do for it, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// Which VMM runs it; only where details were asked for, and while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmm: Option<Vmm>,
    /// Its disk; only where details were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskStatus>,
    /// Each interface; only where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<InterfaceStatus>,
}

impl VmLine {
    /// The state in a few words; `since` says how long ago a moment was.
    pub fn status(&self, since: impl Fn(Timestamp) -> String) -> String {
        let ago = |then: Option<Timestamp>| {
            then.map(|then| format!(" {} ago", since(then)))
                .unwrap_or_default()
        };
        let up = || match self.started {
            Some(started) => format!("Up {}", since(started)),
            None => "Up".into(),
        };
        match (self.state, self.exit_code, self.end) {
            ("running", ..) => up(),
            ("paused", ..) => format!("{} (Paused)", up()),
            ("starting", ..) => "Starting".into(),
            ("created", ..) => "Created".into(),
            (_, Some(code), _) => format!("Exited ({code}){}", ago(self.ended)),
            (_, None, Some(end)) => format!("{}{}", word(end), ago(self.ended)),
            (_, None, None) => format!("Stopped{}", ago(self.ended)),
        }
    }
}

fn word(end: End) -> &'static str {
    match end {
        End::PoweredOff => "Stopped",
        End::Halted => "Halted",
        End::Rebooted => "Rebooted",
        End::Panicked => "Panicked",
        End::Killed => "Killed",
        End::BootTimeout => "Boot timeout",
        End::VmmFailed => "VMM failed",
        End::Lost => "Lost",
        End::NetworkLost => "Network lost",
    }
}

impl From<VmSummary> for VmLine {
    fn from(vm: VmSummary) -> Self {
        let live = vm.state.is_live();
        Self {
            uid: vm.uid,
            name: vm.name,
            image: vm.image,
            kernel: vm.kernel,
            disk_size: vm.disk_size,
            cpus: vm.cpus,
            memory: vm.memory,
            created: vm.created,
            state: vm.state.as_str(),
            started: vm.started,
            ended: vm.ended,
            end: vm.end,
            exit_code: vm.exit_code,
            addresses: vm
                .addresses
                .iter()
                .filter(|_| live)
                .map(ipnet::IpNet::addr)
                .collect(),
            ports: vm.ports,
            hints: Vec::new(),
            vmm: None,
            disk: None,
            interfaces: Vec::new(),
        }
    }
}

impl Engine {
    /// The VMs that run, or all of them; and what could not be read, in words.
    pub fn list(&self, all: bool) -> Result<(Vec<VmLine>, Vec<String>), Error> {
        let summary = self.vms.summary()?;
        let mut lines = Vec::with_capacity(summary.vms.len());
        for vm in summary.vms {
            if all || vm.state.is_live() {
                let has_hints = vm.refused && vm.state.is_live();
                let mut line = VmLine::from(vm);
                if has_hints {
                    // What its records cannot say is said where they are asked for.
                    line.hints = self.hints(line.uid).unwrap_or_default();
                }
                lines.push(line);
            }
        }
        Ok((
            lines,
            summary.faults.iter().map(ToString::to_string).collect(),
        ))
    }

    /// The uid of the VM that `text` means.
    pub fn uid(&self, text: &str) -> Result<Uid, Error> {
        Ok(self.vms.resolve(text)?)
    }

    /// The line of the VM that `text` means.
    pub fn vm_line(&self, text: &str) -> Result<VmLine, Error> {
        let uid = self.vms.resolve(text)?;
        let found = self.vms.summary()?.vms.into_iter().find(|vm| vm.uid == uid);
        match found {
            Some(vm) => Ok(VmLine::from(vm)),
            // Its record says why it cannot be read, or that it is gone.
            None => Err(self.vms.get(uid).err().map_or_else(
                || Error::NotRunning {
                    name: text.to_owned(),
                },
                Error::from,
            )),
        }
    }

    /// What there is to do for a VM whose guest uses foreign addresses, from its records.
    fn hints(&self, uid: Uid) -> Result<Vec<String>, Error> {
        let record = match self.vms.get(uid) {
            Ok(record) => record,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let (status, network) = (self.vms.status(uid)?, self.vms.network(uid)?);
        let interfaces = interfaces(&record.interfaces, &network, &status.refused, true);
        let refused = interfaces.into_iter().filter_map(|it| it.refused?.hint);
        Ok(refused.collect())
    }

    /// Adds each VM's interfaces, VMM and disk to its line, from its records: the summary does not have
    /// those. A VM whose records cannot be read is left out, and told of; one that was removed in the
    /// meantime has none.
    pub fn add_interfaces(&self, lines: &mut Vec<VmLine>) -> Vec<String> {
        let mut faults = Vec::new();
        lines.retain_mut(|line| match self.add_interfaces_to(line) {
            Ok(()) => true,
            Err(error) => {
                faults.push(chain(&error));
                false
            }
        });
        faults
    }

    fn add_interfaces_to(&self, line: &mut VmLine) -> Result<(), Error> {
        let record = match self.vms.get(line.uid) {
            Ok(record) => record,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let live = matches!(line.state, "starting" | "running" | "paused");
        let (status, network) = (self.vms.status(line.uid)?, self.vms.network(line.uid)?);
        line.vmm = status.vmm.filter(|_| live).map(|vmm| vmm.kind);
        line.disk = Some(record.disk.into());
        line.interfaces = interfaces(&record.interfaces, &network, &status.refused, live);
        Ok(())
    }
}
