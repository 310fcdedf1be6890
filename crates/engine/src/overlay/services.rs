//! The two services of a host: etcd, on the first one, and the agent.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ignite_host::process::find_program;
use ignite_host::service::{Keeper, Log, Manager, Service};
use ignite_overlay::agent::status::Status;
use ignite_overlay::etcd::Client;
use ignite_overlay::pki::{AuthorityFiles, PEER_NAME};
use ignite_overlay::subnet_env::SubnetEnv;
use ignite_store::Paths;

use super::error::OverlayError;
use super::log;
use super::place::Place;
use super::record::{Etcd, Record, host_and_port, url};
use crate::config::program;

/// Name of the service of our etcd.
pub(super) const ETCD: &str = "ignite-etcd";
/// Time for etcd to answer, and for the agent to have a subnet.
pub(super) const LIMIT: Duration = Duration::from_secs(45);
/// The same, for an agent that tells of a trouble.
const TROUBLED: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Lines of a log that an error shows.
const TAIL: usize = 6;

/// Who keeps services running on this host.
pub(super) fn manager(paths: &Paths) -> Manager {
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("ignite"));
    Manager::of_host(Keeper {
        run: paths.run.join("service"),
        logs: paths.data.join("log"),
        command: vec![own, "internal".into(), "keep".into()],
    })
}

/// etcd as the first host runs it: one member, its data kept, for clients of all hosts; with TLS for
/// those who show a certificate of ours.
pub(super) fn etcd(place: &Place, record: &Record) -> Result<Option<Service>, OverlayError> {
    let Etcd::Own {
        advertise,
        port,
        insecure,
        ..
    } = &record.etcd
    else {
        return Ok(None);
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from))
        .collect();
    let program = find_program("etcd", &directories).map_err(OverlayError::NoEtcd)?;
    let scheme = if *insecure { "http" } else { "https" };
    let client = url(scheme, advertise, *port);
    // There is one member: its peers' port is for itself.
    let peer = url(scheme, "127.0.0.1", port.saturating_add(1));
    let mut args = vec![
        "--name=ignite".to_owned(),
        format!("--data-dir={}", place.etcd_data().display()),
        format!("--listen-client-urls={}", url(scheme, any(), *port)),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=ignite={peer}"),
        // A year of leases and announcements does not fill the disk.
        "--auto-compaction-mode=periodic".to_owned(),
        "--auto-compaction-retention=1h".to_owned(),
        "--logger=zap".to_owned(),
        "--log-outputs=stderr".to_owned(),
        "--log-level=error".to_owned(),
    ];
    if !insecure {
        let files = AuthorityFiles::new(place.authority());
        let (etcd, peer) = (files.etcd(), files.peer());
        args.extend([
            "--client-cert-auth=true".to_owned(),
            format!("--trusted-ca-file={}", files.ca().display()),
            format!("--cert-file={}", etcd.certificate.display()),
            format!("--key-file={}", etcd.key.display()),
            "--peer-client-cert-auth=true".to_owned(),
            format!("--peer-cert-allowed-cn={PEER_NAME}"),
            format!("--peer-trusted-ca-file={}", files.ca().display()),
            format!("--peer-cert-file={}", peer.certificate.display()),
            format!("--peer-key-file={}", peer.key.display()),
        ]);
    }
    Ok(Some(Service {
        name: ETCD.to_owned(),
        description: "etcd of Ignite's overlay".to_owned(),
        program,
        args,
    }))
}

/// The agent of an overlay.
pub(super) fn agent(place: &Place, record: &Record) -> Result<Service, OverlayError> {
    let program = program("ignite-overlay", "IGNITE_OVERLAY")
        .ok_or(OverlayError::NoProgram("ignite-overlay"))?;
    Ok(Service {
        name: place.agent_service(),
        description: match place.name.is_default() {
            true => "Ignite's overlay".to_owned(),
            false => format!("Ignite's overlay {}", place.name),
        },
        program: std::fs::canonicalize(&program).unwrap_or(program),
        args: agent_args(place, record),
    })
}

