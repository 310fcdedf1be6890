//! The order in which modules load: each after what it needs.

use std::collections::BTreeSet;

use super::{Error, MAX_DEPTH, Tree, canonical};

/// When a guest loads a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before anything else: the guest does not start without it.
    Start,
    /// With those, where the agent's stream goes over vsock.
    Vsock,
    /// Once the guest is up.
    Late,
}

/// A module for the initramfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// Its name, in the kernel's spelling.
    pub name: String,
    /// When it is loaded.
    pub when: When,
    /// The uncompressed module.
    pub bytes: Vec<u8>,
}

/// The modules to load, in order, so that `wanted` are loaded: their dependencies before them, what
/// is built in left out. A soft dependency nobody offers is left out, too, as modprobe does. Every
/// wanted module is in the tree or built in; all are for the kernel `release`. Those for the start
/// come first; each of the other sets is whole with them, whether the other one is loaded or not.
pub fn load_order(
    tree: &Tree,
    wanted: &[(&str, When)],
    release: &str,
) -> Result<Vec<Driver>, Error> {
    let mut order = Order {
        tree,
        release,
        seen: BTreeSet::new(),
        drivers: Vec::new(),
    };
    order.visit_all(wanted, When::Start)?;
    let at_start = order.seen.clone();
    for when in [When::Vsock, When::Late] {
        order.seen.clone_from(&at_start);
        order.visit_all(wanted, when)?;
    }
    Ok(order.drivers)
}

struct Order<'a> {
    tree: &'a Tree,
    release: &'a str,
    /// Loaded already, or about to be: a circle ends here.
    seen: BTreeSet<String>,
    drivers: Vec<Driver>,
}

impl Order<'_> {
    fn visit_all(&mut self, wanted: &[(&str, When)], when: When) -> Result<(), Error> {
        for (name, _) in wanted.iter().filter(|(_, wanted)| *wanted == when) {
            self.visit(&canonical(name), when, 0)?;
        }
        Ok(())
    }

    fn visit(&mut self, name: &str, when: When, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            let module = name.to_owned();
            return Err(Error::TooDeep { module });
        }
        if !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let Some(path) = self.tree.files.get(name) else {
            return Ok(());
        };
        let (bytes, info) = self.tree.read(path)?;
        match info.release {
            Some(found) if found != self.release => {
                return Err(Error::OtherKernel {
                    module: name.to_owned(),
                    found,
                    expected: self.release.to_owned(),
                });
            }
            _ => {}
        }
        for needs in &info.depends {
            if !self.tree.has(needs) && !self.tree.is_builtin(needs) {
                return Err(Error::Dependency {
                    module: name.to_owned(),
                    needs: needs.clone(),
                });
            }
            self.visit(needs, when, depth + 1)?;
        }
        for alias in info.soft_before() {
            if let Some(provider) = self.tree.provider(&alias) {
                self.visit(&provider, when, depth + 1)?;
            }
        }
        self.drivers.push(Driver {
            name: name.to_owned(),
            when,
            bytes,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::When::{Late, Start, Vsock};
    use super::*;

    fn names(wanted: &[(&str, When)]) -> Result<Vec<(String, When)>, Error> {
        let directory = tempfile::tempdir().expect("a directory");
        sample::tree(directory.path());
        let mut tree = Tree::open(directory.path())?;
        tree.complete()?;
        let drivers = load_order(&tree, wanted, "6.1.0")?;
        Ok(drivers
            .into_iter()
            .map(|driver| (driver.name, driver.when))
            .collect())
    }

    #[test]
    fn what_a_module_needs_comes_before_it_and_as_early_as_it_must() {
        let wanted = [
            ("virtio-rng", Late),
            ("virtio_mmio", Start),
            ("virtio_net", Late),
            ("ext4", Start),
        ];
        let expected = [
            ("virtio_ring", Start),
            ("virtio", Start),
            ("virtio_mmio", Start),
            ("virtio_rng", Late),
            ("failover", Late),
            ("net_failover", Late),
            ("virtio_net", Late),
        ];
        let expected = expected.map(|(name, when)| (name.to_owned(), when));
        assert_eq!(names(&wanted).expect("an order"), expected);
    }

    #[test]
    fn the_sets_that_may_not_be_loaded_do_not_lean_on_each_other() {
        let wanted = [("virtio", Start), ("virtio_net", Vsock), ("failover", Late)];
        let expected = [
            ("virtio_ring", Start),
            ("virtio", Start),
            ("failover", Vsock),
            ("net_failover", Vsock),
            ("virtio_net", Vsock),
            ("failover", Late),
        ];
        let expected = expected.map(|(name, when)| (name.to_owned(), when));
        assert_eq!(names(&wanted).expect("an order"), expected);
    }

    #[test]
    fn a_soft_dependency_is_found_by_its_alias() {
        assert_eq!(
            names(&[("jbd2", Start)]).expect("an order"),
            [
                ("crc32c_generic".to_owned(), Start),
                ("jbd2".to_owned(), Start)
            ]
        );
    }

    #[test]
    fn a_module_of_another_kernel_or_without_its_dependency_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        sample::tree(directory.path());
        let tree = Tree::open(directory.path()).expect("a tree");
        let error = load_order(&tree, &[("virtio", Start)], "6.2.0").expect_err("another release");
        assert!(matches!(error, Error::OtherKernel { .. }), "{error}");
        std::fs::remove_file(directory.path().join("kernel/net/failover.ko")).expect("removed");
        let tree = Tree::open(directory.path()).expect("a tree");
        let error = load_order(&tree, &[("virtio_net", Start)], "6.1.0").expect_err("no failover");
        assert_eq!(
            error.to_string(),
            "the module net_failover needs failover, which is neither in the module tree nor built in"
        );
    }
}
