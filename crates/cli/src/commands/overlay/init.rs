//! `ignite overlay init`: the first host.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use clap::{Arg, Args, ValueEnum};
use ignite_engine::Report;
use ignite_engine::overlay::{
    ClusterAccess, EtcdChoice, InitRequest, KEEPALIVE, Limits, NetworkChoice, OverlayBackend,
    PresharedKey, WireguardMode,
};
use ignite_program::Failure;
use ipnet::{Ipv4Net, Ipv6Net};

use super::NameArgs;
use super::up::{HostArgs, tell};
use crate::context::{Context, Outcome};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite overlay init
  ignite overlay init --backend wireguard --iface eth1
  ignite overlay init --network 10.80.0.0/16 --subnet-min 10.80.1.0 --subnet-max 10.80.9.0
  ignite overlay init --etcd https://10.0.0.5:2379 \\
    --etcd-cafile ca.pem --etcd-certfile me.pem --etcd-keyfile me.key

Prints the command by which other hosts join. Once more, it goes on where it was.";

/// The networks that are taken where none is named.
const NETWORK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 50, 0, 0), 16);
const SUBNET_LEN: u8 = 24;
const SUBNETS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 50, 10, 0), Ipv4Addr::new(10, 50, 99, 0)];

/// What few people need: only `--help` shows it.
const RARE: &[&str] = &[
    "subnet_min",
    "subnet_max",
    "ipv6_subnet_len",
    "ipv6_subnet_min",
    "ipv6_subnet_max",
    "port",
    "vni",
    "direct_routing",
    "gbp",
    "learning",
    "keepalive",
    "mode",
    "psk_file",
    "mtu",
    "replace",
    "keep",
    "etcd_port",
    "join_port",
    "etcd_cafile",
    "etcd_certfile",
    "etcd_keyfile",
    "etcd_prefix",
];

fn common(arg: Arg) -> Arg {
    let rare = RARE.contains(&arg.get_id().as_str());
    if rare { arg.hide_short_help(true) } else { arg }
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_args(common))]
pub struct Init {
    #[command(flatten)]
    name: NameArgs,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    etcd: EtcdArgs,

    #[command(flatten)]
    host: HostArgs,
}

/// Flags about the network of all hosts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
struct NetworkArgs {
    /// Addresses of all VMs
    #[arg(long, value_name = "CIDR", default_value_t = NETWORK)]
    network: Ipv4Net,

    /// Length of a host's subnet [default: 24, or for a small network its own and 2]
    #[arg(long, value_name = "BITS")]
    subnet_len: Option<u8>,

    /// First subnet a host may have [default: 10.50.10.0, or the network's second]
    #[arg(long, value_name = "ADDRESS")]
    subnet_min: Option<Ipv4Addr>,

    /// Last subnet a host may have [default: 10.50.99.0, or the network's last]
    #[arg(long, value_name = "ADDRESS")]
    subnet_max: Option<Ipv4Addr>,

    /// IPv6 addresses of all VMs, besides
    #[arg(long, value_name = "CIDR")]
    ipv6_network: Option<Ipv6Net>,

    /// Length of a host's IPv6 subnet [default: 64, or for a small network its own and 2]
    #[arg(long, value_name = "BITS", requires = "ipv6_network")]
    ipv6_subnet_len: Option<u8>,

    /// First IPv6 subnet a host may have [default: the network's second]
    #[arg(long, value_name = "ADDRESS", requires = "ipv6_network")]
    ipv6_subnet_min: Option<Ipv6Addr>,

    /// Last IPv6 subnet a host may have [default: the network's last]
    #[arg(long, value_name = "ADDRESS", requires = "ipv6_network")]
    ipv6_subnet_max: Option<Ipv6Addr>,

    /// How packets get from host to host
    #[arg(long, value_name = "NAME", default_value = "vxlan")]
    backend: BackendName,

    /// UDP port of vxlan (8472), udp (8285) or wireguard (51820)
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Identifier of vxlan, one for each overlay [default: the first that is free on this host, from 1]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..1 << 24))]
    vni: Option<u32>,

    /// vxlan: hosts on the same network segment are reached by plain routes
    #[arg(long)]
    direct_routing: bool,

    /// vxlan: packets carry the group based policy of their sender
    #[arg(long)]
    gbp: bool,

    /// vxlan: the device learns from packets
    #[arg(long)]
    learning: bool,

    /// wireguard: seconds between keep-alive messages, 0 for none [default: 25]
    #[arg(long, value_name = "SECONDS")]
    keepalive: Option<u16>,

    /// wireguard: by which addresses hosts reach each other [default: a device for each family]
    #[arg(long, value_name = "MODE")]
    mode: Option<ModeName>,

    /// wireguard: file with a key besides those of the hosts, the same for all (base64)
    #[arg(long, value_name = "FILE")]
    psk_file: Option<PathBuf>,

    /// MTU of the interface below, if it is not the interface's own (vxlan, wireguard)
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(576..=65535))]
    mtu: Option<u32>,

    /// Replace another configuration in etcd; other hosts follow it when their agents start again
    #[arg(long)]
    replace: bool,

    /// Take the configuration that is in etcd, whatever it is
    #[arg(long, conflicts_with_all = ["network", "subnet_len", "subnet_min", "subnet_max", "ipv6_network", "ipv6_subnet_len", "ipv6_subnet_min",
        "ipv6_subnet_max", "gbp", "learning", "mode", "psk_file", "backend",
        "port", "vni", "direct_routing", "keepalive", "mtu", "replace"])]
    keep: bool,
}

