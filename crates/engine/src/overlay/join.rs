//! `overlay join`: any further host.

use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::SystemTime;

use ignite_host::fs;
use ignite_overlay::config::Config;
use ignite_overlay::entrance;
use ignite_overlay::etcd::{Speaks, speaks};
use ignite_overlay::pki::{Facts, NodeFiles, Token};

use super::conflist;
use super::error::OverlayError;
use super::init::{described, hostname};
use super::place::{OverlayName, Place};
use super::record::{self, Etcd, HostChoice, Record, bare, url};
use super::{OverlayUp, Start, beside, registry, wait};
use crate::{Engine, Report};

/// No file with a token is larger, in bytes.
const MAX_TOKEN: u64 = 4096;

/// No certificate is larger, in bytes.
const MAX_CERTIFICATE: u64 = 1 << 20;

/// Which overlay to join.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// The overlay's name.
    pub name: OverlayName,
    /// The first host: an address or a name.
    pub address: String,
    /// The port of its etcd.
    pub port: u16,
    /// The port at which it signs certificates.
    pub join_port: u16,
    /// What it is shown.
    pub token: Option<TokenChoice>,
    /// Where the records in etcd begin, if not where the name has them.
    pub prefix: Option<String>,
    /// Which interface; that which leads to the first host where none is named.
    pub host: HostChoice,
}

/// Where the token is.
#[derive(Debug, Clone)]
pub enum TokenChoice {
    /// In the command line.
    Text(String),
    /// In a file.
    File(PathBuf),
}

impl Engine {
    /// Makes this host one more of an overlay; once more, goes on where it was.
    pub fn overlay_join(
        &self,
        request: &JoinRequest,
        report: &dyn Report,
    ) -> Result<OverlayUp, OverlayError> {
        let token = request.token.as_ref().map(token).transpose()?;
        let _lock = self.overlay_lock()?;
        let place = self.overlay_place(&request.name);
        // Who left this very overlay has its certificate still.
        let there = Record::read(&place)?.filter(|record| !record.left || same(record, request));
        let record = match there {
            Some(record) if !same(&record, request) => {
                return Err(OverlayError::Another {
                    name: request.name.clone(),
                    what: described(&record),
                });
            }
            // Its certificate is here: no second token is used up.
            Some(record)
                if token
                    .as_ref()
                    .is_none_or(|token| certified(&place, &record, token)) =>
            {
                Record {
                    host: record.host.updated(&request.host),
                    left: false,
                    ..record
                }
            }
            before => {
                conflist::is_ours_to_write(&place)?;
                beside::no_foreign_flannel(&place)?;
                self.admitted(&place, before, request, token.as_ref(), report)?
            }
        };
        if !record.is_encrypted() {
            report.warn(
                "nothing that is said to etcd is encrypted, and whoever reaches it may change the network",
            );
        }
        let registry = registry(&place, &record)?;
        let config = wait(async { Ok(registry.config().await?) })?;
        let Some(bytes) = config.bytes else {
            return Err(OverlayError::NoNetwork {
                prefix: record.prefix.clone(),
            });
        };
        // One that cannot be read is the agent's to tell.
        if let Ok(config) = Config::parse(&bytes) {
            self.fits_beside(&request.name, &config)?;
        }
        record.write(&place)?;
        self.overlay_up(&place, &record, Start::IfNot, report)
    }

    /// How etcd is reached, with a certificate if there is a token for one.
    fn admitted(
        &self,
        place: &Place,
        before: Option<Record>,
        request: &JoinRequest,
        token: Option<&Token>,
        report: &dyn Report,
    ) -> Result<Record, OverlayError> {
        let host = &request.address;
        let found = wait(async { Ok(speaks(host, request.port).await) })?;
        let scheme = match (token, found) {
            (None, Speaks::Tls) => return Err(OverlayError::WantsToken { host: host.clone() }),
            (Some(_), Speaks::Plain) => return Err(OverlayError::NotTheOne { host: host.clone() }),
            (None, _) => "http",
            (Some(_), _) => "https",
        };
        let mut choice = request.host.clone();
        if choice.iface.is_none() && choice.public_ip.is_none() {
            choice.can_reach = address(host, request.port);
        }
        let mut record = Record {
            etcd: Etcd::Joined {
                host: host.clone(),
                endpoints: vec![url(scheme, host, request.port)],
                tls: token.is_some(),
                join_port: request.join_port,
            },
            prefix: request
                .prefix
                .clone()
                .unwrap_or_else(|| request.name.prefix()),
            host: choice,
            left: false,
        };
        if let Some(token) = token {
            // A token is good once: what it brings must not be lost, whatever happens here.
            record.write(place)?;
            let endpoints = certificate(place, request, token, report).inspect_err(|_| {
                // Nothing was got, so nothing is to be gone on with.
                let _ = match &before {
                    Some(before) => before.write(place),
                    None => record::forget(place),
                };
            })?;
            if let (Some(other), Etcd::Joined { endpoints, .. }) = (endpoints, &mut record.etcd) {
                *endpoints = other;
            }
            record.write(place)?;
        }
        Ok(record)
    }
}

/// Gets a certificate and keeps it; the endpoints of etcd, if the host by its name is none.
fn certificate(
    place: &Place,
    request: &JoinRequest,
    token: &Token,
    report: &dyn Report,
) -> Result<Option<Vec<String>>, OverlayError> {
    let host = bare(&request.address);
    report.info(&format!("asking {host} for a certificate"));
    let name = hostname();
    let join = entrance::join(host, request.join_port, token, &name);
    let joined = wait(async { Ok(join.await?) })?;
    NodeFiles::new(place.dir()).save(&joined.authority, &joined.certificate, &joined.key)?;
    // A name that etcd's certificate does not have would be refused.
    Ok((!joined.is_reached_by(host)).then_some(joined.endpoints))
}

fn token(choice: &TokenChoice) -> Result<Token, OverlayError> {
    let text = match choice {
        TokenChoice::Text(text) => text.clone(),
        TokenChoice::File(path) => {
            let bytes =
                fs::read_bounded(path, MAX_TOKEN).map_err(|source| OverlayError::TokenFile {
                    path: path.clone(),
                    source,
                })?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
    };
    Ok(text.parse()?)
}

/// Whether the record is of this very request.
fn same(record: &Record, request: &JoinRequest) -> bool {
    let prefix = request.prefix.as_ref();
    matches!(&record.etcd, Etcd::Joined { host, .. } if *host == request.address)
        && prefix.is_none_or(|prefix| *prefix == record.prefix)
}

/// Whether the certificate that the record counts on is here, of the authority that the token names.
fn certified(place: &Place, record: &Record, token: &Token) -> bool {
    let files = NodeFiles::new(place.dir());
    let authority = files
        .tls()
        .ca
        .and_then(|path| fs::read_bounded(&path, MAX_CERTIFICATE).ok());
    let authority = authority.and_then(|pem| Facts::of_pem(&String::from_utf8_lossy(&pem)).ok());
    matches!(record.etcd, Etcd::Joined { tls: true, .. })
        && files.check(SystemTime::now()).is_ok()
        && authority.is_some_and(|facts| facts.fingerprint == token.authority())
}

/// An address of the host, for the choice of an interface.
fn address(host: &str, port: u16) -> Option<IpAddr> {
    let host = bare(host);
    let found: Vec<IpAddr> = (host, port)
        .to_socket_addrs()
        .ok()?
        .map(|socket| socket.ip())
        .collect();
    let v4 = found.iter().find(|address| address.is_ipv4());
    v4.or(found.first()).copied()
}
