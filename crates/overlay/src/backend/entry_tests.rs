//! Comparisons as values.

use super::*;

const DEVICE: u32 = 7;
const LEFTOVER: u32 = 8;
const EXTERNAL: u32 = 2;

fn net(text: &str) -> IpNet {
    text.parse().expect("a network")
}

fn ours() -> Ours {
    Ours {
        networks: vec![net("10.5.0.0/16")],
        subnets: vec![net("10.5.9.0/24")],
        devices: vec![DEVICE],
        leftovers: vec![LEFTOVER],
        external: EXTERNAL,
    }
}

fn tunnel(third: u8, mac: u8, host: u8) -> Entry {
    let mac = [2, 0, 0, 0, 0, mac];
    let gateway = [10, 5, third, 0].into();
    let subnet = net(&format!("10.5.{third}.0/24"));
    Entry {
        subnet,
        route: Route {
            onlink: true,
            ..Entry::route(subnet, gateway, Some(DEVICE))
        },
        tunnel: Some(Tunnel {
            neighbour: Neighbour {
                index: DEVICE,
                address: gateway,
                mac,
            },
            forwarding: Forwarding {
                index: DEVICE,
                mac,
                destination: [10, 99, 0, host].into(),
            },
        }),
    }
}

fn direct(third: u8, host: u8) -> Entry {
    let subnet = net(&format!("10.5.{third}.0/24"));
    Entry {
        subnet,
        route: Entry::route(subnet, [10, 99, 0, host].into(), None),
        tunnel: None,
    }
}

fn desired(entries: &[Entry]) -> Desired {
    let entries = entries.iter().cloned();
    entries.map(|entry| (entry.subnet, entry)).collect()
}

/// The kernel once `entries` are set.
fn actual(entries: &[Entry]) -> Actual {
    let tunnels = || entries.iter().filter_map(|entry| entry.tunnel);
    Actual {
        neighbours: tunnels().map(|tunnel| tunnel.neighbour).collect(),
        forwardings: tunnels().map(|tunnel| tunnel.forwarding).collect(),
        routes: (entries.iter())
            .map(|entry| Route {
                index: entry.route.index.or(Some(EXTERNAL)),
                ..entry.route.clone()
            })
            .collect(),
    }
}

