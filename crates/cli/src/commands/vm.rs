//! `ignite vm`: the commands on VMs once more, as one group.

use clap::{Arg, Args};

use super::{
    attach, create, exec, inspect, kill, logs, pause, port, ps, rename, restart, rm, run, ssh,
    start, stats, stop, top, update, wait,
};
use crate::context::{Context, Outcome};
use crate::verb::{Verb, group};

const EXAMPLES: &str = "\
Examples:
  ignite vm -f status=exited              the flags are those of: ignite vm ls
  ignite vm run --name web nginx";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true, mut_args(rare))]
pub struct Vm {
    #[command(subcommand)]
    command: Option<VmCommand>,

    #[command(flatten)]
    ps: ps::Ps,
}

/// The flags of the list are `ignite vm ls`'s, and shown there.
fn rare(arg: Arg) -> Arg {
    arg.hide_short_help(true)
}

group! {
    VmCommand {
        "run" => run::Run,
        "create" => create::Create,
        "start" => start::Start,
        "stop" => stop::Stop,
        "kill" => kill::Kill,
        "pause" => pause::Pause,
        "unpause" => pause::Unpause,
        "restart" => restart::Restart,
        "rename" => rename::Rename,
        "wait" => wait::Wait,
        "update" => update::Update,
        "rm" => rm::Rm,
        "ps" => ps::Ps,
        "ls" | "list" => Ls,
        "stats" => stats::Stats,
        "top" => top::Top,
        "port" => port::Port,
        "exec" => exec::Exec,
        "attach" => attach::Attach,
        "ssh" => ssh::Ssh,
        "logs" => logs::Logs,
        "inspect" => InspectVm,
    }
}

impl Verb for Vm {
    const ABOUT: &'static str =
        "Manage VMs: the same commands as without `vm`; alone, list them all";

    fn run(self, context: &Context) -> Outcome {
        match self.command {
            None => self.ps.all().run(context),
            Some(command) => self.ps.refuse().and_then(|()| command.run(context)),
        }
    }
}

const LS_EXAMPLES: &str = "\
Examples:
  ignite vm ls
  ignite vm ls -o yaml";

#[derive(Debug, Args)]
#[command(after_help = LS_EXAMPLES)]
struct Ls {
    #[command(flatten)]
    ps: ps::Ps,
}

impl Verb for Ls {
    const ABOUT: &'static str = "List all VMs";

    fn run(self, context: &Context) -> Outcome {
        self.ps.all().run(context)
    }
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  ignite vm inspect web";

#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
struct InspectVm {
    /// VMs, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,

    #[command(flatten)]
    form: inspect::FormArgs,
}

impl Verb for InspectVm {
    const ABOUT: &'static str = "Show all that is known of VMs";

    fn run(self, context: &Context) -> Outcome {
        inspect::show(context, Some(inspect::Kind::Vm), &self.vms, &self.form)
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use crate::args::Cli;

    fn flags(command: &Command) -> Vec<String> {
        let all = command.get_arguments();
        all.map(|it| it.get_id().to_string()).collect()
    }

    #[test]
    fn verbs_of_vms_are_the_same_in_both_places() {
        let mut top = Cli::command();
        top.build();
        let vm = top.find_subcommand("vm").expect("the group");
        for name in [
            "attach", "create", "kill", "logs", "ps", "rm", "run", "ssh", "start", "stop",
        ] {
            let [here, there] =
                [vm, &top].map(|of| of.find_subcommand(name).unwrap_or_else(|| panic!("{name}")));
            assert_eq!(flags(here), flags(there), "{name}");
        }
    }
}
