//! The jail of Firecracker's jailer: a directory in the VM's own, so that it goes with it at the latest.
//! The driver makes and removes it.

use std::fs::remove_dir_all;
use std::io::ErrorKind;

use ignite_vmm::Jailer;
use ignite_wire::supervisor::{JAIL, Plan};

use crate::log;

/// The jailer the plan asks for.
pub fn jailer(plan: &Plan) -> Option<Jailer> {
    let confinement = plan.confinement.as_ref()?;
    Some(Jailer {
        program: confinement.jailer.clone()?,
        base: plan.vm_dir.join(JAIL),
    })
}

/// Removes one that was left by a supervisor that was killed: this VM may have no jailer any more.
pub fn clear(plan: &Plan) {
    match remove_dir_all(plan.vm_dir.join(JAIL)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            log::line(&format!("what is left of the VM's jail stays: {error}"));
        }
        _ => {}
    }
}
