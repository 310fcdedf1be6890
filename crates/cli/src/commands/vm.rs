//! `ignite vm`: the commands on VMs once more, as one group.

use clap::{Args, Subcommand};

use super::{create, exec, inspect, kill, logs, ps, rm, run, start, stop};
use crate::context::{Context, Outcome};

const EXAMPLES: &str = "\
Examples:
  ignite vm ls
  ignite vm run --name web nginx";

/// Manage VMs: the same commands as without `vm`; alone, list them all
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Vm {
    #[command(subcommand)]
    command: Option<VmCommand>,
}

#[derive(Debug, Subcommand)]
enum VmCommand {
    Run(run::Run),
    Create(create::Create),
    Start(start::Start),
    Stop(stop::Stop),
    Kill(kill::Kill),
    Rm(rm::Rm),
    Ps(ps::Ps),
    /// List all VMs
    #[command(visible_alias = "list")]
    Ls(ps::Ps),
    Exec(exec::Exec),
    Logs(logs::Logs),
    Inspect(InspectVm),
}

impl Vm {
    pub fn run(self, context: &Context) -> Outcome {
        match self.command {
            None => ps::Ps::default().all().run(context),
            Some(VmCommand::Run(command)) => command.run(context),
            Some(VmCommand::Create(command)) => command.run(context),
            Some(VmCommand::Start(command)) => command.run(context),
            Some(VmCommand::Stop(command)) => command.run(context),
            Some(VmCommand::Kill(command)) => command.run(context),
            Some(VmCommand::Rm(command)) => command.run(context),
            Some(VmCommand::Ps(command)) => command.run(context),
            Some(VmCommand::Ls(command)) => command.all().run(context),
            Some(VmCommand::Exec(command)) => command.run(context),
            Some(VmCommand::Logs(command)) => command.run(context),
            Some(VmCommand::Inspect(command)) => {
                inspect::show(context, inspect::Kind::Vm, &command.vm, command.form)
            }
        }
    }
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  ignite vm inspect web";

/// Show all that is known of a VM
#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
struct InspectVm {
    /// VM, by name, uid, or the beginning of either
    vm: String,

    #[command(flatten)]
    form: inspect::FormArgs,
}
