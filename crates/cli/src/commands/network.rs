//! `ignite network`: the networks VMs can be attached to.

use clap::Args;
use ignite_engine::{
    Checkup, Finding, Garbage, GarbageMode, NetworkLine, Readiness, Released, Report,
};
use ignite_program::{FAILED, Failure};

use super::inspect::{FormArgs, Kind, show};
use crate::context::{Context, Outcome};
use crate::listing::select;
use crate::output::OutputArgs;
use crate::select::ListArgs;
use crate::table::Table;
use crate::verb::{Verb, group};

const EXAMPLES: &str = "\
Examples:
  ignite network ls
  ignite network check web
  ignite network gc --dry-run";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Network {
    #[command(subcommand)]
    command: Option<NetworkCommand>,

    #[command(flatten)]
    list: ListArgs,
}

group! {
    NetworkCommand {
        "ls" | "list" => Ls,
        "inspect" => Inspect,
        "check" => Check,
        "gc" => Gc,
    }
}

impl Verb for Network {
    const ABOUT: &'static str = "Look at networks, and clean up after VMs; alone, list them";

    fn run(self, context: &Context) -> Outcome {
        match self.command {
            None => Ls { list: self.list }.run(context),
            Some(command) => self.list.refuse().and_then(|()| command.run(context)),
        }
    }
}

const LS_EXAMPLES: &str = "\
Examples:
  ignite network ls
  ignite network ls -o json
  ignite network ls --quiet     names only
  ignite network ls -f driver=bridge -t '{{.Name}} {{.Attachments}}'

The first one is what VMs get unless told otherwise. Whether a network would take anyone now is
known of networks with CNI version 1.1.0, to root.";

#[derive(Debug, Default, Args)]
#[command(after_help = LS_EXAMPLES)]
struct Ls {
    #[command(flatten)]
    list: ListArgs,
}

impl Verb for Ls {
    const ABOUT: &'static str = "List networks";

    fn run(self, context: &Context) -> Outcome {
        let found = context.reader()?.networks()?;
        select(context, &self.list, found, table)
    }
}

const HEADER: [&str; 6] = [
    "NAME",
    "FILE",
    "PLUGINS",
    "CNI VERSION",
    "STATUS",
    "ATTACHMENTS",
];

