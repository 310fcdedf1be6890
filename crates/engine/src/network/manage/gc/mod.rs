//! `network gc`: what is left of VMs that are gone is released.
//!
//! ```text
//!  dead VMs ------------------> repaired: DEL from their records
//!  for each network, alone:
//!    cached, no record -------> DEL from the cache
//!    lease, no record --------> removed under host-local's lock
//!    rules, no record --------> removed in one transaction
//!    CNI 1.1.0 ---------------> GC of its plugins, told of everybody who is valid
//!  namespaces, no record -----> removed
//!  containers, no record -----> removed, where Docker answers
//!  control groups, empty -----> removed, where no VM has them
//!  runtime directories -------> removed, where the VM they are of is gone
//!  objects half made ---------> their directories removed
//! ```
//! Whatever fails stays as it is and is told; the next gc tries it again.

mod attachments;
mod claim;
mod groups;
mod halves;
mod holders;
mod left;
mod plugins;
mod runtime;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ignite_cni::{NetworkConfig, Networks};
use ignite_host::fs::Lock;
use ignite_store::NetworkLock;
use serde::Serialize;

use super::{Error as ManageError, ours::Prefixes};
use crate::network::Error as NetworkError;
use crate::{Engine, Error};
use left::Suspects;

/// Whether to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Release what belongs to nobody.
    Collect,
    /// Only say what would be released.
    DryRun,
}

/// Something that was, or would be, released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Released {
    /// What it is.
    pub kind: Kind,
    /// The network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Container ID it was made for.
    pub container_id: String,
    /// More about it.
    pub text: String,
}

/// What is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A VM that died, as its record had it.
    Vm,
    /// An attachment, by DEL.
    Attachment,
    /// An address of host-local.
    Lease,
    /// Rules and chains of the packet filter.
    Rules,
    /// A network namespace.
    Namespace,
    /// A container of Docker's that owned a sandbox.
    Container,
    /// A control group.
    Group,
    /// The runtime directory of a VM.
    Runtime,
    /// The directory of a VM, an image or a kernel that was half made or half removed.
    Unfinished,
}

impl Kind {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Attachment => "attachment",
            Self::Lease => "lease",
            Self::Rules => "rules",
            Self::Namespace => "namespace",
            Self::Container => "container",
            Self::Group => "group",
            Self::Runtime => "runtime",
            Self::Unfinished => "unfinished",
        }
    }
}

/// What a gc did, or would do.
#[derive(Debug, Default)]
pub struct Garbage {
    /// What was released.
    pub released: Vec<Released>,
    /// What was left alone, and why.
    pub remarks: Vec<String>,
    /// What could not be released.
    pub failures: Vec<Error>,
    /// The time plugins took.
    pub plugins: Duration,
    /// The time iptables and nft took.
    pub filter: Duration,
    /// The time everything else took, dead VMs aside.
    pub own: Duration,
}

/// One gc.
struct Gc<'a> {
    engine: &'a Engine,
    mode: Mode,
    prefixes: Prefixes,
    networks: Networks,
    garbage: Garbage,
    /// Containers some of whose attachments could not be released: what they have stays for the next
    /// gc, which needs it to find the rest.
    kept: BTreeSet<String>,
}

impl Engine {
    /// Repairs VMs that died, and releases what belongs to no VM.
    pub fn collect_garbage(&self, mode: Mode) -> Result<Garbage, Error> {
        let run = &self.config.paths.run;
        std::fs::create_dir_all(run).map_err(Error::prepare(run))?;
        // Two would wait for each other at every network.
        let _only = Lock::exclusive(&run.join("gc.lock")).map_err(Error::File)?;
        self.go_over(mode)
    }

    /// What a gc would release in this moment. Nothing is written, not even a lock: what is begun or
    /// released meanwhile may be among it.
    pub(crate) fn look_for_garbage(&self) -> Result<Garbage, Error> {
        self.go_over(Mode::DryRun)
    }

