//! `ignite stats`: what VMs use.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use ignite_api::Size;
use ignite_engine::keep::InterfaceCounters;
use ignite_engine::{Engine, Report, Sample, Usage, rates};
use ignite_program::Failure;
use serde::Serialize;

use crate::context::{Context, Outcome};
use crate::output::OutputArgs;
use crate::table::Table;
use crate::verb::Verb;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  ignite stats                      live, on a terminal
  ignite stats --no-stream web db
  ignite stats -o json

CPU is the share of one processor over the last second: 200 % is two of them, busy. Disk and network
are counted since the VM started, as the VM sees them: RX is what it received.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Stats {
    /// VMs, by name, uid, or the beginning of either; all that run where none is named
    #[arg(value_name = "VM")]
    vms: Vec<String>,

    /// Also VMs that do not run
    #[arg(short, long)]
    all: bool,

    /// Print once, also on a terminal
    #[arg(long)]
    no_stream: bool,

    #[command(flatten)]
    output: OutputArgs,
}

impl Verb for Stats {
    const ABOUT: &'static str = "Show what VMs use: processor, memory, disk, network";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.reader()?;
        let mut look = Look::new(&engine, &self, context)?;
        let before = look.samples()?;
        std::thread::sleep(INTERVAL);
        let mut lines = look.lines(&before)?;
        if let Some(format) = self.output.output {
            return context.encode(format, &lines);
        }
        if self.no_stream || !std::io::stdout().is_terminal() {
            context.terminal.result(&table(&lines))?;
            return Ok(0);
        }
        loop {
            context.terminal.result(&screen(&table(&lines), size()))?;
            std::thread::sleep(INTERVAL);
            let before = std::mem::take(&mut look.latest);
            lines = look.lines(&before)?;
            if lines.is_empty() && !look.named.is_empty() {
                context.terminal.info("none of these VMs is there any more");
                return Ok(0);
            }
        }
    }
}

/// Samples by uid.
type Samples = BTreeMap<String, Sample>;

/// Which VMs are looked at, and what was seen last.
struct Look<'a> {
    engine: &'a Engine,
    /// Uids of those that were named.
    named: Vec<String>,
    all: bool,
    latest: Samples,
}

impl<'a> Look<'a> {
    fn new(engine: &'a Engine, stats: &Stats, context: &Context) -> Result<Self, Failure> {
        let uids = stats.vms.iter().map(|vm| engine.uid(vm));
        let named = uids.map(|uid| uid.map(|uid| uid.to_string()));
        let (_, faults) = engine.list(true)?;
        for fault in faults {
            context.terminal.warn(&fault);
        }
        Ok(Self {
            engine,
            named: named.collect::<Result<_, _>>()?,
            all: stats.all,
            latest: Samples::new(),
        })
    }

    /// The VMs that are shown: uid, name, state.
    fn shown(&self) -> Result<Vec<(String, String, &'static str)>, Failure> {
        let (vms, _) = self.engine.list(true)?;
        let runs = |state: &str| matches!(state, "running" | "paused" | "starting");
        let is_shown = |uid: &String, state: &str| match self.named.as_slice() {
            [] => self.all || runs(state),
            named => named.contains(uid),
        };
        let vms = vms
            .into_iter()
            .map(|vm| (vm.uid.to_string(), vm.name, vm.state));
        Ok(vms.filter(|(uid, _, state)| is_shown(uid, state)).collect())
    }

    fn samples(&self) -> Result<Samples, Failure> {
        let uids: Vec<String> = self.shown()?.into_iter().map(|(uid, ..)| uid).collect();
        let samples = self.engine.samples(&uids).into_iter();
        // One that does not run, or does not answer, has none.
        let samples = samples.filter_map(Result::ok);
        Ok(samples
            .map(|sample| (sample.uid.to_string(), sample))
            .collect())
    }

    /// What was used since `before`.
    fn lines(&mut self, before: &Samples) -> Result<Vec<Line>, Failure> {
        self.latest = self.samples()?;
        let line = |(uid, name, state): (String, String, &'static str)| {
            let sample = self.latest.get(&uid);
            let usage = before.get(&uid).zip(sample);
            let usage = usage.and_then(|(before, after)| rates(before, after));
            Line {
                name,
                state,
                used: sample.map(|sample| Used::new(sample, usage.as_ref())),
                uid,
            }
        };
        Ok(self.shown()?.into_iter().map(line).collect())
    }
}

/// One VM.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    uid: String,
    name: String,
    state: &'static str,
    /// None where it does not run, or does not answer.
    #[serde(flatten)]
    used: Option<Used>,
}

