//! The backend of a configuration and its options.

use std::fmt;

use serde_json::Value;

use super::ConfigError;
use crate::json::{Fields, Object, quoted};
use crate::lease::data::wireguard_key;

/// Seconds between the keep-alive messages of a wireguard backend whose configuration does not say.
/// Flannel's default is none, with which a node behind address translation can soon not be reached any
/// more. Each node sends its own, so that both kinds get on in one network.
pub const KEEPALIVE: u16 = 25;

const UDP_PORT: u16 = 8285;
const VNI: u32 = 1;
const WIREGUARD_PORT: u16 = 51820;
const WIREGUARD_PORT_V6: u16 = 51821;

/// Identifiers of vxlan have 24 bits.
const MAX_VNI: u64 = (1 << 24) - 1;
const PORTS: std::ops::RangeInclusive<u64> = 1..=65535;
/// From what every host of IPv4 takes (RFC 791) to the length of an IP packet.
const MTUS: std::ops::RangeInclusive<u64> = 576..=65535;

/// How packets get to the other nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// Through this program, each in a UDP datagram.
    Udp {
        /// The port of all nodes.
        port: u16,
    },
    /// Through the kernel's vxlan device.
    Vxlan {
        /// Network identifier; the device's name has it.
        vni: u32,
        /// UDP port; the kernel's default (8472) if none.
        port: Option<u16>,
        /// Group based policy.
        gbp: bool,
        /// The device learns from packets.
        learning: bool,
        /// Nodes on the same network segment are reached by a plain route.
        direct_routing: bool,
        /// MTU of the interface below, in place of its own.
        mtu: Option<u32>,
    },
    /// By plain routes; all nodes are on the same network segment.
    HostGw,
    /// Not at all: nodes only have their subnets.
    Alloc,
    /// Through WireGuard.
    Wireguard {
        /// A key besides those of the nodes, the same for all.
        psk: Option<PresharedKey>,
        /// UDP port; in mode `separate` that of the IPv4 device.
        listen_port: u16,
        /// UDP port of the IPv6 device.
        listen_port_v6: u16,
        /// Seconds between keep-alive messages; 0 for none.
        keepalive: u16,
        /// Which devices there are.
        mode: Mode,
        /// MTU of the interface below, in place of its own.
        mtu: Option<u32>,
    },
}

/// Which devices a wireguard backend has, and by which family nodes reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// One for each family.
    #[default]
    Separate,
    /// One, by whichever family fits.
    Auto,
    /// One, by IPv4.
    Ipv4,
    /// One, by IPv6.
    Ipv6,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Separate, Self::Auto, Self::Ipv4, Self::Ipv6];

    fn name(self) -> &'static str {
        match self {
            Self::Separate => "separate",
            Self::Auto => "auto",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// A secret of 32 bytes in base64, which no message shows.
#[derive(Clone, PartialEq, Eq)]
pub struct PresharedKey(String);

impl PresharedKey {
    /// The key of a text.
    pub fn new(text: &str) -> Option<Self> {
        wireguard_key(text).map(|_| Self(text.to_owned()))
    }

    /// The text, which is a secret.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresharedKey(...)")
    }
}

impl Backend {
    /// vxlan with everything as Flannel has it by default.
    pub fn vxlan() -> Self {
        Self::Vxlan {
            vni: VNI,
            port: None,
            gbp: false,
            learning: false,
            direct_routing: false,
            mtu: None,
        }
    }

    /// wireguard as Flannel has it by default, but for [`KEEPALIVE`].
    pub fn wireguard() -> Self {
        Self::Wireguard {
            psk: None,
            listen_port: WIREGUARD_PORT,
            listen_port_v6: WIREGUARD_PORT_V6,
            keepalive: KEEPALIVE,
            mode: Mode::default(),
            mtu: None,
        }
    }

    /// udp with its default port.
    pub fn udp() -> Self {
        Self::Udp { port: UDP_PORT }
    }

