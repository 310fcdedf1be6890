//! The order in which modules load: each after what it needs.

use std::collections::BTreeSet;

use super::{Error, MAX_DEPTH, Tree, canonical};

/// A module for the initramfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// Its name, in the kernel's spelling.
    pub name: String,
    /// The uncompressed module.
    pub bytes: Vec<u8>,
}

/// The modules to load, in order, so that `wanted` are loaded: their dependencies before them, what
/// is built in left out. A soft dependency nobody offers is left out, too, as modprobe does. Every
/// wanted module is in the tree or built in; all are for the kernel `release`.
pub fn load_order(tree: &Tree, wanted: &[&str], release: &str) -> Result<Vec<Driver>, Error> {
    let mut order = Order {
        tree,
        release,
        seen: BTreeSet::new(),
        drivers: Vec::new(),
    };
    for name in wanted {
        order.visit(&canonical(name), 0)?;
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
    fn visit(&mut self, name: &str, depth: usize) -> Result<(), Error> {
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
            self.visit(needs, depth + 1)?;
        }
        for alias in info.soft_before() {
            if let Some(provider) = self.tree.provider(&alias) {
                self.visit(&provider, depth + 1)?;
            }
        }
        self.drivers.push(Driver {
            name: name.to_owned(),
            bytes,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn names(wanted: &[&str]) -> Result<Vec<String>, Error> {
        let directory = tempfile::tempdir().expect("a directory");
        sample::tree(directory.path());
        let mut tree = Tree::open(directory.path())?;
        tree.complete()?;
        let drivers = load_order(&tree, wanted, "6.1.0")?;
        Ok(drivers.into_iter().map(|driver| driver.name).collect())
    }

    #[test]
    fn what_a_module_needs_comes_before_it() {
        assert_eq!(
            names(&["virtio_mmio", "virtio_net", "ext4", "virtio-rng"]).expect("an order"),
            [
                "virtio_ring",
                "virtio",
                "virtio_mmio",
                "failover",
                "net_failover",
                "virtio_net",
                "virtio_rng"
            ]
        );
    }

    #[test]
    fn a_soft_dependency_is_found_by_its_alias() {
        assert_eq!(
            names(&["jbd2"]).expect("an order"),
            ["crc32c_generic", "jbd2"]
        );
    }

    #[test]
    fn a_module_of_another_kernel_or_without_its_dependency_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        sample::tree(directory.path());
        let tree = Tree::open(directory.path()).expect("a tree");
        let error = load_order(&tree, &["virtio"], "6.2.0").expect_err("another release");
        assert!(matches!(error, Error::OtherKernel { .. }), "{error}");
        std::fs::remove_file(directory.path().join("kernel/net/failover.ko")).expect("removed");
        let tree = Tree::open(directory.path()).expect("a tree");
        let error = load_order(&tree, &["virtio_net"], "6.1.0").expect_err("no failover");
        assert_eq!(
            error.to_string(),
            "the module net_failover needs failover, which is neither in the module tree nor built in"
        );
    }
}