/// What it uses.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Used {
    /// None in the first second of its life.
    cpu_percent: Option<f64>,
    cpu_nanos: u64,
    memory: u64,
    memory_limit: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<u64>,
    disk_read_bytes: u64,
    disk_written_bytes: u64,
    disk_reads: u64,
    disk_writes: u64,
    interfaces: Vec<InterfaceCounters>,
}

impl Used {
    fn new(sample: &Sample, usage: Option<&Usage>) -> Self {
        let disks = sample.disks.unwrap_or_default();
        Self {
            cpu_percent: usage.map(|usage| usage.cpu_percent),
            cpu_nanos: u64::try_from(sample.cpu.as_nanos()).unwrap_or(u64::MAX),
            memory: sample.memory,
            memory_limit: sample.memory_limit,
            tasks: sample.tasks,
            disk_read_bytes: disks.read_bytes,
            disk_written_bytes: disks.written_bytes,
            disk_reads: disks.reads,
            disk_writes: disks.writes,
            interfaces: sample.interfaces.clone(),
        }
    }

    fn cpu(&self) -> String {
        self.cpu_percent
            .map_or_else(|| "--".into(), |percent| format!("{percent:.1}%"))
    }
}

const HEADER: [&str; 9] = [
    "VM ID", "NAME", "CPU %", "MEMORY", "LIMIT", "DISK R", "DISK W", "NET RX", "NET TX",
];

/// A row for each VM, and one for each interface but its first.
fn table(lines: &[Line]) -> String {
    let mut table = Table::new(HEADER);
    for line in lines {
        let Some(used) = &line.used else {
            let none = "--";
            table.push([
                &line.uid, &line.name, &none, &none, &none, &none, &none, &none, &none,
            ]);
            continue;
        };
        let human = |bytes| Size::from_bytes(bytes).human().to_string();
        let net = |index: usize| match used.interfaces.get(index) {
            Some(it) => (
                format!("{} {}", it.interface, human(it.rx_bytes)),
                human(it.tx_bytes),
            ),
            None => ("--".into(), "--".into()),
        };
        let (rx, tx) = net(0);
        table.push([
            &line.uid,
            &line.name,
            &used.cpu(),
            &human(used.memory),
            &human(used.memory_limit),
            &human(used.disk_read_bytes),
            &human(used.disk_written_bytes),
            &rx,
            &tx,
        ]);
        for index in 1..used.interfaces.len() {
            let (rx, tx) = net(index);
            table.push([&"", &"", &"", &"", &"", &"", &"", &rx, &tx]);
        }
    }
    table.render()
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(rustix::stdio::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

/// The text in the place of the one before: what does not fit is cut off, so nothing scrolls.
fn screen(text: &str, (columns, rows): (usize, usize)) -> String {
    let mut screen = String::from("\x1b[H");
    for line in text.lines().take(rows.saturating_sub(1)) {
        let line: String = line.chars().take(columns).collect();
        write!(screen, "{line}\x1b[K\r\n").expect("a String takes everything");
    }
    screen + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        let interface = |name: &str| InterfaceCounters {
            interface: name.into(),
            rx_bytes: 2048,
            tx_bytes: 100,
            ..InterfaceCounters::default()
        };
        Line {
            uid: "0123456789abcdef".into(),
            name: "web".into(),
            state: "running",
            used: Some(Used {
                cpu_percent: Some(150.04),
                cpu_nanos: 7,
                memory: 128 << 20,
                memory_limit: 512 << 20,
                tasks: Some(5),
                disk_read_bytes: 1 << 20,
                disk_written_bytes: 4096,
                disk_reads: 3,
                disk_writes: 4,
                interfaces: vec![interface("eth0"), interface("eth1")],
            }),
        }
    }

    #[test]
    fn columns() {
        let stopped = Line {
            name: "db".into(),
            state: "stopped",
            used: None,
            ..line()
        };
        insta::assert_snapshot!(table(&[line(), stopped]), @r"
        VM ID              NAME   CPU %    MEMORY     LIMIT      DISK R      DISK W   NET RX        NET TX
        0123456789abcdef   web    150.0%   128.0 MB   512.0 MB   1024.0 KB   4.0 KB   eth0 2.0 KB   100 B
                                                                                      eth1 2.0 KB   100 B
        0123456789abcdef   db     --       --         --         --          --       --            --
        ");
    }

    #[test]
    fn a_screen_holds_what_fits() {
        assert_eq!(
            screen("VM ID\n0123456789\nnever\n", (5, 3)),
            "\x1b[HVM ID\x1b[K\r\n01234\x1b[K\r\n\x1b[J"
        );
    }
}
