//! `ignite start`: a VM that was created or stopped.

use std::fmt::Write;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ignite_api::{NetworkPlugin, VmmChoice};
use ignite_engine::{Engine, Inbox, Report, StartOptions, Started, Timings};
use ignite_program::{FAILED, Failure};

use crate::context::{Context, Outcome};
use crate::seat::{self, DetachArgs, SESSION_FAILED, Seat};
use crate::values;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite start web
  ignite start web db
  ignite start -i web
  ignite start --timings web
  ignite start --vmm qemu web";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_arg("jailer", values::on_or_off))]
pub struct Start {
    /// VMs, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,

    /// VMM that runs it from now on, as for `ignite create`
    #[arg(long, value_name = "VMM", value_parser = values::VMM)]
    vmm: Option<VmmChoice>,

    /// Let Firecracker's own jailer confine it from now on, or not
    #[arg(long)]
    jailer: Option<bool>,

    #[command(flatten)]
    start: StartArgs,

    #[command(flatten)]
    console: ConsoleArgs,
}

impl Verb for Start {
    const ABOUT: &'static str = "Start a VM that was created or stopped";

    fn run(self, context: &Context) -> Outcome {
        self.start.remark(context);
        if !self.console.interactive || self.start.detach {
            return self.start_all(context);
        }
        self.sit_down(context)
            .map_err(|failure| match failure.code() {
                FAILED => failure.with_code(SESSION_FAILED),
                _ => failure,
            })
    }
}

impl Start {
    fn options(&self, context: &Context) -> StartOptions {
        StartOptions {
            vmm: self.vmm,
            jailer: self.jailer,
            ..self.start.options(context.globals.places.network_plugin)
        }
    }

    /// Each by itself: one that fails is in the way of no other.
    fn start_all(self, context: &Context) -> Outcome {
        let cancel = context.cancel()?;
        let (engine, options) = (context.engine()?, self.options(context));
        context.each(&self.vms, |vm| {
            let started = engine.start(vm, &options, context.terminal, &cancel)?;
            context.terminal.info(&started.describe());
            context.terminal.line(started.uid.as_str())?;
            self.start.print_timings(context, &started.timings);
            Ok(())
        })
    }

    fn sit_down(self, context: &Context) -> Outcome {
        let [vm] = self.vms.as_slice() else {
            return Err(Failure::usage(
                "one can sit before one console only",
                Some("leave out -i, or start the VMs one by one".to_owned()),
            ));
        };
        let (cancel, inbox) = context.cancel_with_inbox()?;
        let options = StartOptions {
            console: Some(seat::onlooker()),
            ..self.options(context)
        };
        let engine = context.engine()?;
        let started = engine.start(vm, &options, context.terminal, &cancel)?;
        self.start.print_timings(context, &started.timings);
        self.console.sit(context, &engine, started, inbox)
    }
}

/// Flags of a start before whose console somebody sits down.
#[derive(Debug, Args)]
pub struct ConsoleArgs {
    /// Attach to the console until the VM ends
    ///
    /// Docker's -a means the same.
    #[arg(short, long, short_alias = 'a', alias = "attach")]
    pub interactive: bool,

    #[command(flatten)]
    detach: DetachArgs,
}

impl ConsoleArgs {
    /// Sits before the console of a VM that was just started.
    pub fn sit(
        self,
        context: &Context,
        engine: &Engine,
        started: Started,
        inbox: Inbox,
    ) -> Outcome {
        let seat = Seat::of_console(true, self.detach.keys(engine), inbox);
        let console = started
            .console
            .ok_or_else(|| Failure::new("the VM was started without its console", None))?;
        seat.sit(context, started.name.as_str(), |streams, local| {
            console.run(streams, local)
        })
    }
}

/// Flags of every start.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Time within which the guest must be up
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = values::duration)]
    boot_timeout: Duration,

    /// Say where the time went, in a table or as json
    #[arg(
        long,
        value_name = "FORMAT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "table",
        hide_possible_values = true
    )]
    timings: Option<TimingsFormat>,

    /// Taken from older scripts, and not used
    #[arg(long, value_name = "CHECKS", value_delimiter = ',', hide = true)]
    ignore_preflight_checks: Vec<String>,

    /// Taken from older scripts: a VM runs by itself, and its log stays when it has ended
    #[arg(short, long, hide = true)]
    pub debug: bool,

    /// Docker's: start it and be done, whatever is said of a terminal
    #[arg(long, hide = true)]
    pub detach: bool,
}

impl StartArgs {
    /// Says which flags have no effect.
    pub fn remark(&self, context: &Context) {
        if !self.ignore_preflight_checks.is_empty() {
            context.terminal.warn(
                "--ignore-preflight-checks is not used: a start looks for what it needs itself; see ignite doctor",
            );
        }
        tracing::debug!(
            self.debug,
            "record and log stay when the VM has ended, with or without"
        );
    }

    /// The engine's options.
    pub fn options(&self, network_plugin: Option<NetworkPlugin>) -> StartOptions {
        StartOptions {
            boot_timeout: self.boot_timeout,
            network_plugin,
            ..StartOptions::default()
        }
    }

    /// Says where the time went, if asked.
    pub fn print_timings(&self, context: &Context, timings: &Timings) {
        let text = match self.timings {
            None => return,
            Some(TimingsFormat::Table) => table(timings),
            Some(TimingsFormat::Json) => {
                let line =
                    serde_json::to_string(&timings.report()).expect("timings are plain data");
                format!("{line}\n")
            }
        };
        context.terminal.stderr(&text);
    }
}

/// Form of the timings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TimingsFormat {
    /// A line for each phase
    Table,
    /// One line of JSON
    Json,
}

fn table(timings: &Timings) -> String {
    let mut text = String::new();
    for (name, milliseconds) in timings.lines() {
        writeln!(text, "{milliseconds:>10.1} ms  {name}").expect("a String takes everything");
    }
    text
}
