//! `ignite logs`: a VM's console.

use std::io::{Write, stdout};

use clap::Args;
use ignite_engine::LogOptions;
use ignite_program::NO_READER;
use jiff::Timestamp;

use crate::context::{Context, Outcome};
use crate::terminal::Outlet;
use crate::values;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite logs web
  ignite logs -f --tail 20 web     the last lines, then on until it ends
  ignite logs --since 10m -t web   with when each line came, in UTC

The console keeps its newest 4 MB.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Logs {
    /// VM, by name, uid, or the beginning of either
    vm: String,

    /// Go on until the VM ends
    #[arg(short, long)]
    follow: bool,

    /// Only what came after a moment (2026-01-31T12:00:00Z), or so long ago (10m)
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    since: Option<Timestamp>,

    /// Only the last LINES lines, or all
    #[arg(short = 'n', long, value_name = "LINES", default_value = "all", value_parser = tail)]
    tail: Tail,

    /// Say when each line came
    #[arg(short, long)]
    timestamps: bool,
}

/// How many lines; none for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tail(Option<u64>);

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" => Ok(Tail(None)),
        number => number
            .parse()
            .map(|lines| Tail(Some(lines)))
            .map_err(|_| format!("{text:?} is no number of lines\nhint: write a number, or all")),
    }
}

impl Verb for Logs {
    const ABOUT: &'static str = "Show what a VM wrote to its console";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.reader()?;
        let options = LogOptions {
            follow: self.follow,
            since: self.since,
            tail: self.tail.0,
            timestamps: self.timestamps,
        };
        let mut stdout = Outlet::new(stdout().lock());
        let shown = engine.logs(&self.vm, &options, context.terminal, &mut |bytes| {
            stdout.write_all(bytes)?;
            stdout.flush()
        });
        if stdout.is_gone() {
            return Ok(NO_READER);
        }
        shown?;
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_or_all() {
        assert_eq!(tail("all"), Ok(Tail(None)));
        assert_eq!(tail("0"), Ok(Tail(Some(0))));
        for text in ["", "-1", "few", "1.5"] {
            assert!(tail(text).is_err(), "{text}");
        }
    }
}
