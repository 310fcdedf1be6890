//! The flags of `flanneld`, as far as they mean the same here, and a few of our own.
//!
//! Each is a variable too: `FLANNELD_` and its name in capitals; an empty one counts as not set. As in
//! Go, one dash or two begin a flag, and there are many words for true and false.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{ArgAction, Command, CommandFactory as _, FromArgMatches as _, Parser};
use ignite_overlay::agent::Options;
use ignite_overlay::entrance::{self, message::is_endpoint};
use ignite_overlay::etcd::{ClientIdentity, ClientTls, Credentials, Settings};
use ignite_overlay::interface::Choice;

const EXAMPLES: &str = "\
Examples:
  ignite-overlay --etcd-endpoints=http://10.0.0.1:2379 --ip-masq
  ignite-overlay --etcd-endpoints=https://10.0.0.1:2379 --etcd-cafile=ca.pem --etcd-certfile=node.pem \\
    --etcd-keyfile=node.key --iface=eth1";

/// The overlay agent of one host: a node of a Flannel network whose truth is in etcd.
#[derive(Debug, Parser)]
#[command(name = "ignite-overlay", version, after_help = EXAMPLES)]
pub struct Flags {
    /// Client URLs of etcd
    #[arg(
        long,
        env = "FLANNELD_ETCD_ENDPOINTS",
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:4001,http://127.0.0.1:2379"
    )]
    etcd_endpoints: Vec<String>,

    /// Where the network's records begin
    #[arg(
        long,
        env = "FLANNELD_ETCD_PREFIX",
        value_name = "KEY",
        default_value = "/coreos.com/network"
    )]
    etcd_prefix: String,

    /// Certificate of the only authority that is trusted to vouch for etcd (PEM)
    #[arg(long, env = "FLANNELD_ETCD_CAFILE", value_name = "FILE")]
    etcd_cafile: Option<PathBuf>,

    /// Certificate that is shown to etcd (PEM)
    #[arg(
        long,
        env = "FLANNELD_ETCD_CERTFILE",
        value_name = "FILE",
        requires = "etcd_keyfile"
    )]
    etcd_certfile: Option<PathBuf>,

    /// Its key (PEM)
    #[arg(
        long,
        env = "FLANNELD_ETCD_KEYFILE",
        value_name = "FILE",
        requires = "etcd_certfile"
    )]
    etcd_keyfile: Option<PathBuf>,

    /// User of etcd
    #[arg(
        long,
        env = "FLANNELD_ETCD_USERNAME",
        value_name = "NAME",
        requires = "etcd_password"
    )]
    etcd_username: Option<String>,

    /// Its password; better in the variable, where nobody else sees it
    #[arg(
        long,
        env = "FLANNELD_ETCD_PASSWORD",
        value_name = "TEXT",
        hide_env_values = true
    )]
    etcd_password: Option<String>,

    /// Interface by which the other nodes are reached, by name or address; the first that is there
    #[arg(
        long,
        env = "FLANNELD_IFACE",
        value_name = "NAME",
        value_delimiter = ','
    )]
    iface: Vec<String>,

    /// The same by a pattern of addresses or names
    #[arg(long, env = "FLANNELD_IFACE_REGEX", value_name = "PATTERN")]
    iface_regex: Vec<String>,

    /// The same by an address it leads to
    #[arg(long, env = "FLANNELD_IFACE_CAN_REACH", value_name = "ADDRESS")]
    iface_can_reach: Option<IpAddr>,

    /// Address by which the others reach this node [default: that of the interface]
    #[arg(long, env = "FLANNELD_PUBLIC_IP", value_name = "ADDRESS")]
    public_ip: Option<Ipv4Addr>,

    /// The same for IPv6
    #[arg(long, env = "FLANNELD_PUBLIC_IPV6", value_name = "ADDRESS")]
    public_ipv6: Option<Ipv6Addr>,

    /// File that tells CNI's plugin of the subnet
    #[arg(
        long,
        env = "FLANNELD_SUBNET_FILE",
        value_name = "FILE",
        default_value = "/run/flannel/subnet.env"
    )]
    subnet_file: PathBuf,

    /// A copy of it that a reboot does not take away
    #[arg(long, value_name = "FILE")]
    subnet_copy: Option<PathBuf>,

    /// A copy of the network's configuration, for the day of leaving
    #[arg(long, value_name = "FILE")]
    network_copy: Option<PathBuf>,

    /// File for the state that `ignite overlay status` shows
    #[arg(long, value_name = "FILE")]
    status_file: Option<PathBuf>,

    /// Minutes before its end that the lease is renewed
    #[arg(long, env = "FLANNELD_SUBNET_LEASE_RENEW_MARGIN", value_name = "MINUTES", default_value_t = 60,
          value_parser = clap::value_parser!(u32).range(1..=1439))]
    subnet_lease_renew_margin: u32,

    /// Seconds a lease lasts without renewal
    #[arg(long, value_name = "SECONDS", hide = true, default_value_t = NonZeroU32::new(86_400).expect("not zero"))]
    lease_time: NonZeroU32,

    /// Masquerade what leaves the network
    #[arg(long, env = "FLANNELD_IP_MASQ", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    ip_masq: bool,

    /// Seconds between two looks at the packet filter's rules
    #[arg(long, env = "FLANNELD_IPTABLES_RESYNC", value_name = "SECONDS", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..))]
    iptables_resync: u32,

    /// Let packets of the network pass where the host forwards nothing else
    #[arg(long, env = "FLANNELD_IPTABLES_FORWARD_RULES", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_value = "true", default_missing_value = "true", action = ArgAction::Set,
          value_parser = go_bool)]
    iptables_forward_rules: bool,

    /// Address for /healthz, /readyz and /metrics
    #[arg(
        long,
        env = "FLANNELD_HEALTHZ_IP",
        value_name = "ADDRESS",
        default_value = "0.0.0.0"
    )]
    healthz_ip: IpAddr,

    /// Port for them; 0 for none
    #[arg(
        long,
        env = "FLANNELD_HEALTHZ_PORT",
        value_name = "PORT",
        default_value_t = 0
    )]
    healthz_port: u16,

    /// Private key of wireguard
    #[arg(long, env = "WIREGUARD_KEY_FILE", value_name = "FILE")]
    wireguard_key_file: Option<PathBuf>,

    /// Where hosts with a token join this overlay, on its first host
    #[arg(
        long,
        env = "IGNITE_OVERLAY_ENTRANCE",
        value_name = "ADDRESS:PORT",
        requires_all = ["entrance_authority", "entrance_endpoints"]
    )]
    entrance: Option<SocketAddr>,

    /// Directory of the authority that signs their certificates
    #[arg(
        long,
        env = "IGNITE_OVERLAY_ENTRANCE_AUTHORITY",
        value_name = "DIRECTORY",
        requires = "entrance"
    )]
    entrance_authority: Option<PathBuf>,

    /// Client URLs of etcd they are told, https:// each
    #[arg(
        long,
        env = "IGNITE_OVERLAY_ENTRANCE_ENDPOINTS",
        value_name = "URL",
        value_delimiter = ',',
        value_parser = tls_endpoint,
        requires = "entrance"
    )]
    entrance_endpoints: Vec<String>,

    /// How much to log: 5 for more, 10 for everything
    #[arg(short = 'v', long = "v", value_name = "LEVEL", default_value_t = 0)]
    pub verbosity: u8,
}

