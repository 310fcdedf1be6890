//! `overlay leave`: nothing of the overlay on this host any more.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use ignite_overlay::agent::status::Status;
use ignite_overlay::config::Config;
use ignite_overlay::etcd::Client;
use ignite_overlay::leave::take_away;
use ignite_overlay::subnet_env::SubnetEnv;

use super::conflist::{self, Removed};
use super::error::OverlayError;
use super::init::external;
use super::place::{OverlayName, Place};
use super::record::{self, Etcd, Record};
use super::{beside, registry, services, wait};
use crate::{Engine, Report};

/// An etcd that runs answers by then.
const SOON: Duration = Duration::from_secs(5);
/// So many others are named.
const NAMED: usize = 5;

/// What is to go.
#[derive(Debug, Clone)]
pub struct LeaveRequest {
    /// The overlay's name.
    pub name: OverlayName,
    /// Devices, rules, routes, the own lease and, on the first host, etcd's data as well.
    pub all: bool,
    /// Even if others, or VMs, need it.
    pub force: bool,
}

/// What is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// In words for people.
    pub gone: Vec<String>,
}

impl Engine {
    /// Takes the overlay off this host. It works without etcd, and as often as it is called.
    pub fn overlay_leave(
        &self,
        request: &LeaveRequest,
        report: &dyn Report,
    ) -> Result<Left, OverlayError> {
        let _lock = self.overlay_lock()?;
        let place = self.overlay_place(&request.name);
        let Some(mut record) = Record::read(&place)? else {
            report.info(&format!("this host is in no overlay called {}", place.name));
            return Ok(Left::default());
        };
        let ends_etcd = self.is_last_of_etcd(&place, &record);
        // Who has left, or was about to, has asked already.
        if !request.force && !record.left {
            self.nobody_needs_it(&place, &record, request.all, ends_etcd)?;
        }
        record.left = true;
        record.write(&place)?;
        let manager = services::manager(&self.config.paths);
        let mut left = Left::default();
        if manager.is_running(&place.agent_service())? {
            left.gone.push("the agent".to_owned());
        }
        manager.stop(&place.agent_service())?;
        match conflist::remove(&place)? {
            Removed::Yes(path) => left.gone.push(path.display().to_string()),
            Removed::Changed(path) => report.warn(&format!(
                "{} was changed by somebody and stays; without the agent it is of no use",
                path.display()
            )),
            Removed::Absent => {}
        }
        let mut behind = Vec::new();
        if request.all {
            behind = self.wipe(&place, &record, &mut left, report);
        }
        if ends_etcd {
            self.end_etcd(&place, request.all, &mut left, report)?;
        }
        if !behind.is_empty() {
            return Err(OverlayError::Behind(behind));
        }
        if request.all {
            // Last of all: until here the verb can be called again.
            record::forget(&place)?;
        }
        Ok(left)
    }

    /// Whether our etcd ends with this overlay: no other one of this host uses it.
    fn is_last_of_etcd(&self, place: &Place, record: &Record) -> bool {
        let others = record::all(&self.config.paths).into_iter();
        let mut others = others.filter(|name| *name != place.name);
        let needs = |name: OverlayName| match Record::read(&self.overlay_place(&name)) {
            Ok(Some(other)) => !other.left && matches!(other.etcd, Etcd::Own { .. }),
            Ok(None) => false,
            // Nobody knows what it needs.
            Err(_) => true,
        };
        matches!(record.etcd, Etcd::Own { .. }) && !others.any(needs)
    }

    fn end_etcd(
        &self,
        place: &Place,
        all: bool,
        left: &mut Left,
        report: &dyn Report,
    ) -> Result<(), OverlayError> {
        let manager = services::manager(&self.config.paths);
        if manager.is_running(services::ETCD)? {
            left.gone.push("etcd".to_owned());
        }
        manager.stop(services::ETCD)?;
        if all {
            remove_dir(&place.etcd_data())?;
            remove_dir(&place.authority())?;
            left.gone.push("etcd's data and the authority".to_owned());
        } else {
            report.info(&format!(
                "etcd's data stays in {}; ignite overlay init goes on with it",
                place.etcd_data().display()
            ));
        }
        Ok(())
    }

    /// Everything an agent made, and the lease; what could not be taken away.
    fn wipe(
        &self,
        place: &Place,
        record: &Record,
        left: &mut Left,
        report: &dyn Report,
    ) -> Vec<String> {
        // The copy is ours alone.
        let file = SubnetEnv::read(&place.subnet_copy()).ok();
        if let Some(file) = &file {
            match give_back(place, record, file) {
                Ok(true) => left.gone.push("the lease in etcd".to_owned()),
                Ok(false) => {}
                Err(error) => report.warn(&format!(
                    "the lease in etcd stays until it ends, at most a day: {}",
                    ignite_host::error::chain(&error)
                )),
            }
        }
        let Some(config) = followed(place, record) else {
            // It never had one: there is nothing on this host.
            return Vec::new();
        };
        let (gone, errors) = take_away(&config, file.as_ref(), &place.name.bridge());
        left.gone.extend(gone);
        let told = SubnetEnv::read(&place.subnet_env()).ok();
        if told.is_some() && told == file {
            let _ = std::fs::remove_file(place.subnet_env());
        }
        let _ = std::fs::remove_file(place.status());
        errors
            .iter()
            .map(|error| ignite_host::error::chain(error))
            .collect()
    }

