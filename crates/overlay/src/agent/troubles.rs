//! The troubles an agent finds, in words.

use crate::backend;
use crate::backend::peer::Refusal;
use crate::checkup::{Kind, Trouble, sentence};
use crate::config::ConfigError;
use crate::etcd::Outage;
use crate::filter::FilterError;
use crate::interface::External;
use crate::lease::{Attributes, Subnet, key};
use crate::pool::PoolError;
use crate::registry::AcquireError;

use super::Error;
use super::status::seconds;
use ignite_host::error::chain;

const LOG: &str = "see ignite overlay logs; it tries again by itself";
pub(crate) const FREE: &str = "hosts that leave for good give theirs back (ignite overlay leave --all); leases of \
                    hosts that are gone end within 24 hours of their last renewal, or delete their keys; or change Network or SubnetLen to have more and smaller subnets";

/// etcd does not answer. `joined` if this node has its subnet and its peers.
pub(super) fn away(outage: &Outage, joined: bool) -> Trouble {
    let so = match joined {
        true => "Traffic goes on, changes of other hosts are not seen",
        false => "This host has no network until it does",
    };
    let text = format!("etcd does not answer: {}. {so}", outage.problem);
    let remedy = outage.hint.clone();
    let remedy = remedy.unwrap_or_else(|| "look at etcd's hosts, and at the way to them".into());
    Trouble::new(Kind::EtcdAway, text, remedy).since(seconds(outage.since))
}

/// There is no configuration, at all or any more.
pub(crate) fn no_configuration(prefix: &str) -> Trouble {
    let key = format!("{}/config", prefix.trim_end_matches('/'));
    Trouble::new(
        Kind::NoConfiguration,
        format!("The network has no configuration: there is no {key} in etcd"),
        "check the prefix, or write a configuration such as \
         {\"Network\":\"10.5.0.0/16\",\"Backend\":{\"Type\":\"vxlan\"}}",
    )
}

/// There is one that cannot be used.
pub(crate) fn invalid_configuration(error: &ConfigError) -> Trouble {
    let text = format!(
        "The network's configuration in etcd is not valid: {}",
        chain(error)
    );
    let remedy = error.hint();
    let remedy = remedy.unwrap_or_else(|| "write it anew; it is read again by itself".into());
    Trouble::new(Kind::ConfigurationInvalid, text, remedy)
}

/// There is another one than this node follows.
pub(super) fn changed_configuration() -> Trouble {
    Trouble::new(
        Kind::ConfigurationChanged,
        "The network's configuration in etcd changed: the agent follows the one it was started with",
        "restart the agent here: ignite overlay restart",
    )
}

/// The node has no subnet, or cannot keep it.
pub(super) fn no_lease(error: &Error) -> Trouble {
    let kind = match kind(error) {
        Kind::AgentFailed => Kind::NoLease,
        other => other,
    };
    let text = format!(
        "This host's lease is lost, it comes by no other one: {}",
        chain(error)
    );
    Trouble::new(kind, text, remedy(error))
}

/// Why an agent ended.
pub(super) fn of_end(error: &Error) -> Trouble {
    let text = format!("The agent ended: {}", chain(error));
    Trouble::new(kind(error), text, remedy(error))
}

fn kind(error: &Error) -> Kind {
    match error {
        Error::Acquire(source) => match &**source {
            AcquireError::Decide(PoolError::OutOfSubnets { .. }) => Kind::PoolExhausted,
            AcquireError::Decide(PoolError::WithoutIpv4) => Kind::ConfigurationInvalid,
            AcquireError::Registry(_) | AcquireError::Contended => Kind::NoLease,
        },
        Error::Config(_) => Kind::ConfigurationInvalid,
        Error::Interface(_) => Kind::InterfaceGone,
        Error::ConfigurationChanged => Kind::ConfigurationChanged,
        Error::NoConfiguration => Kind::NoConfiguration,
        Error::Etcd(_) => Kind::EtcdSettings,
        _ => Kind::AgentFailed,
    }
}

fn remedy(error: &Error) -> String {
    match (error.hint(), kind(error)) {
        (_, Kind::PoolExhausted) => FREE.into(),
        (Some(hint), _) => hint,
        (None, Kind::ConfigurationChanged) => "restart the agent: ignite overlay restart".into(),
        (None, Kind::NoConfiguration) => "write the network's configuration again".into(),
        (None, _) => "mend what is named, then start the agent again (ignite overlay start); see ignite overlay logs".into(),
    }
}

