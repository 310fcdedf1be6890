//! What shells ask while a command line is typed: commands, flags, and the names of what there is.
//!
//! The script of `ignite completion` calls `ignite` with [`VARIABLE`] set and the words so far. Whatever
//! goes wrong then, nothing is said: the shell is in the middle of a line.

use std::ffi::OsStr;
use std::io;

use clap::{Arg, Command, CommandFactory, ValueEnum};
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use clap_complete::env::{CompleteEnv, Shells};
use ignite_engine::Engine;
use ignite_program::{Places, ShellName};

use crate::args::Cli;

/// Names the shell that asks.
const VARIABLE: &str = "IGNITE_COMPLETE";

/// Bash's own: the usual one knows no name with a colon in it.
const BASH: &str = include_str!("completing.bash");

/// Answers a shell that asks; false where none does.
pub fn answer() -> bool {
    let asks =
        std::env::var(VARIABLE).is_ok_and(|shell| ShellName::from_str(&shell, false).is_ok());
    if asks {
        let here = std::env::current_dir().ok();
        let _ = CompleteEnv::with_factory(Cli::command)
            .var(VARIABLE)
            .try_complete(std::env::args_os(), here.as_deref());
    }
    asks
}

/// The script by which a shell learns to ask.
pub fn script(shell: ShellName) -> io::Result<Vec<u8>> {
    if matches!(shell, ShellName::Bash) {
        return Ok(BASH.into());
    }
    let shells = Shells::builtins();
    let name = shell.to_possible_value();
    let completer = name.and_then(|name| shells.completer(name.get_name()));
    let mut script = Vec::new();
    if let Some(completer) = completer {
        completer.write_registration(VARIABLE, "ignite", "ignite", "ignite", &mut script)?;
    }
    Ok(script)
}

/// The command, each of its values that is a name completed by the names there are.
pub fn with_names(command: Command) -> Command {
    command.mut_args(|arg| match (called(&arg).as_str(), named(&arg)) {
        ("SRC" | "DST", _) => arg.add(ArgValueCompleter::new(copied)),
        (_, Some(names)) => arg.add(ArgValueCandidates::new(names)),
        (_, None) => arg,
    })
}

/// What can be copied: files of VMs, by the VM first, and of this host.
fn copied(typed: &OsStr) -> Vec<CompletionCandidate> {
    let text = typed.to_string_lossy();
    if text.contains(':') && !text.starts_with(['.', '/']) {
        // What is in a VM is the VM's to say, which takes longer than anybody waits here.
        return Vec::new();
    }
    let files_of = candidates(|engine| vms(engine).into_iter().map(|vm| vm + ":").collect());
    let is_meant = |it: &CompletionCandidate| {
        let name = it.get_value().to_string_lossy();
        name.starts_with(text.as_ref())
    };
    let files_of = files_of.into_iter().filter(is_meant);
    files_of
        .chain(PathCompleter::any().complete(typed))
        .collect()
}

type Names = fn() -> Vec<CompletionCandidate>;

/// What a value is the name of, by how help calls it.
fn named(arg: &Arg) -> Option<Names> {
    if !arg.get_action().takes_values() {
        return None;
    }
    match called(arg).as_str() {
        "VM" | "VMS" => Some(|| candidates(vms)),
        "IMAGE" => Some(|| candidates(images)),
        "KERNEL" => Some(|| candidates(kernels)),
        "NETWORK" | "NAME[:KEY=VALUE,...]" => Some(|| candidates(networks)),
        "[KIND] OBJECT" => Some(|| candidates(objects)),
        _ => None,
    }
}

/// How help calls the value.
fn called(arg: &Arg) -> String {
    let name = arg.get_value_names().and_then(|names| names.first());
    name.map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string)
}

/// Names of what there is; none where that cannot be read.
fn candidates(names: fn(&Engine) -> Vec<String>) -> Vec<CompletionCandidate> {
    let places = Places::default();
    let engine = places.places().ok().and_then(|it| Engine::reader(it).ok());
    let mut names = engine.map(|engine| names(&engine)).unwrap_or_default();
    names.sort_unstable();
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn vms(engine: &Engine) -> Vec<String> {
    let (vms, _) = engine.list(true).unwrap_or_default();
    vms.into_iter().map(|vm| vm.name).collect()
}

fn images(engine: &Engine) -> Vec<String> {
    let (images, _) = engine.images().unwrap_or_default();
    images.into_iter().map(|it| it.metadata.name).collect()
}

fn kernels(engine: &Engine) -> Vec<String> {
    let (kernels, _) = engine.kernels().unwrap_or_default();
    kernels.into_iter().map(|it| it.metadata.name).collect()
}

fn networks(engine: &Engine) -> Vec<String> {
    let (networks, _) = engine.networks().unwrap_or_default();
    networks.into_iter().map(|it| it.name).collect()
}

fn objects(engine: &Engine) -> Vec<String> {
    [vms, images, kernels, networks]
        .iter()
        .flat_map(|names| names(engine))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(words: &[&str]) -> Vec<String> {
        let words: Vec<_> = words.iter().map(Into::into).collect();
        let last = words.len() - 1;
        let found = clap_complete::engine::complete(&mut Cli::command(), words, last, None);
        let found = found.expect("candidates").into_iter();
        let text = |it: CompletionCandidate| it.get_value().to_string_lossy().into_owned();
        found.map(text).collect()
    }

    #[test]
    fn commands_and_flags_are_completed() {
        assert_eq!(completed(&["ignite", "unp"]), ["unpause"]);
        assert_eq!(completed(&["ignite", "run", "--mem"]), ["--memory"]);
        assert_eq!(completed(&["ignite", "schema", "ker"]), ["kernel"]);
        assert!(completed(&["ignite", "internal", "rel"]).len() <= 1);
    }

    #[test]
    fn values_that_are_names_know_the_names() {
        let mut root = Cli::command();
        root.build();
        for path in [
            &["rm"][..],
            &["exec"],
            &["attach"],
            &["stop"],
            &["logs"],
            &["inspect"],
            &["run"],
            &["rmi"],
            &["image", "rm"],
            &["kernel", "rm"],
            &["network", "inspect"],
            &["vm", "start"],
        ] {
            let find = |command: &Command, name| command.find_subcommand(name).cloned();
            let command = path
                .iter()
                .try_fold(root.clone(), |it, name| find(&it, name));
            let command = command.expect("a command");
            let first = command.get_positionals().next().expect("a value");
            assert!(first.get::<ArgValueCandidates>().is_some(), "{path:?}");
        }
    }

    #[test]
    fn files_are_completed_where_files_are_meant() {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.to");
        let found = completed(&["ignite", "cp", here]);
        assert_eq!(found, [format!("{here}ml")]);
        let there = completed(&["ignite", "cp", "/x", "web:/et"]);
        assert!(there.is_empty(), "{there:?}");
    }

    #[test]
    fn a_value_is_completed_with_its_flag() {
        assert_eq!(
            completed(&["ignite", "ps", "--output=js"]),
            ["--output=json"]
        );
    }

    #[test]
    fn every_shell_has_a_script() {
        for shell in ShellName::value_variants() {
            let script = String::from_utf8(script(*shell).expect("a script")).expect("text");
            assert!(
                script.contains(VARIABLE) && script.contains("ignite"),
                "{script}"
            );
        }
    }
}