fn table(networks: &[NetworkLine]) -> String {
    let mut table = Table::new(HEADER);
    for network in networks {
        let file = match &network.file {
            Some(file) => file.display().to_string(),
            None => "(gone)".to_owned(),
        };
        let status = match &network.status {
            Readiness::Ready => "ready",
            Readiness::NotReady { .. } => "not ready",
            Readiness::Unknown => "-",
        };
        table.push([
            &network.name,
            &file,
            &network.plugins.join(","),
            &network.cni_version,
            &status,
            &network.attachments,
        ]);
    }
    table.render()
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  ignite network inspect ignite-cni-bridge
  ignite network inspect -o yaml ignite-cni-bridge
  ignite network inspect -t '{{range .Attachments}}{{.VM.Name}} {{.Addresses}}{{\"\\n\"}}{{end}}' blue";

#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
struct Inspect {
    /// Names of networks
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,

    #[command(flatten)]
    form: FormArgs,
}

impl Verb for Inspect {
    const ABOUT: &'static str = "Show all that is known of networks, with who is attached";

    fn run(self, context: &Context) -> Outcome {
        show(context, Some(Kind::Network), &self.networks, &self.form)
    }
}

const CHECK_EXAMPLES: &str = "\
Examples:
  ignite network check          all running VMs
  ignite network check web

Every plugin of every attachment is asked by CHECK. Where that is of no use (CNI older than 0.4.0, a
plugin whose CHECK is known to be wrong), it is said, and Ignite looks itself. Exit code 1 if
something is wrong.";

#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
struct Check {
    /// VM, by name, uid, or the beginning of either
    vm: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

impl Verb for Check {
    const ABOUT: &'static str = "Check that running VMs are attached as they were";

    fn run(self, context: &Context) -> Outcome {
        let checkup = context.engine()?.check_networks(self.vm.as_deref())?;
        for fault in &checkup.faults {
            context.terminal.warn(fault);
        }
        match self.output.output {
            Some(format) => {
                context.encode(format, &checkup.findings)?;
            }
            None => context
                .terminal
                .result(&findings(&checkup, context.terminal.is_quiet()))?,
        }
        Ok(if checkup.is_sound() { 0 } else { FAILED })
    }
}

/// A line for each finding; the uids of VMs with something wrong where only ids are wanted.
fn findings(checkup: &Checkup, quiet: bool) -> String {
    if quiet {
        let mut uids: Vec<String> = checkup
            .findings
            .iter()
            .filter(|finding| finding.is_wrong())
            .map(|finding| format!("{}\n", finding.vm.uid))
            .collect();
        uids.dedup();
        return uids.concat();
    }
    let mut table = Table::new(["VM", "INTERFACE", "NETWORK", "PLUGIN", "RESULT", "WHAT"]);
    for finding in &checkup.findings {
        push(&mut table, finding);
    }
    table.render()
}

fn push(table: &mut Table<6>, finding: &Finding) {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    table.push([
        &finding.vm.name,
        &or_dash(&finding.interface),
        &or_dash(&finding.network),
        &or_dash(&finding.plugin),
        &finding.verdict.as_str(),
        &finding.text,
    ]);
}

const GC_EXAMPLES: &str = "\
Examples:
  ignite network gc
  ignite network gc --dry-run     only say what would be released

VMs that died are repaired. Then attachments, addresses, rules and namespaces with a container ID of
a VM (PREFIX-UID) that no VM has are released. What other programs attached is not touched.";

#[derive(Debug, Args)]
#[command(after_help = GC_EXAMPLES)]
struct Gc {
    /// Only say what would be released
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: OutputArgs,
}

impl Verb for Gc {
    const ABOUT: &'static str = "Release what VMs that are gone have left";

    fn run(self, context: &Context) -> Outcome {
        let mode = match self.dry_run {
            true => GarbageMode::DryRun,
            false => GarbageMode::Collect,
        };
        let garbage = context.networks()?.collect_garbage(mode)?;
        for remark in &garbage.remarks {
            context.terminal.warn(remark);
        }
        match self.output.output {
            Some(format) => {
                context.encode(format, &garbage.released)?;
            }
            None => context
                .terminal
                .result(&released(&garbage.released, context.terminal.is_quiet()))?,
        }
        if self.output.output.is_none() {
            context.terminal.info(&summary(&garbage, mode));
        }
        Ok(failures(context, garbage.failures))
    }
}

/// A line for each thing; container IDs where only ids are wanted.
fn released(all: &[Released], quiet: bool) -> String {
    if quiet {
        return all
            .iter()
            .map(|one| format!("{}\n", one.container_id))
            .collect();
    }
    if all.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["RELEASED", "NETWORK", "CONTAINER ID", "WHAT"]);
    for one in all {
        let network = one.network.as_deref().unwrap_or("-");
        table.push([&one.kind.as_str(), &network, &one.container_id, &one.text]);
    }
    table.render()
}

/// What was done, and what it took.
fn summary(garbage: &Garbage, mode: GarbageMode) -> String {
    let count = garbage.released.len();
    match (mode, count) {
        (_, 0) => "nothing to release".to_owned(),
        (GarbageMode::DryRun, _) => format!("{count} to be released"),
        (GarbageMode::Collect, _) => format!(
            "{count} released: plugins took {} ms, iptables and nft {} ms, everything else {} ms",
            garbage.plugins.as_millis(),
            garbage.filter.as_millis(),
            garbage.own.as_millis()
        ),
    }
}

/// Tells of every failure; what to do is said once for those in a row that have it in common.
fn failures(context: &Context, failures: Vec<ignite_engine::Error>) -> u8 {
    let failures: Vec<Failure> = failures.into_iter().map(Failure::from).collect();
    let mut rest = failures.iter().peekable();
    while let Some(failure) = rest.next() {
        match rest.peek() {
            Some(next) if next.hint() == failure.hint() => {
                context.terminal.error(&failure.without_hint());
            }
            _ => context.terminal.failure(failure),
        }
    }
    if failures.is_empty() { 0 } else { FAILED }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_a_line_each() {
        let network = |name: &str, file: Option<&str>, status| NetworkLine {
            name: name.into(),
            file: file.map(Into::into),
            default: false,
            plugins: vec!["bridge".into(), "portmap".into()],
            cni_version: "0.4.0".into(),
            status,
            attachments: 2,
        };
        let reason = "no addresses left".into();
        let networks = [
            network("a", Some("/etc/cni/net.d/a.conflist"), Readiness::Ready),
            network(
                "b",
                Some("/etc/cni/net.d/b.conf"),
                Readiness::NotReady { reason },
            ),
            network("c", None, Readiness::Unknown),
        ];
        insta::assert_snapshot!(table(&networks), @"
        NAME   FILE                        PLUGINS          CNI VERSION   STATUS      ATTACHMENTS
        a      /etc/cni/net.d/a.conflist   bridge,portmap   0.4.0         ready       2
        b      /etc/cni/net.d/b.conf       bridge,portmap   0.4.0         not ready   2
        c      (gone)                      bridge,portmap   0.4.0         -           2
        ");
    }

    #[test]
    fn nothing_released_is_no_table() {
        assert_eq!(released(&[], false), "");
        assert_eq!(
            summary(&Garbage::default(), GarbageMode::Collect),
            "nothing to release"
        );
    }
}
