//! JSON of any version into [`NetworkResult`].

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::validate::{MAX_ENTRIES, MAX_ROUTES};
use super::{Dns, Interface, IpConfig, NetworkResult, ResultError, Route, Shape};
use crate::json::{Object, kind, member};
use crate::version;

pub(super) fn decode(object: &Object) -> Result<NetworkResult, ResultError> {
    let version = version::of(object).ok_or_else(|| {
        let found = object.get("cniVersion").unwrap_or(&Value::Null);
        wrong_type("cniVersion", "a string", found)
    })?;
    let mut result = match Shape::of(version)? {
        Shape::Families => families(object)?,
        Shape::Versioned | Shape::Plain => NetworkResult {
            interfaces: list(object, "", "interfaces", MAX_ENTRIES, interface)?,
            ips: list(object, "", "ips", MAX_ENTRIES, ip)?,
            routes: list(object, "", "routes", MAX_ROUTES, route)?,
            dns: Dns::default(),
        },
    };
    if let Some(value) = member(object, "dns") {
        result.dns = dns(as_object(value, "dns")?)?;
    }
    Ok(result)
}

/// 0.1.0 and 0.2.0: one block for each family.
fn families(object: &Object) -> Result<NetworkResult, ResultError> {
    let mut result = NetworkResult::default();
    for key in ["ip4", "ip6"] {
        let Some(value) = member(object, key) else {
            continue;
        };
        let block = as_object(value, key)?;
        result.ips.push(IpConfig {
            address: required(block, key, "ip", network)?,
            gateway: optional(block, key, "gateway", address)?,
            interface: None,
        });
        result
            .routes
            .extend(list(block, key, "routes", MAX_ROUTES, route)?);
    }
    Ok(result)
}

fn interface(object: &Object, path: &str) -> Result<Interface, ResultError> {
    Ok(Interface {
        name: optional(object, path, "name", text)?.unwrap_or_default(),
        mac: optional(object, path, "mac", text)?.filter(|text| !text.is_empty()),
        sandbox: optional(object, path, "sandbox", text)?.filter(|text| !text.is_empty()),
        mtu: optional(object, path, "mtu", number)?.filter(|mtu| *mtu != 0),
        socket_path: optional(object, path, "socketPath", text)?.filter(|text| !text.is_empty()),
        pci_id: optional(object, path, "pciID", text)?.filter(|text| !text.is_empty()),
    })
}

fn ip(object: &Object, path: &str) -> Result<IpConfig, ResultError> {
    Ok(IpConfig {
        address: required(object, path, "address", network)?,
        gateway: optional(object, path, "gateway", address)?,
        interface: optional(object, path, "interface", number)?.map(|index| index as usize),
    })
}

fn route(object: &Object, path: &str) -> Result<Route, ResultError> {
    let nonzero = |key| Ok(optional(object, path, key, number)?.filter(|value| *value != 0));
    Ok(Route {
        dst: required(object, path, "dst", network)?,
        gw: optional(object, path, "gw", address)?,
        mtu: nonzero("mtu")?,
        advmss: nonzero("advmss")?,
        priority: nonzero("priority")?,
        table: optional(object, path, "table", number)?,
        scope: optional(object, path, "scope", number)?,
    })
}

fn dns(object: &Object) -> Result<Dns, ResultError> {
    Ok(Dns {
        nameservers: texts(object, "dns", "nameservers")?,
        domain: optional(object, "dns", "domain", text)?.filter(|text| !text.is_empty()),
        search: texts(object, "dns", "search")?,
        options: texts(object, "dns", "options")?,
    })
}

/// Reads one value at a path.
type Read<T> = fn(&Value, &str) -> Result<T, ResultError>;

fn optional<T>(
    object: &Object,
    path: &str,
    key: &str,
    read: Read<Option<T>>,
) -> Result<Option<T>, ResultError> {
    match member(object, key) {
        Some(value) => read(value, &join(path, key)),
        None => Ok(None),
    }
}

fn required<T>(
    object: &Object,
    path: &str,
    key: &str,
    read: Read<Option<T>>,
) -> Result<T, ResultError> {
    optional(object, path, key, read)?.ok_or_else(|| ResultError::Value {
        path: join(path, key),
        value: String::new(),
        problem: "it is missing",
    })
}

fn list<T>(
    object: &Object,
    path: &str,
    key: &'static str,
    limit: usize,
    read: fn(&Object, &str) -> Result<T, ResultError>,
) -> Result<Vec<T>, ResultError> {
    let path = join(path, key);
    let items = items(object, &path, key, limit)?;
    let read = |(index, item): (usize, &Value)| {
        let path = format!("{path}[{index}]");
        read(as_object(item, &path)?, &path)
    };
    items.iter().enumerate().map(read).collect()
}

fn texts(object: &Object, path: &str, key: &'static str) -> Result<Vec<String>, ResultError> {
    let path = join(path, key);
    let read = |item: &Value| match item {
        Value::String(text) => Ok(text.clone()),
        other => Err(wrong_type(&path, "an array of strings", other)),
    };
    items(object, &path, key, MAX_ENTRIES)?
        .iter()
        .map(read)
        .collect()
}

fn items<'a>(
    object: &'a Object,
    path: &str,
    key: &'static str,
    limit: usize,
) -> Result<&'a [Value], ResultError> {
    match member(object, key) {
        None => Ok(&[]),
        Some(Value::Array(items)) if items.len() <= limit => Ok(items),
        Some(Value::Array(items)) => Err(ResultError::TooMany {
            what: key,
            count: items.len(),
            limit,
        }),
        Some(other) => Err(wrong_type(path, "an array", other)),
    }
}

fn text(value: &Value, path: &str) -> Result<Option<String>, ResultError> {
    match value {
        Value::String(text) => Ok(Some(text.clone())),
        other => Err(wrong_type(path, "a string", other)),
    }
}

fn number(value: &Value, path: &str) -> Result<Option<u32>, ResultError> {
    let number = match value {
        Value::Number(number) => number,
        other => return Err(wrong_type(path, "a number", other)),
    };
    match number
        .as_u64()
        .and_then(|number| u32::try_from(number).ok())
    {
        Some(number) => Ok(Some(number)),
        None => Err(fault(
            path,
            &number.to_string(),
            "it is not a whole number from 0 to 4294967295",
        )),
    }
}

fn network(value: &Value, path: &str) -> Result<Option<IpNet>, ResultError> {
    let Some(text) = text(value, path)? else {
        return Ok(None);
    };
    match text.parse() {
        Ok(network) => Ok(Some(network)),
        Err(_) => Err(fault(
            path,
            &text,
            "it is not an address with a prefix length",
        )),
    }
}

/// An address; an empty text is none, as Go writes it.
fn address(value: &Value, path: &str) -> Result<Option<IpAddr>, ResultError> {
    match text(value, path)?.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => match text.parse() {
            Ok(address) => Ok(Some(address)),
            Err(_) => Err(fault(path, text, "it is not an address")),
        },
    }
}

fn as_object<'a>(value: &'a Value, path: &str) -> Result<&'a Object, ResultError> {
    value
        .as_object()
        .ok_or_else(|| wrong_type(path, "an object", value))
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

pub(super) fn wrong_type(path: &str, expected: &'static str, found: &Value) -> ResultError {
    ResultError::Type {
        path: path.to_owned(),
        expected,
        found: kind(found),
    }
}

pub(super) fn fault(path: &str, value: &str, problem: &'static str) -> ResultError {
    let value = crate::json::excerpt(value.as_bytes(), 100);
    ResultError::Value {
        path: path.to_owned(),
        value,
        problem,
    }
}