fn tls_endpoint(url: &str) -> Result<String, String> {
    match is_endpoint(url) {
        true => Ok(url.to_owned()),
        false => Err("a client URL of an etcd with TLS is expected, https://HOST:2379".to_owned()),
    }
}

/// Flags of one dash with two.
fn with_two_dashes(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let with_two = |argument: OsString| match argument.to_str() {
        Some(text) if is_long(text) => OsString::from(format!("-{text}")),
        _ => argument,
    };
    arguments.into_iter().map(with_two).collect()
}

/// A dash and a word, not `-v10` or `-h`.
fn is_long(text: &str) -> bool {
    let word = text.strip_prefix('-').filter(|word| !word.starts_with('-'));
    word.is_some_and(|word| {
        let name = word.split('=').next().unwrap_or_default();
        name.len() > 1
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '-' || c == '6')
            || name == "v" && word.contains('=')
    })
}

/// What Go's `strconv.ParseBool` takes.
fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

/// Without the variables that are set to nothing, as `flanneld` takes them.
fn without_empty_variables(command: Command) -> Command {
    command.mut_args(|flag| {
        let value = flag.get_env().and_then(std::env::var_os);
        match value.is_some_and(|value| value.is_empty()) {
            true => flag.env(Resettable::Reset),
            false => flag,
        }
    })
}

