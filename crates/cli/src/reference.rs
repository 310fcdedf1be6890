//! `docs/cli.md` is the help of every command, and stays so: a test writes it down.

use std::fmt::Write;

use clap::{Command, CommandFactory};

use crate::args::Cli;

const HEAD: &str = "\
# Command line reference

The help of every command, as `ignite COMMAND --help` prints it. This page is made by a test of
`crates/cli`; `UPDATE_REFERENCE=1 cargo test -p ignite-cli reference` writes it again.
";

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");

/// The whole page.
fn page() -> String {
    let mut root = Cli::command().term_width(100).bin_name("ignite");
    root.build();
    let mut text = HEAD.to_owned();
    section(&mut text, &mut root, "ignite");
    text
}

fn section(text: &mut String, command: &mut Command, path: &str) {
    let help = command.render_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(
        text,
        "\n## {path}\n\n```text\n{}\n```\n",
        help.join("\n").trim_end()
    )
    .expect("a String takes everything");
    let shown = |command: &&mut Command| !command.is_hide_set() && command.get_name() != "help";
    for sub in command.get_subcommands_mut().filter(shown) {
        let path = format!("{path} {}", sub.get_name());
        section(text, sub, &path);
    }
}

#[test]
fn the_page_is_up_to_date() {
    let page = page();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(FILE, &page).expect("docs/ can be written");
    }
    let written = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        page == written,
        "docs/cli.md is out of date: UPDATE_REFERENCE=1 cargo test -p ignite-cli reference"
    );
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_help_shows_an_example() {
    fn check(command: &Command, path: &str) {
        if command.is_hide_set() {
            return;
        }
        let path = format!("{path} {}", command.get_name());
        let examples = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(examples.contains("Examples:\n  "), "{path}");
        assert!(command.get_about().is_some(), "{path}");
        command.get_subcommands().for_each(|sub| check(sub, &path));
    }
    check(&Cli::command(), "");
}
