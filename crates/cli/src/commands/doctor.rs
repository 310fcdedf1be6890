//! `ignite doctor`: one page that says what this host can do.

use std::fmt::Write;
use std::io::IsTerminal;

use clap::Args;
use ignite_engine::Report;
use ignite_engine::doctor::{ConfigurationFault, Line, Section, Verdict, can_run, doctor};
use ignite_program::FAILED;

use crate::context::{Context, Outcome};
use crate::output::OutputArgs;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite doctor
  ignite doctor -o json
  ignite doctor --quiet     names of what is not good

Each line is ok, degraded (with what that costs) or missing, with what to do. Nothing is changed on
the host. A normal user sees less than root. Exit code 1 if no VM can run here.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Doctor {
    #[command(flatten)]
    output: OutputArgs,
}

impl Verb for Doctor {
    const ABOUT: &'static str = "Show what this host can do, and what to do about the rest";

    fn run(self, context: &Context) -> Outcome {
        let lines = examine(context);
        let code = if can_run(&lines) { 0 } else { FAILED };
        match self.output.output {
            Some(format) => {
                context.encode(format, &lines)?;
            }
            None if context.terminal.is_quiet() => context.terminal.result(&names(&lines))?,
            None => {
                let colour = std::io::stdout().is_terminal() && context.terminal.has_colour();
                context.terminal.result(&page(&lines, colour))?;
                context.terminal.info(&summary(&lines));
            }
        }
        Ok(code)
    }
}

/// A configuration file that cannot be used is one more thing that is wrong here.
fn examine(context: &Context) -> Vec<Line> {
    match context.config() {
        Ok(config) => doctor(&config, None),
        Err(failure) => {
            let problem = failure.without_hint();
            let fault = ConfigurationFault {
                problem: problem.trim_start_matches("error: ").to_owned(),
                hint: failure.hint().map(str::to_owned),
            };
            doctor(&context.places().unwrap_or_default(), Some(&fault))
        }
    }
}

/// What is not good, as `section/name`.
fn names(lines: &[Line]) -> String {
    lines
        .iter()
        .filter(|line| line.verdict() != Verdict::Good)
        .map(|line| format!("{}/{}\n", line.section().as_str(), line.name()))
        .collect()
}

/// Columns of the page.
const WIDTH: usize = 100;
/// Before the names: two blanks, the mark, two blanks.
const INDENT: usize = 12;
/// Names longer than this push their text aside.
const LONGEST_NAME: usize = 24;

/// The mark of a line, of one width with the others, and its colour.
fn mark(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Good => ("ok", "32"),
        Verdict::Degraded => ("degraded", "33"),
        Verdict::Missing => ("missing", "31"),
    }
}

/// The page: a paragraph for each section.
fn page(lines: &[Line], colour: bool) -> String {
    let names = lines.iter().map(|line| line.name().chars().count());
    let column = INDENT + names.max().unwrap_or_default().min(LONGEST_NAME) + 2;
    let mut text = String::new();
    let mut section: Option<Section> = None;
    let mut rest = lines.iter().peekable();
    while let Some(line) = rest.next() {
        if section != Some(line.section()) {
            let gap = if section.is_some() { "\n" } else { "" };
            section = Some(line.section());
            writeln!(text, "{gap}{}", line.section().as_str()).expect("a String takes everything");
        }
        // What to do is said once for those in a row that have it in common.
        let next = rest.peek().filter(|next| next.section() == line.section());
        let common = next.and_then(|next| next.remedy_text());
        let remedy = line.remedy_text().filter(|remedy| common != Some(remedy));
        write_line(&mut text, (line, remedy), column, colour);
    }
    text
}

