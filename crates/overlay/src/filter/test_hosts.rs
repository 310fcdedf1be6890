//! Hosts for tests: real namespaces, and traffic that says who its sender seems to be.
//!
//! ```text
//!   vm 10.5.9.2 ---- host 10.5.9.1   192.0.2.1, 10.5.7.1 ---- far 192.0.2.2, and 10.5.7.2 of the overlay
//! ```

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use ignite_host::link::{Netlink, Route};
use ignite_host::netns::Namespace;
use ignite_host::sysctl;

pub(super) struct Hosts {
    pub(super) vm: Namespace,
    pub(super) host: Namespace,
    pub(super) far: Namespace,
}

impl Hosts {
    pub(super) fn new() -> Self {
        let [vm, host, far] = [(); 3].map(|()| Namespace::anonymous().expect("namespace"));
        let hosts = Self { vm, host, far };
        for namespace in [&hosts.vm, &hosts.host, &hosts.far] {
            namespace.run(prepare).expect("enter");
        }
        let links = Netlink::open_in(&hosts.host).expect("netlink");
        links
            .create_veth("vm", "eth0", Some(&hosts.vm))
            .expect("veth");
        links
            .create_veth("far", "eth0", Some(&hosts.far))
            .expect("veth");
        address(&hosts.host, "vm", &["10.5.9.1/24", "fd00:5:0:9::1/64"]);
        address(
            &hosts.host,
            "far",
            &[
                "192.0.2.1/24",
                "10.5.7.1/24",
                "fd99::1/64",
                "fd00:5:0:7::1/64",
            ],
        );
        address(&hosts.vm, "eth0", &["10.5.9.2/24", "fd00:5:0:9::2/64"]);
        address(
            &hosts.far,
            "eth0",
            &[
                "192.0.2.2/24",
                "10.5.7.2/24",
                "fd99::2/64",
                "fd00:5:0:7::2/64",
            ],
        );
        default_routes(&hosts.vm, ["10.5.9.1", "fd00:5:0:9::1"]);
        default_routes(&hosts.far, ["192.0.2.1", "fd99::1"]);
        hosts
    }

    pub(super) fn on_host<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.host.run(work).expect("enter")
    }
}

fn address(namespace: &Namespace, name: &str, addresses: &[&str]) {
    let links = Netlink::open_in(namespace).expect("netlink");
    let index = links.link(name).expect("look").expect("there").index;
    links.set_up(index).expect("up");
    for address in addresses {
        links
            .add_address(index, address.parse().expect("net"))
            .expect("address");
    }
}

fn default_routes(namespace: &Namespace, [ipv4, ipv6]: [&str; 2]) {
    let links = Netlink::open_in(namespace).expect("netlink");
    let index = links.link("eth0").expect("look").expect("there").index;
    for (all, gateway) in [("0.0.0.0/0", ipv4), ("::/0", ipv6)] {
        let gateway = gateway.parse().expect("address");
        let route = Route::new(all.parse().expect("net"), Some(gateway), index);
        links.add_route(&route).expect("route");
    }
}

/// Forwards, and takes IPv6 addresses without looking for others that have them.
fn prepare() {
    for (key, value) in [
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv6/conf/all/forwarding", "1"),
        ("net/ipv6/conf/default/accept_dad", "0"),
        ("net/ipv6/conf/all/accept_dad", "0"),
    ] {
        sysctl::set(key, value).expect("sysctl");
    }
}

fn socket(namespace: &Namespace, address: &str) -> UdpSocket {
    let address: IpAddr = address.parse().expect("address");
    namespace
        .run(|| UdpSocket::bind((address, 0)).expect("bind"))
        .expect("enter")
}

/// Sends from one address to the other; as whom the receiver sees the sender, if anything comes.
pub(super) fn seen(
    from: (&Namespace, &str),
    to: (&Namespace, &str),
    wait: Duration,
) -> Option<IpAddr> {
    let (sender, receiver) = (socket(from.0, from.1), socket(to.0, to.1));
    let target: SocketAddr = receiver.local_addr().expect("address");
    receiver.set_read_timeout(Some(wait)).expect("timeout");
    sender.send_to(b"hello", target).expect("send");
    receiver
        .recv_from(&mut [0; 16])
        .ok()
        .map(|(_, peer)| peer.ip())
}

/// The same where it is expected to come.
pub(super) fn source(from: (&Namespace, &str), to: (&Namespace, &str)) -> String {
    seen(from, to, Duration::from_secs(10)).map_or_else(|| "nobody".into(), |ip| ip.to_string())
}
