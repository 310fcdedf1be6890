//! What can be wrong, in one list for the agent and for who looks at it from outside.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// So many troubles are told at once: etcd may hold any number of leases that lie.
pub const TOLD: usize = 100;

/// What kind of trouble; the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The agent of this host does not run.
    AgentNotRunning,
    /// It ended by itself, or something of this host refuses it.
    AgentFailed,
    /// etcd does not answer the agent.
    EtcdAway,
    /// The name of an endpoint does not resolve.
    NameUnresolved,
    /// Nobody listens at an endpoint.
    EtcdRefused,
    /// No answer to an attempt to connect to an endpoint.
    EtcdFiltered,
    /// There is no way to an endpoint.
    EtcdUnreachable,
    /// An endpoint takes connections, and does not answer in time.
    EtcdSilent,
    /// One side speaks TLS and the other does not.
    TlsMismatch,
    /// One side does not trust the other.
    TlsUntrusted,
    /// A certificate ran out, or is not valid yet.
    CertificateExpired,
    /// One will soon.
    CertificateExpiresSoon,
    /// etcd refuses the login, or what it may do.
    EtcdDenied,
    /// Somebody else answers at an endpoint.
    NotEtcd,
    /// etcd answers with an error.
    EtcdFailing,
    /// The settings for etcd cannot be used.
    EtcdSettings,
    /// The endpoint at which hosts join does not answer.
    EntranceUnreachable,
    /// The clock of this host and that of etcd differ.
    ClockSkew,
    /// The network has no configuration.
    NoConfiguration,
    /// Its configuration cannot be used.
    ConfigurationInvalid,
    /// Its configuration is another than the agent follows.
    ConfigurationChanged,
    /// No subnet is free.
    PoolExhausted,
    /// This host has no subnet.
    NoLease,
    /// Two hosts have one public address.
    SharedPublicIp,
    /// The external interface is gone, down, or without its address.
    InterfaceGone,
    /// The overlay's device is gone or down.
    DeviceGone,
    /// Its MTU is smaller than containers and VMs are told.
    DeviceMtu,
    /// Rules of the packet filter cannot be set.
    RulesNotSet,
    /// A rule of this host forbids what the overlay has to send.
    LocalRule,
    /// This host has no route to a peer.
    NoRoute,
    /// A peer has another backend.
    BackendMismatch,
    /// A record of a peer cannot be read.
    PeerUnreadable,
    /// A record of a peer says what cannot be, or what this host must not do.
    PeerRefused,
    /// The backend's packets do not get to a peer or back.
    PortFiltered,
    /// A peer's host does not answer at all.
    HostSilent,
    /// Small packets get to a peer, large ones do not.
    PathMtu,
}

impl Kind {
    /// The name, as JSON has it.
    pub fn name(self) -> String {
        let text = serde_json::to_value(self).expect("a plain enum is JSON");
        text.as_str().unwrap_or_default().to_owned()
    }
}

/// Something that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// What kind.
    pub kind: Kind,
    /// What is wrong, for a person; one line.
    pub text: String,
    /// What to do about it; one line.
    pub remedy: String,
    /// Since when, in seconds since 1970; none where it was only looked at now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

impl Trouble {
    /// A trouble of now.
    pub fn new(kind: Kind, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            remedy: remedy.into(),
            since: None,
        }
    }

    /// With when it began, in seconds since 1970.
    pub fn since(mut self, moment: u64) -> Self {
        self.since = Some(moment);
        self
    }
}

/// The gravest [`TOLD`], each once; the last one says how many more there are.
pub fn bounded(mut troubles: Vec<Trouble>) -> Vec<Trouble> {
    let mut seen = HashSet::new();
    troubles.retain(|trouble| seen.insert((trouble.kind, trouble.text.clone())));
    // Stable: those of one kind stay in their order.
    troubles.sort_by_key(|trouble| trouble.kind);
    if troubles.len() > TOLD {
        let more = troubles.split_off(TOLD - 1);
        let kind = more[0].kind;
        let text = format!("There are {} more troubles like these", more.len());
        let remedy = "mend those that are named, then look again";
        troubles.push(Trouble::new(kind, text, remedy));
    }
    troubles
}

/// An error's text as a sentence; names of programs and URLs stay as they are written.
pub(crate) fn sentence(text: &str) -> String {
    if ["etcd", "http"].iter().any(|name| text.starts_with(name)) {
        return text.to_owned();
    }
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(kind: Kind, text: &str) -> Trouble {
        Trouble::new(kind, text, "r")
    }

    #[test]
    fn kinds_are_written_with_dashes() {
        let trouble = trouble(Kind::SharedPublicIp, "t").since(7);
        assert_eq!(
            serde_json::to_string(&trouble).expect("json"),
            r#"{"kind":"shared-public-ip","text":"t","remedy":"r","since":7}"#
        );
        assert_eq!(Kind::EtcdRefused.name(), "etcd-refused");
        let bare = r#"{"kind":"path-mtu","text":"t","remedy":"r"}"#;
        let read: Trouble = serde_json::from_str(bare).expect("a trouble");
        assert_eq!((read.kind, read.since), (Kind::PathMtu, None));
    }

    #[test]
    fn what_two_find_is_told_once() {
        let found = ["a", "b"].map(|text| trouble(Kind::PeerRefused, text));
        let agents = found.clone().map(|trouble| trouble.since(7));
        let told = bounded(agents.iter().chain(&found).cloned().collect());
        assert_eq!(told, agents);
    }

    #[test]
    fn the_gravest_are_told_and_the_rest_is_counted() {
        let mut many: Vec<Trouble> = (0..5000)
            .map(|index| trouble(Kind::PeerRefused, &index.to_string()))
            .collect();
        many.push(trouble(Kind::NoLease, "none"));
        many.push(trouble(Kind::NoLease, "none"));
        let told = bounded(many);
        assert_eq!(told.len(), TOLD);
        assert_eq!((told[0].kind, told[1].text.as_str()), (Kind::NoLease, "0"));
        assert_eq!(
            told[TOLD - 1].text,
            "There are 4902 more troubles like these"
        );
    }
}
