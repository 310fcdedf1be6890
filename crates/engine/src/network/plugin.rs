//! The network plugins, which all have the same shape: attach, release.
//!
//! A start attaches by the plugin the VM is to have, a release takes back by the plugin that is
//! recorded; neither knows one by its name.

use std::path::Path;
use std::time::Duration;

use ignite_api::NetworkPlugin;
use ignite_host::netns::Namespace;
use ignite_store::{InterfaceRecord, VmLock, VmRecord};
use ignite_wire::supervisor::Holder;

use super::attached::Attached;
use super::cni::Cni;
use super::docker::{self, DockerBridge};
use super::{Error, sandbox};
use crate::timings::Timings;
use crate::{Cancel, Config, Report};

/// One start's wish for a network.
pub(crate) struct Request<'a> {
    /// The VM's lock.
    pub lock: &'a VmLock,
    /// The VM.
    pub record: &'a VmRecord,
    /// Where its sandbox gets its name.
    pub sandbox: &'a Path,
    /// Who hears of it.
    pub report: &'a dyn Report,
    /// Who may call it off.
    pub cancel: &'a Cancel,
}

/// What attaching gave.
#[derive(Debug)]
pub(crate) struct Network {
    /// The sandbox, silent.
    pub namespace: Namespace,
    /// The interfaces in it.
    pub attached: Vec<Attached>,
    /// Whose end is the network's end, where that is not the sandbox itself.
    pub holder: Option<Holder>,
    /// What CNI plugins took.
    pub plugins: Vec<(String, Duration)>,
}

/// A network plugin at work for one VM.
pub(crate) enum Plugin<'a> {
    /// CNI plugins make the interfaces.
    Cni(Cni<'a>),
    /// A container of Docker's has them.
    DockerBridge(DockerBridge<'a>),
}

impl<'a> Plugin<'a> {
    /// The plugin of this name, for work on the VM of `lock`.
    pub fn new(plugin: NetworkPlugin, config: &'a Config, lock: &VmLock) -> Result<Self, Error> {
        Ok(match plugin {
            NetworkPlugin::Cni => Self::Cni(Cni::new(config, lock)?),
            NetworkPlugin::DockerBridge => Self::DockerBridge(DockerBridge::new(&config.paths)),
        })
    }

    /// Makes the sandbox and attaches it. On failure what was made stays recorded, for
    /// [`release`](Self::release).
    pub fn attach(&self, request: &Request<'_>, timings: &mut Timings) -> Result<Network, Error> {
        match self {
            Self::Cni(cni) => {
                let namespace = sandbox::create(request.sandbox)?;
                timings.end("sandbox");
                let Request {
                    lock,
                    record,
                    report,
                    cancel,
                    ..
                } = *request;
                let sandbox = (request.sandbox, &namespace);
                let outcome = cni.attach(lock, record, sandbox, report, cancel)?;
                Ok(Network {
                    namespace,
                    attached: outcome.attached,
                    holder: None,
                    plugins: outcome.plugins,
                })
            }
            Self::DockerBridge(docker) => docker.attach(request, timings),
        }
    }

    /// Takes back what the record says was made, with everything else gone if need be. What cannot be
    /// released stays recorded; all failures are returned.
    pub fn release(&self, lock: &VmLock) -> Result<(), Vec<Error>> {
        match self {
            Self::Cni(cni) => cni.release(lock),
            Self::DockerBridge(docker) => docker.release(lock),
        }
    }
}

/// Refuses what a network plugin cannot do, before anything is made.
pub(crate) fn check(plugin: NetworkPlugin, interfaces: &[InterfaceRecord]) -> Result<(), Error> {
    match plugin {
        NetworkPlugin::Cni => Ok(()),
        NetworkPlugin::DockerBridge => Ok(docker::check(interfaces)?),
    }
}
