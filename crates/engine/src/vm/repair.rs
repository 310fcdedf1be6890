//! Bringing records and host together after a process died in the middle.
//!
//! A VM lives as long as its liveness lock is held. Whoever finds it free and the record saying
//! otherwise makes the record true: the VM is stopped, its attachments are released.

use std::path::Path;
use std::time::{Duration, Instant};

use ignite_api::Uid;
use ignite_host::netns;
use ignite_host::process::{is_ending, start_time};
use ignite_host::step::{self, Step};
use ignite_store::{Liveness, ProcessRecord, State, StatusRecord, VmLock, VmSummary};
use ignite_wire::supervisor::End;

use super::control::{self, Control};
use super::group::end_group;
use crate::network::{self, docker, plugin::Plugin};
use crate::{Engine, Error};

/// How long a supervisor may take for its last act (its release is ended after two minutes), or a VMM
/// to die after its supervisor.
const LAST_ACT: Duration = Duration::from_secs(150);

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(10);

impl Engine {
    /// The right to work on a VM that does not run, and its liveness lock.
    ///
    /// A supervisor at its last act is waited for: its release needs the VM's lock, which is not held
    /// meanwhile. A VMM whose supervisor vanished is ended first, so that two guests never run on one
    /// disk.
    pub(crate) fn lock_idle(&self, uid: Uid) -> Result<(VmLock, Liveness), Error> {
        self.lock_idle_within(uid, LAST_ACT)
    }

