//! Which parts of the kernel are there, without asking the kernel for them: using one that is a module
//! would load it.

use std::path::{Path, PathBuf};

use super::text;

/// The kernel's symbols, those of modules included. Larger than other files: 5 MB here.
const SYMBOLS: (&str, u64) = ("/proc/kallsyms", 64 << 20);

/// A part of the kernel that may be a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The module's name, with underscores.
    pub module: &'static str,
    /// The beginning of a function's name that every build of it has.
    pub symbol: &'static str,
    /// Its option in the kernel's configuration.
    pub option: &'static str,
}

impl Part {
    /// A part by its module, the beginning of one of its functions' names, and its option.
    pub const fn new(module: &'static str, symbol: &'static str, option: &'static str) -> Self {
        Self {
            module,
            symbol,
            option,
        }
    }
}

/// Whether a part of the kernel is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Built in, or loaded.
    Running,
    /// A module that the kernel loads when it is first used.
    Loadable,
    /// Neither.
    Absent,
    /// Nothing readable says so.
    Unknown,
}

/// What the kernel and its modules directory say.
#[derive(Debug, Default)]
pub struct Modules {
    symbols: Option<String>,
    builtin: Option<String>,
    loadable: Option<String>,
    loaded: PathBuf,
}

impl Modules {
    /// Of the running kernel.
    pub fn read() -> Self {
        let uname = rustix::system::uname();
        let release = uname.release().to_string_lossy();
        let directory = Path::new("/lib/modules").join(&*release);
        let symbols = crate::fs::read_bounded(Path::new(SYMBOLS.0), SYMBOLS.1).ok();
        Self {
            symbols: symbols.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            builtin: text(directory.join("modules.builtin")),
            loadable: text(directory.join("modules.dep")),
            loaded: PathBuf::from("/sys/module"),
        }
    }

    /// Whether `part` is there.
    pub fn presence(&self, part: Part) -> Presence {
        let listed = |list: &Option<String>| {
            list.as_ref()
                .is_some_and(|list| list.lines().any(|line| names(line, part.module)))
        };
        let symbols = self.symbols.as_deref().unwrap_or_default();
        let running = self.loaded.join(part.module).is_dir()
            || listed(&self.builtin)
            || symbols.lines().any(|line| is_of(line, part.symbol));
        match running {
            true => Presence::Running,
            false if listed(&self.loadable) => Presence::Loadable,
            // An empty list says nothing either.
            false if symbols.is_empty() => Presence::Unknown,
            false => Presence::Absent,
        }
    }
}

/// Whether a line of `modules.dep` or `modules.builtin` is that module's: its path, perhaps compressed,
/// before a colon.
fn names(line: &str, module: &str) -> bool {
    let path = line.split(':').next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    let name = file.split(".ko").next().unwrap_or_default();
    name.replace('-', "_") == module
}

/// Whether a line of `/proc/kallsyms` (address, kind, name) has a name that begins so.
fn is_of(line: &str, symbol: &str) -> bool {
    let name = line.splitn(3, ' ').nth(2);
    name.is_some_and(|name| name.starts_with(symbol))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VXLAN: Part = Part::new("vxlan", "vxlan_setup", "CONFIG_VXLAN");
    const BPF: Part = Part::new("cls_bpf", "cls_bpf_classify", "CONFIG_NET_CLS_BPF");

    fn modules(symbols: Option<&str>, builtin: &str, loadable: &str) -> Modules {
        Modules {
            symbols: symbols.map(str::to_owned),
            builtin: Some(builtin.to_owned()),
            loadable: Some(loadable.to_owned()),
            loaded: PathBuf::from("/nonexistent"),
        }
    }

    #[test]
    fn a_part_is_built_in_loadable_or_absent() {
        let symbols = "0000 t tcp_v4\n0000 t vxlan_setup.cold\n";
        let running = modules(Some(symbols), "", "");
        assert_eq!(running.presence(VXLAN), Presence::Running);
        assert_eq!(running.presence(BPF), Presence::Absent);
        let listed = modules(
            Some("0000 t tcp_v4\n"),
            "kernel/net/sched/cls_bpf.ko\n",
            "kernel/drivers/net/vxlan/vxlan.ko.zst: kernel/net/ipv4/udp_tunnel.ko.zst\n",
        );
        assert_eq!(listed.presence(BPF), Presence::Running);
        assert_eq!(listed.presence(VXLAN), Presence::Loadable);
    }

    #[test]
    fn a_dependency_is_not_the_module() {
        let listed = modules(Some("0 t x\n"), "", "a/geneve.ko: a/vxlan.ko\n");
        assert_eq!(listed.presence(VXLAN), Presence::Absent);
        let dashed = modules(Some("0 t x\n"), "", "a/cls-bpf.ko.xz:\n");
        assert_eq!(dashed.presence(BPF), Presence::Loadable);
    }

    #[test]
    fn where_nothing_can_be_read_nothing_is_known() {
        assert_eq!(modules(None, "", "").presence(VXLAN), Presence::Unknown);
        assert_eq!(Modules::default().presence(BPF), Presence::Unknown);
    }
}
