//! Each endpoint of etcd, asked by itself: one that fails does not hide behind one that answers.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use reqwest::Url;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Place;
use super::records::Records;
use super::trouble::{Kind, Trouble, sentence};
use crate::agent::chain;
use crate::etcd::{Client, Error, Settings, TlsProblem};
use crate::registry::{self, Registry};

/// For an attempt to connect.
const CONNECT: Duration = Duration::from_secs(2);
/// For an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(3);
/// For all that is asked of one.
const LIMIT: Duration = Duration::from_secs(8);
/// Clocks that differ by more are told: leases and certificates go by them.
const SKEW: i64 = 10;
/// By more than this hosts cannot join, and certificates may not be valid.
const GRAVE: i64 = 3600;

/// One endpoint of etcd.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its URL, as given.
    pub endpoint: String,
    /// Whether it answers.
    pub state: EndpointState,
    /// How long one read takes, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// By how much its clock is before (or, negative, behind) that of this host.
    pub clock_skew_seconds: Option<i64>,
}

/// Whether an endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointState {
    /// It does.
    Ok,
    /// It does not, and why.
    #[serde(untagged)]
    Failed(Kind),
}

/// What was found at an endpoint.
pub(super) struct Answer {
    pub endpoint: Endpoint,
    pub troubles: Vec<Trouble>,
    /// What etcd has of the network, if it answers.
    pub records: Option<Records>,
}

/// Asks all at once.
pub(super) async fn ask_all(place: &Place) -> Vec<Answer> {
    let ask = |endpoint: &String| ask(place, endpoint.clone());
    join_all(place.etcd.endpoints.iter().map(ask)).await
}

async fn ask(place: &Place, endpoint: String) -> Answer {
    let mut answer = Answer {
        endpoint: Endpoint {
            endpoint: endpoint.clone(),
            state: EndpointState::Ok,
            round_trip_ms: None,
            clock_skew_seconds: None,
        },
        troubles: Vec::new(),
        records: None,
    };
    let asked = timeout(LIMIT, try_ask(place, endpoint.clone(), &mut answer)).await;
    if let Err(error) = asked.unwrap_or(Err(Error::TimedOut { endpoint })) {
        let endpoint = &answer.endpoint.endpoint;
        let trouble =
            match matches!(error, Error::ConnectTimedOut { .. }) && connects(endpoint).await {
                true => silent(endpoint),
                false => trouble(endpoint, &error),
            };
        answer.endpoint.state = EndpointState::Failed(trouble.kind);
        answer.troubles.push(trouble);
    }
    answer
}

async fn try_ask(place: &Place, endpoint: String, answer: &mut Answer) -> Result<(), Error> {
    let client = Client::new(Settings {
        endpoints: vec![endpoint],
        connect_timeout: CONNECT.min(place.etcd.connect_timeout),
        request_timeout: ANSWER.min(place.etcd.request_timeout),
        ..place.etcd.clone()
    })?;
    let registry = Registry::new(client.clone(), &place.prefix);
    let first = registry.config().await;
    // Also of what is no etcd, or refuses us.
    if !matches!(&first, Err(registry::Error::Etcd(error)) if is_silent(error)) {
        let begun = SystemTime::now();
        if let Ok(Some(date)) = client.date().await {
            let skew = skew(begun, SystemTime::now(), date);
            answer.endpoint.clock_skew_seconds = Some(skew);
            answer
                .troubles
                .extend(of_skew(&answer.endpoint.endpoint, skew));
        }
    }
    let config = first.map_err(of_etcd)?;
    let begun = Instant::now();
    registry.config().await.map_err(of_etcd)?;
    answer.endpoint.round_trip_ms = Some(milliseconds(begun.elapsed()));
    let snapshot = registry.leases().await.map_err(of_etcd)?;
    answer.records = Some(Records::new(registry, &place.prefix, &config, snapshot));
    Ok(())
}

/// Whether it takes connections: the time to connect is that for the handshake of TLS, too.
async fn connects(endpoint: &str) -> bool {
    let (host, port) = host_and_port(endpoint);
    let connection = TcpStream::connect((host.trim_matches(['[', ']']), port));
    matches!(timeout(CONNECT, connection).await, Ok(Ok(_)))
}

