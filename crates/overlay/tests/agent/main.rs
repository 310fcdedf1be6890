//! Agents as programs, each in a network namespace of its own, with a real etcd: what nodes of Flannel
//! see of them, what they make of nodes of Flannel, and what becomes of traffic meanwhile.

mod backends;
#[path = "../common/mod.rs"]
mod common;
mod configuration;
mod dual_stack;
mod hostile;
#[path = "../common/lab/mod.rs"]
mod lab;
mod leases;
mod outages;
mod peers;
mod races;
mod records;
mod relay;
mod repairs;
mod restarts;
mod rules;
mod together;

/// A network with this backend whose nodes have subnets from 10.5.100.0 to 10.5.199.0: the others are
/// for what tests write themselves.
fn config(backend: &str) -> String {
    format!(
        r#"{{"Network":"10.5.0.0/16","SubnetMin":"10.5.100.0","SubnetMax":"10.5.199.0","Backend":{backend}}}"#
    )
}

/// What a node of Flannel with this address and MAC address says of itself.
fn vxlan_value(public_ip: &str, mac: &str) -> String {
    format!(
        r#"{{"PublicIP":"{public_ip}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{mac}"}}}}"#
    )
}
