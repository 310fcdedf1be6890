//! The supervisor's last act: the engine's release of this VM, run in the host's network namespace.

use std::os::fd::OwnedFd;
use std::time::Duration;

use ignite_host::netns::Namespace;
use ignite_host::process::{self, Limits, Output, Spec};

/// Time for all CNI plugins of all networks; past it the next command repairs.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(120),
    stdout_bytes: 16 << 10,
    stderr_bytes: 16 << 10,
};

/// Runs the release; what went wrong is returned as text for the log.
pub fn run(command: &[String], host: Option<OwnedFd>) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(());
    };
    let mut spec = Spec::new(program).args(arguments).session().cwd("/");
    if let Some(host) = host {
        spec = spec.netns(&Namespace::from_fd(host));
    }
    match process::run(spec, b"", LIMITS) {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(output) => Err(format!(
            "the release ended with {}{}: {}",
            output.status,
            if output.timed_out {
                " for its time was over"
            } else {
                ""
            },
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Err(crate::log::chain(&error)),
    }
}