/// Flags about etcd.
#[derive(Debug, Args)]
#[command(next_help_heading = "etcd")]
struct EtcdArgs {
    /// Where the others find this host: an address or a name (repeatable) [default: the interface's address]
    #[arg(long, value_name = "HOST", conflicts_with = "etcd")]
    advertise: Vec<String>,

    /// Without TLS: whoever reaches etcd may change the network
    #[arg(long, conflicts_with = "etcd")]
    insecure: bool,

    /// Port of etcd; the next one is for its peers
    #[arg(long, value_name = "PORT", default_value_t = 2379, conflicts_with = "etcd",
          value_parser = clap::value_parser!(u16).range(1..65535))]
    etcd_port: u16,

    /// Port at which hosts with a token get their certificate
    #[arg(long, value_name = "PORT", default_value_t = ignite_engine::overlay::JOIN_PORT, conflicts_with = "etcd",
          value_parser = clap::value_parser!(u16).range(1..))]
    join_port: u16,

    /// Use this etcd, which is there (repeatable, or separated by commas)
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    etcd: Vec<String>,

    /// Authority that vouches for it (PEM)
    #[arg(long, value_name = "FILE", requires = "etcd")]
    etcd_cafile: Option<PathBuf>,

    /// Certificate it is shown (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["etcd", "etcd_keyfile"])]
    etcd_certfile: Option<PathBuf>,

    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["etcd", "etcd_certfile"])]
    etcd_keyfile: Option<PathBuf>,

    /// Where the overlay's records begin [default: /coreos.com/network, or /NAME/network]
    #[arg(long, value_name = "KEY")]
    etcd_prefix: Option<String>,
}

/// The backends by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BackendName {
    /// The kernel wraps frames: fast, works everywhere
    Vxlan,
    /// Plain routes: fastest, all hosts on one network segment
    HostGw,
    /// Encrypted
    Wireguard,
    /// Ignite wraps packets: for old kernels, and for Flannel's default
    Udp,
    /// Subnets only, no traffic
    Alloc,
}

/// One wireguard device for both families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeName {
    /// By whichever fits
    Auto,
    /// By IPv4
    Ipv4,
    /// By IPv6
    Ipv6,
}

/// The key in a file.
fn psk(path: &Path) -> Result<PresharedKey, Failure> {
    let text = std::fs::read_to_string(path)?;
    PresharedKey::new(text.trim()).ok_or_else(|| {
        Failure::usage(
            format!("{} holds no key: 32 bytes in base64", path.display()),
            Some("make one: wg genpsk, or: openssl rand -base64 32".to_owned()),
        )
    })
}

impl Verb for Init {
    const ABOUT: &'static str = "Make this host the first of an overlay, with its etcd";

    fn run(self, context: &Context) -> Outcome {
        let replace = self.network.replace;
        let network = match self.network.keep {
            true => None,
            false => Some(self.network.choice()?),
        };
        let request = InitRequest {
            name: self.name.name,
            network,
            replace,
            prefix: self.etcd.etcd_prefix.clone(),
            etcd: self.etcd.choice(),
            host: self.host.choice(),
        };
        let up = context
            .networks()?
            .overlay_init(&request, context.terminal)?;
        tell(context, &request.name, &up);
        if let Some(ports) = ports(&request, up.agent.backend.as_deref()) {
            context
                .terminal
                .info(&format!("to be open between the hosts: {ports}"));
        }
        if let Some(join) = &up.join {
            context.terminal.info(match up.encrypted {
                true => "another host joins with this command (its token is good once, for a day; more: ignite overlay token new):",
                false => "another host joins with this command:",
            });
            context.terminal.line(join)?;
        }
        Ok(0)
    }
}

impl NetworkArgs {
    fn choice(self) -> Result<NetworkChoice, Failure> {
        // The usual first and last subnets are those of the usual network.
        let usual = self.network == NETWORK && self.subnet_len.is_none_or(|len| len == SUBNET_LEN);
        let [min, max] = SUBNETS.map(|subnet| usual.then_some(subnet));
        let limits = Limits {
            length: self.subnet_len.or(usual.then_some(SUBNET_LEN)),
            min: self.subnet_min.or(min),
            max: self.subnet_max.or(max),
        };
        Ok(NetworkChoice {
            network: self.network,
            limits,
            ipv6_network: self.ipv6_network,
            ipv6_limits: Limits {
                length: self.ipv6_subnet_len,
                min: self.ipv6_subnet_min,
                max: self.ipv6_subnet_max,
            },
            backend: self.backend()?,
        })
    }

