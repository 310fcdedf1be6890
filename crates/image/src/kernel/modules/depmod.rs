//! What depmod writes for modprobe, made from the modules' own descriptions.
//!
//! A kernel package ships its modules without these lists: its installation runs depmod. Nothing is
//! installed here, and `kmod` need not be on the host. Left out: `modules.symbols` is written empty
//! (nobody loads a module by a symbol).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ignite_host::fs;

use super::index::Index;
use super::{Error, MAX_DEPTH, ModInfo, Tree, module_name, read_list};

/// Writes the lists and their indexes into the tree.
pub fn write(tree: &Tree, infos: &BTreeMap<String, ModInfo>) -> Result<(), Error> {
    let order = read_list(&tree.root.join("modules.order"))?;
    for (name, bytes) in Lists::new(&tree.files, infos, &order).files(tree) {
        fs::write_atomic(&tree.root.join(name), &bytes, 0o644)?;
    }
    Ok(())
}

/// One module with all that the lists say of it.
struct Listed<'a> {
    name: &'a str,
    path: &'a str,
    info: &'a ModInfo,
}

struct Lists<'a> {
    /// By precedence.
    modules: Vec<Listed<'a>>,
    by_name: BTreeMap<&'a str, &'a ModInfo>,
    paths: &'a BTreeMap<String, String>,
}

impl<'a> Lists<'a> {
    fn new(
        paths: &'a BTreeMap<String, String>,
        infos: &'a BTreeMap<String, ModInfo>,
        order: &str,
    ) -> Self {
        let mut rank = BTreeMap::new();
        for name in order.lines().filter_map(|line| module_name(line.trim())) {
            let next = rank.len();
            rank.entry(name).or_insert(next);
        }
        let mut modules: Vec<_> = infos
            .iter()
            .filter_map(|(name, info)| {
                let path = paths.get(name)?;
                Some(Listed { name, path, info })
            })
            .collect();
        modules.sort_by_key(|module| {
            (
                rank.get(module.name).copied().unwrap_or(usize::MAX),
                module.path,
            )
        });
        Self {
            modules,
            by_name: infos
                .iter()
                .map(|(name, info)| (name.as_str(), info))
                .collect(),
            paths,
        }
    }

    fn files(&self, tree: &Tree) -> Vec<(&'static str, Vec<u8>)> {
        let (dep, dep_index) = self.dependencies();
        let (alias, alias_index) = self.aliases();
        let mut builtin = Index::default();
        for name in &tree.builtin {
            builtin.insert(name, "", 0);
        }
        let mut builtin_alias = Index::default();
        for (alias, module) in &tree.builtin_aliases {
            if let Some(alias) = normalize(alias) {
                builtin_alias.insert(&alias, module, 0);
            }
        }
        vec![
            ("modules.dep", dep.into_bytes()),
            ("modules.dep.bin", dep_index.encode()),
            ("modules.alias", alias.into_bytes()),
            ("modules.alias.bin", alias_index.encode()),
            ("modules.softdep", self.softdeps().into_bytes()),
            ("modules.devname", self.device_names().into_bytes()),
            (
                "modules.symbols",
                b"# Aliases for symbols, used by modprobe.\n".to_vec(),
            ),
            ("modules.symbols.bin", Index::default().encode()),
            ("modules.builtin.bin", builtin.encode()),
            ("modules.builtin.alias.bin", builtin_alias.encode()),
        ]
    }

    /// `path: dependencies`, which load from the last to the first.
    fn dependencies(&self) -> (String, Index) {
        let (mut text, mut index) = (String::new(), Index::default());
        for (rank, module) in self.modules.iter().enumerate() {
            let mut line = format!("{}:", module.path);
            for name in self.loaded_before(module).iter().rev() {
                if let Some(path) = self.paths.get(*name) {
                    line.push(' ');
                    line.push_str(path);
                }
            }
            text.push_str(&line);
            text.push('\n');
            index.insert(module.name, &line, rank as u32);
        }
        (text, index)
    }

