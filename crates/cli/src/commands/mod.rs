//! The commands, a file each: its flags, the call of the engine, what is printed.

mod attach;
mod cni;
mod completion;
mod config;
mod cp;
mod create;
mod dashboard;
mod doctor;
mod events;
mod exec;
mod grouped;
mod image;
mod inspect;
mod internal;
mod kernel;
mod kill;
mod logs;
mod network;
mod overlay;
mod pause;
mod port;
mod prune;
mod ps;
mod rates;
mod registry;
mod rename;
mod restart;
mod rm;
mod run;
mod schema;
mod ssh;
mod start;
mod stats;
mod stop;
mod top;
mod update;
mod version;
mod vm;
mod wait;

use crate::verb::group;

group! {
    /// What was asked for.
    Command {
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
        "ps" | "ls" => ps::Ps,
        "stats" => stats::Stats,
        "top" => top::Top,
        "port" => port::Port,
        "exec" => exec::Exec,
        "attach" => attach::Attach,
        "ssh" => ssh::Ssh,
        "events" => events::Events,
        "prune" => prune::PruneVerb,
        "cp" => cp::Cp,
        "logs" => logs::Logs,
        "inspect" => inspect::Inspect,
        "image" | "images" => image::Image,
        "kernel" | "kernels" => kernel::Kernel,
        "network" | "networks" => network::Network,
        "overlay" => overlay::Overlay,
        "vm" | "vms" => vm::Vm,
        "rmi" => image::Rm,
        "rmk" => kernel::Rm,
        "cni" => cni::Cni,
        "dashboard" => dashboard::Dashboard,
        "config" => config::Config,
        "schema" => schema::Schema,
        "doctor" => doctor::Doctor,
        "version" => version::Version,
        "completion" => completion::Completion,
        "internal" => internal::Internal,
    }
}
