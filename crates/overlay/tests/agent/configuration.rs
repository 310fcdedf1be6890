//! Configurations that cannot be: the agent asks on, and takes the first that can.

use std::time::{Duration, Instant};

use crate::config;
use crate::lab::Lab;

const COMPLAINT: &str = "Couldn't fetch network config";

/// Each is wrong, and not as the one before it.
const WRONG: [&str; 21] = [
    "",
    "[]",
    r#"{"Backend":{"Type":"alloc"}}"#,
    r#"{"Network":"10.5.0.0","Backend":{"Type":"alloc"}}"#,
    r#"{"Network":"10.5.0.0/16","SubnetLen":31}"#,
    r#"{"Network":"10.5.0.0/16","SubnetLen":17}"#,
    r#"{"Network":"10.5.0.0/29"}"#,
    r#"{"Network":"10.5.0.0/16","SubnetMin":"10.4.255.0"}"#,
    r#"{"Network":"10.5.0.0/16","SubnetMax":"10.6.0.0"}"#,
    r#"{"Network":"10.5.0.0/16","SubnetMin":"10.5.1.1"}"#,
    r#"{"Network":"10.5.0.0/16","SubnetMax":"10.5.9.128"}"#,
    r#"{"Network":"10.5.0.0/16","EnableIPv6":true}"#,
    r#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","IPv6SubnetLen":127}"#,
    r#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","IPv6SubnetLen":49}"#,
    r#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/125"}"#,
    r#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","IPv6SubnetMin":"fd00:6::"}"#,
    r#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","IPv6SubnetMax":"fd00:5:0:9::1"}"#,
    r#"{"EnableIPv4":false}"#,
    r#"{"Network":"10.5.0.0/16","Backend":{"Type":"unheard-of"}}"#,
    r#"{"Network":"10.5.0.0/16","Backend":{}}"#,
    r#"{"Network":"10.5.0.0/16","Backend":{"Type":"ipip"}}"#,
];

#[test]
fn the_agent_asks_on_until_the_configuration_can_be() {
    let lab = Lab::without_configuration(1);
    let mut one = lab.agent(1, &[]);
    one.says(COMPLAINT, 1);
    for (number, wrong) in WRONG.into_iter().enumerate() {
        lab.put("config", wrong);
        one.says(COMPLAINT, number + 2);
    }
    assert_eq!(lab.leases(), []);
    assert!(!one.path("subnet.env").exists());

    // On a busy machine a moment may be long: of three times, one is in time.
    let taken = (0..3).map(|round| {
        let begun = Instant::now();
        lab.put("config", &config(r#"{"Type":"alloc"}"#));
        one.says("Found network config - Backend type: alloc", round + 1);
        let taken = begun.elapsed();
        one.subnet_env();
        one.kill("TERM");
        lab.put("config", WRONG[0]);
        let before = one.said(COMPLAINT);
        one.start_again();
        one.says(COMPLAINT, before + 1);
        taken
    });
    let fastest = taken.min().expect("three");
    assert!(fastest < Duration::from_secs(2), "{fastest:?}");
}
