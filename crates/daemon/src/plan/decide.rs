//! The next step with one VM.

use std::time::{Duration, Instant};

use ignite_api::RestartPolicy;
use ignite_engine::keep::{Change, Difference, Kept};
use ignite_engine::{End, State};

use super::obstacle::Obstacle;
use super::{Act, Memory, Order};
use crate::desired::{Fault, Key, Wanted};

/// How long a manifest must be gone before its VM goes too: editors rename files away and write them
/// anew.
pub const ABSENCE: Duration = Duration::from_secs(1);

/// What is done with one VM, what keeps it from being as it should, and when to decide again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// The step.
    pub order: Option<Order>,
    /// What is wrong.
    pub fault: Option<Fault>,
    /// When a pause is over.
    pub wake: Option<Instant>,
}

impl Decision {
    /// A step, unless there is a pause.
    fn step(order: Order, pause: Option<Instant>) -> Self {
        match pause {
            Some(_) => Self {
                wake: pause,
                ..Self::default()
            },
            None => Self {
                order: Some(order),
                ..Self::default()
            },
        }
    }

    fn fault(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }
}

/// A VM that is wanted and not there.
pub fn missing(
    wanted: &Wanted,
    obstacle: Option<&Obstacle>,
    memory: &Memory,
    now: Instant,
) -> Decision {
    let pause = memory.change.pause(now);
    match obstacle {
        None => Decision::step(order(wanted, None, Act::Create), pause),
        Some(Obstacle::Foreign(other)) => {
            let adopt = Order {
                uid: Some(other.uid),
                name: other.name.clone(),
                ..order(wanted, None, Act::Adopt)
            };
            Decision::step(adopt, pause)
        }
        Some(Obstacle::Unreadable(fault) | Obstacle::Name(fault)) => Decision::fault(fault.clone()),
        Some(Obstacle::Leaving) => Decision::default(),
    }
}

/// A VM that is wanted and there.
pub fn existing(
    wanted: &Wanted,
    kept: &Kept,
    difference: Option<&Result<Difference, Fault>>,
    obstacle: Option<&Obstacle>,
    memory: &Memory,
    now: Instant,
) -> Decision {
    if kept.managed.file != wanted.file {
        let note = Order {
            wanted: kept.managed.wanted,
            ..order(wanted, Some(kept), Act::Note)
        };
        return Decision::step(note, None);
    }
    let change = match difference {
        None => Decision::default(),
        Some(Err(fault)) => Decision::fault(fault.clone()),
        Some(Ok(difference)) => change(wanted, kept, difference, obstacle, memory, now),
    };
    if change.order.is_some() {
        return change;
    }
    let restart = matches!(difference, Some(Ok(difference)) if difference.restart);
    let state = run_state(wanted, kept, restart, memory, now);
    Decision {
        order: state.order,
        fault: change.fault,
        wake: change.wake.into_iter().chain(state.wake).min(),
    }
}

/// A VM that is there and in no manifest.
pub fn unclaimed(kept: &Kept, memory: &Memory, now: Instant) -> Decision {
    let gone = memory.absent.map(|since| since + ABSENCE);
    let pause = gone.into_iter().chain(memory.change.pause(now)).max();
    let remove = alone(kept, Act::Remove);
    Decision::step(remove, pause.filter(|pause| *pause > now))
}

/// A VM whose manifest cannot be made out: it goes on as it was last wanted.
pub fn spared(
    kept: &Kept,
    policy: Option<&RestartPolicy>,
    memory: &Memory,
    now: Instant,
) -> Decision {
    let down = kept.managed.wanted && !kept.state.is_live();
    match policy {
        Some(policy) if down && is_restarted(*policy, kept) => {
            Decision::step(alone(kept, Act::Start), memory.run.pause(now))
        }
        _ => Decision::default(),
    }
}

/// A VM without a manifest whose name another one of the source has: no name says which one was meant.
pub fn twin(kept: &Kept) -> Decision {
    let (uid, name) = (kept.uid, &kept.name);
    Decision::fault(
        Fault::new(format!(
            "VM {uid} has the name {name} as another one has, and is left alone"
        ))
        .with_hint(format!("remove it if it is not needed: ignite rm -f {uid}")),
    )
}

