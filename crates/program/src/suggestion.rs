//! What clap suggests instead of a flag that there is not: never one that help does not show.

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command};
use ignite_api::nearest;

/// Takes a suggestion that is hidden out of the error, and puts the nearest flag in its place that is
/// not, if one is near. `words` are the command line, the program's name first.
pub fn suggest_visible<'w>(
    error: &mut clap::Error,
    root: &Command,
    words: impl IntoIterator<Item = &'w str>,
) {
    let command = addressed(root, words);
    // What stands behind two dashes is a command's to run, where it runs one.
    if !command.get_positionals().any(takes_dashes) {
        leave_out_dashes(error);
    }
    let Some(suggested) = said(error, ContextKind::SuggestedArg) else {
        return;
    };
    let is_visible = |arg: &&Arg| !arg.is_hide_set();
    let visible = || command.get_arguments().filter(is_visible).flat_map(names);
    if visible().any(|name| suggested == format!("--{name}")) {
        return;
    }
    error.remove(ContextKind::SuggestedArg);
    let given = said(error, ContextKind::InvalidArg).unwrap_or_default();
    let given = given.trim_start_matches('-').split('=').next();
    if let Some(near) = nearest(given.unwrap_or_default(), visible()) {
        let near = ContextValue::String(format!("--{near}"));
        error.insert(ContextKind::SuggestedArg, near);
    }
}

fn said(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// Takes out the tip that a flag may be a value.
fn leave_out_dashes(error: &mut clap::Error) {
    if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
        tips.retain(|tip| !tip.to_string().contains("as a value, use '-- "));
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
}

fn takes_dashes(arg: &Arg) -> bool {
    arg.is_last_set() || arg.is_trailing_var_arg_set()
}

fn names(arg: &Arg) -> impl Iterator<Item = &str> {
    let aliases = arg.get_visible_aliases().unwrap_or_default();
    arg.get_long().into_iter().chain(aliases)
}

/// The command that the words name.
fn addressed<'c, 'w>(root: &'c Command, words: impl IntoIterator<Item = &'w str>) -> &'c Command {
    let words = words.into_iter().skip(1).take_while(|word| *word != "--");
    words.fold(root, |command, word| {
        command.find_subcommand(word).unwrap_or(command)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Command {
        let flag = |name: &'static str| Arg::new(name).long(name);
        let mut root = Command::new("ignite")
            .arg(flag("runtime").global(true).hide(true))
            .subcommand(
                Command::new("logs")
                    .arg(flag("tail"))
                    .arg(flag("until-now")),
            );
        root.build();
        root
    }

    fn suggested(line: &str) -> Option<String> {
        let mut root = root();
        let words: Vec<&str> = line.split(' ').collect();
        let mut error = root.try_get_matches_from_mut(&words).expect_err(line);
        suggest_visible(&mut error, &root, words.iter().copied());
        said(&error, ContextKind::SuggestedArg)
    }

    #[test]
    fn what_is_hidden_is_not_suggested() {
        assert_eq!(suggested("ignite logs --runtimee"), None);
        assert_eq!(suggested("ignite logs --tial").as_deref(), Some("--tail"));
    }
}
