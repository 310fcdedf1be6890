//! The joining host's side of the conversation.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::JoinError;
use super::message::{About, JoinReply, JoinRequest, MAX_ANSWER, Refused, host_name};
use super::verify::client_config;
use crate::dial::{dial, place};
use crate::pki::{
    self, Facts, NewRequest, Profile, Token, Usage, Validity, check_signed, der, fingerprint,
};

/// For the connection.
const CONNECT: Duration = Duration::from_secs(10);
/// For the conversation: a place among 32 strangers may take ten seconds to come free.
const TALK: Duration = Duration::from_secs(30);

/// What a host that joined has. All texts are PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its certificate, for etcd.
    pub certificate: String,
    /// Its key. Not to be shown to anybody.
    pub key: String,
    /// The certificate of the authority.
    pub authority: String,
    /// Client URLs of etcd, as the first host gave them.
    pub endpoints: Vec<String>,
    /// The names etcd's certificate is good for.
    pub names: Vec<String>,
    /// The addresses it is good for.
    pub addresses: Vec<IpAddr>,
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is for nobody's log.
        write!(f, "Joined({:?})", self.endpoints)
    }
}

impl Joined {
    /// Whether etcd can be reached by this name or address: whether its certificate is good for it.
    pub fn is_reached_by(&self, host: &str) -> bool {
        let bare = host.trim_matches(['[', ']']);
        match bare.parse::<IpAddr>() {
            Ok(address) => self.addresses.contains(&address),
            Err(_) => self
                .names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(bare)),
        }
    }
}

/// Joins at `host`, a name or an address, as `name`. The token is sent to a server of the authority it
/// names only; it takes 40 seconds at the most.
pub async fn join(host: &str, port: u16, token: &Token, name: &str) -> Result<Joined, JoinError> {
    join_at(host, port, token, name, SystemTime::now()).await
}

/// The same, where the clock says `now`.
pub(super) async fn join_at(
    host: &str,
    port: u16,
    token: &Token,
    name: &str,
    now: SystemTime,
) -> Result<Joined, JoinError> {
    let door = Door {
        host: host.to_owned(),
        at: place(host, port),
    };
    let stream = dial(host, port, CONNECT)
        .await
        .map_err(|error| JoinError::dial(door.at.clone(), error))?;
    let talk = door.talk(stream, token, name, now);
    timeout(TALK, talk).await.unwrap_or_else(|_| {
        Err(JoinError::TimedOut {
            at: door.at.clone(),
        })
    })
}

/// Where a host joins, for messages.
struct Door {
    host: String,
    at: String,
}

/// The two certificates a server of the overlay shows.
struct Shown {
    server: Facts,
    authority: Facts,
}

impl Door {
    async fn talk(
        &self,
        stream: TcpStream,
        token: &Token,
        name: &str,
        now: SystemTime,
    ) -> Result<Joined, JoinError> {
        let name = host_name(name);
        let new = NewRequest::new(&wish(&name, now)).map_err(JoinError::Request)?;
        let stream = self.encrypt(stream, token).await?;
        let shown = shown(&stream, token).map_err(|source| self.useless(source))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|source| self.broken(source))?;
        // Ends with the sender.
        tokio::spawn(connection);

        let server = &shown.server;
        if server.remaining(now).is_none() || shown.authority.remaining(now).is_none() {
            return Err(self.clocks(&mut sender, &shown, now).await?);
        }
        let request = JoinRequest {
            token: token.reveal(),
            request: new.request,
            host: name,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let reply = self.ask(&mut sender, &request).await?;
        check(&reply, token, &new.key).map_err(|source| self.useless(source))?;
        Ok(Joined {
            certificate: reply.certificate,
            key: new.key,
            authority: reply.authority,
            endpoints: reply.endpoints,
            names: shown.server.names,
            addresses: shown.server.addresses,
        })
    }

    async fn encrypt(
        &self,
        stream: TcpStream,
        token: &Token,
    ) -> Result<TlsStream<TcpStream>, JoinError> {
        let failed = |error| JoinError::handshake(self.at.clone(), &error);
        // The name is not looked at, and an address is none that is sent.
        let name = stream.peer_addr().map_err(failed)?.ip();
        TlsConnector::from(client_config(token))
            .connect(ServerName::from(name), stream)
            .await
            .map_err(failed)
    }

