//! `ignite overlay reserve`: a host's subnet for ever.

use std::net::Ipv4Addr;

use clap::Args;
use ignite_engine::Report;
use ignite_engine::overlay::{Reservation, Unreserve};
use ignite_program::{FAILED, Failure};
use ipnet::Ipv4Net;

use super::NameArgs;
use crate::context::{Context, Outcome};
use crate::listing::list;
use crate::output::OutputArgs;
use crate::table::Table;
use crate::verb::{Verb, group};

const EXAMPLES: &str = "\
Examples:
  ignite overlay reserve add                                 this host keeps the subnet it has
  ignite overlay reserve add --host 192.0.2.7 10.50.17.0/24  that one will have this subnet
  ignite overlay reserve ls
  ignite overlay reserve rm 10.50.17.0/24

A reservation has no end; a lease ends a day after its host was last seen. A host that runs flanneld
makes a lease of its reservation again when it starts.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Reserve {
    #[command(subcommand)]
    command: Option<ReserveCommand>,
}

group! {
    ReserveCommand {
        "add" => Add,
        "ls" | "list" => Ls,
        "rm" => Rm,
    }
}

impl Verb for Reserve {
    const ABOUT: &'static str = "Keep a host's subnet for ever; alone, this host's";

    fn run(self, context: &Context) -> Outcome {
        match self.command {
            Some(command) => command.run(context),
            None => {
                let name = NameArgs {
                    name: Default::default(),
                };
                let (subnet, host) = (None, None);
                Add { subnet, host, name }.run(context)
            }
        }
    }
}

const ADD_EXAMPLES: &str = "\
Examples:
  ignite overlay reserve add
  ignite overlay reserve add --host 192.0.2.7 10.50.17.0/24";

#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
struct Add {
    /// The subnet [default: the one the host has]
    subnet: Option<Ipv4Net>,

    /// The host, by its public address [default: this one]
    #[arg(long, value_name = "ADDRESS")]
    host: Option<Ipv4Addr>,

    #[command(flatten)]
    name: NameArgs,
}

impl Verb for Add {
    const ABOUT: &'static str = "Reserve a subnet for a host";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.networks()?;
        let (reservation, new) = engine.overlay_reserve(&self.name.name, self.subnet, self.host)?;
        context.terminal.info(&match new {
            true => format!(
                "{} stays {}'s for ever",
                reservation.subnet, reservation.host
            ),
            false => format!(
                "{} was {}'s for ever already",
                reservation.subnet, reservation.host
            ),
        });
        Ok(context.terminal.line(&reservation.subnet).map(|()| 0)?)
    }
}

const LS_EXAMPLES: &str = "\
Examples:
  ignite overlay reserve ls";

#[derive(Debug, Args)]
#[command(after_help = LS_EXAMPLES)]
struct Ls {
    #[command(flatten)]
    name: NameArgs,

    #[command(flatten)]
    output: OutputArgs,
}

impl Verb for Ls {
    const ABOUT: &'static str = "List reservations";

    fn run(self, context: &Context) -> Outcome {
        let found = context.networks()?.overlay_reservations(&self.name.name)?;
        let subnet = |reservation: &Reservation| reservation.subnet.clone();
        list(context, &self.output, (found, Vec::new()), subnet, table)
    }
}

const RM_EXAMPLES: &str = "\
Examples:
  ignite overlay reserve rm 10.50.17.0/24";

#[derive(Debug, Args)]
#[command(after_help = RM_EXAMPLES)]
struct Rm {
    /// The reserved subnet
    subnet: Ipv4Net,

    /// At once, even from a host that runs: it gets another subnet
    #[arg(short, long)]
    force: bool,

    #[command(flatten)]
    name: NameArgs,
}

impl Verb for Rm {
    const ABOUT: &'static str =
        "End a reservation: it becomes a lease, which a running host renews";

    fn run(self, context: &Context) -> Outcome {
        let how = match self.force {
            true => Unreserve::Now,
            false => Unreserve::Lapse,
        };
        let engine = context.networks()?;
        if !engine.overlay_unreserve(&self.name.name, self.subnet, how)? {
            let failure = Failure::new(
                format!("{} is not reserved", self.subnet),
                Some("see what is: ignite overlay reserve ls".to_owned()),
            );
            return Err(failure.with_code(FAILED));
        }
        Ok(context
            .terminal
            .line(&self.subnet.to_string())
            .map(|()| 0)?)
    }
}

fn table(reservations: &[Reservation]) -> String {
    let mut table = Table::new(["SUBNET", "HOST"]);
    for reservation in reservations {
        table.push([&reservation.subnet, &reservation.host]);
    }
    table.render()
}
