//! Joining: from nothing to a node that the others can reach.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ignite_host::error::chain;
use ignite_host::link::Netlink;

use super::follow::Node;
use super::guard::Guard;
use super::options::Options;
use super::report::Source;
use super::translate::settings;
use super::troubles;
use super::{ASK_AGAIN, Agent, Error};
use crate::backend::{Backend, Prepared};
use crate::config::Config;
use crate::etcd::Outage;
use crate::interface::{self, Choice, External};
use crate::lease::{Attributes, Subnet};
use crate::leave::{same_data_plane, take_away_data_plane};
use crate::pool::{self, Situation, Take};
use crate::registry::{Held, Registry};
use crate::subnet_env::{Half, SubnetEnv};

/// The largest copy of a configuration that is read, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

impl Agent {
    /// Does all that has to be done once.
    pub(super) async fn join(self) -> Result<Node, Error> {
        let (config, revision) = self.configuration().await;
        tracing::info!(
            "Found network config - Backend type: {}",
            config.backend.kind()
        );
        keep_network(&self.options, &config);
        self.report.update(|status| {
            status.backend = Some(config.backend.kind().to_owned());
            status.network = config.ipv4.as_ref().map(|range| range.network());
            status.ipv6_network = config.ipv6.as_ref().map(|range| range.network());
        });
        let external = external(&self.options.interface, &config)?;
        let wanted = settings(&config, self.options.wireguard_key.as_deref())?;
        let (mut backend, prepared) = Backend::prepare(&wanted, &external)?;
        let attributes = attributes(&external, &config, &prepared);
        self.report.update(|status| {
            status.interface = Some(external.name.clone());
            status.public_ip = Some(attributes.public_ip);
            status.public_ipv6 = attributes.public_ipv6;
            status.mtu = Some(prepared.mtu);
        });
        self.report.write();
        let previous = previous(&self.options);
        let held = acquire(&self.registry, &config, &attributes, previous).await?;
        backend.assign(held.subnet)?;
        let guard = Guard::start(&self.options, &config, held.subnet);
        let mut node = Node::new(
            self, config, revision, external, backend, prepared, attributes, held, guard,
        );
        node.write_subnet_env()?;
        node.write_status();
        Ok(node)
    }