fn write_line(
    text: &mut String,
    (line, remedy): (&Line, Option<&str>),
    column: usize,
    colour: bool,
) {
    let (word, code) = mark(line.verdict());
    let padded = format!("{word:<8}");
    let mark = match colour {
        true => format!("\x1b[{code}m{padded}\x1b[0m"),
        false => padded,
    };
    let name = format!("{:<1$}  ", line.name(), column - INDENT - 2);
    // A name that is too long for its column has a line of its own.
    let begin = match name.chars().count() > column - INDENT {
        true => format!("{}\n{:column$}", name.trim_end(), ""),
        false => name,
    };
    let remarks = [
        ("", Some(line.detail())),
        ("costs: ", line.costs()),
        ("remedy: ", remedy),
    ];
    let told = remarks
        .into_iter()
        .filter_map(|(label, told)| Some(format!("{label}{}", told?)));
    let rows: Vec<String> = told
        .flat_map(|told| wrapped(&told, WIDTH - column))
        .collect();
    let rows = rows.join(&format!("\n{:column$}", ""));
    let row = format!("  {mark}  {begin}{rows}");
    writeln!(text, "{}", row.trim_end()).expect("a String takes everything");
}

/// The text in lines of so many characters at most, broken between words where that is possible.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ').flat_map(|word| pieces(word, width)) {
        let long = word.chars().count();
        if used > 0 && used + 1 + long > width {
            rows.push(String::new());
            used = 0;
        }
        let row = rows.last_mut().expect("there is always one");
        if used > 0 {
            row.push(' ');
            used += 1;
        }
        row.push_str(&word);
        used += long;
    }
    rows
}

/// A word that is longer than a line, in pieces.
fn pieces(word: &str, width: usize) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    letters
        .chunks(width)
        .map(|piece| piece.iter().collect())
        .collect()
}

/// How it stands, in one line.
fn summary(lines: &[Line]) -> String {
    let count = |verdict| {
        lines
            .iter()
            .filter(|line| line.verdict() == verdict)
            .count()
    };
    let (degraded, missing) = (count(Verdict::Degraded), count(Verdict::Missing));
    let can = match can_run(lines) {
        true => "VMs can run on this host",
        false => "no VM can run on this host",
    };
    format!("{can}: {degraded} degraded, {missing} missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<Line> {
        let cause = "software: the processor shows no hardware virtualisation; the /dev/kvm that is there \
                     is not used";
        vec![
            Line::good(Section::Processor, "processor", "2 x AMD EPYC, x86_64"),
            Line::degraded(Section::Processor, "kvm", cause, "speed").remedy("buy another"),
            Line::missing(
                Section::Kernel,
                "nft program",
                "not found",
                "apt install nftables",
            ),
        ]
    }

    #[test]
    fn the_page_reads_without_colour() {
        insta::assert_snapshot!(page(&lines(), false), @"
        processor
          ok        processor    2 x AMD EPYC, x86_64
          degraded  kvm          software: the processor shows no hardware virtualisation; the /dev/kvm that
                                 is there is not used
                                 costs: speed
                                 remedy: buy another

        kernel
          missing   nft program  not found
                                 remedy: apt install nftables
        ");
        let coloured = page(&lines(), true);
        assert!(
            coloured.contains("\x1b[31mmissing \x1b[0m  nft program"),
            "{coloured}"
        );
    }

    #[test]
    fn what_two_have_in_common_is_said_once() {
        let missing = |name| Line::missing(Section::Programs, name, "not found", "make install");
        let page = page(&[missing("a"), missing("b")], false);
        assert_eq!(page.matches("make install").count(), 1, "{page}");
    }

    #[test]
    fn no_line_is_wider_than_the_page() {
        let word = "x".repeat(250);
        let lines = [Line::missing(
            Section::Networks,
            &word[..60],
            &word,
            "a b ".repeat(90),
        )];
        let page = page(&lines, false);
        assert!(
            page.lines().all(|line| line.chars().count() <= WIDTH),
            "{page}"
        );
    }

    #[test]
    fn only_what_is_not_good_is_named() {
        assert_eq!(names(&lines()), "processor/kvm\nkernel/nft program\n");
        assert_eq!(
            summary(&lines()),
            "VMs can run on this host: 1 degraded, 1 missing"
        );
    }
}