    /// All that `module` needs, directly or not, each behind what it needs itself.
    fn loaded_before(&self, module: &Listed<'a>) -> Vec<&'a str> {
        let mut order = Vec::new();
        self.visit(
            module.info,
            &mut BTreeSet::from([module.name]),
            &mut order,
            0,
        );
        order
    }

    fn visit(
        &self,
        info: &'a ModInfo,
        seen: &mut BTreeSet<&'a str>,
        order: &mut Vec<&'a str>,
        depth: usize,
    ) {
        for name in info.depends.iter().filter(|_| depth < MAX_DEPTH) {
            if let Some((name, info)) = self.by_name.get_key_value(name.as_str())
                && seen.insert(name)
            {
                self.visit(info, seen, order, depth + 1);
                order.push(name);
            }
        }
    }

    fn aliases(&self) -> (String, Index) {
        let mut text = "# Aliases extracted from modules themselves.\n".to_owned();
        let mut index = Index::default();
        for (rank, module) in self.modules.iter().enumerate() {
            for alias in &module.info.aliases {
                if let Some(normal) = normalize(alias) {
                    let _ = writeln!(text, "alias {alias} {}", module.name);
                    index.insert(&normal, module.name, rank as u32);
                }
            }
        }
        (text, index)
    }

    fn softdeps(&self) -> String {
        let mut text = "# Soft dependencies extracted from modules themselves.\n".to_owned();
        for module in &self.modules {
            for softdep in &module.info.softdeps {
                let _ = writeln!(text, "softdep {} {softdep}", module.name);
            }
        }
        text
    }

    /// Modules to load when their device node is first opened: `module name c10:200`.
    fn device_names(&self) -> String {
        let mut text = "# Device nodes to trigger on-demand module loading.\n".to_owned();
        for module in &self.modules {
            let find = |prefix: &str| {
                module
                    .info
                    .aliases
                    .iter()
                    .find_map(|alias| alias.strip_prefix(prefix))
            };
            let Some(name) = find("devname:") else {
                continue;
            };
            let numbers = [("char-major-", 'c'), ("block-major-", 'b')]
                .into_iter()
                .find_map(|(prefix, kind)| Some((kind, find(prefix)?.split_once('-')?)));
            if let Some((kind, (major, minor))) = numbers
                && major.parse::<u32>().is_ok()
                && minor.parse::<u32>().is_ok()
            {
                let _ = writeln!(text, "{} {name} {kind}{major}:{minor}", module.name);
            }
        }
        text
    }
}

/// The spelling of an alias in the index: `_` for `-`, but not between brackets; none for what the
/// lists cannot hold.
fn normalize(alias: &str) -> Option<String> {
    if alias.is_empty() || alias.contains(char::is_whitespace) {
        return None;
    }
    let mut inside = false;
    let mut normal = String::with_capacity(alias.len());
    for c in alias.chars() {
        match c {
            '[' => inside = true,
            ']' if !inside => return None,
            ']' => inside = false,
            _ => {}
        }
        normal.push(if c == '-' && !inside { '_' } else { c });
    }
    (!inside).then_some(normal)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_lists_say_what_modprobe_needs() {
        let directory = tempfile::tempdir().expect("a directory");
        sample::tree(directory.path());
        Tree::open(directory.path())
            .expect("a tree")
            .complete()
            .expect("written");
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).expect(name);
        let dep = read("modules.dep");
        let line = dep
            .lines()
            .find(|line| line.starts_with("kernel/net/virtio_net.ko:"));
        assert_eq!(
            line,
            Some(
                "kernel/net/virtio_net.ko: kernel/net/net_failover.ko kernel/net/failover.ko \
                 kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko"
            )
        );
        assert!(read("modules.alias").contains("alias virtio:d00000002v* virtio_blk\n"));
        assert!(read("modules.softdep").contains("softdep jbd2 pre: crypto-crc32c\n"));
        assert!(read("modules.devname").contains("virtio_console vport c9:1\n"));
    }

    #[test]
    fn a_circle_of_dependencies_ends() {
        let info = |depends: &str| ModInfo {
            depends: vec![depends.to_owned()],
            ..ModInfo::default()
        };
        let infos = BTreeMap::from([("a".to_owned(), info("b")), ("b".to_owned(), info("a"))]);
        let paths = BTreeMap::from([
            ("a".to_owned(), "a.ko".to_owned()),
            ("b".to_owned(), "b.ko".to_owned()),
        ]);
        let (text, _) = Lists::new(&paths, &infos, "b.ko\n").dependencies();
        assert_eq!(text, "b.ko: a.ko\na.ko: b.ko\n");
    }

    #[test]
    fn aliases_are_spelt_one_way() {
        assert_eq!(normalize("net-pf-[0-9]"), Some("net_pf_[0-9]".into()));
        assert_eq!(normalize("a b"), None);
        assert_eq!(normalize("a]"), None);
        assert_eq!(normalize("a["), None);
    }
}
