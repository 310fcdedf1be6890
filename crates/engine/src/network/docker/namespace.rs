//! The network namespace of a running container, and no other's.

use ignite_docker::{Container, Endpoint};
use ignite_host::link::Netlink;
use ignite_host::netns::Namespace;
use ignite_host::process::start_time;
use ignite_store::ProcessRecord;
use ipnet::IpNet;

use super::{Error, INTERFACE};
use crate::network::Error as NetworkError;

/// The namespace of the container's first process, and that process.
pub(super) fn of(container: &Container) -> Result<(Namespace, ProcessRecord), Error> {
    let ended = || Error::Ended {
        container: container.name.clone(),
        reason: reason(container),
    };
    let running = container.pid.filter(|_| container.running);
    let pid = running.ok_or_else(ended)?;
    let begun = start_time(pid).ok_or_else(ended)?;
    let path = format!("/proc/{pid}/ns/net");
    let opened = Namespace::open(path.as_ref());
    // The number may have come to mean another process in between.
    if start_time(pid) != Some(begun) {
        return Err(ended());
    }
    let namespace = opened.map_err(|source| Error::Namespace {
        container: container.name.clone(),
        source,
    })?;
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let process = ProcessRecord {
        pid,
        start_time: begun,
        boot_id: boot_id.trim().to_owned(),
    };
    Ok((namespace, process))
}

/// What Docker gave the container. The namespace must show it: an engine that tells of processes in
/// another process namespace would have us take, and silence, somebody else's.
pub(super) fn endpoint(
    container: &Container,
    namespace: &Namespace,
) -> Result<Endpoint, NetworkError> {
    let endpoint = container.network.clone();
    let given = endpoint.and_then(|endpoint| Some((endpoint.address?, endpoint)));
    let Some((address, endpoint)) = given else {
        let container = container.name.clone();
        return Err(Error::NoAddress { container }.into());
    };
    let netlink = Netlink::open_in(namespace).map_err(NetworkError::Link)?;
    let link = netlink.link(INTERFACE).map_err(NetworkError::Link)?;
    let found = match link {
        Some(link) => netlink.addresses(link.index).map_err(NetworkError::Link)?,
        None => Vec::new(),
    };
    if !found.contains(&IpNet::V4(address)) {
        return Err(Error::NotThere {
            container: container.name.clone(),
            address,
        }
        .into());
    }
    Ok(endpoint)
}

/// Why a container does not run, as far as Docker says.
fn reason(container: &Container) -> String {
    match (container.error.as_str(), container.exit_code) {
        ("", code) => format!("it exited with code {code}"),
        (error, _) => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn container(pid: Option<i32>) -> Container {
        Container {
            id: "f0".repeat(32),
            name: "ignite-0123456789abcdef".into(),
            running: pid.is_some(),
            pid,
            network: Some(Endpoint {
                network: "bridge".into(),
                address: Some("172.17.0.2/16".parse().expect("an address")),
                gateway: None,
                address6: None,
                gateway6: None,
            }),
            labels: BTreeMap::new(),
            exit_code: 137,
            error: String::new(),
        }
    }

    #[test]
    fn one_that_ended_has_none_whatever_its_engine_says() {
        for pid in [None, Some(0), Some(i32::MAX)] {
            let error = of(&container(pid)).expect_err("it does not run");
            assert!(matches!(&error, Error::Ended { .. }), "{error}");
            assert!(error.to_string().contains("code 137"), "{error}");
        }
    }

    #[test]
    fn anothers_process_is_not_believed() {
        let own = i32::try_from(std::process::id()).expect("a number");
        let container = container(Some(own));
        let (namespace, process) = of(&container).expect("we run");
        assert_eq!(process.pid, own);
        let error = endpoint(&container, &namespace).expect_err("not the container's");
        let said = "does not have its address 172.17.0.2/16";
        assert!(error.to_string().contains(said), "{error}");
    }

    #[test]
    fn without_an_address_there_is_no_network() {
        let container = Container {
            network: None,
            ..container(None)
        };
        let namespace = Namespace::current().expect("ours");
        let error = endpoint(&container, &namespace).expect_err("no address");
        assert!(error.hint().expect("a hint").contains("docker network"));
    }
}