/// What a backend cannot do.
pub(crate) fn of_backend(error: &backend::Error) -> Trouble {
    let (kind, remedy) = match error {
        backend::Error::Lease {
            source: Refusal::OwnAddress { public },
            ..
        } => (Kind::SharedPublicIp, own_address(&public.to_string())),
        backend::Error::Lease { .. } => (
            Kind::PeerRefused,
            "restart the agent of that host, or delete its key if there is no such host".into(),
        ),
        backend::Error::Gone { .. } => (Kind::DeviceGone, LOG.into()),
        other => (
            Kind::AgentFailed,
            other.hint().unwrap_or_else(|| LOG.into()),
        ),
    };
    Trouble::new(kind, sentence(&chain(error)), remedy)
}

/// Somebody else writes this node's key.
pub(super) fn rival(subnet: Subnet, public_ip: std::net::Ipv4Addr) -> Trouble {
    Trouble::new(
        Kind::SharedPublicIp,
        format!(
            "Another host writes the lease of {}, too: both have the public address {public_ip}",
            subnet.v4
        ),
        own_address(&public_ip.to_string()),
    )
}

fn own_address(public: &str) -> String {
    format!(
        "find the other host that has {public}, give one of them an address of its own (or another \
         --public-ip or --iface to its agent), and restart both agents (ignite overlay restart)"
    )
}

/// A peer whose packets are of another kind than ours; none if they are of ours, or not known.
pub(crate) fn mismatch(own: Option<&str>, subnet: Subnet, peer: &Attributes) -> Option<Trouble> {
    // Without a backend: `udp` and `alloc`, and a reservation whose host has not joined yet.
    let theirs = peer.backend.as_deref()?;
    if Some(theirs) == own {
        return None;
    }
    let (subnet, by) = (subnet.v4, peer.public_ip);
    let theirs = crate::json::quoted(theirs);
    let own = own.unwrap_or("udp or alloc");
    Some(Trouble::new(
        Kind::BackendMismatch,
        format!("The host {by} ({subnet}) has the backend {theirs:?}, this one has {own}"),
        format!(
            "all hosts follow one configuration: restart the agent on {by} (ignite overlay restart)"
        ),
    ))
}

/// A record that cannot be read, below this prefix.
pub(crate) fn unreadable(subnet: &Subnet, prefix: &str) -> Trouble {
    let key = format!(
        "{}/subnets/{}",
        prefix.trim_end_matches('/'),
        key::format(subnet)
    );
    Trouble::new(
        Kind::PeerUnreadable,
        format!(
            "The record of {} in etcd cannot be read: its host is reached as before, or not at all",
            subnet.v4
        ),
        format!("restart the agent of that host, or delete {key} if there is no such host"),
    )
}

/// The packet filter refuses.
pub(super) fn of_rules(error: &FilterError) -> Trouble {
    let remedy = error.hint();
    let remedy = remedy.unwrap_or_else(|| {
        "are nft and iptables installed, and does no other program hold their lock?".into()
    });
    Trouble::new(Kind::RulesNotSet, sentence(&chain(error)), remedy)
}

