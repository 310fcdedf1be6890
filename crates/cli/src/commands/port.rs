//! `ignite port`: where a VM's ports are published.

use std::str::FromStr;

use clap::Args;
use ignite_api::{PortMapping, Protocol};
use ignite_engine::Report;
use ignite_program::Failure;

use crate::context::{Context, Outcome};
use crate::output::OutputArgs;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite port web
  ignite port web 80
  ignite port web 53/udp";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Port {
    /// VM, by name, uid, or the beginning of either
    vm: String,

    /// Only this port of the VM; tcp unless /udp follows
    #[arg(value_name = "PORT[/PROTO]")]
    port: Option<Wanted>,

    #[command(flatten)]
    output: OutputArgs,
}

/// A port of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    port: u16,
    protocol: Protocol,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (port, _) = text.split_once('/').unwrap_or((text, ""));
        // A mapping of that port has the one grammar there is of ports and protocols.
        let mapping = PortMapping::parse_all([format!("{port}:{text}").as_str()]).ok();
        let single = port.parse::<u16>().ok().zip(mapping);
        let mapping = single.and_then(|(_, mut all)| all.pop()).ok_or_else(|| {
            format!(
                "{text:?} is not a port\nhint: write a number and perhaps a protocol: 80, 53/udp"
            )
        })?;
        Ok(Self {
            port: mapping.vm_port,
            protocol: mapping.protocol,
        })
    }
}

impl Verb for Port {
    const ABOUT: &'static str = "Show where a VM's ports are published";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.reader()?;
        let vm = engine.vm_line(&self.vm)?;
        let mut ports = vm.ports;
        if let Some(wanted) = self.port {
            ports.retain(|port| port.vm_port == wanted.port && port.protocol == wanted.protocol);
            if ports.is_empty() {
                let Wanted { port, protocol } = wanted;
                return Err(Failure::new(
                    format!("VM {} does not publish its port {port}/{protocol}", vm.name),
                    Some(format!(
                        "see what it publishes with: ignite port {}",
                        vm.name
                    )),
                ));
            }
        }
        if let Some(format) = self.output.output {
            return context.encode(format, &ports);
        }
        if !ports.is_empty() && !matches!(vm.state, "running" | "paused") {
            let warning = format!("VM {} does not run: nobody answers there", vm.name);
            context.terminal.warn(&warning);
        }
        let line = |port: &PortMapping| match self.port {
            Some(_) => format!("{}\n", place(port)),
            None => format!("{}/{} -> {}\n", port.vm_port, port.protocol, place(port)),
        };
        context
            .terminal
            .result(&ports.iter().map(line).collect::<String>())?;
        Ok(0)
    }
}

/// Address and port of the host.
fn place(port: &PortMapping) -> String {
    let text = port.to_string();
    text.split_once("->")
        .map_or(text.clone(), |(place, _)| place.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_named_with_their_protocol_or_without() {
        let parse = |text: &str| text.parse::<Wanted>();
        let wanted = parse("53/udp").expect("a port");
        assert_eq!(
            (wanted.port, wanted.protocol.to_string().as_str()),
            (53, "udp")
        );
        assert_eq!(parse("80"), parse("80/tcp"));
        for text in [
            "", "x", "0", "80/", "80/x", "70000", "80:80", "1-3", "80,81",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_place_is_an_address_and_a_port() {
        let places = |text| place(&PortMapping::parse_all([text]).expect("a mapping")[0]);
        assert_eq!(places("8080:80"), "0.0.0.0:8080");
        assert_eq!(places("[::1]:53:53/udp"), "[::1]:53");
    }
}
