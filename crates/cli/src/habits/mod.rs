//! Answers to what people type out of habit with Docker, nerdctl or Weave Ignite: what to type instead.
//!
//! Where there is the same thing under another name, the flag is taken; this is for the rest.

mod said;
#[cfg(test)]
mod tests;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use said::{BOOTING, COMMANDS, FLAGS, FLAGS_OF};

/// What to say of a command line that clap does not understand, where a habit explains it; `words` are
/// all of it, the program's name first.
pub fn answer(words: &[String], error: &clap::Error) -> Option<String> {
    let given = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => command(words, given(ContextKind::InvalidSubcommand)?),
        ErrorKind::UnknownArgument => {
            let given = given(ContextKind::InvalidArg)?;
            let of_program = || program(words, given).or_else(|| of_ps(words));
            flag(words, given).or_else(of_program)
        }
        _ => None,
    }
}

fn command(words: &[String], given: &str) -> Option<String> {
    let at = words.iter().position(|word| word == given)?;
    let before = words[..at].iter().skip(1).rev();
    let group = before.into_iter().find(|word| !word.starts_with('-'));
    let group = group.map_or("", |group| group.trim_end_matches('s'));
    let found = COMMANDS
        .iter()
        .find(|(of, names, _)| *of == group && names.contains(&given));
    let (of, _, instead) = found.or_else(|| {
        // The word before may be a flag's value.
        let is_group = COMMANDS.iter().any(|(of, ..)| *of == group);
        let mut all = COMMANDS.iter().filter(|_| !is_group);
        all.find(|(of, names, _)| of.is_empty() && names.contains(&given))
    })?;
    let path = [*of, given].join(" ");
    let path = path.trim_start();
    Some(format!(
        "error: there is no command {path:?}\nhint: {instead}"
    ))
}

fn flag(words: &[String], given: &str) -> Option<String> {
    let name = given.split('=').next().unwrap_or_default();
    let is_called = |commands: &[&str]| words.iter().any(|word| commands.contains(&word.as_str()));
    let of_command = FLAGS_OF
        .iter()
        .find(|(commands, names, _)| names.contains(&name) && is_called(commands))
        .map(|(_, _, instead)| instead);
    let of_all = || FLAGS.iter().find(|(names, _)| names.contains(&name));
    let instead = of_command.or_else(|| of_all().map(|(_, instead)| instead))?;
    Some(format!("error: there is no flag {name}\nhint: {instead}"))
}

/// Docker takes what should run right behind the image.
fn program(words: &[String], given: &str) -> Option<String> {
    let boots = words.iter().any(|word| BOOTING.contains(&word.as_str()));
    (boots && !given.starts_with('-')).then(|| {
        format!(
            "error: {given:?} is not understood\nhint: put what should run after two dashes: ignite run IMAGE -- {given} ..."
        )
    })
}

/// Docker's `top` takes the words of the program `ps`.
fn of_ps(words: &[String]) -> Option<String> {
    words.iter().any(|word| word == "top").then(|| {
        "error: only a VM is expected\nhint: for other columns ask the VM's own ps: ignite exec VM -- ps aux".to_owned()
    })
}

/// What people type, and what is said of it: commands first, then flags.
#[cfg(test)]
pub fn table() -> Vec<(String, &'static str)> {
    let list = |names: &[&str], before: &str| {
        let names = names.iter().map(|name| format!("`{before}{name}`"));
        names.collect::<Vec<_>>().join(", ")
    };
    let commands = COMMANDS.iter().map(|(group, names, instead)| {
        let before = if group.is_empty() {
            String::new()
        } else {
            format!("{group} ")
        };
        (list(names, &before), *instead)
    });
    let flags = FLAGS
        .iter()
        .map(|(names, instead)| (list(names, ""), *instead));
    let of_commands = FLAGS_OF.iter().map(|(commands, names, instead)| {
        let commands = list(commands, "");
        (format!("{} of {commands}", list(names, "")), *instead)
    });
    commands.chain(flags).chain(of_commands).collect()
}