    /// The configuration, once there is a valid one, and the revision it was read at.
    async fn configuration(&self) -> (Config, i64) {
        let mut told = None;
        loop {
            let (problem, source, trouble) = match self.registry.config().await {
                Ok(read) => match read.bytes.as_deref().map(Config::parse) {
                    Some(Ok(config)) => {
                        self.report.clear(Source::Etcd);
                        self.report.clear(Source::Configuration);
                        return (config, read.revision);
                    }
                    Some(Err(error)) => (
                        chain(&error),
                        Source::Configuration,
                        troubles::invalid_configuration(&error),
                    ),
                    None => (
                        "there is none".to_owned(),
                        Source::Configuration,
                        troubles::no_configuration(&self.options.prefix),
                    ),
                },
                Err(error) => {
                    let outage = Outage {
                        since: SystemTime::now(),
                        problem: chain(&error),
                        hint: error.hint(),
                    };
                    let trouble = troubles::away(&outage, false);
                    (outage.problem, Source::Etcd, trouble)
                }
            };
            // Once for each problem, not once a second.
            if told.as_ref() != Some(&problem) {
                tracing::error!("Couldn't fetch network config: {problem}");
                told = Some(problem);
                // A configuration that cannot be used is read of an etcd that answers.
                self.report.clear(Source::Etcd);
                self.report.set(source, vec![trouble]);
                self.report.write();
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

/// Before anything is made by it: what is made can be taken away without etcd. What another
/// configuration made goes first, as its routes may be more specific than the new ones: who dies in between
/// finds the old copy at the next start, and does it again.
fn keep_network(options: &Options, config: &Config) {
    let Some(path) = &options.network_copy else {
        return;
    };
    if let Some(before) = followed_before(path).filter(|before| !same_data_plane(before, config)) {
        let (gone, errors) = take_away_data_plane(&before, last_time(options).as_ref());
        for gone in gone {
            tracing::info!("Took away what another configuration made: {gone}");
        }
        for error in errors {
            tracing::warn!(
                "something of another configuration stays: {}",
                chain(&error)
            );
        }
    }
    let written = ignite_host::fs::write_atomic(path, config.to_json().as_bytes(), 0o600);
    if let Err(error) = written {
        tracing::warn!("leaving the network may need etcd: {}", chain(&error));
    }
}

/// The configuration of last time.
fn followed_before(path: &Path) -> Option<Config> {
    let bytes = ignite_host::fs::read_bounded(path, MAX_CONFIG).ok()?;
    Config::parse(&bytes).ok()
}

/// The interface the choice falls on now.
pub(super) fn find(choice: &Choice, config: &Config) -> Result<External, interface::Error> {
    let choice = Choice {
        dual_stack: config.ipv6.is_some(),
        ..choice.clone()
    };
    interface::find(&Netlink::open()?, &choice)
}

fn external(choice: &Choice, config: &Config) -> Result<External, Error> {
    let external = find(choice, config)?;
    tracing::info!(
        "Using interface with name {} and address {}",
        external.name,
        external.address
    );
    if external.public_ip == external.address {
        tracing::info!(
            "Defaulting external address to interface address ({})",
            external.address
        );
    } else {
        tracing::info!("Using {} as external address", external.public_ip);
    }
    Ok(external)
}

/// What the own lease says.
pub(super) fn attributes(external: &External, config: &Config, prepared: &Prepared) -> Attributes {
    Attributes {
        public_ip: external.public_ip,
        // Peers without IPv6 cannot bear it.
        public_ipv6: external.public_ipv6.filter(|_| config.ipv6.is_some()),
        backend: prepared.backend.map(str::to_owned),
        data: prepared.data.clone(),
        v6_data: prepared.v6_data.clone(),
    }
}

/// The subnet of last time: a reboot takes the first file away, and leaves the second.
fn previous(options: &Options) -> Option<Subnet> {
    last_time(options).and_then(|file| file.subnet())
}

/// What was written last time.
pub(super) fn last_time(options: &Options) -> Option<SubnetEnv> {
    let files = [Some(&options.subnet_file), options.subnet_copy.as_ref()];
    files.into_iter().flatten().find_map(|path| read(path))
}

fn read(path: &Path) -> Option<SubnetEnv> {
    match SubnetEnv::read(path) {
        Ok(file) => Some(file),
        Err(error) => {
            tracing::debug!(
                "no subnet of last time in {}: {}",
                path.display(),
                chain(&error)
            );
            None
        }
    }
}

/// Comes by a subnet, and says how.
pub(super) async fn acquire(
    registry: &Registry,
    config: &Config,
    attributes: &Attributes,
    previous: Option<Subnet>,
) -> Result<Held, Error> {
    let mut how = String::new();
    let held = registry
        .acquire(attributes, |snapshot| {
            let leases = snapshot.leases();
            let decision = pool::decide(
                &Situation {
                    config,
                    leases: &leases,
                    unreadable: &snapshot.unreadable,
                    public_ip: attributes.public_ip,
                    previous,
                },
                &mut random,
            )?;
            how = told(decision.take, previous, attributes.public_ip);
            Ok(decision)
        })
        .await
        .map_err(Box::new)?;
    tracing::info!("{how}");
    Ok(held)
}

/// How the subnet was come by, in the words of Flannel's log.
fn told(take: Take, previous: Option<Subnet>, public_ip: Ipv4Addr) -> String {
    let subnet = take.subnet();
    match take {
        Take::Reuse(_) => format!(
            "Found lease (ip: {}) for current IP ({public_ip}), reusing",
            subnet.v4
        ),
        Take::Create(_) if Some(subnet) == previous => {
            format!("Found previously leased subnet ({}), reusing", subnet.v4)
        }
        Take::Create(_) => format!(
            "Allocated lease (ip: {}) to current node ({public_ip})",
            subnet.v4
        ),
    }
}

/// A number below `limit`. Not being quite even does no harm here.
fn random(limit: usize) -> usize {
    let mut bytes = [0; 8];
    // Without randomness all nodes draw the same, and race.
    let _ = getrandom::fill(&mut bytes);
    usize::from_ne_bytes(bytes)
        .checked_rem(limit)
        .unwrap_or_default()
}

impl Node {
    /// Tells CNI's plugin, and the next start of this agent.
    pub(super) fn write_subnet_env(&self) -> Result<(), Error> {
        let config = &self.config;
        let file = SubnetEnv {
            ipv4: config.ipv4.as_ref().map(|range| Half {
                networks: vec![range.network()],
                subnet: self.held.subnet.v4,
            }),
            ipv6: config
                .ipv6
                .as_ref()
                .zip(self.held.subnet.v6)
                .map(|(range, subnet)| Half {
                    networks: vec![range.network()],
                    subnet,
                }),
            mtu: self.prepared.mtu,
            ip_masq: self.agent.options.ip_masq,
        };
        let options = &self.agent.options;
        // First the one that lasts: whoever sees the other may count on both.
        if let Some(copy) = &options.subnet_copy
            && let Err(error) = file.write(copy)
        {
            tracing::warn!(
                "the subnet may be another after a reboot: {}",
                chain(&error)
            );
        }
        file.write(&options.subnet_file)?;
        tracing::info!("Wrote subnet file to {}", options.subnet_file.display());
        Ok(())
    }
}

/// The usual pause before something is tried again that needs etcd.
pub(super) const PAUSE: Duration = Duration::from_secs(5);
