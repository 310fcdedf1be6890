//! The moments a process is killed in: an operation that is brought to a step.

use anyhow::{Result, ensure};
use ignite_testkit::host::halting::{FAIL_AT, HALT_AT};
use ignite_testkit::{Host, Invocation, Running, place, wait_until};
use rustix::process::Signal;

use super::after::Fate;
use super::{Scene, steps};
use crate::support::{SMALL, SOON};

/// What is going on when a process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    /// `create` of a VM with a raw disk; there is no Firecracker to run it.
    CreateRaw,
    Start,
    /// `run` of a VM that is given files.
    RunFiles,
    /// A start one of whose plugins fails.
    StartRefused,
    /// A start whose VMM ends at once.
    StartLost,
    /// `start` of a VM whose supervisor was killed.
    Repair,
    /// `start` of a VM whose earlier start was killed between two plugins.
    TakeUp,
    /// `stop`; it is the supervisor and its release that get to the step.
    Stop,
    /// The guest's own end, of a VM that is removed then.
    PowerOff,
    Remove,
    /// Other rates for a VM that runs.
    Update,
}

/// An operation that is under way.
pub struct UnderWay {
    pub command: Running,
    /// The VM; none where it is just being created.
    pub uid: Option<String>,
}

impl Operation {
    pub const ALL: [Self; 12] = [
        Self::Start,
        Self::RunFiles,
        Self::Stop,
        Self::Repair,
        Self::StartRefused,
        Self::TakeUp,
        Self::PowerOff,
        Self::StartLost,
        Self::Create,
        Self::CreateRaw,
        Self::Remove,
        Self::Update,
    ];

    /// The steps it is brought to.
    pub fn steps(self) -> Vec<&'static str> {
        match self {
            Self::Create => vec!["create.disk", "create.staged", "create.recorded"],
            Self::CreateRaw => vec![
                "disk.begun",
                "disk.filled",
                "create.disk",
                "create.staged",
                "create.recorded",
            ],
            Self::Start => START.to_vec(),
            Self::RunFiles => [CREATED, UNGIVEN, GIVEN].concat(),
            Self::StartRefused => vec![
                "add.failed",
                "plugin.DEL.firewall.before",
                "plugin.DEL.portmap.after",
                "plugin.DEL.bridge.before",
                "plugin.DEL.host-local.after",
                "plugin.DEL.bridge.after",
                "add.undone",
                "start.failed",
                "release.unnamed",
                "release.done",
            ],
            Self::StartLost => vec!["supervise.ended", "start.failed", "release.intended"],
            Self::Repair => [&["repair.recorded"], RELEASE].concat(),
            Self::TakeUp => vec![
                "release.intended",
                "plugin.DEL.bridge.after",
                "del.forgotten",
                "release.swept",
                "release.cleared",
                "release.done",
            ],
            Self::Stop => [ENDING, RELEASE].concat(),
            Self::PowerOff => vec![
                "supervise.stopped",
                "del.answered:2",
                "release.done",
                "remove.run",
                "remove.renamed",
                "remove.done",
            ],
            Self::Remove => vec!["remove.run", "remove.renamed", "remove.done"],
            Self::Update => vec!["update.intended", "update.answered"],
        }
    }

    /// What becomes of the VM, whichever process is killed.
    pub fn fate(self) -> Fate {
        match self {
            Self::PowerOff | Self::Remove => Fate::MayBeGone,
            Self::StartLost | Self::CreateRaw => Fate::NeverRuns,
            _ => Fate::Lives,
        }
    }

    /// Begins it; a process that gets to `step` stops.
    pub fn begin(self, scene: &Scene, step: &str) -> Result<UnderWay> {
        let host = &scene.host;
        let halting = |command: Invocation| command.env(HALT_AT, step);
        if matches!(self, Self::Create | Self::CreateRaw) {
            let command = halting(scene.creation(self.options())?).start()?;
            return Ok(UnderWay { command, uid: None });
        }
        if self == Self::RunFiles {
            let image = place::image("busy")?;
            let words = ["run", "--memory", SMALL, "-f", GIFT, &image];
            let command = halting(host.ignite(words)).start()?;
            return Ok(UnderWay { command, uid: None });
        }
        let uid = scene.creation(self.options())?.ok()?;
        let begun = match self {
            Self::Create | Self::CreateRaw | Self::Start | Self::RunFiles | Self::StartLost => {
                halting(host.ignite(["start", &uid]))
            }
            Self::StartRefused => {
                halting(host.ignite(["start", &uid])).env(FAIL_AT, "plugin.ADD.firewall.after")
            }
            Self::Repair => {
                host.ignite(["start", &uid]).ok()?;
                kill_supervisor(host)?;
                halting(host.ignite(["start", &uid]))
            }
            Self::TakeUp => {
                let cut_off = host.ignite(["start", &uid]).env(HALT_AT, "add.answered:2");
                let cut_off = cut_off.start()?;
                let stopped = steps::halted(host, "add.answered:2")?;
                stopped.iter().for_each(|p| p.signal(Signal::KILL));
                cut_off.resume();
                cut_off.wait(SOON)?;
                halting(host.ignite(["start", &uid]))
            }
            Self::Stop => {
                halting(host.ignite(["start", &uid])).ok()?;
                host.ignite(["stop", &uid])
            }
            Self::PowerOff => {
                halting(host.ignite(["start", &uid])).ok()?;
                host.ignite(["exec", &uid, "--", "poweroff"])
            }
            Self::Remove => {
                host.ignite(["start", &uid]).ok()?;
                host.ignite(["stop", &uid]).ok()?;
                halting(host.ignite(["rm", &uid]))
            }
            Self::Update => {
                host.ignite(["start", &uid]).ok()?;
                halting(host.ignite(["update", &uid, "--net-rate", "8Mbit"]))
            }
        };
        Ok(UnderWay {
            command: begun.start()?,
            uid: Some(uid),
        })
    }

    /// What a VM is still to be given is kept until its guest has it, and no longer.
    pub fn keeps_gift(self, host: &Host, step: &str) -> Result<()> {
        // While the starter stands still behind its child, that goes on by itself.
        if self != Self::RunFiles || CREATED.contains(&step) || step == SPAWNED {
            return Ok(());
        }
        let kept = has_gift(host)?;
        ensure!(kept == UNGIVEN.contains(&step), "kept: {kept}");
        Ok(())
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Self::PowerOff => &["-p", "8080:80", "--rm"],
            Self::StartLost => &["-p", "8080:80", "--kernel-args", "standin.dies"],
            Self::CreateRaw => &["-p", "8080:80", "--vmm", "firecracker"],
            _ => PORTS,
        }
    }
}