    fn backend(&self) -> Result<OverlayBackend, Failure> {
        use BackendName::{Alloc, HostGw, Udp, Vxlan, Wireguard};
        let name = self.backend;
        let given = [
            ("--port", self.port.is_some(), &[Vxlan, Udp, Wireguard][..]),
            ("--vni", self.vni.is_some(), &[Vxlan]),
            ("--direct-routing", self.direct_routing, &[Vxlan]),
            ("--gbp", self.gbp, &[Vxlan]),
            ("--learning", self.learning, &[Vxlan]),
            ("--keepalive", self.keepalive.is_some(), &[Wireguard]),
            ("--mode", self.mode.is_some(), &[Wireguard]),
            ("--psk-file", self.psk_file.is_some(), &[Wireguard]),
            ("--mtu", self.mtu.is_some(), &[Vxlan, Wireguard]),
        ];
        if let Some((flag, ..)) = given
            .iter()
            .find(|(_, given, of)| *given && !of.contains(&name))
        {
            let value = name.to_possible_value();
            let name = value.as_ref().map_or("", |value| value.get_name());
            return Err(Failure::usage(
                format!("{flag} is of no meaning to the backend {name}"),
                Some("leave it out, or choose another --backend".to_owned()),
            ));
        }
        Ok(match name {
            Vxlan => OverlayBackend::Vxlan {
                // 0: one that is free.
                vni: self.vni.unwrap_or(0),
                port: self.port,
                gbp: self.gbp,
                learning: self.learning,
                direct_routing: self.direct_routing,
                mtu: self.mtu,
            },
            HostGw => OverlayBackend::HostGw,
            Udp => OverlayBackend::Udp {
                port: self.port.unwrap_or(8285),
            },
            Alloc => OverlayBackend::Alloc,
            Wireguard => OverlayBackend::Wireguard {
                psk: self.psk_file.as_deref().map(psk).transpose()?,
                listen_port: self.port.unwrap_or(51820),
                listen_port_v6: self.port.map_or(51821, |port| port.saturating_add(1)),
                keepalive: self.keepalive.unwrap_or(KEEPALIVE),
                mode: match self.mode {
                    None => WireguardMode::Separate,
                    Some(ModeName::Auto) => WireguardMode::Auto,
                    Some(ModeName::Ipv4) => WireguardMode::Ipv4,
                    Some(ModeName::Ipv6) => WireguardMode::Ipv6,
                },
                mtu: self.mtu,
            },
        })
    }
}

impl EtcdArgs {
    fn choice(self) -> EtcdChoice {
        match self.etcd.is_empty() {
            true => EtcdChoice::Own {
                advertise: self.advertise,
                port: self.etcd_port,
                join_port: self.join_port,
                insecure: self.insecure,
            },
            false => EtcdChoice::Cluster(ClusterAccess {
                endpoints: self.etcd,
                cafile: self.etcd_cafile,
                certfile: self.etcd_certfile,
                keyfile: self.etcd_keyfile,
            }),
        }
    }
}

/// What firewalls between the hosts have to let through.
fn ports(request: &InitRequest, backend: Option<&str>) -> Option<String> {
    let mut ports = Vec::new();
    if let EtcdChoice::Own {
        port,
        join_port,
        insecure,
        ..
    } = &request.etcd
    {
        ports.push(format!("{port}/tcp (etcd)"));
        if !insecure {
            ports.push(format!("{join_port}/tcp (to join)"));
        }
    }
    let asked = request.network.as_ref().map(|network| &network.backend);
    let port = match (asked, backend) {
        (Some(OverlayBackend::Vxlan { port, .. }), _) => Some(port.unwrap_or(8472)),
        (Some(OverlayBackend::Udp { port }), _) => Some(*port),
        (Some(OverlayBackend::Wireguard { listen_port, .. }), _) => Some(*listen_port),
        _ => None,
    };
    ports
        .extend(port.map(|port| format!("{port}/udp ({})", backend.unwrap_or("the VMs' traffic"))));
    (!ports.is_empty()).then(|| ports.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        init: Init,
    }

    fn network(words: &[&str]) -> Result<NetworkChoice, Failure> {
        let words = std::iter::once("init").chain(words.iter().copied());
        Line::try_parse_from(words)
            .expect("well formed")
            .init
            .network
            .choice()
    }

    #[test]
    fn the_usual_network_has_the_usual_subnets() {
        let usual = network(&[]).expect("usual");
        assert_eq!(usual.network, NETWORK);
        assert_eq!(usual.limits.length, Some(24));
        assert_eq!([usual.limits.min, usual.limits.max], SUBNETS.map(Some));
        let other = network(&["--network", "10.80.0.0/16", "--backend", "udp"]).expect("other");
        assert_eq!((other.limits.length, other.limits.min), (None, None));
        assert_eq!(other.backend, OverlayBackend::Udp { port: 8285 });
    }

    #[test]
    fn options_of_other_backends_are_refused() {
        let failure = network(&["--backend", "host-gw", "--vni", "7"]).expect_err("no vni");
        insta::assert_snapshot!(failure, @"
        error: --vni is of no meaning to the backend host-gw
        hint: leave it out, or choose another --backend
        ");
    }
}
