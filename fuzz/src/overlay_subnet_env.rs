//! `subnet.env`, which may be that of another program, as the agent reads it and as the plugin does.

use std::path::Path;

use ignite_cni_plugins::flannel;
use ignite_overlay::subnet_env::SubnetEnv;

/// What is written again is read as the same, by both.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = flannel::SubnetEnv::parse(text, Path::new("subnet.env"));
    let Ok(env) = SubnetEnv::parse(bytes) else {
        return;
    };
    let written = env.to_text();
    assert_eq!(
        SubnetEnv::parse(written.as_bytes()).expect("its own text"),
        env
    );
    let plugin = flannel::SubnetEnv::parse(&written, Path::new("subnet.env"));
    let plugin = plugin.expect("what the agent writes");
    assert_eq!((plugin.mtu, plugin.ip_masq), (env.mtu, env.ip_masq));
    assert_eq!(plugin.subnet, env.ipv4.map(|half| half.subnet));
    assert_eq!(plugin.ipv6_subnet, env.ipv6.map(|half| half.subnet));
}
