//! A pod: a namespace behind the bridge of a node, with the second address of its subnet.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use super::node::ping;
use super::{Lab, Place, run, soon};

/// A pod of a node; its namespace goes with the lab.
pub struct Pod<'l> {
    lab: &'l Lab,
    node: usize,
    /// Its address.
    pub address: Ipv4Addr,
}

impl Lab {
    /// Adds a pod to a node that has the bridge `cni0` with this gateway's address.
    pub fn pod(&self, node: usize, gateway: &str, mtu: u32) -> Pod<'_> {
        let gateway: Ipv4Addr = gateway.parse().expect("an address");
        let address = Ipv4Addr::from_bits(gateway.to_bits() + 1);
        let pod = Pod {
            lab: self,
            node,
            address,
        };
        let (n, name) = (
            self.namespace(Place::Node(node)),
            self.namespace(pod.place()),
        );
        // From outside: what a program in a namespace of its own mounts is seen by nobody else.
        let script = format!(
            "ip netns add {name}; ip -n {name} link set lo up
             ip -n {n} link add pod type veth peer name eth0 netns {name}
             ip -n {n} link set pod mtu {mtu} master cni0 up
             ip -n {name} link set eth0 mtu {mtu} up
             ip -n {name} addr add {address}/24 dev eth0
             ip -n {name} route add default via {gateway}"
        );
        run(Command::new("sh").args(["-euc", &script]));
        pod
    }

    /// As whom the receiver sees the sender of a datagram that must arrive some time.
    pub fn seen(&self, from: (Place, IpAddr), to: (Place, IpAddr)) -> IpAddr {
        let sender = self.socket(from.0, &SocketAddr::from((from.1, 0)).to_string());
        let receiver = self.socket(to.0, &SocketAddr::from((to.1, 0)).to_string());
        let target = receiver.local_addr().expect("an address");
        let wait = Some(Duration::from_millis(500));
        receiver.set_read_timeout(wait).expect("a timeout");
        soon(&format!("{from:?} reaches {to:?}"), || {
            sender
                .send_to(b"hello", target)
                .and_then(|_| receiver.recv_from(&mut [0; 16]))
                .map(|(_, seen)| seen.ip())
                .map_err(|error| error.to_string())
        })
    }
}

impl Pod<'_> {
    pub fn place(&self) -> Place {
        Place::Pod(self.node)
    }

    /// Where it is, and under which address.
    pub fn at(&self) -> (Place, IpAddr) {
        (self.place(), self.address.into())
    }

    /// Waits until pings of so many bytes arrive; the TTL that answers come with.
    pub fn pings(&self, target: &str, size: u32) -> u8 {
        let printed = soon(&format!("{} reaches {target}", self.address), || {
            ping(self.lab, self.place(), &[], target, size)
        });
        let ttl = printed.split("ttl=").nth(1);
        let ttl = ttl.and_then(|rest| rest.split_whitespace().next());
        ttl.and_then(|ttl| ttl.parse().ok()).expect("a TTL")
    }

    /// What is said of a ping that its own host refuses.
    pub fn refused(&self, target: &str, size: u32) -> String {
        ping(self.lab, self.place(), &[], target, size).expect_err("too large to be sent")
    }
}
