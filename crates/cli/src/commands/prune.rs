//! `ignite prune`: what is not in use any more.

use std::io::{IsTerminal, stdin};
use std::str::FromStr;

use clap::Args;
use ignite_api::{Label, Size};
use ignite_engine::{Prune, Pruned, Report};
use ignite_program::Failure;
use jiff::Timestamp;

use crate::context::{Context, Outcome};
use crate::output::OutputArgs;
use crate::values;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite prune
  ignite prune --all --force
  ignite prune --force --filter until=24h --filter label=job=nightly

VMs that ignited keeps as a manifest says stay. So does the newest kernel, which the next VM boots:
ignite kernel rm. Images are imported again when a VM needs them.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PruneVerb {
    /// Also images and kernels that no VM uses, but for the newest kernel
    #[arg(short, long)]
    all: bool,

    /// Do not ask first
    #[arg(short, long)]
    force: bool,

    /// Only those that match: until=24h (ended or imported before), label=KEY=VALUE (repeatable)
    #[arg(long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<Filter>,

    #[command(flatten)]
    output: OutputArgs,
}

/// What is taken.
#[derive(Debug, Clone)]
enum Filter {
    Until(Timestamp),
    Label(Label),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("until", moment)) => values::moment(moment).map(Self::Until),
            Some(("label", label)) => (values::LABEL)(label).map(Self::Label),
            _ => Err(format!(
                "{text:?} is no filter of prune\nhint: write until=24h or label=KEY=VALUE"
            )),
        }
    }
}

impl Verb for PruneVerb {
    const ABOUT: &'static str = "Remove VMs that have ended, and what no VM uses";

    fn run(self, context: &Context) -> Outcome {
        if !self.force && !self.agreed(context)? {
            context.terminal.info("nothing was removed");
            return Ok(0);
        }
        let cancel = context.cancel()?;
        let (pruned, failures) = context.engine()?.prune(&self.prune(), &cancel);
        let mut code = match self.output.output {
            Some(format) => context.encode(format, &pruned)?,
            None => print(context, &pruned)?,
        };
        for failure in failures {
            let failure = Failure::from(failure);
            context.terminal.failure(&failure);
            code = failure.code();
        }
        Ok(code)
    }
}

impl PruneVerb {
    fn prune(&self) -> Prune {
        let mut prune = Prune {
            all: self.all,
            ..Prune::default()
        };
        for filter in self.filters.iter().cloned() {
            match filter {
                Filter::Until(until) => {
                    let earlier = prune.until.map_or(until, |other| other.min(until));
                    prune.until = Some(earlier);
                }
                Filter::Label(label) => prune.labels.push(label),
            }
        }
        prune
    }

    /// Asks the person at the terminal; without one nobody could answer.
    fn agreed(&self, context: &Context) -> Result<bool, Failure> {
        if !stdin().is_terminal() {
            return Err(Failure::usage(
                "nobody can be asked whether to remove anything: standard input is no terminal",
                Some("to do it without being asked: ignite prune --force".into()),
            ));
        }
        let rest = if self.all {
            ", all images that no other VM uses, and all such kernels but the newest"
        } else {
            ""
        };
        let question = format!("Remove all VMs that do not run{rest}? [y/N] ");
        context.terminal.stderr(&question);
        let mut answer = String::new();
        stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

/// Uids as the result, and how much it was.
fn print(context: &Context, pruned: &Pruned) -> Outcome {
    let all = [&pruned.vms, &pruned.images, &pruned.kernels];
    let uids: String = all
        .into_iter()
        .flatten()
        .map(|uid| format!("{uid}\n"))
        .collect();
    context.terminal.result(&uids)?;
    let [vms, images, kernels] = all.map(Vec::len);
    let freed = Size::from_bytes(pruned.freed_bytes).human();
    context.terminal.info(&format!(
        "removed VMs: {vms}, images: {images}, kernels: {kernels}; freed {freed}"
    ));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_moments_and_labels() {
        for text in [
            "until=24h",
            "until=2026-01-31T12:00:00Z",
            "label=a=b=c",
            "label=a=",
        ] {
            assert!(text.parse::<Filter>().is_ok(), "{text}");
        }
        for text in ["", "until", "until=x", "label==b", "age=24h"] {
            assert!(text.parse::<Filter>().is_err(), "{text}");
        }
    }
}
