//! `ignite top`: the processes of a VM.

use std::time::Duration;

use clap::Args;
use ignite_api::Size;
use ignite_engine::{Attendants, Process, Silent};
use serde::Serialize;

use crate::context::{Context, Outcome};
use crate::output::OutputArgs;
use crate::table::Table;
use crate::values;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite top web
  ignite top -a -o json web

The VM's agent reads them: its image needs no ps. %CPU is the share of one processor over the life
of the process, TIME its processor time. Control characters are escaped.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Top {
    /// VM, by name, uid, or the beginning of either
    vm: String,

    /// Also the threads of its kernel
    #[arg(short, long)]
    all: bool,

    /// Give up when the VM has been silent for that long
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = values::patience)]
    timeout: Duration,

    #[command(flatten)]
    output: OutputArgs,
}

impl Verb for Top {
    const ABOUT: &'static str = "Show the processes of a VM";

    fn run(self, context: &Context) -> Outcome {
        let cancel = context.cancel()?;
        let attendants = Attendants {
            report: context.terminal,
            progress: &Silent,
            cancel: &cancel,
        };
        let mut processes = context
            .reader()?
            .processes(&self.vm, self.timeout, attendants)?;
        processes.retain(|process| self.all || !process.kernel);
        if let Some(format) = self.output.output {
            let lines: Vec<Line<'_>> = processes.iter().map(Line::new).collect();
            return context.encode(format, &lines);
        }
        context.terminal.result(&table(&processes))?;
        Ok(0)
    }
}

/// A process as programs read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(flatten)]
    process: &'a Process,
    cpu_percent: f64,
}

impl<'a> Line<'a> {
    fn new(process: &'a Process) -> Self {
        Self {
            process,
            cpu_percent: percent(process),
        }
    }
}

/// Of one processor, over its life; with a digit behind the point.
fn percent(process: &Process) -> f64 {
    let permille = process.time_ms as f64 * 1000.0 / process.age_ms.max(1) as f64;
    permille.round() / 10.0
}

fn table(processes: &[Process]) -> String {
    let mut table = Table::new(["PID", "USER", "%CPU", "TIME", "MEMORY", "COMMAND"]);
    for process in processes {
        table.push([
            &process.pid,
            &process.user,
            &format_args!("{:.1}", percent(process)),
            &time(process.time_ms),
            &Size::from_bytes(process.memory).human(),
            &process.command,
        ]);
    }
    table.render()
}

/// Hours, minutes, seconds.
fn time(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns() {
        let init = Process {
            pid: 1,
            user: "root".into(),
            time_ms: 3_725_000,
            age_ms: 7_450_000,
            memory: 5 << 20,
            command: "/sbin/init".into(),
            ..Process::default()
        };
        let young = Process {
            pid: 1234,
            parent: 1,
            user: "www-data".into(),
            time_ms: 0,
            age_ms: 0,
            memory: 4096,
            command: "sh -c \\u{1b}[2J".into(),
            ..Process::default()
        };
        insta::assert_snapshot!(table(&[init, young]), @r"
        PID    USER       %CPU   TIME       MEMORY   COMMAND
        1      root       50.0   01:02:05   5.0 MB   /sbin/init
        1234   www-data   0.0    00:00:00   4.0 KB   sh -c \u{1b}[2J
        ");
    }

    #[test]
    fn programs_get_numbers() {
        let process = Process {
            pid: 3,
            time_ms: 10,
            age_ms: 3000,
            ..Process::default()
        };
        let line = serde_json::to_value(Line::new(&process)).expect("plain data");
        assert_eq!(line["cpuPercent"], 0.3);
        assert_eq!((&line["pid"], &line["timeMs"]), (&3.into(), &10.into()));
    }
}
