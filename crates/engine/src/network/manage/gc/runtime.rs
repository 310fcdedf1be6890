//! Runtime directories of VMs that are gone, with the claim to a user in them.
//!
//! A VM that is removed takes its own away; one whose directory was removed by hand, or with its whole
//! data directory, leaves it until the host boots again. Data directories share the place, so the plan
//! of the last start says whose a directory is. One without a plan holds nothing, and may be of a VM
//! that was never started: it stays.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ignite_api::Uid;
use ignite_host::fs::read_bounded;
use ignite_store::Liveness;
use serde::Deserialize;

use super::{Gc, Kind};
use crate::Error;
use crate::vm::start::PLAN;

/// No plan is longer, in bytes.
const MAX_PLAN: u64 = 4 << 20;

/// Of a plan, whose it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owned {
    /// Durable directory of the VM.
    vm_dir: PathBuf,
}

impl Gc<'_> {
    /// Removes those whose VM has no directory any more.
    pub(super) fn runtime(&mut self) {
        let directory = self.engine.config.paths.run.join("vm");
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            entries => entries,
        };
        let names = entries.and_then(|entries| {
            let names = entries.map(|entry| Ok(entry?.file_name()));
            names.collect::<std::io::Result<Vec<_>>>()
        });
        match names {
            Err(source) => self.unswept(&directory, source),
            Ok(names) => names
                .iter()
                .filter_map(|name| name.to_str()?.parse().ok())
                .for_each(|uid| self.runtime_of(uid)),
        }
    }

    fn runtime_of(&mut self, uid: Uid) {
        let paths = &self.engine.config.paths;
        let directory = paths.vm_run(uid);
        if paths.vm(uid).exists() || !is_forsaken(&directory) {
            return;
        }
        // A supervisor whose VM was taken from under it is at work until it ends.
        let free = match self.is_dry() {
            true => Liveness::is_held(paths, uid).map(|held| (!held).then_some(None)),
            false => Liveness::try_acquire(paths, uid).map(|live| live.map(Some)),
        };
        let _live = match free {
            Ok(Some(live)) => live,
            Ok(None) => return,
            Err(error) => return self.garbage.failures.push(error.into()),
        };
        if !self.is_dry() {
            match std::fs::remove_dir_all(&directory) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return self.unswept(&directory, error);
                }
                _ => {}
            }
        }
        let text = directory.display().to_string();
        self.release(Kind::Runtime, None, uid.as_str(), text);
    }

    fn unswept(&mut self, directory: &Path, source: std::io::Error) {
        self.garbage
            .failures
            .push(Error::prepare(directory)(source));
    }
}

/// Whether the VM a runtime directory is of was there when it was last started, and is no more.
fn is_forsaken(directory: &Path) -> bool {
    let plan = read_bounded(&directory.join(PLAN), MAX_PLAN).ok();
    let owned = plan.and_then(|plan| serde_json::from_slice::<Owned>(&plan).ok());
    let looked = owned.map(|owned| std::fs::symlink_metadata(owned.vm_dir));
    // What cannot be looked at may well be there.
    matches!(looked, Some(Err(error)) if error.kind() == ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::super::Mode;
    use super::*;
    use crate::{Config, Engine};
    use ignite_store::Paths;

    fn engine(root: &Path) -> Engine {
        let paths = Paths::under(root);
        let config = Config {
            paths,
            ..Config::default()
        };
        Engine::reader(config).expect("a reader")
    }

    /// The runtime directory of a VM that has, or had, this durable one.
    fn started(engine: &Engine, vm_dir: &Path) -> PathBuf {
        let directory = engine.config.paths.vm_run(Uid::random());
        std::fs::create_dir_all(&directory).expect("mkdir");
        let plan = serde_json::json!({ "vmDir": vm_dir, "name": "web" });
        std::fs::write(directory.join(PLAN), plan.to_string()).expect("write");
        std::fs::write(directory.join("user"), "2080374785\n").expect("write");
        directory
    }

    fn go(engine: &Engine, mode: Mode) -> Vec<(Kind, String)> {
        let mut gc = Gc::new(engine, mode).expect("begun");
        gc.runtime();
        let garbage = gc.garbage;
        assert!(garbage.failures.is_empty(), "{:?}", garbage.failures);
        let released = garbage.released.into_iter();
        released.map(|one| (one.kind, one.text)).collect()
    }

    #[test]
    fn one_of_a_vm_that_is_gone_is_told_first_and_gone_then() {
        let root = tempfile::tempdir().expect("tempdir");
        let engine = engine(root.path());
        assert_eq!(go(&engine, Mode::Collect), []);
        let left = started(&engine, &root.path().join("elsewhere/vm/x"));
        let told = [(Kind::Runtime, left.display().to_string())];
        assert_eq!(go(&engine, Mode::DryRun), told);
        assert_eq!(go(&engine, Mode::Collect), told);
        assert!(!left.exists());
        assert_eq!(go(&engine, Mode::Collect), []);
    }

    #[test]
    fn one_of_a_vm_that_is_there_stays() {
        let root = tempfile::tempdir().expect("tempdir");
        let engine = engine(root.path());
        let elsewhere = root.path().join("another data directory");
        std::fs::create_dir(&elsewhere).expect("mkdir");
        let anothers = started(&engine, &elsewhere);

        // Moved here since it was started.
        let own = started(&engine, &root.path().join("absent"));
        let name = own.file_name().expect("a uid");
        std::fs::create_dir_all(engine.config.paths.vms().join(name)).expect("mkdir");

        let bare = started(&engine, &root.path().join("absent"));
        std::fs::remove_file(bare.join(PLAN)).expect("removed");

        let running = started(&engine, &root.path().join("absent"));
        let name = running.file_name().and_then(|name| name.to_str());
        let uid = name.expect("a uid").parse().expect("a uid");
        let live = Liveness::try_acquire(&engine.config.paths, uid);
        let live = live.expect("acquired").expect("free");

        assert_eq!(go(&engine, Mode::DryRun), []);
        assert_eq!(go(&engine, Mode::Collect), []);
        for directory in [anothers, own, bare] {
            assert!(directory.exists(), "{}", directory.display());
        }
        drop(live);
        assert_eq!(go(&engine, Mode::Collect).len(), 1);
        assert!(!running.exists());
    }
}