/// The external interface is not as it was chosen.
pub(super) fn interface(external: &External, what: &str) -> Trouble {
    let name = &external.name;
    Trouble::new(
        Kind::InterfaceGone,
        format!("The interface {name}, by which this host reaches the others, {what}"),
        format!(
            "bring {name} back with the address {}, or choose another one (--iface) and restart the agent (ignite overlay restart)",
            external.address
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::time::{Duration, SystemTime};

    fn subnet() -> Subnet {
        Subnet {
            v4: "10.5.2.0/24".parse().expect("a network"),
            v6: None,
        }
    }

    fn read(trouble: &Trouble) -> String {
        format!(
            "{}: {} | {}",
            trouble.kind.name(),
            trouble.text,
            trouble.remedy
        )
    }

    #[test]
    fn an_outage_says_what_still_works() {
        let outage = Outage {
            since: SystemTime::UNIX_EPOCH + Duration::from_secs(7),
            problem: "cannot connect to etcd at http://a:1: Connection refused".into(),
            hint: None,
        };
        let trouble = away(&outage, true);
        assert_eq!(trouble.since, Some(7));
        insta::assert_snapshot!(read(&trouble), @"etcd-away: etcd does not answer: cannot connect to etcd at http://a:1: Connection refused. Traffic goes on, changes of other hosts are not seen | look at etcd's hosts, and at the way to them");
        insta::assert_snapshot!(read(&away(&outage, false)), @"etcd-away: etcd does not answer: cannot connect to etcd at http://a:1: Connection refused. This host has no network until it does | look at etcd's hosts, and at the way to them");
    }

    #[test]
    fn configurations_are_told() {
        insta::assert_snapshot!(read(&no_configuration("/p/")), @r#"no-configuration: The network has no configuration: there is no /p/config in etcd | check the prefix, or write a configuration such as {"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#);
        let error = Config::parse(br#"{"Network":"10.5.0.0/30","Backend":{"Type":"vxlan"}}"#);
        let error = error.expect_err("too small");
        insta::assert_snapshot!(read(&invalid_configuration(&error)), @r#"configuration-invalid: The network's configuration in etcd is not valid: Network is "10.5.0.0/30": it is too small for four subnets: /28 is the least | write it anew; it is read again by itself"#);
        insta::assert_snapshot!(read(&changed_configuration()), @"configuration-changed: The network's configuration in etcd changed: the agent follows the one it was started with | restart the agent here: ignite overlay restart");
    }

    #[test]
    fn leases_and_ends_are_told() {
        let none = || {
            Error::from(Box::new(AcquireError::Decide(PoolError::OutOfSubnets {
                family: "IPv4",
                first: "10.5.1.0/24".into(),
                last: "10.5.2.0/24".into(),
            })))
        };
        insta::assert_snapshot!(read(&of_end(&none())), @"pool-exhausted: The agent ended: cannot come by a subnet: no IPv4 subnet is free: other nodes have all from 10.5.1.0/24 to 10.5.2.0/24 | hosts that leave for good give theirs back (ignite overlay leave --all); leases of hosts that are gone end within 24 hours of their last renewal, or delete their keys; or change Network or SubnetLen to have more and smaller subnets");
        assert_eq!(no_lease(&none()).kind, Kind::PoolExhausted);
        insta::assert_snapshot!(read(&no_lease(&Error::WatchOver)), @"no-lease: This host's lease is lost, it comes by no other one: the watch of etcd is over | mend what is named, then start the agent again (ignite overlay start); see ignite overlay logs");
        insta::assert_snapshot!(read(&of_end(&Error::ConfigurationChanged)), @"configuration-changed: The agent ended: the network's configuration changed, and the lease is lost: start again to follow it | restart the agent: ignite overlay restart");
        insta::assert_snapshot!(read(&rival(subnet(), [10, 99, 0, 11].into())), @"shared-public-ip: Another host writes the lease of 10.5.2.0/24, too: both have the public address 10.99.0.11 | find the other host that has 10.99.0.11, give one of them an address of its own (or another --public-ip or --iface to its agent), and restart both agents (ignite overlay restart)");
    }

    #[test]
    fn peers_are_told() {
        let lies = |source| {
            read(&of_backend(&backend::Error::Lease {
                subnet: subnet().v4.into(),
                source,
            }))
        };
        let public = std::net::Ipv4Addr::new(10, 99, 0, 11).into();
        insta::assert_snapshot!(lies(Refusal::NotAHost { public }), @"peer-refused: The lease of 10.5.2.0/24 is not used: its public address 10.99.0.11 is not that of another host | restart the agent of that host, or delete its key if there is no such host");
        insta::assert_snapshot!(lies(Refusal::OwnAddress { public }), @"shared-public-ip: The lease of 10.5.2.0/24 is not used: its public address 10.99.0.11 is this node's own | find the other host that has 10.99.0.11, give one of them an address of its own (or another --public-ip or --iface to its agent), and restart both agents (ignite overlay restart)");
        let peer = Attributes::parse(br#"{"PublicIP":"10.99.0.12","BackendType":"host-gw"}"#);
        let peer = peer.expect("a value");
        let told = mismatch(Some("vxlan"), subnet(), &peer).expect("another");
        insta::assert_snapshot!(read(&told), @r#"backend-mismatch: The host 10.99.0.12 (10.5.2.0/24) has the backend "host-gw", this one has vxlan | all hosts follow one configuration: restart the agent on 10.99.0.12 (ignite overlay restart)"#);
        assert_eq!(mismatch(Some("host-gw"), subnet(), &peer), None);
        let bare = Attributes::parse(br#"{"PublicIP":"10.99.0.12"}"#).expect("a value");
        assert_eq!(mismatch(Some("vxlan"), subnet(), &bare), None);
        insta::assert_snapshot!(read(&unreadable(&subnet(), "/coreos.com/network/")), @"peer-unreadable: The record of 10.5.2.0/24 in etcd cannot be read: its host is reached as before, or not at all | restart the agent of that host, or delete /coreos.com/network/subnets/10.5.2.0-24 if there is no such host");
    }

    #[test]
    fn this_host_is_told() {
        let external = External {
            name: "eth0".into(),
            index: 2,
            mtu: 1500,
            address: [10, 99, 0, 11].into(),
            address_v6: None,
            public_ip: [10, 99, 0, 11].into(),
            public_ipv6: None,
        };
        insta::assert_snapshot!(read(&interface(&external, "is gone")), @"interface-gone: The interface eth0, by which this host reaches the others, is gone | bring eth0 back with the address 10.99.0.11, or choose another one (--iface) and restart the agent (ignite overlay restart)");
    }
}
