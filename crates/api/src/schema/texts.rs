//! Values that are one piece of text: what they look like, as far as a pattern can say it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{
    Address, ApiVersion, BitRate, ByteRate, DetachKeys, Dns, EnvVar, ExtraHost, HostName, IdPrefix,
    InterfaceName, Limit, Mac, NetworkName, NetworkPlugin, Protocol, Reference, RestartPolicy,
    Size, Ssh, Subnet, Uid, VmmChoice,
};

/// A whole number and a unit, in any case but that of bits (`Mb`).
const SIZE: &str = r"[0-9]+\s*([bB]|[bB][yY][tT][eE][sS]?|[kmgtpe][bB]?|[KMGTPE]B?|[kKmMgGtTpPeE][iI][bB]|([kK][iI][lL][oO]|[mM][eE][gG][aA]|[gG][iI][gG][aA]|[tT][eE][rR][aA]|[pP][eE][tT][aA]|[eE][xX][aA])([bB][yY][tT][eE][sS]?)?)?";

/// A speed in bits a second.
const BITS: &str = r"[0-9]+\s*[kKmMgGtT]?([bB][iI][tT])?";

/// `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.
const REFERENCE: &str = r"^((\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha(256|384|512):[0-9a-f]{64,128})?$";

/// The name of a host.
const HOST: &str = "[A-Za-z0-9]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?";

macro_rules! texts {
    ($($type:ty, $name:literal: $schema:expr;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

texts! {
    Uid, "Uid":
        text("16 lower-case letters and digits.", "^[a-z0-9]{16}$", &["0123456789abcdef"]);
    IdPrefix, "IdPrefix":
        text("Up to 32 letters, digits, '-', '_' and '.'.", "^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$", &["ignite"]);
    Size, "Size":
        text("A whole number and a unit; 1GB is 1024MB.", &format!(r"^\s*{SIZE}\s*$"), &["512MB", "2GB"]);
    Limit<BitRate>, "BitRate":
        text("Bits a second and a burst, or none.", &format!(r"^\s*(none|{BITS}\s*(:\s*{SIZE})?)\s*$"), &["10Mbit", "1Gbit:256KB", "none"]);
    Limit<ByteRate>, "ByteRate":
        text("Bytes a second and a burst, or none.", &format!(r"^\s*(none|{SIZE}(/s)?\s*(:\s*{SIZE})?)\s*$"), &["50MB", "50MB:100MB", "none"]);
    Protocol, "Protocol":
        text("tcp or udp.", "^([tT][cC][pP]|[uU][dD][pP])$", &["tcp", "udp"]);
    Mac, "Mac":
        text("The MAC address of one interface.", "^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$", &["02:00:00:00:72:11"]);
    Address, "Address":
        text("An IP address, with its prefix length or without.", "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$", &["10.61.0.50", "10.61.0.50/16"]);
    Subnet, "Subnet":
        text("A range of IP addresses, or one.", "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$", &["10.72.9.0/24"]);
    Dns, "Dns":
        text("The IP address of a DNS server.", "^[0-9A-Fa-f.:]+$", &["9.9.9.9"]);
    HostName, "HostName":
        text("Up to 253 letters, digits, '-', '_' and '.'.", &format!("^{HOST}$"), &["db"]);
    ExtraHost, "ExtraHost":
        text("A host's name and its address, or host-gateway.", &format!(r"^{HOST}[:=](host-gateway|\[?[0-9A-Fa-f.:]+\]?)$"), &["db:10.0.0.7", "db:host-gateway"]);
    EnvVar, "EnvVar":
        text("A variable of the environment.", "^[^=]+=", &["MODE=fast"]);
    NetworkName, "NetworkName":
        text("The name of a CNI network.", "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$", &["ignite-cni-bridge"]);
    InterfaceName, "InterfaceName":
        text("The name of an interface.", "^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$", &["eth0"]);
    Reference, "Reference":
        text("An image in a registry.", REFERENCE, &["nginx:alpine", "registry.example/team/app:1.0"]);
    DetachKeys, "DetachKeys":
        text("Keys that leave a terminal session, or none.", "", &["ctrl-p,ctrl-q", "none"]);
    NetworkPlugin, "NetworkPlugin":
        words("How VMs are connected.", &NetworkPlugin::ALL.map(NetworkPlugin::as_str));
    RestartPolicy, "RestartPolicy":
        words("When a VM that ended is started again.", &RestartPolicy::ALL.map(RestartPolicy::as_str));
    VmmChoice, "VmmChoice":
        words("Which VMM runs a VM.", &VmmChoice::ALL.map(VmmChoice::as_str));
    ApiVersion, "ApiVersion":
        words("Version of the format; v1alpha4 is the newest.", &[
            "ignite.weave.works/v1alpha4",
            "ignite.weave.works/v1alpha3",
            "ignite.weave.works/v1alpha2",
        ]);
    Ssh, "Ssh":
        json_schema!({
            "description": "true for a key pair of the VM's own, or the path of a public key.",
            "anyOf": [
                { "type": "boolean" },
                { "type": "string", "format": "path" },
                { "type": "object", "maxProperties": 0 },
            ],
        });
}

/// Text of this look.
fn text(description: &str, pattern: &str, examples: &[&str]) -> Schema {
    json_schema!({
        "type": "string",
        "description": description,
        "pattern": pattern,
        "examples": examples,
    })
}

/// One of these words.
fn words(description: &str, words: &[&str]) -> Schema {
    json_schema!({ "type": "string", "description": description, "enum": words })
}
