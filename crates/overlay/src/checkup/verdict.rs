//! What the echoes to a peer mean.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use ignite_host::echo::Said;
use ipnet::Ipv4Net;
use serde::Serialize;

use super::probe::Outcome;
use super::trouble::{Kind, Trouble};

/// Whether a peer is reached through the overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reachable {
    /// It answers.
    Yes,
    /// It does not.
    No,
    /// It was not asked, or its silence says nothing.
    Unknown,
}

/// How packets get to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// As the payload of UDP, at this port of both hosts. The subnet's own address is the peer's.
    Tunnel {
        /// Its number.
        port: u16,
    },
    /// As they are. Of the subnet only the gateway's address is the peer's, once its bridge is there.
    Route,
}

/// A peer that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// Where it is reached.
    pub public_ip: Ipv4Addr,
    /// How.
    pub carrier: Carrier,
    /// MTU of the overlay in bytes: the size of the large echo.
    pub mtu: u32,
}

/// What became of its echoes.
#[derive(Debug)]
pub(super) struct Outcomes {
    /// The small one through the overlay.
    pub overlay: Outcome,
    /// The one to its public address.
    pub public: Outcome,
    /// The one of the overlay's whole MTU.
    pub large: Outcome,
}

/// What that means.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Whether it is reached.
    pub reachable: Reachable,
    /// How long an echo through the overlay takes.
    pub round_trip: Option<Duration>,
    /// Why not, in short.
    pub hint: Option<String>,
    /// What is wrong.
    pub trouble: Option<Trouble>,
}

impl Verdict {
    fn of(reachable: Reachable, trouble: Trouble) -> Self {
        Self {
            reachable,
            round_trip: None,
            hint: Some(trouble.text.clone()),
            trouble: Some(trouble),
        }
    }

    /// Nothing is known, and nothing need be wrong.
    pub fn unknown(hint: impl Into<String>) -> Self {
        Self {
            reachable: Reachable::Unknown,
            round_trip: None,
            hint: Some(hint.into()),
            trouble: None,
        }
    }
}

impl Asked {
    /// What the outcomes mean.
    pub fn verdict(&self, outcomes: &Outcomes) -> Verdict {
        match &outcomes.overlay {
            Outcome::Answered(round_trip) => self.answers(*round_trip, &outcomes.large),
            Outcome::Refused(error) => {
                Verdict::of(Reachable::No, self.refused(&self.subnet.to_string(), error))
            }
            // Without a bridge its host sends what is for one on its way, which leads nowhere.
            Outcome::Told(_) if self.carrier == Carrier::Route => self.silent(&outcomes.public),
            Outcome::Told(said) => Verdict::of(Reachable::No, self.sent_back(*said)),
            Outcome::Unasked => Verdict::unknown("there was no time to ask it"),
            Outcome::Silent => self.silent(&outcomes.public),
        }
    }

    fn answers(&self, round_trip: Duration, large: &Outcome) -> Verdict {
        let trouble = match large {
            Outcome::Silent => Some(self.path_mtu(None)),
            Outcome::Told(Said::TooLarge { mtu }) => Some(self.path_mtu(Some(*mtu))),
            // This host's own device is too small, which is told of the device.
            _ => None,
        };
        Verdict {
            reachable: Reachable::Yes,
            round_trip: Some(round_trip),
            hint: trouble.as_ref().map(|trouble| trouble.text.clone()),
            trouble,
        }
    }

    fn silent(&self, public: &Outcome) -> Verdict {
        let to = self.public_ip;
        match (public, self.carrier) {
            (Outcome::Answered(_), Carrier::Tunnel { port }) => Verdict::of(
                Reachable::No,
                Trouble::new(
                    Kind::PortFiltered,
                    format!(
                        "{port}/udp from here to {to} or back is filtered, or the agent there is down"
                    ),
                    format!(
                        "open {port}/udp between this host and {to} in both directions, and see that the \
                         agent runs on {to} (ignite overlay status)"
                    ),
                ),
            ),
            (Outcome::Answered(_), Carrier::Route) => Verdict::unknown(format!(
                "its host answers, {} does not: nothing may run there yet, or it drops ICMP echo",
                self.gateway()
            )),
            (Outcome::Refused(error), _) => {
                Verdict::of(Reachable::No, self.refused(&to.to_string(), error))
            }
            (Outcome::Told(said), _) => Verdict::of(Reachable::No, self.no_host(*said)),
            (Outcome::Silent | Outcome::Unasked, _) => {
                let text = format!(
                    "The host {to} does not answer, through the overlay or beside it: it is down, or \
                     drops ICMP echo"
                );
                let remedy = format!("see that {to} runs, and ask it from there");
                Verdict::of(
                    Reachable::Unknown,
                    Trouble::new(Kind::HostSilent, text, remedy),
                )
            }
        }
    }

