//! Capability arguments: typed values a runtime offers, of which each plugin is
//! shown those it declared (`runtimeConfig`).

use std::fmt::Display;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::Object;

/// A transport protocol `portmap` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port of the host that leads to a port of the container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortMapping {
    /// Port on the host.
    pub host_port: u16,
    /// Port in the container.
    pub container_port: u16,
    /// Transport protocol; never left out, plugins differ on what that means.
    pub protocol: Protocol,
    /// The only address of the host that is bound; all when absent.
    #[serde(rename = "hostIP", default, skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<IpAddr>,
}

/// Builds the capability arguments of an attachment. What is not set, or empty,
/// is left out.
#[derive(Debug, Clone, Default)]
pub struct Capabilities(Object);

impl Capabilities {
    /// No capability arguments.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for these addresses, each with or without its prefix length
    /// (host-local takes both, static wants it).
    pub fn ips<T: Display>(self, addresses: &[T]) -> Self {
        let texts: Vec<Value> = addresses
            .iter()
            .map(|ip| Value::from(ip.to_string()))
            .collect();
        self.list("ips", texts)
    }

    /// Asks for this hardware address.
    pub fn mac(mut self, mac: &dyn Display) -> Self {
        self.0
            .insert("mac".to_owned(), Value::from(mac.to_string()));
        self
    }

    /// Asks for these ports to be published.
    pub fn port_mappings(self, mappings: &[PortMapping]) -> Self {
        let values = mappings.iter().map(|mapping| {
            serde_json::to_value(mapping).expect("numbers and short texts are always JSON")
        });
        self.list("portMappings", values.collect())
    }

    /// The value for [`crate::Attachment::capabilities`].
    pub fn build(self) -> Object {
        self.0
    }

    fn list(mut self, key: &str, values: Vec<Value>) -> Self {
        if !values.is_empty() {
            self.0.insert(key.to_owned(), Value::Array(values));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn spelling_is_what_the_convention_says() {
        let mapping = |host_ip| PortMapping {
            host_port: 8080,
            container_port: 80,
            protocol: Protocol::Tcp,
            host_ip,
        };
        let built = Capabilities::new()
            .ips(&["10.61.0.9/16"])
            .mac(&"02:00:00:00:00:01")
            .port_mappings(&[mapping(None), mapping(Some(IpAddr::from([127, 0, 0, 1])))])
            .build();
        let plain = json!({"hostPort": 8080, "containerPort": 80, "protocol": "tcp"});
        let mut bound = plain.clone();
        bound["hostIP"] = json!("127.0.0.1");
        let expected = json!({
            "ips": ["10.61.0.9/16"],
            "mac": "02:00:00:00:00:01",
            "portMappings": [plain, bound],
        });
        assert_eq!(Value::Object(built), expected);
    }

    #[test]
    fn nothing_asked_is_nothing_said() {
        let built = Capabilities::new()
            .ips::<IpAddr>(&[])
            .port_mappings(&[])
            .build();
        assert!(built.is_empty());
    }
}