/// Whether a VM is still to get its files.
pub fn has_gift(host: &Host) -> Result<bool> {
    let list = "ls /var/lib/ignite/vm/*/copy-files.tar 2> /dev/null || true";
    Ok(!host.sh(list).ok()?.is_empty())
}

/// Kills the only supervisor of a host, and waits until it is dead.
pub fn kill_supervisor(host: &Host) -> Result<()> {
    wait_until("the supervisor to die", SOON, || {
        let all = host.processes()?;
        let supervisor = all.iter().find(|p| p.name() == "ignite-spawn");
        supervisor.inspect(|process| process.signal(Signal::KILL));
        ensure!(supervisor.is_none(), "it is there");
        Ok(())
    })
}

/// A file of every host's, for a VM to begin with.
const GIFT: &str = "/etc/passwd:/srv/passwd";

/// Of a VM that is just being created.
const CREATED: &[&str] = &["create.disk", "create.staged"];

/// Of a start whose guest has not got its files.
const UNGIVEN: &[&str] = &[
    "create.recorded",
    "start.reserved",
    "attach.recorded",
    "start.planned",
    SPAWNED,
    "supervise.cloned",
    "supervise.recorded",
];

/// Where the supervisor is on its own.
const SPAWNED: &str = "start.spawned";

/// Of one whose guest has.
const GIVEN: &[&str] = &["supervise.given", "supervise.ready", "start.ready"];

const PORTS: &[&str] = &["-p", "8080:80"];

const START: &[&str] = &[
    "start.idle",
    "start.reserved",
    "sandbox.made",
    "sandbox.silent",
    "attach.intended",
    "plugin.ADD.bridge.before",
    "plugin.ADD.host-local.before",
    "plugin.ADD.host-local.after",
    "plugin.ADD.bridge.after",
    "add.answered",
    "plugin.ADD.portmap.before",
    "plugin.ADD.portmap.after",
    "add.answered:2",
    "plugin.ADD.firewall.before",
    "plugin.ADD.firewall.after",
    "add.answered:3",
    "add.cached:3",
    "attach.recorded",
    "attach.finished",
    "start.planned",
    "start.spawned",
    "supervise.begun",
    "supervise.joined",
    "supervise.grouped",
    "supervise.cloned",
    "supervise.started",
    "supervise.recorded",
    "supervise.ready",
    "start.ready",
];

/// Of a VM that was attached, whoever releases it.
const RELEASE: &[&str] = &[
    "release.intended",
    "plugin.DEL.firewall.before",
    "plugin.DEL.firewall.after",
    "del.answered",
    "plugin.DEL.portmap.before",
    "plugin.DEL.portmap.after",
    "del.answered:2",
    "plugin.DEL.bridge.before",
    "plugin.DEL.host-local.before",
    "plugin.DEL.host-local.after",
    "plugin.DEL.bridge.after",
    "del.answered:3",
    "del.forgotten",
    "release.cleared",
    "release.unnamed",
    "release.done",
];

const ENDING: &[&str] = &[
    "supervise.ended",
    "supervise.ungrouped",
    "supervise.parted",
    "supervise.stopped",
    "supervise.released",
];
