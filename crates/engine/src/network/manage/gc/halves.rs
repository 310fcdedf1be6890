//! Directories of VMs, images and kernels whose making or removal was cut short: half a disk may be in
//! them.

use std::path::PathBuf;

use super::{Gc, Kind};

impl Gc<'_> {
    /// Removes them, except those somebody is at work on.
    pub(super) fn halves(&mut self) {
        let engine = self.engine;
        let found = match self.is_dry() {
            true => [
                engine.vms.halves(),
                engine.images.halves(),
                engine.kernels.halves(),
            ],
            false => [
                engine.vms.repair(),
                engine.images.repair(),
                engine.kernels.repair(),
            ],
        };
        for found in found {
            match found {
                Ok(paths) => paths.into_iter().for_each(|path| self.half(path)),
                Err(error) => self.garbage.failures.push(error.into()),
            }
        }
    }

    fn half(&mut self, path: PathBuf) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // `.creating-<uid>`, `.removing-<uid>`
        let uid = name.rsplit('-').next().unwrap_or_default();
        self.release(Kind::Unfinished, None, uid, path.display().to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Garbage, Mode};
    use super::*;
    use crate::{Config, Engine};

    #[test]
    fn half_a_vm_is_told_first_and_gone_then() {
        let root = tempfile::tempdir().expect("tempdir");
        let paths = ignite_store::Paths::under(root.path());
        let half = paths.vms().join(".creating-0123456789abcdef");
        std::fs::create_dir_all(&half).expect("mkdir");
        std::fs::write(half.join("disk.img"), "half").expect("write");
        let config = Config {
            paths,
            ..Config::default()
        };
        let engine = Engine::reader(config).expect("a reader");
        let go = |mode| -> Garbage {
            let mut gc = Gc::new(&engine, mode).expect("begun");
            gc.halves();
            gc.garbage
        };
        for mode in [Mode::DryRun, Mode::DryRun, Mode::Collect] {
            let released = go(mode).released;
            let found: Vec<_> = released
                .iter()
                .map(|one| (one.kind, one.container_id.as_str(), one.text.as_str()))
                .collect();
            let text = half.display().to_string();
            let expected = (Kind::Unfinished, "0123456789abcdef", text.as_str());
            assert_eq!(found, [expected], "{mode:?}");
        }
        assert!(!half.exists());
        assert!(go(Mode::Collect).released.is_empty());
    }
}
