//! Chores of the workspace that are more than a line of shell.
//!
//! `cargo xtask bench` measures (with names only those, and writes nothing). `cargo xtask layers` reads the dependency table and refuses an edge that
//! climbs or goes sideways. `cargo xtask machine save|compare FILE` proves that
//! the end-to-end tests left the machine as it was.

mod bench;
mod layers;
mod machine;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str =
    "usage: cargo xtask bench [NAME...] | layers | machine save FILE | machine compare FILE";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["bench", names @ ..] => bench::run(names),
        // Its own half, inside a host.
        ["bench-cni", half] => bench::cni::inside(half),
        ["layers"] => layers::check(),
        ["machine", "save", file] => machine::save(Path::new(file)),
        ["machine", "compare", file] => machine::compare(Path::new(file)),
        _ => bail!(USAGE),
    }
}
