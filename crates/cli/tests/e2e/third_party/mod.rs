//! VMs on networks that others configured: the distribution's plugins, as sites,
//! Kubernetes nodes and LANs use them, without a word from us.

mod kubernetes;
mod lan;
mod ptp;
mod shaped;

use anyhow::Result;
use ignite_testkit::Host;
use serde_json::{Value, json};

/// Writes a network of these plugins.
fn network(host: &Host, file: &str, name: &str, version: &str, plugins: &Value) -> Result<()> {
    let list = json!({ "cniVersion": version, "name": name, "plugins": plugins });
    host.write(&format!("/etc/cni/net.d/{file}"), list.to_string())
}

/// Links, rules, leases and files of networks, as they are once a bare namespace
/// has been attached to each and detached again: what plugins share and keep
/// (bridges, chains) is there from then on.
struct Idle<'h> {
    host: &'h Host,
    state: String,
}

impl<'h> Idle<'h> {
    fn after_use_of(host: &'h Host, networks: &[&str]) -> Result<Self> {
        host.sh("ip netns add once").ok()?;
        for name in networks {
            for verb in ["add", "del"] {
                host.ignite(["cni", verb, name, "/run/netns/once"])
                    .env(
                        "CAP_ARGS",
                        r#"{"portMappings":[{"hostPort":9,"containerPort":9,"protocol":"tcp"}]}"#,
                    )
                    .ok()?;
            }
        }
        host.sh("ip netns del once").ok()?;
        let state = state(host)?;
        Ok(Self { host, state })
    }

    /// Removes these VMs; nothing of them is left.
    fn again_without(&self, uids: &[&str]) -> Result<()> {
        for uid in uids {
            self.host.ignite(["rm", "-f", uid]).ok()?;
        }
        assert_eq!(state(self.host)?, self.state);
        Ok(())
    }
}

fn state(host: &Host) -> Result<String> {
    host.sh(
        "for save in iptables-save ip6tables-save; do $save 2>/dev/null | grep -v '^#' | sed 's/ \\[.*//'; done
         ls /sys/class/net /run/netns
         find /var/lib/cni /run/cni -type f 2>/dev/null | sort
         find /var/lib/ignite/vm -mindepth 1 -maxdepth 1 ! -name index 2>/dev/null || true
         ps -e -o args | grep -E 'qemu-system|firecracker --|ignite-spawn' | grep -v grep || true",
    )
    .ok()
}
