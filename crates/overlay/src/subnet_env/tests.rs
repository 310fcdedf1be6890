use super::*;
use proptest::prelude::*;

const V4: &str = "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.55.1/24\n";
const V6: &str = "FLANNEL_IPV6_NETWORK=fd00:5::/48\nFLANNEL_IPV6_SUBNET=fd00:5:0:4::1/64\n";
const REST: &str = "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";

fn half_of<N: Prefix>(networks: &[&str], subnet: &str) -> Option<Half<N>> {
    let parse = |text: &&str| text.parse().ok();
    Some(Half {
        networks: networks.iter().filter_map(parse).collect(),
        subnet: parse(&subnet)?,
    })
}

fn told(text: &str) -> String {
    SubnetEnv::parse(text.as_bytes())
        .expect_err(text)
        .to_string()
}

#[test]
fn the_text_is_that_of_flannel() {
    let mut env = SubnetEnv {
        ipv4: half_of(&["10.5.0.0/16"], "10.5.55.0/24"),
        ipv6: half_of(&["fd00:5::/48"], "fd00:5:0:4::/64"),
        mtu: 1450,
        ip_masq: true,
    };
    assert_eq!(env.to_text(), [V4, V6, REST].concat());
    env.ipv6 = None;
    assert_eq!(env.to_text(), [V4, REST].concat());
    env.ip_masq = false;
    assert!(
        env.to_text()
            .ends_with("\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n")
    );
}

#[test]
fn files_of_others_are_read() {
    let text = "# made by hand\r\nexport FLANNEL_NETWORK=10.5.0.0/16, 192.168.1.0/16,x,10.5.0.0/16\r\n\
                FLANNEL_SUBNET=\"10.5.9.1/24\"\nOTHER=1\nFLANNEL_MTU=9\nFLANNEL_MTU = 8\nFLANNEL_MTU='1472'\nFLANNEL_IPMASQ=false";
    let env = SubnetEnv::parse(text.as_bytes()).expect("lenient");
    let expected = SubnetEnv {
        ipv4: half_of(&["10.5.0.0/16", "192.168.0.0/16"], "10.5.9.0/24"),
        ipv6: None,
        mtu: 1472,
        ip_masq: false,
    };
    assert_eq!(env, expected);
}

#[test]
fn the_previous_subnet_is_that_of_the_gateway() {
    let subnet = |text: &str| SubnetEnv::parse(text.as_bytes()).expect(text).subnet();
    let both = subnet(&[V4, V6, REST].concat()).expect("IPv4 is there");
    assert_eq!(
        crate::lease::key::format(&both),
        "10.5.55.0-24&fd00:5:0:4::-64"
    );
    assert_eq!(
        subnet(&[V4, REST].concat()).expect("IPv4 is there").v6,
        None
    );
    assert_eq!(subnet(&[V6, REST].concat()), None);
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let all = "it is missing FLANNEL_NETWORK, FLANNEL_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ";
    assert_eq!(told(""), all);
    assert_eq!(told("FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=x\n"), all);
    assert_eq!(told(V4), "it is missing FLANNEL_MTU, FLANNEL_IPMASQ");
    assert_eq!(
        told(&[V4, "FLANNEL_MTU=-1\nFLANNEL_IPMASQ=true"].concat()),
        "FLANNEL_MTU is \"-1\", not a number"
    );
    assert_eq!(
        told(&[V4, "FLANNEL_MTU=1\nFLANNEL_IPMASQ=1"].concat()),
        "FLANNEL_IPMASQ is \"1\", not true or false"
    );
    assert!(matches!(SubnetEnv::parse(b"\xff"), Err(EnvError::NotText)));
}

#[test]
fn the_file_is_readable_for_all_and_its_directory_made() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let path = root.path().join("flannel/subnet.env");
    let missing = SubnetEnv::read(&path).expect_err("not there");
    assert!(matches!(&missing, EnvError::File(error) if error.is_not_found()));
    let env = SubnetEnv::parse([V4, V6, REST].concat().as_bytes()).expect("well formed");
    for _ in 0..2 {
        env.write(&path).expect("written");
        assert_eq!(SubnetEnv::read(&path).expect("read"), env);
    }
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o7777;
    assert_eq!(
        (mode(&path), mode(&root.path().join("flannel"))),
        (0o644, 0o755)
    );
    std::fs::write(&path, vec![b'#'; 65 << 10]).expect("written");
    assert!(matches!(SubnetEnv::read(&path), Err(EnvError::File(_))));
}

proptest! {
    #[test]
    fn a_file_is_read_as_it_was_written(
        v4 in proptest::option::of((any::<u32>(), 0u8..=30, 0u8..=30)),
        v6 in proptest::option::of((any::<u128>(), 0u8..=126, 0u8..=126)),
        mtu in any::<u32>(), ip_masq in any::<bool>(),
    ) {
        let env = SubnetEnv {
            ipv4: v4.map(|(number, a, b)| Half {
                networks: vec![Ipv4Net::with(number.into(), a)],
                subnet: Ipv4Net::with(number.into(), b),
            }),
            ipv6: v6.map(|(number, a, b)| Half {
                networks: vec![Ipv6Net::with(number, a)],
                subnet: Ipv6Net::with(number, b),
            }),
            mtu, ip_masq,
        };
        let again = SubnetEnv::parse(env.to_text().as_bytes());
        prop_assert_eq!(again.ok(), (v4.is_some() || v6.is_some()).then_some(env));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = SubnetEnv::parse(&bytes);
    }
}