fn texts(changes: &[Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_there_is_left_alone() {
    let entries = [tunnel(5, 5, 12), direct(6, 13)];
    let steps = reconcile(&desired(&entries), &actual(&entries), &ours());
    assert_eq!(steps, Steps::default());
}

#[test]
fn what_lacks_is_set_in_order_and_what_is_stale_goes() {
    let mut have = actual(&[tunnel(5, 5, 12), tunnel(7, 7, 17), direct(8, 18)]);
    have.neighbours.remove(0);
    let steps = reconcile(
        &desired(&[tunnel(5, 5, 12), tunnel(6, 6, 13)]),
        &have,
        &ours(),
    );
    let set: Vec<Vec<String>> = (steps.set.iter())
        .map(|(_, changes)| texts(changes))
        .collect();
    assert_eq!(
        set,
        [
            vec!["set the neighbour 10.5.5.0 at 02:00:00:00:00:05"],
            vec![
                "set the neighbour 10.5.6.0 at 02:00:00:00:00:06",
                "forward 02:00:00:00:00:06 to 10.99.0.13",
                "set the route 10.5.6.0/24 via 10.5.6.0",
            ],
        ]
    );
    assert_eq!(
        texts(&steps.delete),
        [
            "delete the route 10.5.7.0/24 via 10.5.7.0",
            "delete the route 10.5.8.0/24 via 10.99.0.18",
            "stop to forward 02:00:00:00:00:07 to 10.99.0.17",
            "delete the neighbour 10.5.7.0 at 02:00:00:00:00:07",
        ]
    );
}

#[test]
fn what_others_set_on_our_device_stays_where_it_leads_elsewhere() {
    let mut have = actual(&[tunnel(7, 7, 17), tunnel(8, 8, 18)]);
    let monitor = Neighbour {
        address: [192, 0, 2, 7].into(),
        ..have.neighbours[0]
    };
    have.neighbours.push(monitor);
    let steps = reconcile(&Desired::new(), &have, &ours());
    assert_eq!(
        texts(&steps.delete),
        [
            "delete the route 10.5.7.0/24 via 10.5.7.0",
            "delete the route 10.5.8.0/24 via 10.5.8.0",
            "stop to forward 02:00:00:00:00:08 to 10.99.0.18",
            "delete the neighbour 10.5.7.0 at 02:00:00:00:00:07",
            "delete the neighbour 10.5.8.0 at 02:00:00:00:00:08",
        ]
    );
}

#[test]
fn routes_of_another_vni_go_and_nothing_else_on_its_device() {
    let mut have = actual(&[tunnel(7, 7, 17)]);
    have.neighbours.clear();
    have.forwardings.clear();
    have.routes[0].index = Some(LEFTOVER);
    let steps = reconcile(&Desired::new(), &have, &ours());
    assert_eq!(
        texts(&steps.delete),
        ["delete the route 10.5.7.0/24 via 10.5.7.0"]
    );
    have.routes[0].onlink = false;
    let steps = reconcile(&Desired::new(), &have, &ours());
    assert_eq!(steps, Steps::default());
}

#[test]
fn a_changed_peer_is_replaced_not_deleted() {
    let want = desired(&[tunnel(5, 6, 12)]);
    let steps = reconcile(&want, &actual(&[tunnel(5, 5, 12)]), &ours());
    assert_eq!(
        texts(&steps.set[0].1),
        [
            "set the neighbour 10.5.5.0 at 02:00:00:00:00:06",
            "forward 02:00:00:00:00:06 to 10.99.0.12"
        ]
    );
    assert_eq!(
        texts(&steps.delete),
        ["stop to forward 02:00:00:00:00:05 to 10.99.0.12"]
    );
    let moved = reconcile(&want, &actual(&[tunnel(5, 6, 13)]), &ours());
    assert_eq!(
        texts(&moved.set[0].1),
        ["forward 02:00:00:00:00:06 to 10.99.0.12"]
    );
    assert!(moved.delete.is_empty());
    let straight = reconcile(
        &desired(&[direct(5, 12)]),
        &actual(&[tunnel(5, 5, 12)]),
        &ours(),
    );
    assert_eq!(
        texts(&straight.set[0].1),
        ["set the route 10.5.5.0/24 via 10.99.0.12"]
    );
    assert_eq!(straight.delete.len(), 2);
}

#[test]
fn what_is_another_s_stays() {
    let stale = actual(&[direct(8, 18)]).routes.remove(0);
    assert!(ours().route(&stale));
    for theirs in [
        Route {
            protocol: Protocol::STATIC,
            ..stale.clone()
        },
        Route {
            protocol: Protocol(186),
            ..stale.clone()
        },
        Route {
            metric: Some(100),
            ..stale.clone()
        },
        Route {
            index: Some(99),
            ..stale.clone()
        },
        Route {
            gateway: None,
            ..stale.clone()
        },
        Route {
            onlink: true,
            ..stale.clone()
        },
        Route {
            scope: Scope::Link,
            ..stale.clone()
        },
        Route {
            destination: net("10.6.8.0/24"),
            ..stale.clone()
        },
        Route {
            destination: net("10.5.8.0/25"),
            ..stale.clone()
        },
        Route {
            destination: net("10.5.9.0/24"),
            ..stale.clone()
        },
        Route {
            destination: net("0.0.0.0/0"),
            ..stale.clone()
        },
    ] {
        assert!(!ours().route(&theirs), "{theirs:?}");
        let actual = Actual {
            routes: vec![theirs],
            ..Actual::default()
        };
        let steps = reconcile(&Desired::new(), &actual, &ours());
        assert_eq!(steps, Steps::default());
    }
}

#[test]
fn an_identical_route_of_another_s_will_do() {
    let mut have = actual(&[direct(5, 12)]);
    have.routes[0].protocol = Protocol::STATIC;
    let steps = reconcile(&desired(&[direct(5, 12)]), &have, &ours());
    assert_eq!(steps, Steps::default());
}

#[test]
fn two_peers_of_one_mac_do_not_take_each_other_along() {
    let (gone, other) = (tunnel(5, 5, 12), tunnel(6, 5, 13));
    assert_eq!(
        texts(&gone.deletions(&desired(&[other]))),
        [
            "delete the route 10.5.5.0/24 via 10.5.5.0",
            "forward 02:00:00:00:00:05 to 10.99.0.13",
            "delete the neighbour 10.5.5.0 at 02:00:00:00:00:05",
        ]
    );
}

#[test]
fn leftovers_of_a_change() {
    let (old, others) = (tunnel(5, 5, 12), Desired::new());
    assert_eq!(texts(&tunnel(5, 5, 13).leftovers(&old, &others)), [""; 0]);
    assert_eq!(
        texts(&tunnel(5, 6, 12).leftovers(&old, &others)),
        ["stop to forward 02:00:00:00:00:05 to 10.99.0.12"]
    );
    assert_eq!(direct(5, 12).leftovers(&old, &others).len(), 2);
    assert!(old.leftovers(&direct(5, 12), &others).is_empty());
}
