//! `ignite-overlay`: the agent of one host. It takes the flags and variables of `flanneld` where they
//! mean the same, and needs nothing of Ignite but itself.

mod flags;

use std::io::{IsTerminal as _, stderr};
use std::process::ExitCode;

use ignite_overlay::agent::{Agent, chain};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use flags::Flags;

fn main() -> ExitCode {
    let flags = Flags::read(std::env::args_os());
    log(flags.verbosity);
    let options = flags.into_options();
    // One thread: it stays in its network namespace, and the kernel is changed in order.
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start: {error}"), None),
    };
    let lived = runtime.block_on(async {
        let agent = Agent::new(options)?;
        tokio::select! {
            lived = agent.run(say_ready) => lived,
            () = stopped() => {
                tracing::info!("Exiting. What was made stays, traffic goes on");
                Ok(())
            }
        }
    });
    match lived {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&chain(&error), error.hint()),
    }
}

fn log(verbosity: u8) {
    let level = match verbosity {
        0..=4 => "info",
        5..=9 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::new(format!("warn,ignite_overlay={level},ignite_host={level}"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .init();
}

fn failed(problem: &str, hint: Option<String>) -> ExitCode {
    tracing::error!("{problem}");
    if let Some(hint) = hint {
        tracing::error!("hint: {hint}");
    }
    ExitCode::FAILURE
}

/// Until SIGTERM or SIGINT.
async fn stopped() {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        // Without handlers the signals end the process, which is as well.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Tells the service manager, if there is one.
fn say_ready() {
    if let Err(error) = ignite_host::service::notify("READY=1") {
        tracing::warn!("cannot tell the service manager: {error}");
    }
}