/// A step with a VM that has no manifest.
fn alone(kept: &Kept, act: Act) -> Order {
    Order {
        key: Key::Uid(kept.uid),
        act,
        uid: Some(kept.uid),
        name: kept.name.clone(),
        file: kept.managed.file.clone(),
        vm: None,
        defaults: Default::default(),
        wanted: kept.managed.wanted,
    }
}

fn change(
    wanted: &Wanted,
    kept: &Kept,
    difference: &Difference,
    obstacle: Option<&Obstacle>,
    memory: &Memory,
    now: Instant,
) -> Decision {
    let pause = memory.change.pause(now);
    let mut fault = None;
    if !difference.recreate.is_empty() {
        match (wanted.vm.spec.recreate_on_change, obstacle) {
            // One of ours gives its name away when its turn comes.
            (true, None | Some(Obstacle::Leaving)) => {
                return Decision::step(order(wanted, Some(kept), Act::Recreate), pause);
            }
            (true, Some(Obstacle::Name(other) | Obstacle::Unreadable(other))) => {
                fault = Some(other.clone());
            }
            _ => fault = Some(not_in_place(&difference.recreate)),
        }
    }
    let update = if difference.in_place.is_empty() {
        Decision::default()
    } else {
        Decision::step(order(wanted, Some(kept), Act::Update), pause)
    };
    Decision { fault, ..update }
}

/// What keeps a VM from being as its manifest says.
pub fn not_in_place(changes: &[Change]) -> Fault {
    let changes: Vec<String> = changes
        .iter()
        .map(|change| format!("{} from {} to {}", change.path, change.from, change.to))
        .collect();
    Fault::new(format!(
        "only a new VM can change {}",
        changes.join(", and ")
    ))
    .with_hint(
        "allow a new VM with a new disk (`spec.recreateOnChange: true`), or take the change back",
    )
}

/// Whether it runs as it should; `restart` if its run does not have all that is recorded.
fn run_state(
    wanted: &Wanted,
    kept: &Kept,
    restart: bool,
    memory: &Memory,
    now: Instant,
) -> Decision {
    let pause = memory.run.pause(now);
    let step = |act| Decision::step(order(wanted, Some(kept), act), pause);
    let note = || {
        let order = order(wanted, Some(kept), Act::Note);
        Decision::step(order, memory.change.pause(now))
    };
    let policy = wanted.vm.spec.restart_policy.unwrap_or_default();
    match (wanted.runs(), kept.state.is_live()) {
        (true, true) if restart => step(Act::Restart),
        (true, true) if !kept.managed.wanted => note(),
        (true, true) => Decision::default(),
        (true, false) if kept.managed.wanted && !is_restarted(policy, kept) => Decision::default(),
        (true, false) => step(Act::Start),
        (false, true) => step(Act::Stop),
        (false, false) if kept.managed.wanted => note(),
        (false, false) => Decision::default(),
    }
}

/// Whether a VM that should run and has ended is started again.
fn is_restarted(policy: RestartPolicy, kept: &Kept) -> bool {
    let in_order = kept.end == Some(End::PoweredOff) && matches!(kept.exit_code, None | Some(0));
    match policy {
        _ if kept.state == State::Created => true,
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => !in_order,
        RestartPolicy::Never => false,
    }
}

fn order(wanted: &Wanted, kept: Option<&Kept>, act: Act) -> Order {
    let name = match kept {
        Some(kept) => kept.name.clone(),
        None => wanted
            .name()
            .map_or_else(|| wanted.key.to_string(), str::to_owned),
    };
    Order {
        key: wanted.key.clone(),
        act,
        uid: kept.map(|kept| kept.uid).or(wanted.vm.metadata.uid),
        name,
        file: wanted.file.clone(),
        vm: Some(wanted.vm.clone()),
        defaults: wanted.defaults.clone(),
        wanted: wanted.runs(),
    }
}
