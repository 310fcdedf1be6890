//! `overlay token`: who may join.

use std::time::{Duration, SystemTime};

use ignite_overlay::pki::{AuthorityFiles, Token, TokenStore};
use serde::Serialize;

use super::error::OverlayError;
use super::place::{OverlayName, Place};
use super::record::{Etcd, Record};
use crate::Engine;

/// A token is good for so long.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A token, as it is listed: without its secret.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenLine {
    /// Its name.
    pub id: String,
    /// When it ends, seconds since 1970.
    pub expires: u64,
    /// When it was used, seconds since 1970.
    pub used: Option<u64>,
}

/// A new token, which is shown this once.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewToken {
    /// Its name.
    pub id: String,
    /// All of it.
    pub token: String,
    /// How another host joins with it.
    pub command: String,
}

impl Engine {
    /// Makes a token: good once, for a day.
    pub fn overlay_new_token(&self, name: &OverlayName) -> Result<NewToken, OverlayError> {
        let (place, record) = self.overlay_record(name)?;
        let token = issue(&place, &record)?;
        Ok(NewToken {
            id: token.id(),
            token: token.reveal(),
            command: command(&place, &record, Some(&token)),
        })
    }

    /// The tokens that are known, the oldest first.
    pub fn overlay_tokens(&self, name: &OverlayName) -> Result<Vec<TokenLine>, OverlayError> {
        let (place, record) = self.overlay_record(name)?;
        let listed = store(&place, &record)?.list()?;
        let line = |token: ignite_overlay::pki::IssuedToken| TokenLine {
            id: token.id,
            expires: token.expires,
            used: token.used,
        };
        Ok(listed.into_iter().map(line).collect())
    }

    /// Makes a token worthless. The whole of it names it as well.
    pub fn overlay_revoke_token(&self, name: &OverlayName, id: &str) -> Result<(), OverlayError> {
        let (place, record) = self.overlay_record(name)?;
        let id = id.split('.').next().unwrap_or(id);
        match store(&place, &record)?.revoke(id)? {
            true => Ok(()),
            false => Err(OverlayError::NoToken { id: id.to_owned() }),
        }
    }

    /// How another host joins this one, with a new token where it takes one.
    pub(super) fn join_command(
        &self,
        place: &Place,
        record: &Record,
    ) -> Result<Option<String>, OverlayError> {
        Ok(match record.etcd {
            Etcd::Own { insecure: true, .. } => Some(command(place, record, None)),
            Etcd::Own { .. } => Some(command(place, record, Some(&issue(place, record)?))),
            Etcd::Joined { .. } | Etcd::Cluster { .. } => None,
        })
    }
}

fn issue(place: &Place, record: &Record) -> Result<Token, OverlayError> {
    let store = store(place, record)?;
    let authority = AuthorityFiles::new(place.authority()).authority()?;
    Ok(store.issue(&authority.facts().fingerprint, LIFETIME, SystemTime::now())?)
}

fn store(place: &Place, record: &Record) -> Result<TokenStore, OverlayError> {
    match record.etcd {
        Etcd::Own {
            insecure: false, ..
        } => Ok(AuthorityFiles::new(place.authority()).tokens()),
        _ => Err(OverlayError::NoAuthority),
    }
}

fn command(place: &Place, record: &Record, token: Option<&Token>) -> String {
    let Etcd::Own {
        advertise,
        port,
        join_port,
        ..
    } = &record.etcd
    else {
        return String::new();
    };
    let mut command = format!("ignite overlay join {advertise}");
    if let Some(token) = token {
        command.push_str(&format!(" --token {}", token.reveal()));
    }
    command.push_str(&place.name.flag());
    if record.prefix != place.name.prefix() {
        command.push_str(&format!(" --etcd-prefix {}", record.prefix));
    }
    if *port != 2379 {
        command.push_str(&format!(" --etcd-port {port}"));
    }
    if *join_port != ignite_overlay::entrance::PORT && token.is_some() {
        command.push_str(&format!(" --join-port {join_port}"));
    }
    command
}