fn agent_args(place: &Place, record: &Record) -> Vec<String> {
    let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    let mut args = vec![
        format!("--etcd-endpoints={}", record.endpoints().join(",")),
        format!("--etcd-prefix={}", record.prefix),
        file("subnet-file", &place.subnet_env()),
        file("subnet-copy", &place.subnet_copy()),
        file("network-copy", &place.network_copy()),
        file("status-file", &place.status()),
        file("wireguard-key-file", &place.wireguard_key()),
        "--ip-masq=true".to_owned(),
    ];
    if let Some(tls) = record.settings(place).tls {
        args.extend(tls.ca.map(|path| file("etcd-cafile", &path)));
        if let Some(identity) = tls.identity {
            args.push(file("etcd-certfile", &identity.certificate));
            args.push(file("etcd-keyfile", &identity.key));
        }
    }
    if let Etcd::Own {
        advertise,
        port,
        join_port,
        insecure: false,
    } = &record.etcd
    {
        let address = host_and_port(any(), *join_port);
        args.push(format!("--entrance={address}"));
        args.push(file("entrance-authority", &place.authority()));
        let endpoint = url("https", advertise, *port);
        args.push(format!("--entrance-endpoints={endpoint}"));
    }
    let host = &record.host;
    args.extend(host.iface.iter().map(|iface| format!("--iface={iface}")));
    args.extend(
        host.can_reach
            .map(|address| format!("--iface-can-reach={address}")),
    );
    args.extend(
        host.public_ip
            .map(|address| format!("--public-ip={address}")),
    );
    args
}

/// All addresses of this host: of both families, unless it has no IPv6.
fn any() -> &'static str {
    match Path::new("/proc/net/if_inet6").exists() {
        true => "::",
        false => "0.0.0.0",
    }
}

/// Fails if somebody else has a port that our etcd needs; to be asked before it runs.
pub(super) fn ports_are_free(record: &Record) -> Result<(), OverlayError> {
    let Etcd::Own { port, .. } = record.etcd else {
        return Ok(());
    };
    // Where the distribution's etcd listens, and where ours will.
    let peer = port.saturating_add(1);
    for (address, port) in [("127.0.0.1", port), ("0.0.0.0", port), ("127.0.0.1", peer)] {
        match TcpListener::bind((address, port)) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                return Err(OverlayError::PortTaken { port });
            }
            // Whatever else it is, etcd says it better.
            _ => {}
        }
    }
    Ok(())
}

/// Waits until etcd answers, for so long.
pub(super) async fn etcd_answers(
    manager: &Manager,
    client: &Client,
    endpoint: &str,
    limit: Duration,
) -> Result<(), OverlayError> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        let health = client.health().await;
        if health.iter().any(|one| matches!(one.healthy, Ok(true))) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(OverlayError::EtcdSilent {
        endpoint: endpoint.to_owned(),
        log: log::tail(manager, ETCD, TAIL),
    })
}

/// Waits until the agent has its subnet, and gives what it says of itself.
pub(super) fn agent_ready(manager: &Manager, place: &Place) -> Result<Status, OverlayError> {
    let began = Instant::now();
    let deadline = began + LIMIT;
    loop {
        let status = Status::read(&place.status());
        let runs = |status: &&Status| status.process.is_running();
        if let Some(status) = status.as_ref().filter(runs)
            && is_told(place, status)
        {
            return Ok(status.clone());
        }
        // What it ended for may be over at its next start, what it tells of any moment.
        let trouble = status.and_then(|status| status.ended.or(status.troubles.into_iter().next()));
        let patience = if trouble.is_some() { TROUBLED } else { LIMIT };
        if Instant::now() >= deadline.min(began + patience) {
            return Err(OverlayError::AgentNotReady {
                problem: trouble
                    .as_ref()
                    .map_or("it does not say why".to_owned(), |told| told.text.clone()),
                remedy: trouble.map(|trouble| trouble.remedy),
                log: log::tail(manager, &place.agent_service(), TAIL),
            });
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether CNI's plugin knows of the agent's subnet.
fn is_told(place: &Place, status: &Status) -> bool {
    let told = SubnetEnv::read(&place.subnet_env()).ok();
    let told = told.and_then(|file| file.subnet());
    status.subnet.is_some() && told.map(|subnet| subnet.v4) == status.subnet
}

/// Where a service's words are, for people.
pub(super) fn log_of(manager: &Manager, name: &str) -> String {
    match manager.log(name) {
        Log::File(path) => path.display().to_string(),
        Log::Journal(unit) => format!("journalctl -u {unit}"),
    }
}
