//! The cluster itself: which version, in what state, with which members.

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Error;
use super::transport::Client;
use super::wire::identifier;

/// Versions as `/version` tells them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// Of the member asked.
    #[serde(rename = "etcdserver")]
    pub server: String,
    /// What the whole cluster speaks.
    #[serde(rename = "etcdcluster")]
    pub cluster: String,
}

/// What one endpoint says of itself.
#[derive(Debug)]
pub struct Health {
    /// The endpoint, as given.
    pub endpoint: String,
    /// Whether it is healthy; an error where it could not be asked.
    pub healthy: Result<bool, Error>,
}

/// A member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Its identifier.
    #[serde(rename = "ID", default, deserialize_with = "identifier")]
    pub id: u64,
    /// Its name; empty until it has started.
    #[serde(default)]
    pub name: String,
    /// Where other members reach it.
    #[serde(rename = "peerURLs", default)]
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    #[serde(rename = "clientURLs", default)]
    pub client_urls: Vec<String>,
    /// Whether it only follows, without a vote.
    #[serde(rename = "isLearner", default)]
    pub learner: bool,
}

#[derive(Deserialize)]
struct HealthReply {
    health: Value,
}

#[derive(Deserialize)]
struct MembersReply {
    #[serde(default)]
    members: Vec<Member>,
}

impl Client {
    /// The version of the first endpoint that answers.
    pub async fn version(&self) -> Result<Version, Error> {
        let mut failures = Vec::new();
        for index in self.order() {
            match self.page(self.endpoint(index), "/version").await {
                Ok(version) => return Ok(version),
                Err(error) => failures.push(error),
            }
        }
        Err(Error::of_all(failures))
    }

    /// The state of every endpoint, in the order given.
    pub async fn health(&self) -> Vec<Health> {
        let mut found = Vec::new();
        for (index, endpoint) in self.settings().endpoints.iter().enumerate() {
            let reply = self
                .page::<HealthReply>(self.endpoint(index), "/health")
                .await;
            found.push(Health {
                endpoint: endpoint.clone(),
                // 3.4 writes the boolean as a string.
                healthy: reply.map(|reply| reply.health == "true" || reply.health == true),
            });
        }
        found
    }

    /// The members of the cluster.
    pub async fn members(&self) -> Result<Vec<Member>, Error> {
        let reply: MembersReply = self.call("/v3/cluster/member/list", &json!({})).await?;
        Ok(reply.members)
    }
}
