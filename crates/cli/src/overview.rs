//! Help: by `-h` and `--help` what people need most, on one screen; by `ignite help COMMAND` everything.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

/// Commands that the short help describes; the others are named.
const FIRST: &[&str] = &[
    "run", "ps", "exec", "attach", "ssh", "cp", "logs", "stop", "start", "rm", "inspect", "image",
    "kernel", "network", "config", "doctor",
];

/// Width of the names' column, in characters.
const NAME: usize = 12;

/// Behind every other option.
const LAST: usize = 1000;

/// Longest line of names.
const WIDTH: usize = 96;

const TEMPLATE: &str = "\
{about-with-newline}
{usage-heading} {usage}

{before-help}Options:
{options}{after-help}";

/// The command with its own page of help.
pub fn with_overview(command: Command) -> Command {
    let (short, long) = (short(&command), long(&command));
    with_short_help(command)
        .help_template(TEMPLATE)
        .before_help(short)
        .before_long_help(long)
}

/// The command with the flags that show its help on one screen.
pub fn with_short_help(command: Command) -> Command {
    let help = Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::HelpShort)
        .help("Print help (all of it: ignite help COMMAND)")
        .display_order(LAST);
    command.disable_help_flag(true).arg(help)
}

fn listed(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set())
}

fn line(text: &mut String, command: &Command) {
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let aliases: Vec<&str> = command.get_visible_aliases().collect();
    let aliases = match aliases.as_slice() {
        [] => String::new(),
        all => format!(" (also: {})", all.join(", ")),
    };
    writeln!(text, "  {:NAME$}{about}{aliases}", command.get_name())
        .expect("a String takes everything");
}

fn long(command: &Command) -> String {
    let mut text = "Commands:\n".to_owned();
    listed(command).for_each(|sub| line(&mut text, sub));
    text
}

fn short(command: &Command) -> String {
    let mut text = "Commands:\n".to_owned();
    for name in FIRST {
        if let Some(sub) = listed(command).find(|sub| sub.get_name() == *name) {
            line(&mut text, sub);
        }
    }
    text.push_str("\nMore (`ignite help` describes them):\n");
    let names = listed(command).map(Command::get_name);
    let mut width = WIDTH;
    for name in names.filter(|name| !FIRST.contains(name)) {
        if width + name.len() + 1 > WIDTH {
            text.push_str(if text.ends_with('\n') { " " } else { "\n " });
            width = 1;
        }
        text.push(' ');
        text.push_str(name);
        width += name.len() + 1;
    }
    text.push('\n');
    text
}
