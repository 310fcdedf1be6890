//! The daemon `ignited`: keeps VMs as manifests say.
//!
//! ```text
//!  source (directory | repository) --> desired --.
//!                                                 +--> plan --> work (engine: create, start, update, stop, remove)
//!  engine (VMs as they are) ---------> actual  --'
//! ```
//! Level-triggered: whatever happened, what is wanted is compared with what is, until they agree.
//! A library, so that what reads strangers' files can be fuzzed; nobody else uses it.

mod app;
mod args;
mod backoff;
mod commands;
mod config;
pub mod desired;
mod failure;
mod http;
mod log;
mod metrics;
mod plan;
pub mod source;
mod status;
mod work;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;

/// Reads the command line and does what it says, to the end.
pub fn run() -> ExitCode {
    if let Err(failure) = commands::conceal() {
        return failure::report(&failure);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::refuse(error),
    };
    match cli.globals.level() {
        Ok(level) => log::init(level),
        Err(failure) => return failure::report(&failure),
    }
    match cli.command.run(&cli.globals) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure::report(&failure),
    }
}
