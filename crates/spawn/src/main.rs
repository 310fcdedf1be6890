//! `ignite-spawn`, the supervisor: parent of one VMM, from its start to its end.
//!
//! The engine starts it detached, inside the VM's network namespace, with a plan. It joins the guest
//! to the network, starts the VMM, answers DHCP, keeps the console, relays programs to the guest
//! agent, and, when the VM has ended, writes down how and has everything released.
//!
//! ```text
//!  engine --plan.json, liveness lock, pipe--> ignite-spawn --parent of--> VMM
//!                                               |  tap, tc, DHCP     (network)
//!                                               |  console.log       (console)
//!                                               |  agent's stream    (stream, relay)
//!                                               |  control.sock      (control)
//!                                               |  status.json       (record, end)
//!                                               '  supervisor: the loop over all of them
//! ```

mod console;
mod control;
mod deadlines;
mod end;
mod group;
mod holder;
mod initramfs;
mod jail;
mod journal;
mod life;
mod link;
mod log;
mod network;
mod notify;
mod options;
mod record;
mod release;
mod start;
mod stream;
mod supervisor;
mod viewers;

use std::process::ExitCode;

use options::{Options, USAGE};

fn main() -> ExitCode {
    if std::env::args_os().skip(1).eq(["--version"]) {
        println!("ignite-spawn {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("ignite-spawn: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match life::live(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::line(&error);
            ExitCode::FAILURE
        }
    }
}
