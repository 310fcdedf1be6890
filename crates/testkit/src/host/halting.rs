//! CNI plugins that can be stopped before and after their work.

use anyhow::Result;

use super::Host;

const WRAPPER: &str = include_str!("halting.sh");

/// Stops the plugin at a place; `plugin.ADD.bridge.before`, say.
pub const HALT_AT: &str = "IGNITE_HALT_AT";

/// Makes it fail there.
pub const FAIL_AT: &str = "IGNITE_FAIL_AT";

impl Host {
    /// Puts a wrapper before each of these CNI plugins, which does what
    /// [`HALT_AT`] and [`FAIL_AT`] in its environment say.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn wrap_plugins(&self, names: &[&str]) -> Result<()> {
        // The directory is the machine's, what is mounted over it this host's.
        self.sh("mount -t tmpfs tmpfs /opt").ok()?;
        for name in names {
            self.write(&format!("/opt/cni/bin/{name}"), WRAPPER)?;
        }
        self.sh("chmod +x /opt/cni/bin/*").ok().map(drop)
    }
}