    fn go_over(&self, mode: Mode) -> Result<Garbage, Error> {
        let mut gc = Gc::new(self, mode)?;
        gc.dead_vms()?;
        let begin = Instant::now();
        let found = gc.suspects();
        for (network, suspects) in found {
            if let Err(error) = gc.network(&network, suspects) {
                gc.garbage.failures.push(error);
            }
        }
        gc.namespaces();
        gc.holders();
        gc.groups();
        gc.runtime();
        gc.halves();
        let others = gc.garbage.plugins + gc.garbage.filter;
        gc.garbage.own = begin.elapsed().saturating_sub(others);
        Ok(gc.garbage)
    }
}

impl<'a> Gc<'a> {
    fn new(engine: &'a Engine, mode: Mode) -> Result<Self, Error> {
        let listing = engine.vms.list()?;
        let in_use = [&engine.config.id_prefix];
        let known = listing.records.iter().map(|vm| &vm.id_prefix).chain(in_use);
        let (networks, faults) = Networks::load(&engine.config.paths.cni_conf);
        let mut garbage = Garbage::default();
        for fault in faults {
            let text = ignite_cni::error::chain(&fault);
            garbage.remarks.push(format!("{text}; it is left out"));
        }
        Ok(Self {
            engine,
            mode,
            prefixes: Prefixes::new(known),
            networks,
            garbage,
            kept: BTreeSet::new(),
        })
    }

    fn is_dry(&self) -> bool {
        self.mode == Mode::DryRun
    }

    /// VMs whose supervisor vanished, or whose release failed when they ended.
    fn dead_vms(&mut self) -> Result<(), Error> {
        for vm in self.engine.dead_vms(None)? {
            let record = self.engine.vms.network(vm.uid).unwrap_or_default();
            let mut released: Vec<Released> = record
                .attachments
                .iter()
                .map(|made| Released {
                    kind: Kind::Attachment,
                    network: Some(made.network.clone()),
                    container_id: made.container_id.clone(),
                    text: format!("{} of VM {}, which died", made.interface, vm.name),
                })
                .collect();
            if released.is_empty() {
                released.push(Released {
                    kind: Kind::Vm,
                    network: None,
                    container_id: vm.uid.to_string(),
                    text: format!("VM {}, which died", vm.name),
                });
            }
            let repaired = match self.mode {
                Mode::DryRun => Ok(()),
                Mode::Collect => self.engine.repair_one(vm.uid),
            };
            match repaired {
                Ok(()) => self.garbage.released.append(&mut released),
                Err(source) => {
                    let (name, source) = (vm.name, Box::new(source));
                    self.fail(ManageError::Dead { name, source });
                }
            }
        }
        Ok(())
    }

    /// One network. Attachments are released one by one, as their VMs would; nobody else touches the
    /// network while it is gone over for the rest.
    fn network(&mut self, name: &str, suspects: Suspects) -> Result<(), Error> {
        let config = self.networks.by_name(name).ok().cloned();
        let can_collect = config.as_ref().is_some_and(plugins::can_collect);
        if !can_collect && !self.any_leaked(name, &suspects) {
            return Ok(());
        }
        let released = self.attachments(name, &suspects, config.as_ref());
        let _alone = match self.mode {
            Mode::Collect => Some(NetworkLock::exclusive(&self.engine.config.paths, name)?),
            Mode::DryRun => None,
        };
        self.left_over(name, &suspects, released);
        match config {
            Some(config) if can_collect && !self.is_dry() => self.collect_by_plugins(&config),
            _ => {}
        }
        Ok(())
    }

    fn fail(&mut self, error: ManageError) {
        let error = NetworkError::Manage(Box::new(error));
        self.garbage.failures.push(error.into());
    }

    fn release(&mut self, kind: Kind, network: Option<&str>, container_id: &str, text: String) {
        self.garbage.released.push(Released {
            kind,
            network: network.map(str::to_owned),
            container_id: container_id.to_owned(),
            text,
        });
    }

    /// The configurations that are used, by name.
    fn configs(&self) -> BTreeMap<&str, &NetworkConfig> {
        super::survey::usable(&self.networks)
            .map(|config| (config.name.as_str(), config))
            .collect()
    }
}
