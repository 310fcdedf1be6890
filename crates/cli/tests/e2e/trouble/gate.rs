//! CNI plugins that wait where a test wants them to.
//!
//! ```text
//!  /opt/cni/bin/bridge --> [gate before] --> /usr/lib/cni/bridge --> [gate after] --> its result
//! ```
//! The real plugin does the work; a gate is a fifo that a child of the wrapper reads, so it goes on
//! even where the wrapper was killed with who called it.

use anyhow::{Result, ensure};
use ignite_testkit::{Host, wait_until};

use crate::support::SOON;

const WRAPPER: &str = r#"#!/bin/sh
gate() {
    gate=/run/gates/${0##*/}-$CNI_COMMAND-$1
    # One call alone stops at a gate: the first.
    mv "$gate" "$gate.reached" 2>/dev/null || return 0
    cat "$gate.reached" >/dev/null
}
result=$(mktemp /run/gates/result.XXXXXX)
(gate before; exec "/usr/lib/cni/${0##*/}" >"$result")
status=$?
(gate after)
cat "$result"
exit $status
"#;

/// Puts the wrapper before each plugin of the default network.
pub fn install(host: &Host) -> Result<()> {
    host.sh("mount -t tmpfs tmpfs /opt; mkdir -p /run/gates")
        .ok()?;
    for plugin in ["bridge", "portmap", "firewall"] {
        host.write(&format!("/opt/cni/bin/{plugin}"), WRAPPER)?;
    }
    host.sh("chmod +x /opt/cni/bin/*").ok().map(drop)
}

/// A closed gate: `bridge-ADD-before`.
pub struct Gate<'h> {
    host: &'h Host,
    path: String,
}

impl<'h> Gate<'h> {
    /// Closes it for the next who comes by.
    pub fn close(host: &'h Host, name: &str) -> Result<Self> {
        let path = format!("/run/gates/{name}");
        host.sh(&format!("rm -f {path}.reached; mkfifo {path}"))
            .ok()?;
        Ok(Self { host, path })
    }

    /// Waits until somebody stands before it.
    pub fn reached(&self) -> Result<()> {
        wait_until("a plugin at its gate", SOON, || {
            let reached = self.host.has(&format!("{}.reached", self.path))?;
            ensure!(reached, "nobody is at {}", self.path);
            Ok(())
        })
    }

    /// Opens it.
    pub fn open(self) -> Result<()> {
        let script = format!("echo > {}.reached", self.path);
        self.host.sh(&script).ok().map(drop)
    }
}

/// Waits until `count` processes wait for a lock.
pub fn waiting(host: &Host, count: usize) -> Result<()> {
    // flock is system call 73 of x86-64 and 32 of arm64.
    let script = "grep -lE '^(73|32) ' /proc/[0-9]*/task/*/syscall 2>/dev/null | wc -l";
    wait_until("commands to wait for a lock", SOON, || {
        let waiting: usize = host.sh(script).ok()?.parse()?;
        ensure!(waiting >= count, "{waiting} wait for a lock");
        Ok(())
    })
}
