//! `ignite-guest`: the first process of a VM, and the agent in it.
//!
//! One static program in four roles, told apart by how it is started:
//!
//! ```text
//!  kernel --> /init of the initramfs (PID 1) ..... boot: modules, network, root, files of /etc
//!                |        |
//!                |        '--> @ignite-agent ..... agent: runs from the (deleted) initramfs, speaks
//!                |                                 with the supervisor over virtio-serial or vsock
//!                |                            '--> @ignite-tool: copies files, lists processes
//!                |
//!                |-- image with an init:    exec of that init, which stays PID 1
//!                '-- image without one:     init: PID 1 that runs the command, reaps, powers off
//! ```
//!
//! No runtime, no threads: each role is a straight line or one poll loop.

#![warn(missing_docs)]

pub mod agent;
mod boot;
mod console;
mod execute;
mod init;
mod launch;
mod link;
mod machine;
mod power;
mod root;
mod sys;
mod tool;
mod user;

use std::process::ExitCode;

/// Runs in the role it was started in.
pub fn main() -> ExitCode {
    let started_as = std::env::args_os().next().unwrap_or_default();
    if started_as == agent::ARGV0 {
        agent::run()
    } else if started_as == tool::ARGV0 {
        tool::run()
    } else if std::process::id() == 1 {
        boot::run()
    } else if std::env::args_os().skip(1).eq(["--version"]) {
        println!("ignite-guest {}", env!("CARGO_PKG_VERSION"));
        ExitCode::SUCCESS
    } else {
        console::say(
            "ignite-guest is the first process of a VM, there is nothing to run it for here",
        );
        ExitCode::from(2)
    }
}
