//! The process that owns the sandbox where a container does: with it the interfaces go, and the VMM
//! would live on without a network.

use std::io;

use ignite_host::process::Watched;
use ignite_wire::supervisor::Plan;

use crate::start::Error;

/// Holds the plan's holder, so that its end is seen from now on; fails if it has ended already.
pub fn hold(plan: &Plan) -> Result<Option<Watched>, Error> {
    let Some(holder) = &plan.holder else {
        return Ok(None);
    };
    match Watched::open(holder.pid, holder.start_time) {
        Ok(Some(watched)) => Ok(Some(watched)),
        Ok(None) => Err(ended(plan)),
        Err(error) => Err(Error::System {
            action: "watch the container that owns the network",
            source: io::Error::other(error),
        }),
    }
}

/// Why a step failed: if the holder has ended meanwhile, that is the reason.
pub fn blame(plan: &Plan, holder: Option<&Watched>, error: Error) -> Error {
    match holder.is_some_and(Watched::has_ended) {
        true => ended(plan),
        false => error,
    }
}

/// What is said of a holder that ended.
pub fn message(container: &str) -> String {
    format!(
        "its network is gone: the Docker container {container}, which held it, has ended \
         (Docker was restarted, or the container stopped or removed)"
    )
}

/// What is to be done then.
pub fn hint(vm: &str) -> String {
    format!("start it again with: ignite start {vm}")
}

fn ended(plan: &Plan) -> Error {
    let holder = plan.holder.as_ref();
    Error::HolderEnded {
        container: holder.map_or_else(String::new, |holder| holder.container.clone()),
        vm: plan.name.clone(),
    }
}
