//! Conditions on VMs.

use jiff::Timestamp;

use super::condition::{Condition, ImageName, LabelCondition, Pattern};
use crate::{Protocol, Vm};

/// A condition on a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VmCondition {
    /// Made before another.
    Before(Moment),
    /// Made after another.
    Since(Moment),
    /// What its own manifest and state say.
    Own(OwnCondition),
}

/// When another VM was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The other VM, as a person calls it.
    pub of: String,
    /// When; of no use until somebody looked.
    pub at: Option<Timestamp>,
}

/// A condition on nothing but the VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCondition(Own);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Own {
    Name(Pattern),
    Id(String),
    Label(LabelCondition),
    Status(&'static str),
    Exited(i32),
    Network(String),
    Ancestor(ImageName),
    Volume(String),
    Publish(Ports),
}

/// Ports of a protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ports {
    first: u16,
    last: u16,
    protocol: Protocol,
}

/// Words for states, and the states.
const STATES: [(&str, &str); 6] = [
    ("created", "created"),
    ("starting", "starting"),
    ("running", "running"),
    ("paused", "paused"),
    ("stopped", "stopped"),
    ("exited", "stopped"),
];

impl Condition for VmCondition {
    type Subject = Vm;
    const KEYS: &'static [&'static str] = &[
        "name", "id", "label", "status", "exited", "network", "ancestor", "volume", "publish",
        "before", "since",
    ];

    fn read(key: &str, value: &str) -> Result<Self, &'static str> {
        let moment = || Moment {
            of: value.to_owned(),
            at: None,
        };
        let own = match key {
            "before" => return Ok(Self::Before(moment())),
            "since" => return Ok(Self::Since(moment())),
            "name" => Own::Name(Pattern::read(value)?),
            "id" => Own::Id(value.to_ascii_lowercase()),
            "label" => Own::Label(LabelCondition::read(value)?),
            "status" => Own::Status(state(value)?),
            "exited" => Own::Exited(value.parse().map_err(|_| "an exit code")?),
            "network" => Own::Network(value.to_owned()),
            "ancestor" => Own::Ancestor(ImageName::read(value)?),
            "volume" => Own::Volume(value.to_owned()),
            _ => Own::Publish(Ports::read(value)?),
        };
        Ok(Self::Own(OwnCondition(own)))
    }

    fn holds(&self, vm: &Vm) -> bool {
        let is = |moment: &Moment, is: fn(&Timestamp, &Timestamp) -> bool| {
            let pair = vm.metadata.created.zip(moment.at);
            pair.is_some_and(|(created, at)| is(&created, &at))
        };
        match self {
            Self::Before(moment) => is(moment, Timestamp::lt),
            Self::Since(moment) => is(moment, Timestamp::gt),
            Self::Own(OwnCondition(own)) => own.holds(vm),
        }
    }
}

impl VmCondition {
    /// Whether it asks for VMs that do not run, who are then meant without `--all`.
    pub fn means_stopped(&self) -> bool {
        matches!(
            self,
            Self::Own(OwnCondition(Own::Status(_) | Own::Exited(_)))
        )
    }

    /// The other VM that has to be looked up.
    pub fn moment(&mut self) -> Option<&mut Moment> {
        match self {
            Self::Before(moment) | Self::Since(moment) => Some(moment),
            Self::Own(_) => None,
        }
    }
}

fn state(word: &str) -> Result<&'static str, &'static str> {
    let found = STATES.iter().find(|(known, _)| *known == word);
    found
        .map(|(_, state)| *state)
        .ok_or("one of created, starting, running, paused, stopped and exited")
}

impl Own {
    fn holds(&self, vm: &Vm) -> bool {
        let status = &vm.status;
        match self {
            Self::Name(pattern) => pattern.is_in(&vm.metadata.name),
            Self::Id(id) => vm
                .metadata
                .uid
                .is_some_and(|uid| uid.as_str().starts_with(id)),
            Self::Label(label) => label.is_in(&vm.metadata.labels),
            Self::Status(state) => status.state.as_deref() == Some(state),
            Self::Exited(code) => !status.running && status.exit_code == Some(*code),
            Self::Network(name) => status
                .network
                .interfaces
                .iter()
                .any(|it| it.network == *name),
            Self::Ancestor(name) => vm.spec.image.oci.as_ref().is_some_and(|it| name.is(it)),
            Self::Volume(volume) => has_volume(vm, volume),
            Self::Publish(ports) => vm.spec.network.ports.iter().any(|it| {
                it.protocol == ports.protocol && (ports.has(it.host_port) || ports.has(it.vm_port))
            }),
        }
    }
}

/// By name, by what is behind it, or by where it is mounted.
fn has_volume(vm: &Vm, volume: &str) -> bool {
    let storage = &vm.spec.storage;
    let behind = |it: &crate::Volume| it.source().is_some_and(|it| it.path() == volume);
    storage
        .volumes
        .iter()
        .any(|it| it.name == volume || behind(it))
        || storage
            .volume_mounts
            .iter()
            .any(|it| it.mount_path == volume)
}

impl Ports {
    /// Reads `PORT`, `FIRST-LAST`, each with `/PROTOCOL` or not.
    fn read(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "a port, such as 80, 53/udp or 8000-8010";
        let (ports, protocol) = match text.split_once('/') {
            Some((ports, protocol)) => (ports, protocol.parse().map_err(|_| EXPECTED)?),
            None => (text, Protocol::Tcp),
        };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let port = |text: &str| text.parse::<u16>().map_err(|_| EXPECTED);
        let (first, last) = (port(first)?, port(last)?);
        Ok(Self {
            first,
            last,
            protocol,
        })
    }

    fn has(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}
