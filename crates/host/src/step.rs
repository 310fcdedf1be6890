//! Names for the moments of a VM's life between which a process may be killed.
//!
//! Every act that changes state says here that it is done. A test sets `IGNITE_HALT_AT` to a name, or
//! to `name:n` for the n-th time: the process that gets there stops itself, as by SIGSTOP, so that it
//! can be killed exactly there. Without the variable a step costs one atomic load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// The environment variable that names the step to stop at.
pub const VARIABLE: &str = "IGNITE_HALT_AT";

macro_rules! steps {
    ($($(#[$doc:meta])* $step:ident = $name:literal,)*) => {
        /// One step; the act it is named for has just been done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Step {
            $($(#[$doc])* $step,)*
        }

        impl Step {
            /// All of them, for tests that walk through every one.
            pub const ALL: &[Self] = &[$(Self::$step,)*];

            /// The name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$step => $name,)*
                }
            }
        }
    };
}

steps! {
    /// A raw disk is begun, under a name nobody looks for.
    DiskBegun = "disk.begun",
    /// A piece of the image was copied into it.
    DiskPiece = "disk.piece",
    /// All of its bytes are durable.
    DiskFilled = "disk.filled",
    /// A new VM's directory, under a name nobody looks for, holds its disk.
    CreateDisk = "create.disk",
    /// It holds the record as well.
    CreateStaged = "create.staged",
    /// It has its name: the VM is there.
    CreateRecorded = "create.recorded",

    /// The liveness lock is held, what was left of an earlier life is released.
    StartIdle = "start.idle",
    /// Sandbox and ports are recorded as the VM's.
    StartReserved = "start.reserved",
    /// The sandbox's namespace has its name.
    SandboxMade = "sandbox.made",
    /// It is silent.
    SandboxSilent = "sandbox.silent",
    /// The copy of a directory is made, under a name nobody looks for.
    VolumeCopied = "volume.copied",
    /// That an attachment is about to be made is recorded.
    AttachIntended = "attach.intended",
    /// Docker has made the container that is to own the sandbox.
    HolderCreated = "holder.created",
    /// It runs.
    HolderStarted = "holder.started",
    /// A CNI plugin's ADD has answered.
    AddAnswered = "add.answered",
    /// Its result is in the cache.
    AddCached = "add.cached",
    /// ADD failed; nothing is undone yet.
    AddFailed = "add.failed",
    /// A failed ADD was undone by DEL.
    AddUndone = "add.undone",
    /// The result of ADD is recorded.
    AttachRecorded = "attach.recorded",
    /// MAC, hairpin and the firewall's admission are set.
    AttachFinished = "attach.finished",
    /// The plan for the supervisor is written.
    StartPlanned = "start.planned",
    /// The supervisor runs.
    StartSpawned = "start.spawned",
    /// The caller of a start knows that the guest is ready.
    StartReady = "start.ready",
    /// A start that failed is recorded as such.
    StartFailed = "start.failed",

    /// The supervisor has its plan, its control socket and the console's log.
    SuperviseBegun = "supervise.begun",
    /// The control group for the VMM is there.
    SuperviseGrouped = "supervise.grouped",
    /// The guest's tap is joined to the sandbox's interface.
    SuperviseJoined = "supervise.joined",
    /// The VMM's process is there, in its control groups; its program does not run yet, and nothing ends
    /// it with its parent. Before that the same holds for each server of its directories.
    SuperviseCloned = "supervise.cloned",
    /// The VMM runs.
    SuperviseStarted = "supervise.started",
    /// Its process is recorded, and that the VM starts.
    SuperviseRecorded = "supervise.recorded",
    /// The guest has the files it was to get, and their archive is gone.
    SuperviseGiven = "supervise.given",
    /// That the guest is ready is recorded.
    SuperviseReady = "supervise.ready",
    /// The VMM has ended.
    SuperviseEnded = "supervise.ended",
    /// Its control group is gone.
    SuperviseUngrouped = "supervise.ungrouped",
    /// Tap and joint are taken away.
    SuperviseParted = "supervise.parted",
    /// How the VM ended is recorded.
    SuperviseStopped = "supervise.stopped",
    /// The release ran.
    SuperviseReleased = "supervise.released",

    /// That a VM that runs is about to be changed is recorded.
    UpdateIntended = "update.intended",
    /// It has answered; what it did is not recorded.
    UpdateAnswered = "update.answered",

    /// That a supervisor vanished is recorded.
    RepairRecorded = "repair.recorded",

    /// That an attachment is about to be released is recorded.
    ReleaseIntended = "release.intended",
    /// A CNI plugin's DEL has answered.
    DelAnswered = "del.answered",
    /// The result of ADD is gone from the cache.
    DelForgotten = "del.forgotten",
    /// Docker has removed the container that owned the sandbox.
    HolderRemoved = "holder.removed",
    /// What outlived DEL is removed.
    ReleaseSwept = "release.swept",
    /// The record has no attachment any more.
    ReleaseCleared = "release.cleared",
    /// The sandbox has no name any more.
    ReleaseUnnamed = "release.unnamed",
    /// The record is clear.
    ReleaseDone = "release.done",

    /// The runtime directory of a VM is removed.
    RemoveRun = "remove.run",
    /// The VM's directory has a name nobody looks for.
    RemoveRenamed = "remove.renamed",
    /// It is gone.
    RemoveDone = "remove.done",
}

/// Says that a step is done; stops the process if a test asked for that.
pub fn reached(step: Step) {
    if halts(step) {
        // A process can always signal itself.
        let _ = kill_process(getpid(), Signal::STOP);
    }
}

/// Whether a test asked that this step be the last for now: to be asked on behalf of a child that has
/// no more than system calls, and stops itself.
pub(crate) fn halts(step: Step) -> bool {
    static HALT: OnceLock<Option<Halt>> = OnceLock::new();
    tracing::trace!(step = step.name());
    let halt = HALT.get_or_init(|| Halt::parse(&std::env::var(VARIABLE).ok()?));
    halt.as_ref().is_some_and(|halt| halt.is_at(step))
}

/// Where to stop.
#[derive(Debug)]
struct Halt {
    step: Step,
    /// Times it is passed before.
    left: AtomicU32,
}

impl Halt {
    fn parse(text: &str) -> Option<Self> {
        let (name, time) = text.split_once(':').unwrap_or((text, "1"));
        let step = *Step::ALL.iter().find(|step| step.name() == name)?;
        let time: u32 = time.parse().ok()?;
        Some(Self {
            step,
            left: AtomicU32::new(time.checked_sub(1)?),
        })
    }

    fn is_at(&self, step: Step) -> bool {
        // Past zero the counter wraps: it halts once.
        step == self.step && self.left.fetch_sub(1, Ordering::Relaxed) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        for (index, step) in Step::ALL.iter().enumerate() {
            let same = |other: &Step| other.name() == step.name();
            assert_eq!(Step::ALL.iter().position(same), Some(index));
        }
    }

    #[test]
    fn halts_the_time_asked_for_and_never_again() {
        let halt = Halt::parse("add.answered:2").expect("a step");
        let times: Vec<bool> = (0..4).map(|_| halt.is_at(Step::AddAnswered)).collect();
        assert_eq!(times, [false, true, false, false]);
        assert!(!halt.is_at(Step::AddCached));
        assert!(
            Halt::parse("add.cached")
                .expect("a step")
                .is_at(Step::AddCached)
        );
    }

    #[test]
    fn anything_else_halts_nowhere() {
        for text in ["", "nowhere", "add.cached:0", "add.cached:x"] {
            assert!(Halt::parse(text).is_none(), "{text:?}");
        }
    }
}
