//! What can go wrong with an overlay, with what to do about it.

use std::io;
use std::path::PathBuf;

use ignite_host::{fs, process, service};
use ignite_overlay::config::ConfigError;
use ignite_overlay::{etcd, interface, pki, registry};

use super::place::OverlayName;

/// So much of a foreign text is shown, in characters.
const SHOWN: usize = 400;

/// Errors of the overlay's verbs.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// A file.
    #[error("cannot keep the overlay's files")]
    File(#[from] fs::Error),
    /// A directory.
    #[error("cannot make the directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that has to go.
    #[error("cannot remove {}", path.display())]
    Remove {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record was damaged.
    #[error("{} is not what Ignite writes there", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// What `init` or `join` was to do was done otherwise before.
    #[error("this host is already in an overlay called {name}: {what}")]
    Another {
        /// Its name.
        name: OverlayName,
        /// How it got into it.
        what: String,
    },
    /// Another overlay of this host is in the way.
    #[error("the overlay {other} of this host is in the way: {what}")]
    InCommon {
        /// Its name.
        other: OverlayName,
        /// What both would have.
        what: String,
    },
    /// Our etcd serves another overlay otherwise.
    #[error("the etcd of this host serves the overlay {other} already, {how}")]
    OneEtcd {
        /// The other overlay.
        other: OverlayName,
        /// How it does.
        how: String,
    },
    /// A port that our etcd needs is somebody else's.
    #[error("port {port}/tcp of this host is taken, which etcd needs")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// Somebody else's Flannel is on this host.
    #[error("{} is somebody else's: another Flannel works on this host", path.display())]
    ForeignFlannel {
        /// Its subnet file.
        path: PathBuf,
    },
    /// Who needs our etcd cannot be told.
    #[error("etcd does not answer, so nobody knows which hosts need it")]
    NobodyKnows,
    /// A reservation of no use.
    #[error("{subnet} is no subnet that a host of this overlay can have")]
    NoFit {
        /// The subnet.
        subnet: String,
    },
    /// There is no such overlay.
    #[error("this host is in no overlay called {name}")]
    NotHere {
        /// The name.
        name: OverlayName,
    },
    /// The network cannot be as asked for.
    #[error("the overlay's network cannot be as asked for")]
    Config(#[from] ConfigError),
    /// etcd holds the configuration of another network.
    #[error("etcd has another configuration under {prefix}: {}", shown(.there))]
    OtherConfig {
        /// Where.
        prefix: String,
        /// It.
        there: String,
    },
    /// etcd holds no configuration.
    #[error("etcd has no network under {prefix}")]
    NoNetwork {
        /// Where.
        prefix: String,
    },
    /// etcd's program is not there.
    #[error("the program etcd is not found")]
    NoEtcd(#[source] process::Error),
    /// etcd does not answer.
    #[error("etcd does not answer at {endpoint}{}", tail(.log))]
    EtcdSilent {
        /// Where.
        endpoint: String,
        /// Last lines of its log.
        log: Vec<String>,
    },
    /// The agent does not come up.
    #[error("the overlay's agent is not ready: {problem}{}", tail(.log))]
    AgentNotReady {
        /// What it waits for.
        problem: String,
        /// What can be done.
        remedy: Option<String>,
        /// Last lines of its log.
        log: Vec<String>,
    },
    /// One of our own programs is not there.
    #[error("the program {0} is not found")]
    NoProgram(&'static str),
    /// Somebody else's network has our file's name.
    #[error("{} is there and is not what Ignite would write", path.display())]
    ForeignNetwork {
        /// The file.
        path: PathBuf,
    },
    /// The host to join cannot be joined like this.
    #[error("{host} wants a token: its etcd is reached by TLS")]
    WantsToken {
        /// The host.
        host: String,
    },
    /// What answers there has no TLS, and a token is of an overlay that has.
    #[error("what answers at {host} speaks without TLS: it is not the etcd that the token is for")]
    NotTheOne {
        /// The host.
        host: String,
    },
    /// Tokens and certificates are made elsewhere.
    #[error("this host signs nobody's certificate: it did not set up an etcd with TLS")]
    NoAuthority,
    /// There is no such token.
    #[error("there is no token {id}")]
    NoToken {
        /// Its name.
        id: String,
    },
    /// Others would lose their etcd.
    #[error("the etcd of this host is that of {count} other hosts: {hosts}")]
    OthersHere {
        /// How many.
        count: usize,
        /// The first of them.
        hosts: String,
    },
    /// VMs are attached.
    #[error("VMs are attached to the overlay: {vms}")]
    VmsHere {
        /// The first of them.
        vms: String,
    },
    /// This host has no subnet to reserve.
    #[error("this host has no subnet yet that could be reserved")]
    NoSubnet,
    /// A file to read a token from.
    #[error("cannot read the token of {}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: fs::Error,
    },
    /// A token that is none.
    #[error(transparent)]
    Token(#[from] pki::TokenError),
    /// The runtime for asking etcd.
    #[error("cannot ask etcd")]
    Runtime(#[source] io::Error),
    /// etcd.
    #[error("cannot use etcd")]
    Etcd(#[from] etcd::Error),
    /// The records in etcd.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// There is no interface to reach the others by.
    #[error("cannot find the interface by which the other hosts reach this one")]
    Interface(#[from] interface::Error),
    /// Certificates.
    #[error("cannot keep the overlay's certificates")]
    Pki(#[from] pki::Error),
    /// Tokens.
    #[error("cannot keep the overlay's tokens")]
    Tokens(#[from] pki::StoreError),
    /// The first host gave no certificate.
    #[error(transparent)]
    Join(#[from] ignite_overlay::entrance::JoinError),
    /// A service.
    #[error(transparent)]
    Service(#[from] service::Error),
    /// A log.
    #[error("cannot show the log of {service}")]
    Log {
        /// Of what.
        service: String,
        /// Why.
        source: io::Error,
    },
    /// Some of what was to be taken away is still there.
    #[error("not all could be taken away:{}", lines(.0))]
    Behind(Vec<String>),
}

impl OverlayError {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::File(source) | Self::TokenFile { source, .. } => return source.hint(),
            Self::Config(source) => {
                let see = || "see what a network can be: ignite help overlay init".to_owned();
                return source.hint().or_else(|| Some(see()));
            }
            Self::Etcd(source) => return source.hint(),
            Self::Registry(source) => return source.hint(),
            Self::Interface(source) => return source.hint(),
            Self::Tokens(source) => return source.hint(),
            Self::Join(source) => return source.hint(),
            Self::Service(source) => return source.hint(),
            Self::AgentNotReady { remedy, .. } => {
                let look = "look at it: ignite overlay status, ignite overlay logs";
                return Some(remedy.clone().unwrap_or_else(|| look.to_owned()));
            }
            Self::Record { path, .. } => format!(
                "look into it, or remove {} and set the overlay up again",
                path.display()
            ),
            Self::Another { name, .. } => format!(
                "leave it first: ignite overlay leave{}; or choose another name for this one: --name",
                name.flag()
            ),
            Self::InCommon { .. } => {
                "overlays beside each other have networks, identifiers and ports of their own: --network, --vni, --port"
                    .to_owned()
            }
            Self::OneEtcd { other, .. } => format!(
                "say the same ports and TLS as for {other}; leave them out where they are the usual ones"
            ),
            Self::PortTaken { port } => format!(
                "see who has it: ss -ltnp 'sport = :{port}'; where it is the distribution's etcd: systemctl disable --now etcd; or use that one: --etcd URL; or another port: --etcd-port"
            ),
            Self::ForeignFlannel { .. } => {
                "let it be, and use its network as it is (ignite run --network NAME); or stop it and remove that file"
                    .to_owned()
            }
            Self::NobodyKnows => {
                "start it (ignite overlay start) and try again, or go on all the same: --force".to_owned()
            }
            Self::NoFit { .. } => {
                "see which there are: ignite overlay status; in a dual-stack network only a host that has joined can be given one"
                    .to_owned()
            }
            Self::NotHere { name } => format!(
                "set one up: ignite overlay init{0}; or join one: ignite overlay join HOST{0}",
                name.flag()
            ),
            Self::OtherConfig { .. } => {
                "say the same, say none of it to use what is there, or replace it for all hosts: --replace"
                    .to_owned()
            }
            Self::NoNetwork { .. } => {
                "is the overlay's name right (--name, --etcd-prefix)? its first host sets it up: ignite overlay init"
                    .to_owned()
            }
            Self::NoEtcd(_) => {
                "install it: apt-get install etcd-server; or use one that is there: --etcd URL".to_owned()
            }
            Self::EtcdSilent { .. } => {
                "is another program, perhaps another etcd, at that port? then use that: --etcd URL; or another port: --etcd-port"
                    .to_owned()
            }
            Self::NoProgram(_) => "install Ignite's programs together: make install".to_owned(),
            Self::ForeignNetwork { path } => format!(
                "look at it, and move it away or remove it: {}",
                path.display()
            ),
            Self::WantsToken { host } => format!(
                "make a token on {host}: ignite overlay token new; then here: ignite overlay join {host} --token TOKEN"
            ),
            Self::NotTheOne { host } => format!(
                "is {host} the host that the token is of? somebody in between? it was not sent to anybody"
            ),
            Self::NoAuthority => "do this on the first host, the one of ignite overlay init".to_owned(),
            Self::NoToken { .. } => "see which there are: ignite overlay token ls".to_owned(),
            Self::OthersHere { .. } => {
                "have them leave first (ignite overlay leave --all, there), or go on all the same: --force"
                    .to_owned()
            }
            Self::VmsHere { .. } => {
                "stop them first (ignite stop VM), or go on all the same: --force".to_owned()
            }
            Self::NoSubnet => "see why: ignite overlay status".to_owned(),
            Self::Token(_) => "copy it whole from where it was made: ignite overlay token new".to_owned(),
            Self::Directory { .. }
            | Self::Remove { .. }
            | Self::Runtime(_)
            | Self::Pki(_)
            | Self::Log { .. }
            | Self::Behind(_) => return None,
        };
        Some(text)
    }
}

/// What etcd holds may be anything: a line of it, without what a terminal would obey.
fn shown(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { '?' } else { c });
    let mut short: String = plain.take(SHOWN).collect();
    if text.chars().count() > SHOWN {
        short.push_str("...");
    }
    short
}

fn tail(log: &[String]) -> String {
    match log.is_empty() {
        true => String::new(),
        false => format!("\n  last lines of its log:{}", lines(log)),
    }
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n    {line}")).collect()
}
