//! The guide in `docs/networking.md`: every command of its walk is run as it is written, in its order,
//! and prints what it says there, but for numbers.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ignite_testkit::{Host, wait_until};

use super::stage::{SET_UP, Stage};
use crate::support::SOON;

const GUIDE: &str = include_str!("../../../../../docs/networking.md");

/// A command of the guide, and what it prints there.
struct Step {
    host: usize,
    command: String,
    output: Vec<String>,
}

/// The commands of all blocks that are walked: each begins with its host, as in `node1# ip route`.
fn steps() -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let section = GUIDE.split("\n## Many hosts\n").nth(1);
    let section = section.context("the section of many hosts")?;
    let section = section.split("\n## ").next().unwrap_or(section);
    for block in section.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or(block);
        for line in block.lines() {
            let prompt = [1, 2].map(|host| (host, format!("node{host}# ")));
            let found = prompt
                .iter()
                .find_map(|(host, prompt)| Some((*host, line.strip_prefix(prompt.as_str())?)));
            match (found, steps.last_mut()) {
                (Some((host, command)), _) => steps.push(Step {
                    host,
                    command: command.to_owned(),
                    output: Vec::new(),
                }),
                (None, Some(step)) => step.output.push(line.to_owned()),
                (None, None) => bail!("{line:?} is no command of a host"),
            }
        }
    }
    Ok(steps)
}

/// A line without what differs from one time to the next: numbers, tokens, the spaces of columns.
fn shape(line: &str) -> String {
    let word = |word: &str| -> String {
        let hex = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '-' | '/');
        let numeric = word.chars().any(|c| c.is_ascii_digit())
            && word.trim_matches([',', ';', ')', '(']).chars().all(hex);
        match numeric {
            true => "N".to_owned(),
            false => {
                let mut text = String::new();
                for c in word.chars() {
                    match c.is_ascii_digit() || (c == '.' && text.ends_with('N')) {
                        true if text.ends_with('N') => {}
                        true => text.push('N'),
                        false => text.push(c),
                    }
                }
                text
            }
        }
    };
    line.split_whitespace()
        .map(word)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Each line of the guide's output is among those printed, in their order; `...` stands for any.
fn compare(step: &Step, printed: &str) -> Result<()> {
    let mut lines = printed.lines().map(shape);
    for expected in step.output.iter().filter(|line| *line != "...") {
        let wanted = shape(expected);
        ensure!(
            lines.any(|line| line == wanted),
            "after `{}` the guide has\n  {expected}\n(as {wanted})\nand it printed\n{printed}",
            step.command
        );
    }
    Ok(())
}

/// The address of a VM, and the token of the last command that printed one.
struct Known {
    token: String,
    addresses: Vec<(String, String)>,
}

impl Known {
    /// The command with what is true of this run in place of the guide's examples.
    fn translate(&self, command: &str) -> String {
        let words = command.split(' ').map(|word| {
            let is_token = word.len() > 100 && word.contains('.');
            match is_token {
                true => self.token.clone(),
                false => {
                    let mut word = word.to_owned();
                    for (written, real) in &self.addresses {
                        word = word.replace(written.as_str(), real);
                    }
                    word
                }
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// What a step printed that later ones need: an address of the guide stands for that of this run.
    fn learn(&mut self, step: &Step, printed: &str) {
        for word in printed.split_whitespace() {
            if word.len() > 100 && word.contains('.') {
                word.clone_into(&mut self.token);
            }
        }
        let addresses = |text: &str| -> Vec<String> {
            let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
            words
                .filter(|word| word.starts_with("10.50.") && word.matches('.').count() == 3)
                .map(|word| word.trim_end_matches('.').to_owned())
                .collect()
        };
        for expected in &step.output {
            let Some(line) = printed.lines().find(|line| shape(line) == shape(expected)) else {
                continue;
            };
            for (written, real) in addresses(expected).into_iter().zip(addresses(line)) {
                if !self.addresses.iter().any(|(known, _)| *known == written) {
                    self.addresses.push((written, real));
                }
            }
        }
    }
}

fn run(host: &Host, command: &str) -> Result<String> {
    // What a person sees: both streams.
    let both = format!("{{ {command}\n}} 2>&1");
    let output = host.sh(&both).deadline(SET_UP).output()?;
    ensure!(
        output.code == 0,
        "`{command}` ended with {}:\n{}",
        output.code,
        output.stdout
    );
    Ok(output.stdout)
}

#[test]
fn every_command_of_the_guide_does_what_it_says() -> Result<()> {
    let stage = Stage::new(2)?;
    let image = ignite_testkit::place::image("busy")?;
    let mut known = Known {
        token: String::new(),
        // The guide's image is one that people know.
        addresses: vec![("nginx:alpine".to_owned(), image)],
    };
    let steps = steps()?;
    ensure!(steps.len() > 15, "only {} commands were found", steps.len());
    for step in &steps {
        let host = &stage.nodes[step.host - 1];
        let command = known.translate(&step.command);
        let _slot = command
            .starts_with("ignite run")
            .then(ignite_testkit::boot::slot)
            .transpose()?;
        // A host that has just joined is not known to all yet: who only looks, looks again.
        let looks = ["ignite overlay status", "ignite exec", "ping"];
        let limit = match looks.iter().any(|verb| command.starts_with(verb)) {
            true => SOON,
            false => Duration::ZERO,
        };
        let printed = wait_until(&step.command, limit, || {
            let printed = run(host, &command)?;
            compare(step, &printed).map(|()| printed)
        })?;
        known.learn(step, &printed);
    }
    Ok(())
}
