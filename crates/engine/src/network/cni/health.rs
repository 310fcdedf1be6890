//! Whether networks would take anyone now, asked before anything is attached.

use ignite_cni::NetworkConfig;
use ignite_cni::runtime::Runtime;

use crate::network::Error;

/// Asks each network once, by the command STATUS, which came with CNI 1.1.0: networks of older
/// versions cannot be asked and cost nothing. A network that says no would fail at ADD, or attach a
/// VM that reaches nobody.
pub(super) fn ensure(runtime: &Runtime, networks: &[NetworkConfig]) -> Result<(), Error> {
    for (index, network) in networks.iter().enumerate() {
        let asked = networks[..index]
            .iter()
            .any(|before| before.name == network.name);
        if !asked {
            runtime.status(network).map_err(|source| Error::NotReady {
                network: network.name.clone(),
                source: Box::new(source),
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A plugin that notes what it is asked, and refuses STATUS.
    const REFUSES: &str = r#"#!/bin/sh
echo "$CNI_COMMAND" >> "${0%/*}/calls"
echo '{"code":50,"msg":"no addresses left"}'
exit 1
"#;

    fn network(name: &str, version: &str) -> NetworkConfig {
        let text = format!(
            r#"{{"name":"{name}","cniVersion":"{version}","plugins":[{{"type":"refuses"}}]}}"#
        );
        NetworkConfig::parse_list(text.as_bytes()).expect("well formed")
    }

    #[test]
    fn only_networks_that_can_be_asked_are() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let plugin = directory.path().join("refuses");
        fs::write(&plugin, REFUSES).expect("written");
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).expect("made a program");
        let runtime = Runtime {
            bin_dirs: vec![directory.path().to_owned()],
            ..Runtime::default()
        };
        ensure(&runtime, &[network("old", "1.0.0")]).expect("nobody is asked");
        assert!(!directory.path().join("calls").exists());

        let networks = [network("old", "0.4.0"), network("new", "1.1.0")];
        let error = ensure(&runtime, &networks).expect_err("refused");
        assert!(matches!(&error, Error::NotReady { network, .. } if network == "new"));
        assert!(error.hint().is_some());
        let calls = fs::read_to_string(directory.path().join("calls")).expect("asked");
        assert_eq!(calls, "STATUS\n");
    }
}