    async fn ask(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        request: &JoinRequest,
    ) -> Result<JoinReply, JoinError> {
        let body = serde_json::to_vec(request).expect("strings can be written");
        let (status, bytes) = self.send(sender, Method::POST, "/v1/join", body).await?;
        if status == StatusCode::OK {
            return JoinReply::parse(&bytes).map_err(|error| self.malformed(status, error));
        }
        let refused = Refused::parse(&bytes).map_err(|error| self.malformed(status, error))?;
        Err(JoinError::refused(self.at.clone(), &self.host, refused))
    }

    /// Whose clock is wrong, where a certificate is not valid by ours. The server is one of the token's
    /// authority, or was, so it is believed; the token was not sent.
    async fn clocks(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        shown: &Shown,
        ours: SystemTime,
    ) -> Result<JoinError, JoinError> {
        let (status, bytes) = self.send(sender, Method::GET, "/v1/", Vec::new()).await?;
        let about = About::parse(&bytes).map_err(|error| self.malformed(status, error))?;
        let theirs = UNIX_EPOCH.checked_add(Duration::from_secs(about.now));
        let theirs = theirs.unwrap_or(UNIX_EPOCH);
        let (at, validity) = (self.at.clone(), shown.server.validity());
        Ok(if shown.authority.remaining(theirs).is_none() {
            JoinError::AuthorityExpired { at }
        } else if shown.server.remaining(theirs).is_none() {
            JoinError::ServerExpired {
                at,
                validity,
                theirs,
            }
        } else {
            JoinError::Clock {
                at,
                ours,
                theirs,
                validity,
            }
        })
    }

    async fn send(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), JoinError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "entrance")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .expect("all parts are constants of the right form");
        let response = sender
            .send_request(request)
            .await
            .map_err(|source| self.broken(source))?;
        let status = response.status();
        match Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
        {
            Ok(body) => Ok((status, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(JoinError::TooLong {
                at: self.at.clone(),
            }),
            Err(error) => Err(match error.downcast() {
                Ok(source) => self.broken(*source),
                Err(_) => JoinError::TimedOut {
                    at: self.at.clone(),
                },
            }),
        }
    }

    fn broken(&self, source: hyper::Error) -> JoinError {
        let at = self.at.clone();
        JoinError::Broken { at, source }
    }

    fn malformed(&self, status: StatusCode, source: super::message::MessageError) -> JoinError {
        let (at, status) = (self.at.clone(), status.as_u16());
        JoinError::Malformed { at, status, source }
    }

    fn useless(&self, source: pki::Error) -> JoinError {
        let at = self.at.clone();
        JoinError::Useless { at, source }
    }
}

/// What is asked for; what is given is the signer's choice.
fn wish(name: &str, now: SystemTime) -> Profile {
    Profile {
        common_name: name.to_owned(),
        names: Vec::new(),
        addresses: Vec::new(),
        usage: Usage::Client,
        validity: Validity::days(now, 1),
    }
}

/// What the server showed, which the handshake has found to be good.
fn shown(stream: &TlsStream<TcpStream>, token: &Token) -> Result<Shown, pki::Error> {
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let authority = certificates.iter().find(|der| token.trusts(der));
    let der = |found: Option<&rustls::pki_types::CertificateDer<'_>>| {
        Facts::of_der(found.map_or(&[][..], |der| der))
    };
    Ok(Shown {
        server: der(certificates.first())?,
        authority: der(authority)?,
    })
}

/// Checks that the certificate is for our key, from the token's authority, and good for a client.
fn check(reply: &JoinReply, token: &Token, key: &str) -> Result<(), pki::Error> {
    let authority = der(&reply.authority)?;
    if fingerprint(&authority) != token.authority() {
        return Err(pki::Error::OtherAuthority);
    }
    let certificate = der(&reply.certificate)?;
    if !Facts::of_der(&certificate)?.is_for(key)? {
        return Err(pki::Error::WrongKey);
    }
    check_signed(&authority, &certificate, Usage::Client)
}
