//! What the supervisor knows first of what happens to its VM: that it is ready, and that it ended.

use ignite_store::Vms;
use ignite_store::journal::{Happening, Journal};
use ignite_wire::supervisor::Plan;

use crate::end::Outcome;
use crate::log;

/// The guest is ready.
pub fn ready(plan: &Plan) {
    write(plan, happening(plan, "ready"));
}

/// The VM ended like this.
pub fn died(plan: &Plan, outcome: &Outcome) {
    let code = outcome.exit_code.unwrap_or_else(|| outcome.end.code());
    let end = serde_json::to_value(outcome.end).unwrap_or_default();
    let happening = happening(plan, "die").map(|happening| {
        happening
            .with("exitCode", code)
            .with("end", end.as_str().unwrap_or_default())
    });
    write(plan, happening);
}

/// None where the plan names no VM of a store's.
fn happening(plan: &Plan, event: &str) -> Option<Happening> {
    // It may have been renamed since it was started.
    let name = Vms::name_in(&plan.vm_dir).ok().flatten();
    let name = name.or_else(|| plan.name.parse().ok())?;
    Some(Happening::now(event, plan.uid.parse().ok()?, name))
}

fn write(plan: &Plan, happening: Option<Happening>) {
    let journal = Journal::of_vm(&plan.vm_dir);
    if let Some((journal, happening)) = journal.zip(happening)
        && let Err(error) = journal.append(&happening)
    {
        log::line(&log::chain(&error));
    }
}
