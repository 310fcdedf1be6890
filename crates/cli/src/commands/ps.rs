//! `ignite ps`: the VMs.

use std::fmt;

use clap::{Args, ValueEnum};
use ignite_api::filter::{Filters, VmCondition};
use ignite_api::template::Value;
use ignite_api::{Kind, Metadata, Vm, VmSpec};
use ignite_engine::{Engine, Report, VmLine};
use ignite_program::Failure;
use jiff::Timestamp;

use crate::context::{Context, Outcome};
use crate::duration::since;
use crate::output::Format;
use crate::select::{Form, TemplateArgs, filters, keep, typo};
use crate::shown;
use crate::table::Table;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite ps
  ignite ps --all --quiet                 uids only, of the stopped ones as well
  ignite ps -f status=exited -f label=app=web
  ignite ps -f '{{.Spec.CPUs}}!=1,{{.ObjectMeta.Name}}=~web'
  ignite ps -t '{{.ObjectMeta.Name}} {{.Status.Network.IPAddresses}}'

docs/templates.md has all fields, functions and filters.";

#[derive(Debug, Default, Args)]
#[command(after_help = EXAMPLES)]
pub struct Ps {
    /// Also VMs that do not run
    #[arg(short, long)]
    all: bool,

    /// Only those that match: '{{.ObjectMeta.Name}}=web', or name=web (repeatable)
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,

    #[command(flatten)]
    template: TemplateArgs,

    /// Only the newest NUMBER, running or not
    #[arg(short = 'n', long, value_name = "NUMBER")]
    last: Option<usize>,

    /// Only the newest one, running or not
    #[arg(short, long, conflicts_with = "last")]
    latest: bool,

    /// json, yaml, or wide: a table with VMM, networks and labels
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    output: Option<Output>,

    /// Nothing is ever cut off
    #[arg(long, hide = true)]
    no_trunc: bool,
}

/// Forms of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// JSON, indented
    Json,
    /// YAML
    Yaml,
    /// A table with more columns
    Wide,
}

impl Ps {
    /// The same with those that do not run.
    pub fn all(self) -> Self {
        Self { all: true, ..self }
    }

    /// Fails if there are any flags: before another command they would be lost.
    pub fn refuse(&self) -> Result<(), Failure> {
        let is_narrowed = self.latest || self.last.is_some() || !self.filter.is_empty();
        let is_formed = self.output.is_some() || self.template.is_given() || self.no_trunc;
        match self.all || is_narrowed || is_formed {
            true => Err(Failure::usage(
                "a flag of the list is given before the command",
                Some("write it after the command, such as: ignite vm ls -o json".into()),
            )),
            false => Ok(()),
        }
    }
}

impl Verb for Ps {
    const ABOUT: &'static str = "List VMs";

    fn run(self, context: &Context) -> Outcome {
        let form = self.template.form()?;
        let mut filters = filters::<VmCondition>(&self.filter)?;
        check(form.as_ref(), &filters)?;
        let engine = context.reader()?;
        resolve(&engine, &mut filters)?;
        let now = Timestamp::now();
        let rows = self.rows(context, &engine, filters, now)?;
        match form {
            Some(form) => {
                let values: Vec<Value> = rows.iter().map(|row| row.value(now)).collect();
                context.terminal.result(&form.render(&values)?)?;
                Ok(0)
            }
            None => self.print(context, &engine, rows, now),
        }
    }
}

impl Ps {
    /// The VMs that are meant.
    fn rows(
        &self,
        context: &Context,
        engine: &Engine,
        mut filters: Filters<VmCondition>,
        now: Timestamp,
    ) -> Result<Vec<Row>, Failure> {
        let newest = self.last.or(self.latest.then_some(1));
        let stopped = filters.conditions().any(|it| it.means_stopped());
        let (lines, faults) = engine.list(self.all || stopped || newest.is_some())?;
        for fault in faults {
            context.terminal.warn(&fault);
        }
        let mut rows = match self.has_details() {
            true => detailed(context, engine, lines),
            false => lines.into_iter().map(Row::from).collect(),
        };
        rows = keep(rows, |row| row.is_meant(&filters, now))?;
        if let Some(newest) = newest {
            rows.sort_by_key(|row| std::cmp::Reverse(row.line.created));
            rows.truncate(newest);
        }
        Ok(rows)
    }

