//! The supervisor's whole life: make, start, attend, take away, write down, release.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use ignite_host::fs::read_bounded;
use ignite_host::process::Watched;
use ignite_host::signal::Signals;
use ignite_host::step::{self, Step};
use ignite_vmm::Nic;
use ignite_wire::supervisor::{Event, Plan, Vmm};

use crate::console::Log;
use crate::control::Control;
use crate::end::{Outcome, outcome};
use crate::group::Group;
use crate::holder;
use crate::jail;
use crate::journal;
use crate::link::Link;
use crate::log;
use crate::network::{self, Network};
use crate::notify::Notify;
use crate::options::Options;
use crate::record::Status;
use crate::release;
use crate::start::{Error, Started, Steps, start};
use crate::supervisor::{Parts, Remains, Supervisor};
use crate::viewers::Viewers;

/// Bytes of a plan; a larger file is something else.
const MAX_PLAN: u64 = 4 << 20;

/// How long clients may take to read what they were sent before the VM ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// SIGTERM stops the VM; SIGINT and SIGHUP are a terminal's, and none of ours.
const SIGNALS: [i32; 3] = [15, 2, 1];

/// Runs the VM of the plan to its end. An error is of the supervisor's own making, or of the
/// release's; how the VM ended is in its status.
pub fn live(options: &Options) -> Result<(), String> {
    let take = |number: Option<i32>| {
        number
            .map(ignite_host::inherited)
            .transpose()
            .map_err(|error| format!("cannot use an inherited descriptor: {error}"))
    };
    let mut notify = Notify::new(take(options.notify)?);
    let live = take(options.live)?;
    let host_netns = take(options.host_netns)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let plan = read_plan(&options.plan).inspect_err(|message| {
        notify.send(&Event::Failed {
            message: message.clone(),
            hint: None,
            console: Vec::new(),
        });
    })?;
    let mut status = Status::starting(&plan.vm_dir);
    let mut end = run(&plan, live, &mut notify, &mut status);
    // Told first: who is killed in between leaves an end that is told once more, never one that is not.
    journal::died(&plan, &end.outcome);
    if let Err(error) = status.stopped(&end.outcome) {
        log::line(&log::chain(&error));
    }
    step::reached(Step::SuperviseStopped);
    // Clients that wait for the end find it written down.
    end.tell_clients();
    let failed = (!notify.is_over()).then(|| Event::Failed {
        message: end.outcome.message.unwrap_or_default(),
        hint: end.outcome.hint,
        console: end.console,
    });
    if failed.is_some_and(|event| notify.send(&event)) {
        // An engine that hears of a start that failed undoes it, under the lock it holds.
        return Ok(());
    }
    release::run(&plan.release, host_netns)?;
    step::reached(Step::SuperviseReleased);
    Ok(())
}

fn read_plan(path: &Path) -> Result<Plan, String> {
    let bytes = read_bounded(path, MAX_PLAN).map_err(|error| log::chain(&error))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| format!("cannot read the plan {}: {error}", path.display()))
}

/// How a VM ended, and who waits to hear of it.
struct Ended {
    outcome: Outcome,
    console: Vec<String>,
    clients: Option<(Control, Viewers)>,
}

impl Ended {
    fn not_started(error: &Error) -> Self {
        Self {
            outcome: Outcome {
                end: error.end(),
                exit_code: None,
                message: Some(log::chain(error)),
                hint: error.hint(),
            },
            console: Vec::new(),
            clients: None,
        }
    }

    /// Tells those who are attached, and lets everybody go.
    fn tell_clients(&mut self) {
        let Some((mut control, mut viewers)) = self.clients.take() else {
            return;
        };
        for (client, frame) in viewers.take_leave(&self.outcome.farewell()) {
            control.send(client, &frame);
        }
        control.deliver(FAREWELL);
    }
}

