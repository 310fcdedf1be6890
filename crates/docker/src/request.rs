//! The container that holds a VM's namespace, as the engine wants it described.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ignite_api::{Mac, PortMapping};
use serde_json::{Map, Value, json};

use crate::ApiVersion;

/// The network every container is on where no other is named.
pub(crate) const BRIDGE: &str = "bridge";
/// Nobody: the program inside needs to be no one in particular.
const USER: &str = "65534:65534";
/// Bytes. The program needs one MiB and the engine takes no less than six, but the runtime that starts it
/// counts for a moment: runc was seen to take 3.5 MiB, and newer ones take more.
const MEMORY: u64 = 16 << 20;
/// Processes and threads: the program is one, the runtime that starts it has some more for a moment.
const PROCESSES: u64 = 32;
/// Seconds, for whoever stops the container by hand.
const STOP: u64 = 2;

/// A container to be made. Its hostname is Docker's to choose: a VM's name may be longer than the kernel
/// takes, and nobody in there asks for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The container's name.
    pub name: String,
    /// The MAC address of its interface.
    pub mac: Mac,
    /// What the engine publishes for it.
    pub ports: Vec<PortMapping>,
    /// Whose it is.
    pub labels: BTreeMap<String, String>,
}

/// The description for `POST /containers/create`.
pub(crate) fn create(image: &str, holder: &Holder, version: ApiVersion) -> Value {
    let mut body = json!({
        "Image": image,
        "User": USER,
        "StopTimeout": STOP,
        "Labels": holder.labels,
        "ExposedPorts": exposed(&holder.ports),
        "HostConfig": host_config(holder),
    });
    let mac = json!(holder.mac.to_string());
    match version >= ApiVersion::MAC_OF_ENDPOINT {
        true => {
            body["NetworkingConfig"] =
                json!({ "EndpointsConfig": { BRIDGE: { "MacAddress": mac } } })
        }
        false => body["MacAddress"] = mac,
    }
    body
}

/// Nothing the program could use, and nothing that starts it again behind our back.
fn host_config(holder: &Holder) -> Value {
    json!({
        "NetworkMode": BRIDGE,
        "PortBindings": bindings(&holder.ports),
        "RestartPolicy": { "Name": "no" },
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": true,
        "PidsLimit": PROCESSES,
        "Memory": MEMORY,
        "LogConfig": { "Type": "none" },
        "Init": false,
    })
}

fn exposed(ports: &[PortMapping]) -> Value {
    let ports = ports.iter().map(|port| (inner(port), json!({})));
    Value::Object(ports.collect())
}

/// A port of the container may be published more than once.
fn bindings(ports: &[PortMapping]) -> Value {
    let mut bindings: Map<String, Value> = Map::new();
    for port in ports {
        let outer = json!({
            "HostIp": port.bind.map_or_else(String::new, |bind: IpAddr| bind.to_string()),
            "HostPort": port.host_port.to_string(),
        });
        let list = bindings.entry(inner(port)).or_insert_with(|| json!([]));
        list.as_array_mut().expect("made as a list").push(outer);
    }
    Value::Object(bindings)
}

fn inner(port: &PortMapping) -> String {
    format!("{}/{}", port.vm_port, port.protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(ports: &[&str]) -> Holder {
        let ports = ports
            .iter()
            .flat_map(|text| PortMapping::parse(text).expect("ports"));
        Holder {
            name: "ignite-0123456789abcdef".into(),
            mac: "02:42:0a:3d:00:02".parse().expect("a MAC"),
            ports: ports.collect(),
            labels: [("ignite.name".to_owned(), "web".to_owned())].into(),
        }
    }

    #[test]
    fn the_whole_description() {
        let body = create(
            "ignite-holder:0123",
            &holder(&["8080:80"]),
            ApiVersion::new(1, 41),
        );
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).expect("JSON"), @r#"
        {
          "Image": "ignite-holder:0123",
          "User": "65534:65534",
          "StopTimeout": 2,
          "Labels": {
            "ignite.name": "web"
          },
          "ExposedPorts": {
            "80/tcp": {}
          },
          "HostConfig": {
            "NetworkMode": "bridge",
            "PortBindings": {
              "80/tcp": [
                {
                  "HostIp": "",
                  "HostPort": "8080"
                }
              ]
            },
            "RestartPolicy": {
              "Name": "no"
            },
            "CapDrop": [
              "ALL"
            ],
            "SecurityOpt": [
              "no-new-privileges"
            ],
            "ReadonlyRootfs": true,
            "PidsLimit": 32,
            "Memory": 16777216,
            "LogConfig": {
              "Type": "none"
            },
            "Init": false
          },
          "MacAddress": "02:42:0a:3d:00:02"
        }
        "#);
    }

    #[test]
    fn since_1_44_the_mac_belongs_to_the_endpoint() {
        let old = create("x", &holder(&[]), ApiVersion::new(1, 43));
        assert_eq!(old["MacAddress"], "02:42:0a:3d:00:02");
        assert!(old.get("NetworkingConfig").is_none());
        let new = create("x", &holder(&[]), ApiVersion::new(1, 44));
        assert!(new.get("MacAddress").is_none());
        let endpoint = &new["NetworkingConfig"]["EndpointsConfig"]["bridge"];
        assert_eq!(endpoint["MacAddress"], "02:42:0a:3d:00:02");
    }

    #[test]
    fn ports_of_both_protocols_on_any_address_more_than_once() {
        let ports = ["8080:80", "127.0.0.1:8081:80", "[::1]:53:53/udp"];
        let body = create("x", &holder(&ports), ApiVersion::OURS);
        let expected = json!({
            "80/tcp": [
                { "HostIp": "", "HostPort": "8080" },
                { "HostIp": "127.0.0.1", "HostPort": "8081" },
            ],
            "53/udp": [{ "HostIp": "::1", "HostPort": "53" }],
        });
        assert_eq!(body["HostConfig"]["PortBindings"], expected);
        assert_eq!(body["ExposedPorts"], json!({ "80/tcp": {}, "53/udp": {} }));
    }
}
