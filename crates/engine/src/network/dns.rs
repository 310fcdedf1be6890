//! Which name servers a guest is given.
//!
//! In this order: those asked for, those of the network's result, those of the host without its
//! loopback servers (a guest cannot reach the host's loopback).

use std::net::IpAddr;
use std::path::Path;

use ignite_wire::guest::Dns;

/// The host's resolver configuration, then the one systemd-resolved keeps of its upstream servers.
const RESOLV_CONF: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// More than any resolver reads; a longer file is cut.
const MAX_BYTES: u64 = 64 * 1024;

/// Where the guest's name servers came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `--dns` or the manifest.
    Requested,
    /// The network's result.
    Network,
    /// The host's resolver configuration.
    Host,
    /// Nowhere: names will not resolve.
    Nowhere,
}

/// Chooses the guest's resolver configuration.
pub fn choose(requested: &[IpAddr], network: &Dns, host: impl FnOnce() -> Dns) -> (Dns, Origin) {
    if !requested.is_empty() {
        let dns = Dns {
            servers: requested.to_vec(),
            ..network.clone()
        };
        return (dns, Origin::Requested);
    }
    if !network.servers.is_empty() {
        return (network.clone(), Origin::Network);
    }
    let host = host();
    let origin = if host.servers.is_empty() {
        Origin::Nowhere
    } else {
        Origin::Host
    };
    (host, origin)
}

/// The host's resolver configuration, without servers a guest cannot reach.
pub fn of_host() -> Dns {
    RESOLV_CONF
        .iter()
        .map(|path| read(Path::new(path)))
        .find(|dns| !dns.servers.is_empty())
        .unwrap_or_default()
}

fn read(path: &Path) -> Dns {
    match ignite_host::fs::read_bounded(path, MAX_BYTES) {
        Ok(bytes) => parse(&String::from_utf8_lossy(&bytes)),
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "no resolver configuration here");
            Dns::default()
        }
    }
}

/// Reads resolv.conf(5), leaving out loopback and unspecified servers.
pub fn parse(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => dns.servers.extend(words.next().and_then(reachable)),
            Some("search" | "domain") => dns.search = words.map(str::to_owned).collect(),
            Some("options") => dns.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    dns
}

fn reachable(text: &str) -> Option<IpAddr> {
    // A scope (`fe80::1%eth0`) names an interface of the host: no use in a guest.
    let address: IpAddr = text.parse().ok()?;
    let canonical = address.to_canonical();
    (!canonical.is_loopback() && !canonical.is_unspecified()).then_some(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(list: &[&str]) -> Vec<IpAddr> {
        list.iter()
            .map(|s| s.parse().expect("an address"))
            .collect()
    }

    #[test]
    fn reads_resolv_conf_without_loopback() {
        let dns = parse(
            "# made by hand\nnameserver 127.0.0.53\nnameserver ::ffff:127.0.0.1\nnameserver 10.0.0.2\n\
             nameserver fe80::1%eth0\nnameserver nonsense\nsearch a.example b.example\noptions ndots:2 edns0\n",
        );
        assert_eq!(dns.servers, servers(&["10.0.0.2"]));
        assert_eq!(dns.search, ["a.example", "b.example"]);
        assert_eq!(dns.options, ["ndots:2", "edns0"]);
    }

    #[test]
    fn order_of_origins() {
        let network = Dns {
            servers: servers(&["10.61.0.1"]),
            search: vec!["cluster.local".into()],
            ..Dns::default()
        };
        let host = || parse("nameserver 192.0.2.1");
        let (dns, origin) = choose(&servers(&["9.9.9.9"]), &network, host);
        assert_eq!(
            (dns.servers, origin),
            (servers(&["9.9.9.9"]), Origin::Requested)
        );
        assert_eq!(dns.search, ["cluster.local"]);
        assert_eq!(choose(&[], &network, host).1, Origin::Network);
        assert_eq!(choose(&[], &Dns::default(), host).1, Origin::Host);
        assert_eq!(
            choose(&[], &Dns::default(), Dns::default).1,
            Origin::Nowhere
        );
    }
}