    /// Whether more is needed than lines of the list hold.
    fn has_details(&self) -> bool {
        let is_wide = self.output == Some(Output::Wide);
        is_wide || !self.filter.is_empty() || self.template.is_given()
    }

    /// Without a template.
    fn print(&self, context: &Context, engine: &Engine, rows: Vec<Row>, now: Timestamp) -> Outcome {
        let format = match self.output {
            Some(Output::Json) => Some(Format::Json),
            Some(Output::Yaml) => Some(Format::Yaml),
            Some(Output::Wide) | None => None,
        };
        if let Some(format) = format {
            let mut vms: Vec<VmLine> = rows.into_iter().map(|row| row.line).collect();
            for fault in engine.add_interfaces(&mut vms) {
                context.terminal.warn(&fault);
            }
            return context.encode(format, &vms);
        }
        let text = match (context.terminal.is_quiet(), self.output) {
            (true, _) => rows
                .iter()
                .map(|row| format!("{}\n", row.line.uid))
                .collect(),
            (false, Some(_)) => wide_table(&rows, now),
            (false, None) => table(&rows, now),
        };
        context.terminal.result(&text)?;
        let told = rows
            .iter()
            .map(|row| &row.line)
            .filter(|vm| !vm.hints.is_empty());
        for vm in told.take(MAX_HINTS) {
            for hint in &vm.hints {
                context.terminal.warn(&format!("VM {}: {hint}", vm.name));
            }
        }
        Ok(0)
    }
}

/// One VM of the list, and its object where that was asked for.
#[derive(Debug)]
struct Row {
    line: VmLine,
    vm: Option<Vm>,
}

impl From<VmLine> for Row {
    fn from(line: VmLine) -> Self {
        Self { line, vm: None }
    }
}

impl Row {
    fn value(&self, now: Timestamp) -> Value {
        let vm = self
            .vm
            .as_ref()
            .map(|vm| shown::vm_line(&self.line, vm, now));
        vm.map_or(Value::Nil, Value::Object)
    }

    fn is_meant(
        &self,
        filters: &Filters<VmCondition>,
        now: Timestamp,
    ) -> Result<bool, ignite_api::TemplateError> {
        match &self.vm {
            Some(vm) if !filters.is_empty() => filters.accept(vm, &self.value(now)),
            _ => Ok(true),
        }
    }
}

/// Adds to each line its object; a VM that was removed in the meantime is left out, and so is one whose
/// record cannot be read, which is told.
fn detailed(context: &Context, engine: &Engine, lines: Vec<VmLine>) -> Vec<Row> {
    let mut rows = Vec::with_capacity(lines.len());
    for line in lines {
        match engine.recorded(line.uid) {
            Ok(Some(vm)) => rows.push(Row { line, vm: Some(vm) }),
            Ok(None) => {}
            Err(error) => context.terminal.warn(&Failure::from(error).line()),
        }
    }
    rows
}

/// Looks up the VMs that `before` and `since` name.
fn resolve(engine: &Engine, filters: &mut Filters<VmCondition>) -> Result<(), Failure> {
    for condition in filters.conditions() {
        if let Some(moment) = condition.moment() {
            moment.at = engine.inspect(&moment.of)?.metadata.created;
        }
    }
    Ok(())
}

/// Fails on a field no VM has, though there be no VM to notice it.
fn check(form: Option<&Form>, filters: &Filters<VmCondition>) -> Result<(), Failure> {
    let vm = Vm::new(Kind::Vm, Metadata::default(), VmSpec::default());
    let example = Value::Object(shown::vm(&vm));
    if let Some(form) = form {
        form.check(&example)?;
    }
    typo(filters.check(&example))
}

/// VMs about which there is more to say than fits into the table, at most.
const MAX_HINTS: usize = 5;

const HEADER: [&str; 11] = [
    "VM ID", "IMAGE", "KERNEL", "SIZE", "CPUS", "MEMORY", "CREATED", "STATUS", "IPS", "PORTS",
    "NAME",
];

fn table(rows: &[Row], now: Timestamp) -> String {
    let mut table = Table::new(HEADER);
    for row in rows {
        with_cells(&row.line, now, |cells| table.push(cells));
    }
    table.render()
}

