//! Network configurations of the plugin `flannel`, and what its delegate gets.

use std::path::Path;
use std::sync::LazyLock;

use ignite_cni_plugins::flannel::{NetConf, SubnetEnv, render};
use serde_json::{Map, Value, json};

static ENV: LazyLock<SubnetEnv> = LazyLock::new(|| {
    let text = "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.17.1/24\n\
                FLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n";
    SubnetEnv::parse(text, Path::new("subnet.env")).expect("well formed")
});

/// The delegate's configuration has the host's subnet, whatever the user's has.
pub fn run(bytes: &[u8]) {
    let Ok(object) = serde_json::from_slice::<Map<String, Value>>(bytes) else {
        return;
    };
    let config = match NetConf::parse(&object) {
        Ok(config) => config,
        Err(error) => return drop(error.to_string()),
    };
    let Ok(delegate) = render(&config, &ENV) else {
        return;
    };
    // A member of this name, sorted to the front, is how serde_json passes numbers to itself.
    if String::from_utf8_lossy(&delegate.config).contains("$serde_json::private::Number") {
        return;
    }
    let rendered: Value = serde_json::from_slice(&delegate.config).expect("JSON");
    assert_eq!(rendered["name"], config.name.as_str());
    assert_eq!(rendered["type"], delegate.plugin.as_str());
    assert_eq!(
        rendered["ipam"]["ranges"],
        json!([[{"subnet": "10.1.17.0/24"}]])
    );
    let routes = rendered["ipam"]["routes"].as_array().expect("a list");
    assert_eq!(routes.last(), Some(&json!({"dst": "10.1.0.0/16"})));
}