    /// The names of VMs that are attached to a network.
    fn vms_on(&self, network: &str) -> Vec<String> {
        let Ok((detail, _)) = self.network(network) else {
            return Vec::new();
        };
        let vms = detail.attachments.into_iter().filter_map(|line| line.vm);
        vms.map(|vm| vm.name).collect()
    }

    /// The addresses of all hosts with a lease in our etcd, in whichever overlay of this host's.
    fn leases_in_etcd(&self, place: &Place, record: &Record) -> Result<Vec<String>, OverlayError> {
        let others = record::all(&self.config.paths).into_iter();
        let others =
            others.filter_map(|name| Record::read(&self.overlay_place(&name)).ok().flatten());
        let prefixes: BTreeSet<String> = others
            .map(|other| other.prefix)
            .chain([record.prefix.clone()])
            .collect();
        let mut found = BTreeSet::new();
        for prefix in prefixes {
            let record = Record {
                prefix,
                ..record.clone()
            };
            let registry = registry(place, &record)?;
            let snapshot = wait(async { Ok(registry.leases().await?) })?;
            let leases = snapshot
                .found
                .iter()
                .filter(|found| found.lease_id.is_some());
            found.extend(leases.map(|found| found.lease.attributes.public_ip.to_string()));
        }
        Ok(found.into_iter().collect())
    }

    /// Whether leaving takes something from others.
    fn nobody_needs_it(
        &self,
        place: &Place,
        record: &Record,
        all: bool,
        ends_etcd: bool,
    ) -> Result<(), OverlayError> {
        if all {
            let vms = self.vms_on(place.name.network());
            if !vms.is_empty() {
                return Err(OverlayError::VmsHere { vms: named(&vms) });
            }
        }
        if !ends_etcd {
            return Ok(());
        }
        if !place.etcd_data().join("member").exists() {
            // It never came so far.
            return Ok(());
        }
        let manager = services::manager(&self.config.paths);
        if manager.is_running(services::ETCD)? {
            // It may just be starting.
            let client = Client::new(record.settings(place))?;
            let _ = wait(services::etcd_answers(&manager, &client, "", SOON));
        }
        let leases = self.leases_in_etcd(place, record);
        let found = match leases {
            Ok(found) => found,
            // What it holds goes only with --all.
            Err(_) if all => return Err(OverlayError::NobodyKnows),
            Err(_) => return Ok(()),
        };
        let own = own(place, record);
        let others: Vec<String> = found
            .into_iter()
            .filter(|other| !own.contains(other))
            .collect();
        match others.len() {
            0 => Ok(()),
            count => Err(OverlayError::OthersHere {
                count,
                hosts: named(&others),
            }),
        }
    }
}

/// The addresses by which the others may know this host, whether its agent ever came so far or not.
fn own(place: &Place, record: &Record) -> Vec<String> {
    let told = Status::read(&place.status()).and_then(|status| status.public_ip);
    let named = match &record.etcd {
        Etcd::Own { advertise, .. } => Some(advertise.clone()),
        Etcd::Joined { .. } | Etcd::Cluster { .. } => None,
    };
    let found = external(&record.host).ok();
    let addresses = [told, record.host.public_ip, found].into_iter().flatten();
    let addresses = addresses.map(|address| address.to_string());
    addresses.chain(named).collect()
}

fn give_back(place: &Place, record: &Record, file: &SubnetEnv) -> Result<bool, OverlayError> {
    let registry = registry(place, record)?;
    let own = own(place, record).into_iter();
    let own: Vec<Ipv4Addr> = own.filter_map(|address| address.parse().ok()).collect();
    wait(async { Ok(registry.give_back(file, &own).await?) })
}

/// The configuration that was followed: the agent's copy, or what etcd has.
fn followed(place: &Place, record: &Record) -> Option<Config> {
    beside::followed(place).or_else(|| {
        let registry = registry(place, record).ok()?;
        let read = wait(async { Ok(registry.config().await?) }).ok()?;
        Config::parse(&read.bytes?).ok()
    })
}

fn named(all: &[String]) -> String {
    let first = all
        .iter()
        .take(NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match all.len() > NAMED {
        true => format!("{first}, ..."),
        false => first,
    }
}

fn remove_dir(path: &std::path::Path) -> Result<(), OverlayError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(OverlayError::Remove {
            path: path.to_owned(),
            source: error,
        }),
        _ => Ok(()),
    }
}