    pub(super) fn lock_idle_within(
        &self,
        uid: Uid,
        limit: Duration,
    ) -> Result<(VmLock, Liveness), Error> {
        let deadline = Instant::now() + limit;
        loop {
            let lock = self.vms.lock(uid)?;
            if let Some(live) = self.take_liveness(uid)? {
                return Ok((lock, live));
            }
            let status = lock.status()?;
            let name = || -> Result<String, Error> { Ok(lock.record()?.name.to_string()) };
            let ending = !status.state.is_live();
            let goes_on = |it: &ProcessRecord| !is_ending(it.pid) && is_alive(it);
            if !ending && status.supervisor.as_ref().is_none_or(goes_on) {
                return Err(Error::Running { name: name()? });
            }
            if Instant::now() > deadline {
                return Err(Error::StillEnding {
                    name: name()?,
                    log: lock.dir().join("spawn.log"),
                });
            }
            if !ending || !self.has_supervisor(uid) {
                end_orphan(&status);
                end_group(uid)?;
            }
            drop(lock);
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether a supervisor may be at work on the VM: as long as it has a VMM it listens. One that does
    /// not take a connection in this moment is there.
    fn has_supervisor(&self, uid: Uid) -> bool {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        match Control::connect(&self.config.paths.vm_run(uid)) {
            Err(control::Error::Connect { source, .. }) => {
                !matches!(source.kind(), ConnectionRefused | NotFound)
            }
            _ => true,
        }
    }

    /// Makes the records of a VM that does not run true: stopped, released.
    pub(crate) fn repair(&self, lock: &VmLock, live: &Liveness) -> Result<(), Error> {
        let mut status = lock.status()?;
        if status.state.is_live() {
            tracing::info!(uid = %lock.uid(), "the VM's supervisor vanished");
            status.state = State::Stopped;
            status.end = Some(End::Lost);
            status.ended = Some(jiff::Timestamp::now());
            status.exit_code = None;
            status.message =
                Some("its supervisor vanished: a crash, or a reboot of the host".into());
            (status.supervisor, status.vmm) = (None, None);
            if let Ok(record) = lock.record() {
                let end = [("end", "lost"), ("exitCode", "255")];
                self.note("die", record.uid, &record.name, &end);
            }
            if let Err(error) = lock.write_status(&status, live) {
                // No room to say so is no reason to keep what the VM holds.
                tracing::warn!(uid = %lock.uid(), %error, "the VM's end is not recorded");
            }
            step::reached(Step::RepairRecorded);
        }
        self.release_locked(lock).map_err(several)
    }

    /// Releases all that a run of a VM holds: what is left of its VMM, and its network. What cannot
    /// be released stays recorded, or is found again by its name. The network of a VMM that cannot be
    /// ended stays its own: nobody else gets an address that it still uses.
    pub(super) fn release_locked(&self, lock: &VmLock) -> Result<(), Vec<Error>> {
        end_group(lock.uid()).map_err(|error| vec![error])?;
        self.release_network(lock)
    }

    fn release_network(&self, lock: &VmLock) -> Result<(), Vec<Error>> {
        let one = |error: Error| vec![error];
        let made = lock.network().map_err(|e| one(e.into()))?;
        if made.is_released() {
            return Ok(());
        }
        let plugin = Plugin::new(made.plugin, &self.config, lock).map_err(|e| one(e.into()))?;
        plugin
            .release(lock)
            .map_err(|errors| errors.into_iter().map(Error::from).collect::<Vec<_>>())?;
        let mut network = lock.network().map_err(|e| one(e.into()))?;
        if let Some(sandbox) = network.sandbox.take() {
            netns::delete(&sandbox).map_err(|e| one(network::Error::Namespace(e).into()))?;
            step::reached(Step::ReleaseUnnamed);
        }
        if let Ok(record) = lock.record() {
            for one in &made.attachments {
                let of = [
                    ("network", one.network.as_str()),
                    ("interface", &one.interface),
                ];
                self.note("detach", record.uid, &record.name, &of);
            }
        }
        lock.write_network(&network).map_err(|e| one(e.into()))?;
        step::reached(Step::ReleaseDone);
        Ok(())
    }

    /// Releases a VM but for its container, which its engine does not remove; `network gc` finds it there.
    pub(super) fn forsake(&self, lock: &VmLock) -> Result<(), Error> {
        docker::forsake(lock)?;
        self.release_locked(lock).map_err(several)
    }

    /// VMs that died without release, but for `own`. One whose VMM outlived its supervisor is among
    /// them, though it holds the liveness lock.
    pub(crate) fn dead_vms(&self, own: Option<Uid>) -> Result<Vec<VmSummary>, Error> {
        let mut dead = Vec::new();
        for vm in self.vms.summary()?.vms {
            if Some(vm.uid) == own {
                continue;
            }
            let held = Liveness::is_held(&self.config.paths, vm.uid)?;
            let status = self.vms.status(vm.uid);
            if held {
                if status.is_ok_and(|status| is_orphaned(&status)) {
                    dead.push(vm);
                }
                continue;
            }
            let recorded = status.is_ok_and(|status| status.state.is_live());
            let unreleased = self
                .vms
                .network(vm.uid)
                .is_ok_and(|network| !network.is_released());
            if recorded || unreleased {
                dead.push(vm);
            }
        }
        Ok(dead)
    }

    /// Repairs a VM that died, unless somebody is at work on it, who repairs it then.
    pub(crate) fn repair_one(&self, uid: Uid) -> Result<(), Error> {
        let Some(lock) = self.vms.try_lock(uid)? else {
            return Ok(());
        };
        match self.take_from_orphan(&lock)? {
            Some(live) => {
                self.repair(&lock, &live)?;
                drop(live);
                self.remove_if_asked(lock)
            }
            None => Ok(()),
        }
    }

    /// The liveness lock of a VM, where nobody but a VMM without a supervisor holds it: that is ended,
    /// under the VM's lock.
    fn take_from_orphan(&self, lock: &VmLock) -> Result<Option<Liveness>, Error> {
        let deadline = Instant::now() + LAST_ACT;
        loop {
            let live = self.take_liveness(lock.uid())?;
            let status = lock.status()?;
            if live.is_some() || !is_orphaned(&status) {
                return Ok(live);
            }
            if Instant::now() > deadline {
                return Err(Error::StillEnding {
                    name: lock.record()?.name.to_string(),
                    log: lock.dir().join("spawn.log"),
                });
            }
            end_orphan(&status);
            end_group(lock.uid())?;
            std::thread::sleep(PAUSE);
        }
    }

    /// The supervisor's last act for its VM: frees address, rules and ports, and the VM itself if that
    /// was asked for. The supervisor still holds the liveness lock meanwhile.
    pub fn release(&self, uid: Uid) -> Result<(), Error> {
        let lock = match self.vms.lock(uid) {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        };
        let status = lock.status()?;
        // Our supervisor could not write down that its VM ended: the disk is full, say.
        let by_us = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
        let ours = status
            .supervisor
            .as_ref()
            .is_some_and(|supervisor| Some(supervisor.pid) == by_us);
        // Started again in the meantime: nothing of it is ours any more.
        if status.state.is_live() && !ours {
            return Ok(());
        }
        self.release_locked(&lock).map_err(several)?;
        self.remove_if_asked(lock)
    }

    /// Removes a VM that ended, if that was asked for when it was created.
    pub(crate) fn remove_if_asked(&self, lock: VmLock) -> Result<(), Error> {
        if lock.record()?.auto_remove && lock.status()?.state == State::Stopped {
            let record = lock.record()?;
            self.note("remove", record.uid, &record.name, &[]);
            lock.remove()?;
        }
        Ok(())
    }

    /// Makes the record of a start that failed or was called off true: the VM is stopped. Its
    /// supervisor has ended, or is at its end without a VMM.
    pub(super) fn record_failed_start(
        &self,
        lock: &VmLock,
        live: &Liveness,
        message: &str,
    ) -> Result<(), Error> {
        let mut status = lock.status()?;
        if !status.state.is_live() {
            return Ok(());
        }
        // One that turned hostile does not die with its supervisor.
        end_orphan(&status);
        end_group(lock.uid())?;
        let deadline = Instant::now() + LAST_ACT;
        while status
            .vmm
            .as_ref()
            .is_some_and(|vmm| is_alive(&vmm.process))
            && Instant::now() < deadline
        {
            std::thread::sleep(PAUSE);
        }
        status.state = State::Stopped;
        status.end = Some(End::Killed);
        status.ended = Some(jiff::Timestamp::now());
        status.message = Some(message.to_owned());
        (status.supervisor, status.vmm) = (None, None);
        Ok(lock.write_status(&status, live)?)
    }

    /// The command line of [`release`](Self::release).
    pub(super) fn release_command(&self, uid: Uid) -> Result<Vec<String>, Error> {
        let own = std::env::current_exe().map_err(Error::spawn(Path::new("ignite")))?;
        Ok(vec![
            own.to_string_lossy().into_owned(),
            "--data-dir".into(),
            self.config.paths.data.to_string_lossy().into_owned(),
            "internal".into(),
            "release".into(),
            uid.to_string(),
        ])
    }
}

/// Several failures as one, the first one's hint kept.
pub(super) fn several(mut errors: Vec<Error>) -> Error {
    match errors.len() {
        1 => errors.remove(0),
        _ => Error::Several(errors),
    }
}

/// Whether a recorded process still is the one it was.
pub(crate) fn is_alive(process: &ProcessRecord) -> bool {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let same_boot = process.boot_id.is_empty() || process.boot_id == boot.trim();
    same_boot && start_time(process.pid) == Some(process.start_time)
}

/// Whether the VM's supervisor vanished without writing down its end.
pub(crate) fn is_orphaned(status: &StatusRecord) -> bool {
    let vanished = status.supervisor.as_ref().is_some_and(|it| !is_alive(it));
    status.state.is_live() && vanished
}

/// Ends a VMM whose supervisor vanished.
fn end_orphan(status: &StatusRecord) {
    if let Some(vmm) = status.vmm.as_ref().filter(|vmm| is_alive(&vmm.process)) {
        tracing::warn!(pid = vmm.process.pid, "ending a VMM without a supervisor");
        kill(&vmm.process);
    }
}

fn kill(process: &ProcessRecord) {
    let Some(pid) = rustix::process::Pid::from_raw(process.pid) else {
        return;
    };
    let Ok(fd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else {
        return;
    };
    // The descriptor is of this process, whatever its number comes to mean.
    if is_alive(process) {
        // Gone in this moment is as good.
        let _ = rustix::process::pidfd_send_signal(fd, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_time() {
        let pid = i32::try_from(std::process::id()).expect("a pid");
        let start_time = start_time(pid).expect("we live");
        let mut process = ProcessRecord {
            pid,
            start_time,
            boot_id: String::new(),
        };
        assert!(is_alive(&process));
        process.start_time += 1;
        assert!(!is_alive(&process));
        process.start_time -= 1;
        process.boot_id = "another".into();
        assert!(!is_alive(&process));
    }
}
