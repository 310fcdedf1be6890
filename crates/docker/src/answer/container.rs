//! Answers about containers.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::value;
use super::{Container, Created, Endpoint, Listed, Malformed};
use crate::request::BRIDGE;

/// The answer to `POST /containers/create`.
pub fn created(bytes: &[u8]) -> Result<Created, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Raw {
        id: String,
        #[serde(default)]
        warnings: Option<Vec<String>>,
    }
    let raw: Raw = serde_json::from_slice(bytes)?;
    Ok(Created {
        id: value::id(raw.id)?,
        warnings: raw
            .warnings
            .iter()
            .flatten()
            .map(|text| value::excerpt(text))
            .collect(),
    })
}

/// The answer to `GET /containers/json`.
pub fn listed(bytes: &[u8]) -> Result<Vec<Listed>, Malformed> {
    let raw: Vec<RawListed> = serde_json::from_slice(bytes)?;
    raw.into_iter().map(RawListed::check).collect()
}

/// The answer to `GET /containers/{id}/json`.
pub fn container(bytes: &[u8]) -> Result<Container, Malformed> {
    serde_json::from_slice::<RawContainer>(bytes)?.check()
}

type Labels = Option<BTreeMap<String, String>>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawListed {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    state: String,
    #[serde(default)]
    labels: Labels,
}

impl RawListed {
    fn check(self) -> Result<Listed, Malformed> {
        let names = self.names.iter().flatten();
        Ok(Listed {
            id: value::id(self.id)?,
            names: names
                .map(|name| value::name(name))
                .collect::<Result<_, _>>()?,
            // A paused one has its process still.
            running: matches!(self.state.as_str(), "running" | "paused"),
            labels: self.labels.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawContainer {
    id: String,
    name: String,
    state: RawState,
    config: RawConfig,
    #[serde(default)]
    network_settings: Option<RawNetwork>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawState {
    running: bool,
    #[serde(default)]
    pid: i32,
    #[serde(default)]
    exit_code: i64,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawConfig {
    #[serde(default)]
    labels: Labels,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawNetwork {
    #[serde(default)]
    networks: Option<BTreeMap<String, RawEndpoint>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawEndpoint {
    gateway: String,
    #[serde(rename = "IPAddress")]
    address: String,
    #[serde(rename = "IPPrefixLen")]
    prefix: u8,
    #[serde(rename = "IPv6Gateway")]
    gateway6: String,
    #[serde(rename = "GlobalIPv6Address")]
    address6: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    prefix6: u8,
}

impl RawContainer {
    fn check(self) -> Result<Container, Malformed> {
        let network = self.network_settings.unwrap_or_default();
        Ok(Container {
            id: value::id(self.id)?,
            name: value::name(&self.name)?,
            running: self.state.running,
            pid: value::pid(self.state.pid)?,
            network: network.endpoint()?,
            labels: self.config.labels.unwrap_or_default(),
            exit_code: self.state.exit_code,
            error: value::excerpt(&self.state.error),
        })
    }
}

impl RawNetwork {
    fn endpoint(self) -> Result<Option<Endpoint>, Malformed> {
        let mut networks = self.networks.unwrap_or_default();
        let bridge = networks.remove_entry(BRIDGE);
        bridge
            .or_else(|| networks.pop_first())
            .map(|(name, raw)| raw.check(&name))
            .transpose()
    }
}

impl RawEndpoint {
    fn check(self, network: &str) -> Result<Endpoint, Malformed> {
        Ok(Endpoint {
            network: value::excerpt(network),
            address: value::net4(&self.address, self.prefix)?,
            gateway: value::address4(&self.gateway)?,
            address6: value::net6(&self.address6, self.prefix6)?,
            gateway6: value::address6(&self.gateway6)?,
        })
    }
}