    /// The address that a bridge of the peer has.
    pub fn gateway(&self) -> Ipv4Addr {
        let first = u32::from(self.subnet.network()).saturating_add(1);
        Ipv4Addr::from(first)
    }

    fn path_mtu(&self, mtu: Option<u16>) -> Trouble {
        let (whole, to) = (self.mtu, self.public_ip);
        let why = match mtu.filter(|mtu| *mtu > 0) {
            Some(mtu) => format!("a link on the way takes {mtu}"),
            None => "small ones do".into(),
        };
        Trouble::new(
            Kind::PathMtu,
            format!(
                "Packets of {whole} bytes do not get to {} ({to}): {why}",
                self.subnet
            ),
            "find the link between the hosts with the smallest MTU, and enlarge it; or write that MTU \
             into the network's configuration (Backend, \"MTU\") and restart all agents",
        )
    }

    fn refused(&self, to: &str, error: &io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Trouble::new(
                Kind::LocalRule,
                format!("A rule of this host's packet filter forbids packets to {to}: {error}"),
                "look for it in the output chains: nft list ruleset; iptables -S OUTPUT",
            ),
            _ => Trouble::new(
                Kind::NoRoute,
                format!("This host has no way to {to}: {error}"),
                format!(
                    "look at its routes (ip route get {}), and at what its agent says (ignite overlay logs)",
                    self.public_ip
                ),
            ),
        }
    }

    fn sent_back(&self, said: Said) -> Trouble {
        let (subnet, to) = (self.subnet, self.public_ip);
        Trouble::new(
            Kind::NoRoute,
            format!("Packets to {subnet} ({to}) come back: {}", words(said)),
            format!(
                "look at the packet filter and the routes of {to}, and see that the agent runs there (ignite overlay status)"
            ),
        )
    }

    fn no_host(&self, said: Said) -> Trouble {
        let to = self.public_ip;
        Trouble::new(
            Kind::HostSilent,
            format!("The host {to} is not reached: {}", words(said)),
            format!("see that {to} runs, and look at the network between"),
        )
    }
}