/// Milliseconds to a hundredth.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e5).round() / 1e2
}

fn of_etcd(error: registry::Error) -> Error {
    match error {
        registry::Error::Etcd(error) => error,
        // Reading has no other errors.
        other => Error::WatchEnded {
            endpoint: String::new(),
            reason: other.to_string(),
        },
    }
}

/// Whether nothing can be asked either.
fn is_silent(error: &Error) -> bool {
    !matches!(
        error,
        Error::NotEtcd { .. }
            | Error::Malformed { .. }
            | Error::Denied { .. }
            | Error::Answer { .. }
    )
}

/// How much `date`, asked for between the two moments and cut to seconds, is ahead of them.
fn skew(begun: SystemTime, ended: SystemTime, date: SystemTime) -> i64 {
    let at = |moment: SystemTime| {
        let since = moment.duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default().as_secs_f64()
    };
    let (early, late) = (at(begun), at(ended));
    let (from, to) = (at(date), at(date) + 1.0);
    // As little as it can be.
    let skew = if from > late {
        from - late
    } else if to < early {
        to - early
    } else {
        0.0
    };
    // Dates have four digits for the year.
    skew.round() as i64
}

fn of_skew(endpoint: &str, skew: i64) -> Option<Trouble> {
    if skew.abs() <= SKEW {
        return None;
    }
    let (host, _) = host_and_port(endpoint);
    let direction = match skew > 0 {
        true => "ahead of",
        false => "behind",
    };
    let so = match skew.abs() > GRAVE {
        true => ": certificates may seem expired or not valid yet, and no host can join",
        false => "",
    };
    Some(Trouble::new(
        Kind::ClockSkew,
        format!(
            "The clock of {host} is {} {direction} that of this host{so}",
            time(skew.unsigned_abs())
        ),
        "set the clocks of both hosts, best by a time service (timedatectl set-ntp true)",
    ))
}

/// A time for people, in the largest unit of which there are two.
pub(super) fn time(seconds: u64) -> String {
    let units = [(86_400, "days"), (3600, "hours"), (60, "minutes")];
    let unit = units.into_iter().find(|(length, _)| seconds >= 2 * length);
    match unit {
        Some((length, name)) => format!("{} {name}", seconds / length),
        None => format!("{seconds} seconds"),
    }
}

