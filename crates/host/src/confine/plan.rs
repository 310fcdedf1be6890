//! What a room shows: a pure value.

use std::path::{Component, Path, PathBuf};

use super::{Error, Libraries, libraries};

/// A mount namespace whose root is a small read-only tmpfs that shows only what is named here.
///
/// No target may lie within another one: nothing is ever created below a directory of the host's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files and directories of the host's.
    pub binds: Vec<Bind>,
    /// Symbolic links.
    pub links: Vec<Link>,
    /// Character devices, below `/dev` on the host and in the room (`/dev/kvm`). They are nodes of
    /// the room's own, which its user may read and write, whatever the modes of the host's are.
    pub devices: Vec<PathBuf>,
    /// Block devices of the host's. Nodes of the room's own as well.
    pub blocks: Vec<Block>,
    /// A place to write.
    pub work: Option<Work>,
    /// Where the processes of the room are shown, and nothing else of a `/proc`. Whoever is started in
    /// such a room gets a PID namespace and mounts the `/proc` of that one: only one may be in it at a
    /// time.
    pub proc: Option<PathBuf>,
}

/// A file or directory of the host's, with all below it on the same file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Its path on the host; symbolic links are followed.
    pub source: PathBuf,
    /// Its path in the room.
    pub target: PathBuf,
    /// What may be done with it.
    pub access: Access,
}

/// A block device of the host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its device number, as an open descriptor of it tells: by then a path may lead elsewhere.
    pub number: u64,
    /// Its path in the room, below `/dev`.
    pub target: PathBuf,
    /// What the room's user may do with it.
    pub access: Access,
}

/// What may be done with a bound file or directory, besides what its modes refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and executed.
    ReadExecute,
    /// Read.
    Read,
    /// Read and written.
    ReadWrite,
}

/// A symbolic link in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its path in the room.
    pub target: PathBuf,
    /// What it holds.
    pub points_to: PathBuf,
}

/// A tmpfs of the room's own that its user alone enters and writes to, bounded. Nothing in it can be
/// executed, and no symbolic link in it is followed (since Linux 5.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Its path in the room.
    pub target: PathBuf,
    /// How many bytes its files may take in all; rounded up to pages.
    pub bytes: u64,
    /// How many files and directories there may be, itself included.
    pub files: u64,
}

impl Plan {
    /// Shows `program` under its own path, with the libraries it needs.
    pub fn program(&mut self, program: &Path) -> Result<(), Error> {
        let Libraries { binds, links } = libraries(program)?;
        let shown = binds.iter().any(|bind| program.starts_with(&bind.target))
            || links.iter().any(|link| program.starts_with(&link.target));
        self.binds.extend(binds);
        self.links.extend(links);
        if !shown {
            self.show(program, Access::ReadExecute);
        }
        Ok(())
    }

    /// Shows `program` as `name` where it needs nothing else, so that it may lie anywhere on the host; else
    /// as [`Plan::program`] does. What it is called in the room.
    pub fn program_as(&mut self, program: &Path, name: &Path) -> Result<PathBuf, Error> {
        let Libraries { binds, links } = libraries(program)?;
        if !binds.is_empty() || !links.is_empty() {
            self.program(program)?;
            return Ok(program.to_owned());
        }
        self.binds.push(Bind {
            source: program.to_owned(),
            target: name.to_owned(),
            access: Access::ReadExecute,
        });
        Ok(name.to_owned())
    }

    /// Shows a file or directory under its own path.
    pub fn show(&mut self, path: &Path, access: Access) {
        self.binds.push(Bind {
            source: path.to_owned(),
            target: path.to_owned(),
            access,
        });
    }

    /// Whether every target is an absolute path in plain form, apart from all others.
    pub fn check(&self) -> Result<(), Error> {
        let targets: Vec<&Path> = self.targets().collect();
        for target in &targets {
            if !is_plain(target) {
                return Err(refused(target, "it is not an absolute path in plain form"));
            }
        }
        let blocks = self.blocks.iter().map(|block| &block.target);
        let mut devices = self.devices.iter().chain(blocks);
        if let Some(device) = devices.find(|path| !is_below_dev(path)) {
            return Err(refused(device, "it is not a path below /dev"));
        }
        for (index, target) in targets.iter().enumerate() {
            let mut others = targets.iter().enumerate();
            if others.any(|(other, path)| other != index && target.starts_with(path)) {
                return Err(refused(target, "it lies within another part of the room"));
            }
        }
        Ok(())
    }

