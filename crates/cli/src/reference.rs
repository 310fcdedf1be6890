//! `docs/cli.md` is the help of every command, `docs/docker.md` what habits are answered with, and both stay
//! so: a test writes them down.

use std::fmt::Write;

use clap::{ArgAction, Command, CommandFactory};

use crate::args::Cli;
use crate::overview::with_overview;

const HEAD: &str = "\
# Command line reference

The help of every command, as `ignite help COMMAND` prints it, but for the global options, which are
the same everywhere and work before and after the command. Commands in `ignite vm` that are there
without `vm` as well are the same. This page is made by a test of `crates/cli`; `UPDATE_REFERENCE=1 cargo test -p ignite-cli reference` writes it again.
";

const DOCKER_HEAD: &str = "\
# Coming from Docker or nerdctl

`run`, `create`, `start`, `stop`, `kill`, `rm`, `ps`, `logs`, `exec`, `attach`, `cp`, `inspect`, `stats`, `top`, `wait`,
`restart`, `rename`, `port`, `events`, `pause`, `unpause`, `update`, `prune`, `images` and `rmi` are called as in Docker,
for VMs. These flags mean the same: `-d`, `-i`, `-t`, `-p`/`--publish`, `-v` (as `--volumes`), `-e`, `-l`, `--name`,
`--net`/`--network`, `--ip`, `--ip6`, `--mac-address`, `--dns`, `--hostname`, `--add-host`, `--cpus`, `--memory`. What should run comes
behind two dashes: `ignite run IMAGE -- CMD`. [cli.md](cli.md) has every command and flag.

What Ignite has not, it answers when it is typed, as follows. This table is made by a test of `crates/cli`;
`UPDATE_REFERENCE=1 cargo test -p ignite-cli reference` writes it again.

| Typed | Instead |
| --- | --- |
";

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

/// Lines of a terminal that is not small.
const SCREEN: usize = 40;

/// Letters of a line: a longer one is broken, and a command in two lines is no longer one to copy.
const LINE: usize = 100;

/// The whole page.
fn page() -> String {
    let mut root = with_overview(Cli::command())
        .term_width(LINE)
        .bin_name("ignite");
    root.build();
    let mut text = HEAD.to_owned();
    section(&mut text, &mut root, "ignite");
    text
}

fn section(text: &mut String, command: &mut Command, path: &str) {
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let mut help = help.join("\n");
    if path != "ignite" {
        help = without_globals(&help);
    }
    write!(text, "\n## {path}\n\n```text\n{}\n```\n", help.trim_end())
        .expect("a String takes everything");
    for sub in command
        .get_subcommands_mut()
        .filter(|sub| !sub.is_hide_set())
    {
        let name = sub.get_name();
        let twin = path == "ignite vm" && !matches!(name, "ls" | "inspect");
        if name != "help" && !twin {
            let path = format!("{path} {name}");
            section(text, sub, &path);
        }
    }
}

fn without_globals(help: &str) -> String {
    // A heading begins its line; its flags, a paragraph each, are indented.
    let mut are_global = false;
    let paragraphs = help.split("\n\n").filter(|paragraph| {
        if !paragraph.starts_with(' ') {
            are_global = paragraph.starts_with("Global options:");
        }
        !are_global
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// `docs/docker.md`: the same answers as the program gives.
fn docker_page() -> String {
    let mut text = DOCKER_HEAD.to_owned();
    for (typed, instead) in crate::habits::table() {
        let instead = instead.replace('|', "\\|").replace('<', "&lt;");
        writeln!(text, "| {typed} | {instead} |").expect("a String takes everything");
    }
    text
}

#[test]
fn the_pages_are_up_to_date() {
    for (name, page) in [("cli.md", page()), ("docker.md", docker_page())] {
        let file = format!("{DOCS}/{name}");
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(&file, &page).expect("docs/ can be written");
        }
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            page == written,
            "docs/{name} is out of date: UPDATE_REFERENCE=1 cargo test -p ignite-cli reference"
        );
    }
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_help_shows_an_example() {
    fn check(command: &Command, path: &str) {
        if command.is_hide_set() || command.get_name() == "help" {
            return;
        }
        let path = format!("{path} {}", command.get_name());
        let examples = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(examples.contains("Examples:\n  "), "{path}");
        let long = examples.lines().find(|line| line.chars().count() > LINE);
        assert_eq!(long, None, "{path}");
        assert!(command.get_about().is_some(), "{path}");
        command.get_subcommands().for_each(|sub| check(sub, &path));
    }
    // Flags and examples are put together when a command is called, or now.
    let mut root = Cli::command();
    root.build();
    check(&root, "");
}

#[test]
fn every_help_fits_a_screen() {
    fn check(command: &mut Command, path: &str, long: &mut Vec<String>) {
        if command.is_hide_set() || command.get_name() == "help" {
            return;
        }
        let path = format!("{path} {}", command.get_name());
        // What both `-h` and `--help` print.
        let is_short = |arg: &clap::Arg| {
            arg.get_short() == Some('h')
                && arg.get_long() == Some("help")
                && matches!(arg.get_action(), ArgAction::HelpShort)
        };
        assert!(command.get_arguments().any(is_short), "{path}");
        let lines = command.render_help().to_string().lines().count();
        if lines > SCREEN {
            long.push(format!("{path}: {lines}"));
        }
        for sub in command.get_subcommands_mut() {
            check(sub, &path, long);
        }
    }
    let mut root = with_overview(Cli::command()).term_width(LINE);
    root.build();
    let mut long = Vec::new();
    check(&mut root, "", &mut long);
    assert!(
        long.is_empty(),
        "more than {SCREEN} lines:\n{}",
        long.join("\n")
    );
}
