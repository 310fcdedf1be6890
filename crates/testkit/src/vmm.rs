//! Which VMM the suite's VMs run in: what is set when it is started holds on every host.

use std::ffi::OsString;

/// What chooses a VMM, and Firecracker's program.
const VARIABLES: [&str; 2] = [CHOICE, FIRECRACKER];

/// Chooses the VMM.
pub const CHOICE: &str = "IGNITE_VMM";

/// Names Firecracker's program.
pub const FIRECRACKER: &str = "IGNITE_FIRECRACKER";

/// Those of the variables that are set, as `env` takes them.
pub(crate) fn variables() -> Vec<OsString> {
    VARIABLES
        .iter()
        .filter_map(|name| Some(assignment(name, std::env::var_os(name)?)))
        .collect()
}

/// A variable as `env` takes it.
pub(crate) fn assignment(name: &str, value: impl Into<OsString>) -> OsString {
    let mut words = OsString::from(name);
    words.push("=");
    words.push(value.into());
    words
}

/// Whether every VM runs in Firecracker.
pub fn is_firecracker() -> bool {
    std::env::var_os(CHOICE).is_some_and(|choice| choice == "firecracker")
}

/// What the processes of the VMM are called, as `pgrep` takes it.
pub fn process() -> &'static str {
    if is_firecracker() {
        "firecracker"
    } else {
        "qemu-system"
    }
}