/// Why an endpoint cannot be used.
pub(super) fn trouble(endpoint: &str, error: &Error) -> Trouble {
    let (host, port) = host_and_port(endpoint);
    let remedy = error.hint();
    let remedy = remedy.unwrap_or_else(|| "see the log of etcd on that host".into());
    let (kind, text) = match error {
        Error::Unresolved { .. } => (
            Kind::NameUnresolved,
            format!("The name {host} of the etcd endpoint {endpoint} does not resolve"),
        ),
        Error::Unreachable { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => (
            Kind::EtcdRefused,
            format!("{host} refuses connections to {port}/tcp: no etcd listens there"),
        ),
        Error::ConnectTimedOut { .. } => {
            let text = format!(
                "{port}/tcp of {host} does not answer: a packet filter drops it, or the host is down"
            );
            let remedy = format!("open {port}/tcp on {host} for this host, and see that it runs");
            return Trouble::new(Kind::EtcdFiltered, text, remedy);
        }
        other => (kind(endpoint, other), sentence(&chain(other))),
    };
    match kind {
        Kind::TlsMismatch => mismatch(endpoint),
        kind => Trouble::new(kind, text, remedy),
    }
}

/// It takes connections, and says nothing.
fn silent(endpoint: &str) -> Trouble {
    let (host, port) = host_and_port(endpoint);
    Trouble::new(
        Kind::EtcdSilent,
        format!("{host} takes connections at {port}/tcp and does not answer to TLS"),
        format!("is it etcd that listens there, and does it speak TLS? See its log on {host}"),
    )
}

fn kind(endpoint: &str, error: &Error) -> Kind {
    match error {
        Error::Unreachable { .. } => Kind::EtcdUnreachable,
        Error::TimedOut { .. } => Kind::EtcdSilent,
        Error::Tls { problem, .. } => match problem {
            TlsProblem::NotTls => Kind::TlsMismatch,
            TlsProblem::Expired => Kind::CertificateExpired,
            TlsProblem::ClientRefused(why) if why.contains("Expired") => Kind::CertificateExpired,
            _ => Kind::TlsUntrusted,
        },
        // Who speaks TLS hangs up, or says so in plain words.
        Error::Broken { .. } if endpoint.starts_with("http:") => Kind::TlsMismatch,
        Error::NotEtcd { said, .. } if said.contains("HTTPS server") => Kind::TlsMismatch,
        Error::NotEtcd { .. } | Error::Malformed { .. } => Kind::NotEtcd,
        Error::Denied { .. } => Kind::EtcdDenied,
        Error::Settings(_) | Error::NoEndpoint { .. } => Kind::EtcdSettings,
        _ => Kind::EtcdFailing,
    }
}

/// One side speaks TLS.
fn mismatch(endpoint: &str) -> Trouble {
    let (host, port) = host_and_port(endpoint);
    let (text, remedy) = match endpoint.starts_with("https:") {
        true => (
            format!(
                "The etcd of {host} speaks no TLS at {port}/tcp, and the endpoint is {endpoint}"
            ),
            "write the endpoint with http://, or give etcd a certificate and a key",
        ),
        false => (
            format!(
                "The etcd of {host} speaks TLS at {port}/tcp, it seems, and the endpoint is {endpoint}"
            ),
            "write the endpoint with https://, and give its authority's certificate (CA file), and a \
             client certificate with its key",
        ),
    };
    Trouble::new(Kind::TlsMismatch, text, remedy)
}

/// Of a URL, for messages.
fn host_and_port(endpoint: &str) -> (String, u16) {
    let url = Url::parse(endpoint).ok();
    let host = url
        .as_ref()
        .and_then(|url| url.host_str().map(str::to_owned));
    let port = url.as_ref().and_then(Url::port_or_known_default);
    (
        host.unwrap_or_else(|| endpoint.to_owned()),
        port.unwrap_or(2379),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(trouble: &Trouble) -> String {
        format!(
            "{}: {} | {}",
            trouble.kind.name(),
            trouble.text,
            trouble.remedy
        )
    }

    fn of(error: Error) -> String {
        read(&trouble("http://10.99.0.1:2379", &error))
    }

    const AT: &str = "http://10.99.0.1:2379";

    #[test]
    fn connections_that_fail_are_told() {
        let unreachable = |kind: io::ErrorKind| {
            let source = kind.into();
            let endpoint = AT.to_owned();
            of(Error::Unreachable { endpoint, source })
        };
        insta::assert_snapshot!(unreachable(io::ErrorKind::ConnectionRefused), @"etcd-refused: 10.99.0.1 refuses connections to 2379/tcp: no etcd listens there | is etcd running there, and does it listen on that address (--listen-client-urls http://10.99.0.1:2379)?");
        insta::assert_snapshot!(unreachable(io::ErrorKind::NetworkUnreachable), @"etcd-unreachable: Cannot connect to etcd at http://10.99.0.1:2379: network unreachable | check the address, and this host's routes to it");
        let endpoint = || AT.to_owned();
        insta::assert_snapshot!(of(Error::ConnectTimedOut { endpoint: endpoint() }), @"etcd-filtered: 2379/tcp of 10.99.0.1 does not answer: a packet filter drops it, or the host is down | open 2379/tcp on 10.99.0.1 for this host, and see that it runs");
        insta::assert_snapshot!(of(Error::TimedOut { endpoint: endpoint() }), @"etcd-silent: etcd at http://10.99.0.1:2379 does not answer in time | etcd is overloaded, or has lost its majority: see `etcdctl endpoint status`");
        let source = io::ErrorKind::NotFound.into();
        let error = Error::Unresolved {
            endpoint: "http://etcd.example:2379".into(),
            source,
        };
        insta::assert_snapshot!(read(&trouble("http://etcd.example:2379", &error)), @"name-unresolved: The name etcd.example of the etcd endpoint http://etcd.example:2379 does not resolve | check the name for typing errors, and /etc/resolv.conf and /etc/hosts; an address can be given instead");
    }

    #[test]
    fn faults_of_tls_are_told() {
        let tls = |problem| {
            of(Error::Tls {
                endpoint: AT.to_owned(),
                problem,
            })
        };
        insta::assert_snapshot!(tls(TlsProblem::NotTls), @"tls-mismatch: The etcd of 10.99.0.1 speaks TLS at 2379/tcp, it seems, and the endpoint is http://10.99.0.1:2379 | write the endpoint with https://, and give its authority's certificate (CA file), and a client certificate with its key");
        insta::assert_snapshot!(tls(TlsProblem::Expired), @"certificate-expired: No trusted connection to etcd at http://10.99.0.1:2379: its certificate is expired or not valid yet | renew etcd's certificate; if it is new, check the clock of this host");
        insta::assert_snapshot!(tls(TlsProblem::UnknownAuthority), @"tls-untrusted: No trusted connection to etcd at http://10.99.0.1:2379: its certificate is signed by an unknown authority | give the certificate of the authority that signed etcd's certificate as the CA file");
        insta::assert_snapshot!(tls(TlsProblem::ClientRefused("CertificateExpired".into())), @"certificate-expired: No trusted connection to etcd at http://10.99.0.1:2379: it refuses the client's certificate (CertificateExpired) | give a client certificate and key signed by the authority etcd trusts (--trusted-ca-file), and not expired");
        insta::assert_snapshot!(of(Error::NotEtcd {
            endpoint: AT.to_owned(),
            status: 400,
            said: "Client sent an HTTP request to an HTTPS server.".into(),
        }), @"tls-mismatch: The etcd of 10.99.0.1 speaks TLS at 2379/tcp, it seems, and the endpoint is http://10.99.0.1:2379 | write the endpoint with https://, and give its authority's certificate (CA file), and a client certificate with its key");
    }

    #[test]
    fn what_etcd_says_is_told() {
        let endpoint = || AT.to_owned();
        insta::assert_snapshot!(of(Error::NotEtcd { endpoint: endpoint(), status: 404, said: "no".into() }), @r#"not-etcd: http://10.99.0.1:2379 is not etcd: it answers 404: "no" | the endpoint must be a client URL of etcd 3.4 or later, with its JSON gateway on (--enable-grpc-gateway)"#);
        insta::assert_snapshot!(of(Error::Denied { endpoint: endpoint(), user: None, message: "m".into() }), @"etcd-denied: etcd at http://10.99.0.1:2379 refuses access: m | etcd wants a user and a password");
        insta::assert_snapshot!(of(Error::Answer { endpoint: endpoint(), code: 14, message: "no leader".into() }), @"etcd-failing: etcd at http://10.99.0.1:2379 answers: no leader (code 14) | the cluster has no leader or no majority: see `etcdctl endpoint status --cluster`");
    }

    #[test]
    fn clocks_are_compared() {
        let at = |milliseconds| SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
        // A date is cut to seconds, and anything within them is none.
        assert_eq!(skew(at(100_000), at(100_200), at(100_000)), 0);
        assert_eq!(skew(at(100_900), at(101_900), at(100_000)), 0);
        assert_eq!(skew(at(100_000), at(100_500), at(120_000)), 20);
        assert_eq!(skew(at(100_000), at(100_500), at(79_000)), -20);
        assert_eq!(of_skew(AT, 10), None);
        let told = |skew| read(&of_skew(AT, skew).expect("told"));
        insta::assert_snapshot!(told(-25), @"clock-skew: The clock of 10.99.0.1 is 25 seconds behind that of this host | set the clocks of both hosts, best by a time service (timedatectl set-ntp true)");
        insta::assert_snapshot!(told(86_400 * 3), @"clock-skew: The clock of 10.99.0.1 is 3 days ahead of that of this host: certificates may seem expired or not valid yet, and no host can join | set the clocks of both hosts, best by a time service (timedatectl set-ntp true)");
    }

    #[test]
    fn states_are_words() {
        let json = |state: EndpointState| serde_json::to_string(&state).expect("json");
        assert_eq!(json(EndpointState::Ok), r#""ok""#);
        let failed = EndpointState::Failed(Kind::EtcdRefused);
        assert_eq!(json(failed), r#""etcd-refused""#);
    }
}
