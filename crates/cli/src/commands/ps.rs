//! `ignite ps`: the VMs.

use std::fmt;

use clap::Args;
use ignite_engine::{Report, VmLine};
use jiff::Timestamp;

use crate::context::{Context, Outcome};
use crate::duration::since;
use crate::output::OutputArgs;
use crate::table::Table;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite ps
  ignite ps --all --quiet     uids only, of the stopped ones as well
  ignite ps -o json";

#[derive(Debug, Default, Args)]
#[command(after_help = EXAMPLES)]
pub struct Ps {
    /// Those that do not run as well
    #[arg(short, long)]
    all: bool,

    #[command(flatten)]
    output: OutputArgs,
}

impl Ps {
    /// The same with those that do not run.
    pub fn all(self) -> Self {
        Self { all: true, ..self }
    }
}

impl Verb for Ps {
    const ABOUT: &'static str = "List VMs";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.reader()?;
        let (mut vms, faults) = engine.list(self.all)?;
        for fault in faults {
            context.terminal.warn(&fault);
        }
        if let Some(format) = self.output.output {
            engine.add_interfaces(&mut vms)?;
            return context.encode(format, &vms);
        }
        let text = match context.terminal.is_quiet() {
            true => vms.iter().map(|vm| format!("{}\n", vm.uid)).collect(),
            false => table(&vms, Timestamp::now()),
        };
        context.terminal.result(&text)?;
        for vm in vms.iter().filter(|vm| !vm.hints.is_empty()).take(MAX_HINTS) {
            for hint in &vm.hints {
                context.terminal.warn(&format!("VM {}: {hint}", vm.name));
            }
        }
        Ok(0)
    }
}

/// VMs about which there is more to say than fits into the table, at most.
const MAX_HINTS: usize = 5;

const HEADER: [&str; 11] = [
    "VM ID", "IMAGE", "KERNEL", "SIZE", "CPUS", "MEMORY", "CREATED", "STATUS", "IPS", "PORTS",
    "NAME",
];

fn table(vms: &[VmLine], now: Timestamp) -> String {
    let mut table = Table::new(HEADER);
    for vm in vms {
        push(&mut table, vm, now);
    }
    table.render()
}

fn push(table: &mut Table<11>, vm: &VmLine, now: Timestamp) {
    let ago = |then| since(then, now).unwrap_or_else(|| "<unknown>".into());
    let created = match since(vm.created, now) {
        Some(age) => format!("{age} ago"),
        None => "<unknown>".into(),
    };
    table.push([
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
        insta::assert_snapshot!(table(&[vm("running"), vm("paused"), stopped], now), @"
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