const WIDE_HEADER: [&str; 14] = [
    "VM ID", "IMAGE", "KERNEL", "SIZE", "CPUS", "MEMORY", "CREATED", "STATUS", "IPS", "PORTS",
    "NAME", "VMM", "NETWORKS", "LABELS",
];

fn wide_table(rows: &[Row], now: Timestamp) -> String {
    let mut table = Table::new(WIDE_HEADER);
    for row in rows {
        let Some(vm) = &row.vm else { continue };
        let interfaces = vm.status.network.interfaces.iter();
        let networks: Vec<&str> = interfaces.map(|it| it.network.as_str()).collect();
        let labels = vm.metadata.labels.iter();
        let labels: Vec<String> = labels
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let (vmm, networks, labels) = (&vm.status.runtime.name, Joined(&networks), Joined(&labels));
        with_cells(&row.line, now, |[a, b, c, d, e, f, g, h, i, j, k]| {
            table.push([a, b, c, d, e, f, g, h, i, j, k, vmm, &networks, &labels]);
        });
    }
    table.render()
}

/// The cells every table has.
fn with_cells(vm: &VmLine, now: Timestamp, push: impl FnOnce([&dyn fmt::Display; 11])) {
    let ago = |then| since(then, now).unwrap_or_else(|| "<unknown>".into());
    let created = match since(vm.created, now) {
        Some(age) => format!("{age} ago"),
        None => "<unknown>".into(),
    };
    push([
        &vm.uid,
        &vm.image,
        &vm.kernel,
        &vm.disk_size.human(),
        &vm.cpus,
        &vm.memory.human(),
        &created,
        &vm.status(ago),
        &Joined(&vm.addresses),
        &Joined(&vm.ports),
        &vm.name,
    ]);
}

/// Values between commas.
struct Joined<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_api::{PortMapping, Size};

    fn vm(state: &'static str) -> VmLine {
        VmLine {
            uid: "0123456789abcdef".parse().expect("a uid"),
            name: "web".into(),
            image: "nginx:latest".into(),
            kernel: "6.1.0-41-cloud-amd64".into(),
            disk_size: Size::from_mib(4096),
            cpus: 2,
            memory: Size::from_mib(512),
            created: Timestamp::UNIX_EPOCH,
            state,
            started: Some(Timestamp::from_second(60).expect("in range")),
            ended: None,
            end: None,
            exit_code: None,
            addresses: vec![
                "10.61.0.2".parse().expect("an address"),
                "fd00::2".parse().expect("an address"),
            ],
            ports: PortMapping::parse_all(["8080:80", "[::1]:53:53/udp"]).expect("mappings"),
            hints: vec![],
            vmm: None,
            disk: None,
            interfaces: vec![],
        }
    }

    #[test]
    fn columns() {
        let now = Timestamp::from_second(3660).expect("in range");
        let stopped = VmLine {
            addresses: vec![],
            ports: vec![],
            exit_code: Some(3),
            ended: Some(now),
            ..vm("stopped")
        };
        let rows = [vm("running"), vm("paused"), stopped].map(Row::from);
        insta::assert_snapshot!(table(&rows, now), @"
        VM ID              IMAGE          KERNEL                 SIZE     CPUS   MEMORY     CREATED   STATUS              IPS                  PORTS                                    NAME
        0123456789abcdef   nginx:latest   6.1.0-41-cloud-amd64   4.0 GB   2      512.0 MB   61m ago   Up 60m              10.61.0.2, fd00::2   0.0.0.0:8080->80/tcp, [::1]:53->53/udp   web
        0123456789abcdef   nginx:latest   6.1.0-41-cloud-amd64   4.0 GB   2      512.0 MB   61m ago   Up 60m (Paused)     10.61.0.2, fd00::2   0.0.0.0:8080->80/tcp, [::1]:53->53/udp   web
        0123456789abcdef   nginx:latest   6.1.0-41-cloud-amd64   4.0 GB   2      512.0 MB   61m ago   Exited (3) 0s ago                                                                 web
        ");
    }

    #[test]
    fn no_vm_is_a_header() {
        assert_eq!(table(&[], Timestamp::UNIX_EPOCH).lines().count(), 1);
    }
}