    /// The paths that are taken in the room; `/dev` is one whole, and so is where its processes are.
    fn targets(&self) -> impl Iterator<Item = &Path> {
        let binds = self.binds.iter().map(|bind| bind.target.as_path());
        let links = self.links.iter().map(|link| link.target.as_path());
        let work = self.work.iter().map(|work| work.target.as_path());
        let proc = self.proc.as_deref();
        let devices = self.devices.len() + self.blocks.len();
        let dev = (devices > 0).then_some(Path::new("/dev"));
        binds.chain(links).chain(work).chain(proc).chain(dev)
    }
}

fn refused(target: &Path, problem: &'static str) -> Error {
    Error::Target {
        target: target.to_owned(),
        problem,
    }
}

/// Absolute, not the root itself, with no `.`, `..`, doubled or trailing slash.
fn is_plain(path: &Path) -> bool {
    let mut components = path.components();
    let rebuilt: PathBuf = path.components().collect();
    components.next() == Some(Component::RootDir)
        && components.clone().next().is_some()
        && components.all(|component| matches!(component, Component::Normal(_)))
        && rebuilt.as_os_str() == path.as_os_str()
}

fn is_below_dev(path: &Path) -> bool {
    is_plain(path) && path.starts_with("/dev") && path != Path::new("/dev")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(plan: &Plan) -> String {
        plan.check().expect_err("refused").to_string()
    }

    fn shows(targets: &[&str]) -> Plan {
        let mut plan = Plan::default();
        for target in targets {
            plan.show(Path::new(target), Access::Read);
        }
        plan
    }

    #[test]
    fn targets_are_plain_paths() {
        for target in ["a", "/", "", "/a/../b", "/a/./b", "/a//b", "/a/", "./a"] {
            assert!(
                problem(&shows(&[target])).contains("plain form"),
                "{target}"
            );
        }
        shows(&["/a/b", "/a/c", "/ab"]).check().expect("plain");
    }

    #[test]
    fn nothing_lies_within_another() {
        assert!(problem(&shows(&["/a", "/a/b"])).contains("/a/b in a room: it lies within"));
        assert!(problem(&shows(&["/a", "/a"])).contains("lies within"));
        let mut plan = shows(&["/run/disk"]);
        plan.work = Some(Work {
            target: "/run".into(),
            bytes: 1,
            files: 1,
        });
        assert!(problem(&plan).contains("/run/disk"));
        let mut plan = shows(&["/dev/x"]);
        plan.check().expect("no device");
        plan.devices.push("/dev/kvm".into());
        assert!(problem(&plan).contains("/dev/x"));
        let mut plan = shows(&["/lib/x"]);
        plan.links.push(Link {
            target: "/lib".into(),
            points_to: "usr/lib".into(),
        });
        assert!(problem(&plan).contains("/lib/x"));
    }

    #[test]
    fn a_program_comes_with_its_libraries() {
        let program = Path::new("/bin/sh");
        let mut plan = Plan::default();
        plan.program(program).expect("understood");
        plan.check().expect("all apart");
        let found = libraries(program).expect("understood");
        let (own, others) = plan.binds.split_last().expect("some");
        assert_eq!(
            (own.source.as_path(), own.access),
            (program, Access::ReadExecute)
        );
        assert_eq!((others, plan.links), (&found.binds[..], found.links));
    }

    #[test]
    fn a_program_that_needs_nothing_may_lie_anywhere() {
        let name = Path::new("/program");
        let mut plan = Plan::default();
        let sh = Path::new("/bin/sh");
        assert_eq!(plan.program_as(sh, name).expect("understood"), sh);
        // A program of one header, and that says what is loaded, not by whom.
        let mut program = std::fs::read("/bin/sh").expect("a shell");
        let headers = usize::from(u16::from_le_bytes([program[56], program[57]]));
        let size = usize::from(u16::from_le_bytes([program[54], program[55]]));
        let table = usize::from(program[32]);
        for header in 0..headers {
            program[table + header * size..][..4].copy_from_slice(&1_u32.to_le_bytes());
        }
        let directory = tempfile::tempdir().expect("tempdir");
        let alone = directory.path().join("alone");
        std::fs::write(&alone, program).expect("write");
        let mut plan = Plan::default();
        assert_eq!(plan.program_as(&alone, name).expect("understood"), name);
        assert_eq!(
            (plan.binds.len(), plan.binds[0].target.as_path()),
            (1, name)
        );
    }

    #[test]
    fn devices_are_below_dev() {
        for device in ["/dev", "/etc/passwd", "/dev/../etc", "dev/kvm"] {
            let plan = Plan {
                devices: vec![device.into()],
                ..Plan::default()
            };
            assert!(problem(&plan).contains("below /dev"), "{device}");
        }
    }
}
