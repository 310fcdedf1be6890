//! [`NetworkResult`] into JSON of any version.

use std::fmt::Display;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::{Dns, Interface, IpConfig, NetworkResult, ResultError, Route, Shape};
use crate::json::Object;

pub(super) fn encode(result: &NetworkResult, version: &str) -> Result<Object, ResultError> {
    let shape = Shape::of(version)?;
    let version = if version.is_empty() { "0.1.0" } else { version };
    let mut object = Object::new();
    object.insert("cniVersion".to_owned(), Value::from(version));
    match shape {
        Shape::Families => families(&mut object, result)?,
        Shape::Versioned | Shape::Plain => lists(&mut object, result, shape),
    }
    // Up to 0.4.0 `dns` is always there, be it empty.
    if shape != Shape::Plain || !result.dns.is_empty() {
        object.insert("dns".to_owned(), dns(&result.dns));
    }
    Ok(object)
}

fn families(object: &mut Object, result: &NetworkResult) -> Result<(), ResultError> {
    for (key, v6) in [("ip4", false), ("ip6", true)] {
        let of_family = |address: IpAddr| address.is_ipv6() == v6;
        let Some(ip) = result.ips.iter().find(|ip| of_family(ip.address.addr())) else {
            continue;
        };
        let mut block = Object::new();
        block.insert("ip".to_owned(), text(&ip.address));
        put(
            &mut block,
            "gateway",
            ip.gateway.as_ref().map(|gateway| text(gateway)),
        );
        let routes = result
            .routes
            .iter()
            .filter(|route| of_family(route.dst.addr()));
        let routes: Vec<Value> = routes.map(plain_route).collect();
        put(
            &mut block,
            "routes",
            Some(Value::from(routes)).filter(not_empty),
        );
        object.insert(key.to_owned(), Value::Object(block));
    }
    let some = object.contains_key("ip4") || object.contains_key("ip6");
    if some {
        Ok(())
    } else {
        Err(ResultError::NoAddress)
    }
}

fn lists(object: &mut Object, result: &NetworkResult, shape: Shape) {
    let interfaces = result
        .interfaces
        .iter()
        .map(|interface| self::interface(interface, shape));
    put(
        object,
        "interfaces",
        Some(interfaces.collect()).filter(not_empty),
    );
    let ips = result.ips.iter().map(|ip| self::ip(ip, shape));
    put(object, "ips", Some(ips.collect()).filter(not_empty));
    let routes = result.routes.iter().map(route);
    put(object, "routes", Some(routes.collect()).filter(not_empty));
}

fn interface(interface: &Interface, shape: Shape) -> Value {
    let mut object = Object::new();
    object.insert("name".to_owned(), Value::from(interface.name.clone()));
    put(&mut object, "mac", interface.mac.clone());
    put(&mut object, "sandbox", interface.sandbox.clone());
    if shape == Shape::Plain {
        put(&mut object, "mtu", interface.mtu);
        put(&mut object, "socketPath", interface.socket_path.clone());
        put(&mut object, "pciID", interface.pci_id.clone());
    }
    Value::Object(object)
}

fn ip(ip: &IpConfig, shape: Shape) -> Value {
    let mut object = Object::new();
    if shape == Shape::Versioned {
        let version = if ip.address.addr().is_ipv4() {
            "4"
        } else {
            "6"
        };
        object.insert("version".to_owned(), Value::from(version));
    }
    put(&mut object, "interface", ip.interface);
    object.insert("address".to_owned(), text(&ip.address));
    put(
        &mut object,
        "gateway",
        ip.gateway.as_ref().map(|gateway| text(gateway)),
    );
    Value::Object(object)
}

fn plain_route(route: &Route) -> Value {
    let mut object = Object::new();
    object.insert("dst".to_owned(), text(&route.dst));
    put(
        &mut object,
        "gw",
        route.gw.as_ref().map(|gateway| text(gateway)),
    );
    Value::Object(object)
}

/// A route with all it says; readers of the versions below 1.1.0 ignore what
/// they do not know.
fn route(route: &Route) -> Value {
    let mut value = plain_route(route);
    if let Some(object) = value.as_object_mut() {
        put(object, "mtu", route.mtu);
        put(object, "advmss", route.advmss);
        put(object, "priority", route.priority);
        put(object, "table", route.table);
        put(object, "scope", route.scope);
    }
    value
}

fn dns(dns: &Dns) -> Value {
    let mut object = Object::new();
    for (key, texts) in [
        ("nameservers", &dns.nameservers),
        ("search", &dns.search),
        ("options", &dns.options),
    ] {
        put(&mut object, key, Some(json!(texts)).filter(not_empty));
    }
    put(&mut object, "domain", dns.domain.clone());
    Value::Object(object)
}

fn put(object: &mut Object, key: &str, value: Option<impl Into<Value>>) {
    object.extend(value.map(|value| (key.to_owned(), value.into())));
}

fn not_empty(value: &Value) -> bool {
    value.as_array().is_none_or(|items| !items.is_empty())
}

fn text(value: &dyn Display) -> Value {
    Value::from(value.to_string())
}
