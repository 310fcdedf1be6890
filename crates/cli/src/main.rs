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
mod completing;
mod context;
mod duration;
mod globals;
mod habits;
mod listing;
mod output;
mod overview;
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

use clap::{CommandFactory, FromArgMatches};
use ignite_engine::Report;

use args::Cli;
use context::Context;
use globals::Globals;
use ignite_program::{USAGE, suggest_visible, usage_text};
use overview::with_overview;
use terminal::Terminal;

fn main() -> ExitCode {
    if completing::answer() {
        return ExitCode::SUCCESS;
    }
    let mut root = with_overview(Cli::command());
    let parsed = root.try_get_matches_from_mut(std::env::args_os());
    let parsed = parsed.and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return refuse(error, &root),
    };
    let Some(command) = cli.command else {
        // Without a command there is the help, and that is no failure.
        say(&root.render_help());
        return ExitCode::SUCCESS;
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

/// What clap has to say: help and version to standard output, faults to standard error.
fn refuse(mut error: clap::Error, root: &clap::Command) -> ExitCode {
    if error.use_stderr() {
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        let words: Vec<String> = words.collect();
        let answer = habits::answer(&words, &error).unwrap_or_else(|| {
            suggest_visible(&mut error, root, words.iter().map(String::as_str));
            usage_text(&error.render().to_string())
        });
        Terminal::new(false).error(&answer);
        return ExitCode::from(USAGE);
    }
    say(&error.render());
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
