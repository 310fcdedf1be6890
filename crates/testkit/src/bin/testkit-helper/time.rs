//! Milliseconds a program takes from start to end, one line for each run.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Failure;

/// Runs `argv` so many times, one after the other; its output goes nowhere.
pub fn each_run(runs: &str, argv: &[&str]) -> Result<(), Failure> {
    let runs: u32 = runs.parse()?;
    let (program, arguments) = argv.split_first().ok_or("no program to time")?;
    for _ in 0..runs {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let begun = Instant::now();
        let status = command.status()?;
        let milliseconds = begun.elapsed().as_secs_f64() * 1e3;
        if !status.success() {
            return Err(format!("{argv:?} ended with {status}").into());
        }
        println!("{milliseconds:.4}");
    }
    Ok(())
}