fn run(plan: &Plan, live: Option<OwnedFd>, notify: &mut Notify, status: &mut Status) -> Ended {
    let mut steps = Steps::new();
    let made = prepare(plan).and_then(|prepared| {
        step::reached(Step::SuperviseBegun);
        let network = network(plan)
            .map_err(|error| holder::blame(plan, prepared.holder.as_ref(), error.into()))?;
        steps.done("network");
        step::reached(Step::SuperviseJoined);
        Ok((prepared, network))
    });
    let (prepared, (mut network, nics)) = match made {
        Ok(made) => made,
        Err(error) => return Ended::not_started(&error),
    };
    jail::clear(plan);
    let group = Group::make(plan).inspect(|_| step::reached(Step::SuperviseGrouped));
    if let Err(error) = status.begun() {
        log::line(&log::chain(&error));
    }
    steps.done("group");
    let ended = match &group {
        Ok(group) => match start(plan, nics, group, live, steps) {
            Ok(started) => attend(plan, started, prepared, &mut network, group, notify, status),
            Err(error) => Ended::not_started(&error),
        },
        Err(error) => Ended::not_started(error),
    };
    step::reached(Step::SuperviseEnded);
    // What is left of the VMM ends here, before anybody hears that it has.
    if let Ok(group) = group {
        group.remove();
    }
    step::reached(Step::SuperviseUngrouped);
    for error in network.remove() {
        log::line(&log::chain(&error));
    }
    step::reached(Step::SuperviseParted);
    ended
}

/// The guest's network, its taps as the VMM takes them.
fn network(plan: &Plan) -> Result<(Network, Vec<Nic>), network::Error> {
    let (network, nics) = Network::build(&plan.attachments)?;
    match plan.machine.vmm {
        Vmm::QemuTcg | Vmm::QemuKvm => Ok((network, nics)),
        Vmm::Firecracker => {
            let user = plan.confinement.as_ref().map(|confined| confined.user);
            network.hand_over(nics, user)
        }
    }
}

/// What is there before the first change to the sandbox.
struct Prepared {
    signals: Signals,
    control: Control,
    console: Log,
    holder: Option<Watched>,
}

fn prepare(plan: &Plan) -> Result<Prepared, Error> {
    let system = |action| move |source| Error::System { action, source };
    Ok(Prepared {
        signals: Signals::block(&SIGNALS).map_err(|error| Error::System {
            action: "listen to signals",
            source: error.source,
        })?,
        control: Control::open(&plan.run_dir).map_err(system("make the control socket"))?,
        console: Log::open(&plan.vm_dir.join("console.log"), plan.console_limit)
            .map_err(system("open the console's log"))?,
        holder: holder::hold(plan)?,
    })
}

/// Tells that the VMM runs, and stays with it until it ended.
fn attend(
    plan: &Plan,
    started: Started,
    prepared: Prepared,
    network: &mut Network,
    group: &Group,
    notify: &mut Notify,
    status: &mut Status,
) -> Ended {
    let Started {
        driver,
        output,
        agent,
        token,
        steps,
    } = started;
    let pid = driver.process().pid();
    step::reached(Step::SuperviseStarted);
    if let Err(error) = status.vmm(&plan.machine, pid) {
        log::line(&log::chain(&error));
    }
    step::reached(Step::SuperviseRecorded);
    notify.send(&Event::Started {
        vmm_pid: pid.try_into().unwrap_or(i32::MAX),
        steps: steps.list,
    });
    let Prepared {
        signals,
        control,
        console,
        holder,
    } = prepared;
    let supervisor = Supervisor::new(Parts {
        plan,
        driver,
        link: Link::new(agent, token),
        vmm_output: output,
        network,
        console: Some(console),
        control,
        holder,
        notify,
        status,
        signals: &signals,
    });
    match supervisor.run() {
        Ok(Remains {
            mut evidence,
            console,
            control,
            viewers,
        }) => {
            evidence.out_of_memory = group.ran_out_of_memory();
            Ended {
                outcome: outcome(&evidence, &plan.name),
                console,
                clients: Some((control, viewers)),
            }
        }
        // The VMM ends with us.
        Err(error) => Ended::not_started(&Error::System {
            action: "wait for the virtual machine monitor",
            source: io::Error::other(error),
        }),
    }
}
