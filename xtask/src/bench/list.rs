//! The start of the program, and `ps` of a thousand VMs.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, place};

use super::{Case, Unit};

const VMS: usize = 1000;
const RUNS: usize = 41;

/// `--help` against a program that does nothing, `ps` against `--help`.
pub fn run() -> Result<Vec<Case>> {
    let host = Host::new("bench-list")?;
    let nothing = nothing()?;
    for number in 0..VMS {
        host.ignite([
            "create",
            "--quiet",
            "--name",
            &format!("vm-{number}"),
            "busy",
        ])
        .ok()?;
    }
    // Records that are younger than a tick are read anew.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let ignite = place::built("bin/ignite")?.display().to_string();
    let time = |argv: &[&str]| -> Result<Vec<f64>> {
        let runs = RUNS.to_string();
        let words: Vec<&str> = ["time", &runs]
            .into_iter()
            .chain(argv.iter().copied())
            .collect();
        let text = host.helper(&words)?.ok()?;
        text.lines()
            .map(|line| line.parse().with_context(|| format!("no time: {line}")))
            .collect()
    };
    let case = |name: &str, argv: &[&str]| -> Result<Case> {
        Ok(Case::new("program", name, Unit::Milliseconds, &time(argv)?))
    };
    let nothing = case("a C program that does nothing", &[&nothing])?;
    let help = case("ignite --help", &[&ignite, "--help"])?;
    let ps = case(
        &format!("ignite ps with {VMS} VM records"),
        &[&ignite, "ps"],
    )?
    .against(&help, 5.0);
    let all = case(
        &format!("ignite ps -a with {VMS} VM records"),
        &[&ignite, "ps", "-a"],
    )?
    .against(&help, 5.0);
    Ok(vec![nothing.clone(), help.against(&nothing, 3.0), ps, all])
}

fn nothing() -> Result<String> {
    let directory = place::build("bench");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("nothing.c"), "int main(void){return 0;}\n")?;
    let program = directory.join("nothing");
    let made = Command::new("cc")
        .args(["-O2", "-o"])
        .arg(&program)
        .arg(directory.join("nothing.c"))
        .status()
        .context("cannot start cc")?;
    ensure!(made.success(), "cannot compile nothing.c");
    Ok(program.display().to_string())
}
