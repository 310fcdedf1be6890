//! The program `ignite`: reads the command line, calls the engine, prints what comes back.
//!
//! ```text
//!  args ──> commands/<verb> ──> engine
//!                │                 │ progress, remarks
//!                └──> terminal <───┘
//! ```
//! No logic lives here: what a verb does is the engine's, what a value may be is the api's.

mod args;
mod commands;
mod context;
mod duration;
mod globals;
mod listing;
mod output;
mod progress;
mod raw;
#[cfg(test)]
mod reference;
mod seat;
mod select;
mod shown;
mod table;
mod terminal;
mod values;
mod verb;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use ignite_engine::Report;

use args::Cli;
use context::Context;
use globals::Globals;
use ignite_program::USAGE;
use terminal::Terminal;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let Some(command) = cli.command else {
        return help();
    };
    let mut globals = cli.globals;
    globals.verbose += cli.verbose;
    // Lives as long as the program: log lines from every thread go through it.
    let terminal: &'static Terminal = Box::leak(Box::new(Terminal::new(globals.quiet)));
    let outcome = context::log(&globals, terminal).and_then(|()| {
        remark(&globals, terminal);
        command.run(&Context { globals, terminal })
    });
    ExitCode::from(outcome.unwrap_or_else(|failure| {
        terminal.failure(&failure);
        failure.code()
    }))
}

/// Says which flags and variables have no effect.
fn remark(globals: &Globals, terminal: &Terminal) {
    if let Some(remark) = globals.places.remark() {
        terminal.warn(remark);
    }
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for remark in ignite_engine::configuration::misspelt(names) {
        terminal.warn(&remark);
    }
}

/// Without a command there is the help, and that is no failure.
fn help() -> ExitCode {
    say(&Cli::command().render_help());
    ExitCode::SUCCESS
}

/// What clap has to say: help and version to standard output, faults to standard error.
fn refuse(error: &clap::Error) -> ExitCode {
    let text = error.render();
    if error.use_stderr() {
        Terminal::new(false).error(&ignite_program::usage_text(&text.to_string()));
        return ExitCode::from(USAGE);
    }
    say(&text);
    ExitCode::SUCCESS
}

/// Writes a whole page at once, in colours where they show.
fn say(page: &clap::builder::StyledStr) {
    let terminal = Terminal::new(false);
    let colour = std::io::stdout().is_terminal() && terminal.has_colour();
    let text = if colour {
        page.ansi().to_string()
    } else {
        page.to_string()
    };
    // Nobody is left to be told that it could not be written.
    let _ = terminal.result(&text);
}
