//! The commands, a file each: its flags, the call of the engine, what is printed.

mod cni;
mod completion;
mod cp;
mod create;
mod doctor;
mod exec;
mod image;
mod inspect;
mod internal;
mod kernel;
mod kill;
mod logs;
mod network;
mod overlay;
mod pause;
mod ps;
mod rates;
mod registry;
mod rm;
mod run;
mod start;
mod stop;
mod update;
mod version;
mod vm;

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
        "update" => update::Update,
        "rm" => rm::Rm,
        "ps" => ps::Ps,
        "exec" => exec::Exec,
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
        "doctor" => doctor::Doctor,
        "version" => version::Version,
        "completion" => completion::Completion,
        "internal" => internal::Internal,
    }
}