/// RFC 792, RFC 1812 (5.2.7.1).
fn words(said: Said) -> &'static str {
    match said {
        Said::Alive => "it answers",
        Said::TooLarge { .. } => "a link on the way takes only smaller packets",
        Said::Expired => "they go round in circles",
        Said::Unreachable { code } => match code {
            0 | 6 => "no network there",
            1 | 7 => "no host there",
            2 | 3 => "the host does not know what to do with them",
            9 | 10 | 13 => "a packet filter forbids it",
            _ => "it cannot be delivered",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Outcome = Outcome::Answered(Duration::from_millis(3));

    fn asked(carrier: Carrier) -> Asked {
        Asked {
            subnet: "10.5.2.0/24".parse().expect("a network"),
            public_ip: [10, 99, 0, 12].into(),
            carrier,
            mtu: 1450,
        }
    }

    fn verdict(overlay: Outcome, public: Outcome, large: Outcome) -> Verdict {
        asked(Carrier::Tunnel { port: 8472 }).verdict(&Outcomes {
            overlay,
            public,
            large,
        })
    }

    fn read(verdict: &Verdict) -> String {
        let reachable = format!("{:?}", verdict.reachable).to_lowercase();
        match (&verdict.trouble, &verdict.hint) {
            (Some(trouble), _) => format!(
                "{reachable}, {}: {} | {}",
                trouble.kind.name(),
                trouble.text,
                trouble.remedy
            ),
            (None, Some(hint)) => format!("{reachable}: {hint}"),
            (None, None) => reachable,
        }
    }

    fn refused(errno: rustix::io::Errno) -> Outcome {
        Outcome::Refused(errno.into())
    }

    #[test]
    fn who_answers_is_reached() {
        let verdict = verdict(SOON, SOON, SOON);
        assert_eq!(verdict.round_trip, Some(Duration::from_millis(3)));
        assert_eq!(read(&verdict), "yes");
    }

    #[test]
    fn large_packets_that_are_lost_are_told() {
        insta::assert_snapshot!(read(&verdict(SOON, SOON, Outcome::Silent)), @r#"yes, path-mtu: Packets of 1450 bytes do not get to 10.5.2.0/24 (10.99.0.12): small ones do | find the link between the hosts with the smallest MTU, and enlarge it; or write that MTU into the network's configuration (Backend, "MTU") and restart all agents"#);
        let told = Outcome::Told(Said::TooLarge { mtu: 1400 });
        insta::assert_snapshot!(read(&verdict(SOON, SOON, told)), @r#"yes, path-mtu: Packets of 1450 bytes do not get to 10.5.2.0/24 (10.99.0.12): a link on the way takes 1400 | find the link between the hosts with the smallest MTU, and enlarge it; or write that MTU into the network's configuration (Backend, "MTU") and restart all agents"#);
        let own = refused(rustix::io::Errno::MSGSIZE);
        assert_eq!(read(&verdict(SOON, SOON, own)), "yes");
    }

    #[test]
    fn silence_is_explained() {
        let silent = |public| verdict(Outcome::Silent, public, Outcome::Silent);
        insta::assert_snapshot!(read(&silent(SOON)), @"no, port-filtered: 8472/udp from here to 10.99.0.12 or back is filtered, or the agent there is down | open 8472/udp between this host and 10.99.0.12 in both directions, and see that the agent runs on 10.99.0.12 (ignite overlay status)");
        insta::assert_snapshot!(read(&silent(Outcome::Silent)), @"unknown, host-silent: The host 10.99.0.12 does not answer, through the overlay or beside it: it is down, or drops ICMP echo | see that 10.99.0.12 runs, and ask it from there");
        let no_host = Outcome::Told(Said::Unreachable { code: 1 });
        insta::assert_snapshot!(read(&silent(no_host)), @"no, host-silent: The host 10.99.0.12 is not reached: no host there | see that 10.99.0.12 runs, and look at the network between");
        insta::assert_snapshot!(read(&silent(refused(rustix::io::Errno::NETUNREACH))), @"no, no-route: This host has no way to 10.99.0.12: Network is unreachable (os error 101) | look at its routes (ip route get 10.99.0.12), and at what its agent says (ignite overlay logs)");
        let unasked = verdict(Outcome::Unasked, Outcome::Unasked, Outcome::Unasked);
        insta::assert_snapshot!(read(&unasked), @"unknown: there was no time to ask it");
        let routed = |overlay| {
            asked(Carrier::Route).verdict(&Outcomes {
                overlay,
                public: SOON,
                large: Outcome::Silent,
            })
        };
        let nowhere = routed(Outcome::Told(Said::Unreachable { code: 0 }));
        let routed = routed(Outcome::Silent);
        assert_eq!(read(&nowhere), read(&routed));
        insta::assert_snapshot!(read(&routed), @"unknown: its host answers, 10.5.2.1 does not: nothing may run there yet, or it drops ICMP echo");
    }

    #[test]
    fn refusals_are_told_as_they_are() {
        let of = |overlay| read(&verdict(overlay, SOON, Outcome::Silent));
        insta::assert_snapshot!(of(refused(rustix::io::Errno::PERM)), @"no, local-rule: A rule of this host's packet filter forbids packets to 10.5.2.0/24: Operation not permitted (os error 1) | look for it in the output chains: nft list ruleset; iptables -S OUTPUT");
        insta::assert_snapshot!(of(refused(rustix::io::Errno::HOSTUNREACH)), @"no, no-route: This host has no way to 10.5.2.0/24: No route to host (os error 113) | look at its routes (ip route get 10.99.0.12), and at what its agent says (ignite overlay logs)");
        insta::assert_snapshot!(of(Outcome::Told(Said::Unreachable { code: 13 })), @"no, no-route: Packets to 10.5.2.0/24 (10.99.0.12) come back: a packet filter forbids it | look at the packet filter and the routes of 10.99.0.12, and see that the agent runs there (ignite overlay status)");
        insta::assert_snapshot!(of(Outcome::Told(Said::Expired)), @"no, no-route: Packets to 10.5.2.0/24 (10.99.0.12) come back: they go round in circles | look at the packet filter and the routes of 10.99.0.12, and see that the agent runs there (ignite overlay status)");
    }
}
