//! The commands, a file each: its flags, the call of the engine, what is printed.

mod completion;
mod create;
mod exec;
mod image;
mod inspect;
mod internal;
mod kernel;
mod kill;
mod logs;
mod ps;
mod registry;
mod rm;
mod run;
mod start;
mod stop;
mod version;
mod vm;

use clap::Subcommand;

use crate::context::{Context, Outcome};

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Run),
    Create(create::Create),
    Start(start::Start),
    Stop(stop::Stop),
    Kill(kill::Kill),
    Rm(rm::Rm),
    Ps(ps::Ps),
    Exec(exec::Exec),
    Logs(logs::Logs),
    Inspect(inspect::Inspect),
    #[command(visible_alias = "images")]
    Image(image::Image),
    #[command(visible_alias = "kernels")]
    Kernel(kernel::Kernel),
    #[command(visible_alias = "vms")]
    Vm(vm::Vm),
    Rmi(image::Rm),
    Rmk(kernel::Rm),
    Version(version::Version),
    Completion(completion::Completion),
    #[command(hide = true)]
    Internal(internal::Internal),
}

impl Command {
    /// Does it.
    pub fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Run(command) => command.run(context),
            Self::Create(command) => command.run(context),
            Self::Start(command) => command.run(context),
            Self::Stop(command) => command.run(context),
            Self::Kill(command) => command.run(context),
            Self::Rm(command) => command.run(context),
            Self::Ps(command) => command.run(context),
            Self::Exec(command) => command.run(context),
            Self::Logs(command) => command.run(context),
            Self::Inspect(command) => command.run(context),
            Self::Image(command) => command.run(context),
            Self::Kernel(command) => command.run(context),
            Self::Vm(command) => command.run(context),
            Self::Rmi(command) => command.run(context),
            Self::Rmk(command) => command.run(context),
            Self::Version(command) => command.run(context),
            Self::Completion(command) => command.run(context),
            Self::Internal(command) => command.run(context),
        }
    }
}
