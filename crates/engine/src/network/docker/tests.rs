use super::*;

fn interface() -> InterfaceRecord {
    InterfaceRecord {
        name: INTERFACE.into(),
        mac: ignite_api::Mac::random_local(),
        network: None,
        addresses: Vec::new(),
        allow: Vec::new(),
    }
}

#[test]
fn one_plain_interface_is_all_there_is() {
    assert!(check(&[interface()]).is_ok());
    let fixed = InterfaceRecord {
        addresses: vec!["172.17.0.9".parse().expect("an address")],
        ..interface()
    };
    let named = InterfaceRecord {
        network: Some("lan".into()),
        ..interface()
    };
    let renamed = InterfaceRecord {
        name: "net0".into(),
        ..interface()
    };
    let two = vec![interface(), interface()];
    for (wanted, said) in [
        (vec![fixed], "172.17.0.9"),
        (vec![named], "lan"),
        (vec![renamed], "net0"),
        (two, "more than one"),
    ] {
        let error = check(&wanted).expect_err(said);
        assert!(error.to_string().contains(said), "{error}");
        assert!(
            error
                .hint()
                .expect("a hint")
                .contains("--network-plugin cni")
        );
    }
}

fn endpoint(v6: bool) -> Endpoint {
    Endpoint {
        network: "bridge".into(),
        address: Some("172.17.0.2/16".parse().expect("v4")),
        gateway: Some("172.17.0.1".parse().expect("v4")),
        address6: v6.then(|| "fd00::242:ac11:2/64".parse().expect("v6")),
        gateway6: Some("fd00::1".parse().expect("v6")),
    }
}

#[test]
fn a_family_has_a_route_where_it_has_an_address() {
    let (one, both) = (endpoint(false), endpoint(true));
    assert_eq!(addresses(&one).len(), 1);
    let to = |endpoint| -> Vec<String> {
        let routes = routes(endpoint);
        routes
            .iter()
            .map(|route| {
                format!(
                    "{} {}",
                    route.destination,
                    route.gateway.expect("a gateway")
                )
            })
            .collect()
    };
    assert_eq!(to(&one), ["0.0.0.0/0 172.17.0.1"]);
    assert_eq!(addresses(&both).len(), 2);
    assert_eq!(to(&both), ["0.0.0.0/0 172.17.0.1", "::/0 fd00::1"]);
}
