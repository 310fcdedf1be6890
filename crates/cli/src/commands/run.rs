//! `ignite run`: create and start as one.

use std::time::Duration;

use clap::Args;
use ignite_engine::{Report, StartOptions};
use ignite_program::FAILED;

use super::create::VmArgs;
use super::grouped::grouped;
use super::start::{ConsoleArgs, StartArgs};
use crate::context::{Context, Outcome};
use crate::seat::{self, SESSION_FAILED};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite run --name web -p 8080:80 nginx
  ignite run -it --rm -e MODE=test debian:12 -- bash

IMAGE is a reference to an image in a registry, or a source as `ignite image import` takes it.
If the VM cannot be started, or Ctrl-C is pressed, nothing of it is left. With -i the exit code
is the command's; 125 if it could not be started.";

/// A VM whose command ends sooner was probably meant to do something else.
const TOO_SOON: Duration = Duration::from_secs(1);

/// Longer than a guest that is ready needs until it begins the command, however slow the host.
const MOST_TO_COMPLETE: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_args(grouped))]
pub struct Run {
    #[command(flatten)]
    vm: VmArgs,

    #[command(flatten)]
    start: StartArgs,

    /// Attach to the console, as -i does; fail where input is no terminal
    #[arg(short, long)]
    tty: bool,

    #[command(flatten)]
    console: ConsoleArgs,
}

impl Verb for Run {
    const ABOUT: &'static str = "Create a VM and start it";

    fn run(self, context: &Context) -> Outcome {
        let attached = self.is_attached();
        self.create_and_start(context, attached)
            .map_err(|failure| match failure.code() {
                FAILED if attached => failure.with_code(SESSION_FAILED),
                _ => failure,
            })
    }
}

impl Run {
    /// Whether somebody sits down before the console. `-d` is Weave Ignite's `--debug`, which does; but
    /// whoever types `-dit` means Docker's `--detach`.
    fn is_attached(&self) -> bool {
        let detached = self.start.detach || (self.start.debug && self.tty);
        (self.tty || self.console.interactive) && !detached
    }

    fn create_and_start(self, context: &Context, attached: bool) -> Outcome {
        if self.tty && attached {
            seat::wants_terminal()?;
        }
        let (cancel, inbox) = context.cancel_with_inbox()?;
        let config = context.config()?;
        self.start.remark(context);
        let (request, registry) = self.vm.request(&config.vm_defaults, context)?;
        let engine = registry.engine(config)?;
        let options = StartOptions {
            console: attached.then(seat::onlooker),
            ..self.start.options(None)
        };
        let started = engine.run(request, &options, context.terminal, &cancel)?;
        self.start.print_timings(context, &started.timings);
        if attached {
            return self.console.sit(context, &engine, started, inbox);
        }
        context.terminal.info(&started.describe());
        context.terminal.line(started.uid.as_str())?;
        // A guest that is ready still completes its root: some part of what it needed to boot.
        let too_soon = TOO_SOON + (started.timings.boot() / 4).min(MOST_TO_COMPLETE);
        if !context.terminal.is_quiet()
            && let Some(remark) = engine.ended_within(started.uid, too_soon, &cancel)?
        {
            context.terminal.warn(&remark);
        }
        Ok(0)
    }
}