    /// The type as configurations have it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Udp { .. } => "udp",
            Self::Vxlan { .. } => "vxlan",
            Self::HostGw => "host-gw",
            Self::Alloc => "alloc",
            Self::Wireguard { .. } => "wireguard",
        }
    }

    /// The type as leases have it; those of `udp` and `alloc` have none.
    pub fn lease_kind(&self) -> Option<&'static str> {
        match self {
            Self::Udp { .. } | Self::Alloc => None,
            other => Some(other.kind()),
        }
    }

    /// Reads the member `Backend` of a configuration; without one it is `udp`.
    pub(super) fn parse(config: &Object) -> Result<Self, ConfigError> {
        // `null` is a backend without a type in Go, not an absent one.
        let named = |(name, _): &(&String, &Value)| name.eq_ignore_ascii_case("Backend");
        let Some((_, backend)) = config.iter().rfind(named) else {
            return Ok(Self::udp());
        };
        let nothing = Object::new();
        let object = match backend {
            Value::Object(object) => object,
            Value::Null => &nothing,
            _ => return Err(not_an_object(backend)),
        };
        let fields = Fields::new(object, "Backend.");
        let kind = fields.text("Type")?.unwrap_or_default();
        match kind.to_ascii_lowercase().as_str() {
            "udp" => Self::parse_udp(&fields),
            "vxlan" => Self::parse_vxlan(&fields),
            "host-gw" => Ok(Self::HostGw),
            "alloc" => Ok(Self::Alloc),
            "wireguard" => Self::parse_wireguard(&fields),
            other => Err(refused(kind, other)),
        }
    }

    fn parse_udp(fields: &Fields<'_>) -> Result<Self, ConfigError> {
        let port = fields.number("Port", PORTS)?.unwrap_or(UDP_PORT);
        Ok(Self::Udp { port })
    }

    fn parse_vxlan(fields: &Fields<'_>) -> Result<Self, ConfigError> {
        Ok(Self::Vxlan {
            vni: fields.number("VNI", 0..=MAX_VNI)?.unwrap_or(VNI),
            port: fields
                .number("Port", 0..=*PORTS.end())?
                .filter(|port| *port != 0),
            gbp: fields.flag("GBP")?.unwrap_or(false),
            learning: fields.flag("Learning")?.unwrap_or(false),
            direct_routing: fields.flag("DirectRouting")?.unwrap_or(false),
            mtu: mtu(fields)?,
        })
    }

    fn parse_wireguard(fields: &Fields<'_>) -> Result<Self, ConfigError> {
        let psk = match fields.text("PSK")? {
            None | Some("") => None,
            Some(text) => Some(PresharedKey::new(text).ok_or_else(|| {
                let reason = "a preshared key is 32 bytes in base64, as `wg genpsk` makes them";
                ConfigError::invalid("Backend.PSK", "(secret)", reason)
            })?),
        };
        let keepalive = fields.number("PersistentKeepaliveInterval", 0..=u64::from(u16::MAX))?;
        Ok(Self::Wireguard {
            psk,
            listen_port: fields
                .number("ListenPort", PORTS)?
                .unwrap_or(WIREGUARD_PORT),
            listen_port_v6: fields
                .number("ListenPortV6", PORTS)?
                .unwrap_or(WIREGUARD_PORT_V6),
            keepalive: keepalive.unwrap_or(KEEPALIVE),
            mode: mode(fields)?,
            mtu: mtu(fields)?,
        })
    }

    /// The member `Backend`: the type, and of the options those that differ from the defaults, or whose
    /// default is another for Flannel's nodes.
    pub(super) fn to_object(&self) -> Object {
        let mut object = Object::new();
        let mut set = |name: &str, value: Value, default: Value| {
            if value != default {
                object.insert(name.to_owned(), value);
            }
        };
        set("Type", self.kind().into(), Value::Null);
        match self {
            Self::Udp { port } => set("Port", (*port).into(), UDP_PORT.into()),
            Self::HostGw | Self::Alloc => {}
            Self::Vxlan {
                vni,
                port,
                gbp,
                learning,
                direct_routing,
                mtu,
            } => {
                set("VNI", (*vni).into(), VNI.into());
                set("Port", (*port).into(), Value::Null);
                set("GBP", (*gbp).into(), false.into());
                set("Learning", (*learning).into(), false.into());
                set("DirectRouting", (*direct_routing).into(), false.into());
                set("MTU", (*mtu).into(), Value::Null);
            }
            Self::Wireguard {
                psk,
                listen_port,
                listen_port_v6,
                keepalive,
                mode,
                mtu,
            } => {
                let psk = psk.as_ref().map(PresharedKey::reveal);
                set("PSK", psk.into(), Value::Null);
                set("ListenPort", (*listen_port).into(), WIREGUARD_PORT.into());
                let default = WIREGUARD_PORT_V6.into();
                set("ListenPortV6", (*listen_port_v6).into(), default);
                set(
                    "PersistentKeepaliveInterval",
                    (*keepalive).into(),
                    Value::Null,
                );
                set("Mode", mode.name().into(), Mode::default().name().into());
                set("MTU", (*mtu).into(), Value::Null);
            }
        }
        object
    }
}

fn mtu(fields: &Fields<'_>) -> Result<Option<u32>, ConfigError> {
    // 0 is Go's for an absent one.
    if fields.number::<u32>("MTU", 0..=0).is_ok() {
        return Ok(None);
    }
    Ok(fields.number("MTU", MTUS)?)
}

fn mode(fields: &Fields<'_>) -> Result<Mode, ConfigError> {
    let Some(text) = fields.text("Mode")? else {
        return Ok(Mode::default());
    };
    let mode = Mode::ALL.into_iter().find(|mode| mode.name() == text);
    mode.ok_or_else(|| {
        let reason = "the modes are separate, auto, ipv4 and ipv6";
        ConfigError::invalid("Backend.Mode", quoted(text), reason)
    })
}

fn not_an_object(backend: &Value) -> ConfigError {
    let kind = crate::json::kind(backend);
    ConfigError::invalid("Backend", kind, "an object with a Type is expected")
}

fn refused(kind: &str, lower: &str) -> ConfigError {
    const UNSUPPORTED: [&str; 4] = ["ipip", "ipsec", "extension", "tencent-vpc"];
    match UNSUPPORTED.into_iter().find(|name| *name == lower) {
        Some(kind) => ConfigError::UnsupportedBackend { kind },
        None => ConfigError::UnknownBackend { kind: quoted(kind) },
    }
}