impl Flags {
    /// The flags among the program's arguments, and its variables; ends the program where they are wrong,
    /// or help is wanted.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Self {
        let command = without_empty_variables(Self::command());
        let matches = command.get_matches_from(with_two_dashes(arguments));
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// What the agent is told.
    pub fn into_options(self) -> Options {
        let mut etcd = Settings::new(self.etcd_endpoints);
        // Both or none of the two, as clap sees to.
        let identity = self.etcd_certfile.zip(self.etcd_keyfile);
        let identity = identity.map(|(certificate, key)| ClientIdentity { certificate, key });
        if self.etcd_cafile.is_some() || identity.is_some() {
            etcd.tls = Some(ClientTls {
                ca: self.etcd_cafile,
                identity,
            });
        }
        let user = self.etcd_username.zip(self.etcd_password);
        etcd.user = user.map(|(user, password)| Credentials { user, password });
        // Both or none of the two, again.
        let entrance = self.entrance.zip(self.entrance_authority);
        let entrance = entrance.map(|(address, authority)| entrance::Settings {
            address,
            authority,
            endpoints: self.entrance_endpoints,
        });
        Options {
            prefix: self.etcd_prefix,
            interface: Choice {
                interfaces: self.iface,
                patterns: self.iface_regex,
                can_reach: self.iface_can_reach,
                public_ip: self.public_ip,
                public_ipv6: self.public_ipv6,
                dual_stack: false,
            },
            subnet_file: self.subnet_file,
            subnet_copy: self.subnet_copy,
            network_copy: self.network_copy,
            status_file: self.status_file,
            renew_margin: Duration::from_secs(60 * u64::from(self.subnet_lease_renew_margin)),
            lease_time: self.lease_time,
            ip_masq: self.ip_masq,
            forward: self.iptables_forward_rules,
            filter_interval: Duration::from_secs(self.iptables_resync.into()),
            health: SocketAddr::new(self.healthz_ip, self.healthz_port),
            wireguard_key: self.wireguard_key_file,
            entrance,
            ..Options::new(etcd)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Flags {
        let words = std::iter::once("ignite-overlay").chain(words.iter().copied());
        let words = with_two_dashes(words.map(OsString::from));
        Flags::try_parse_from(words).expect("well formed")
    }

    #[test]
    fn flags_are_those_of_flanneld() {
        let flags = parsed(&[
            "-etcd-endpoints=http://a:1,http://b:2",
            "--iface=eth0",
            "-iface=eth1",
            "-ip-masq",
            "-public-ipv6=fd00::1",
            "-v=10",
            "--subnet-lease-renew-margin",
            "30",
        ]);
        assert_eq!(flags.verbosity, 10);
        let options = flags.into_options();
        assert_eq!(options.etcd.endpoints, ["http://a:1", "http://b:2"]);
        assert_eq!(options.interface.interfaces, ["eth0", "eth1"]);
        assert_eq!(options.renew_margin, Duration::from_secs(1800));
        assert!(options.ip_masq && options.etcd.tls.is_none());
        let options = parsed(&["-ip-masq=false", "-v", "5"]).into_options();
        assert!(!options.ip_masq);
        assert_eq!(options.etcd.endpoints.len(), 2);
        assert!(options.entrance.is_none());
    }

    #[test]
    fn an_entrance_is_told_whole_or_not_at_all() {
        let words = [
            "--entrance=[::]:2378",
            "--entrance-authority=/a",
            "--entrance-endpoints=https://a:2379,https://b:2379",
        ];
        let entrance = parsed(&words).into_options().entrance.expect("told");
        assert_eq!(entrance.address.port(), entrance::PORT);
        assert_eq!(entrance.authority, PathBuf::from("/a"));
        assert_eq!(entrance.endpoints, ["https://a:2379", "https://b:2379"]);
        for missing in 0..words.len() {
            let mut words = words.to_vec();
            words[missing] = "-v=1";
            let words = ["ignite-overlay"].into_iter().chain(words);
            Flags::try_parse_from(words).expect_err("not whole");
        }
        tls_endpoint("http://a:2379").expect_err("no TLS");
    }

    #[test]
    fn booleans_are_spelled_as_in_go() {
        for (spelled, meant) in [
            ("1 t T TRUE true True", true),
            ("0 f F FALSE false False", false),
        ] {
            for word in spelled.split(' ') {
                let masq = format!("-ip-masq={word}");
                let forward = format!("--iptables-forward-rules={word}");
                let options = parsed(&[&masq, &forward]).into_options();
                assert_eq!((options.ip_masq, options.forward), (meant, meant), "{word}");
            }
        }
        let wrong = Flags::try_parse_from(["ignite-overlay", "--ip-masq=yes"]);
        assert!(wrong.is_err_and(|error| error.to_string().contains("neither true nor false")));
    }
}
