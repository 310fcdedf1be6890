//! `ignite cni`: what CNI's own command-line tool does, for any namespace.

use std::path::{Path, PathBuf};

use clap::Args;
use ignite_engine::{
    AttachmentId, Engine, PluginVersions, Report, Tool, ToolEnvironment, ToolStatus,
};
use ignite_program::{FAILED, Failure};

use crate::context::{Context, Outcome};
use crate::output::{Format, OutputArgs};
use crate::table::Table;
use crate::verb::{Verb, group};

const EXAMPLES: &str = "\
Examples:
  ip netns add blue
  ignite cni add ignite-cni-bridge /run/netns/blue
  CNI_IFNAME=eth1 CNI_ARGS='IgnoreUnknown=1;IP=10.61.0.50' \\
    ignite cni add ignite-cni-bridge /run/netns/blue
  ignite cni del ignite-cni-bridge /run/netns/blue

Environment:
  CNI_PATH         directories of CNI plugins, ':' between them
  NETCONFPATH      directory of network configurations [default: /etc/cni/net.d]
  CNI_ARGS         arguments for plugins: KEY=VALUE;KEY=VALUE
  CAP_ARGS         capability arguments: a JSON object
  CNI_IFNAME       interface in the namespace [default: eth0]
  CNI_CONTAINERID  container ID [default: made of the namespace's path, as CNI's own tool makes it]";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cni {
    #[command(subcommand)]
    command: CniCommand,
}

group! {
    CniCommand {
        "add" => Add,
        "check" => Check,
        "del" => Del,
        "gc" => Gc,
        "status" => Status,
        "version" => Version,
    }
}

impl Verb for Cni {
    const ABOUT: &'static str = "Attach any network namespace to a network, without a VM";

    fn run(self, context: &Context) -> Outcome {
        self.command.run(context)
    }
}

/// Gives the tool, with the environment of this process.
fn with_tool(context: &Context, act: impl FnOnce(&Tool<'_>) -> Outcome) -> Outcome {
    let engine = context.networks()?;
    act(&tool(&engine, context)?)
}

fn tool<'a>(engine: &'a Engine, context: &'a Context) -> Result<Tool<'a>, Failure> {
    let environment = ToolEnvironment::read(|name| std::env::var_os(name)).map_err(|error| {
        let hint = error.hint();
        Failure::usage(error, hint)
    })?;
    Ok(engine.cni_tool(environment, context.terminal))
}

/// A network and a namespace.
#[derive(Debug, Args)]
struct Target {
    /// Name of the network
    network: String,

    /// Path of the network namespace
    #[arg(value_name = "NETNS")]
    netns: PathBuf,
}

const ADD_EXAMPLES: &str = "\
Examples:
  ignite cni add ignite-cni-bridge /run/netns/blue
  CAP_ARGS='{\"portMappings\":[{\"hostPort\":8080,\"containerPort\":80,\"protocol\":\"tcp\"}]}' \\
    ignite cni add ignite-cni-bridge /run/netns/blue";

#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
struct Add {
    #[command(flatten)]
    target: Target,
}

impl Verb for Add {
    const ABOUT: &'static str = "Attach a namespace; prints the result as JSON";

    fn run(self, context: &Context) -> Outcome {
        with_tool(context, |tool| {
            let result = tool.add(&self.target.network, &self.target.netns)?;
            context.encode(Format::Json, &result)
        })
    }
}

const CHECK_EXAMPLES: &str = "\
Examples:
  ignite cni check ignite-cni-bridge /run/netns/blue";

#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
struct Check {
    #[command(flatten)]
    target: Target,
}

impl Verb for Check {
    const ABOUT: &'static str = "Fail if an attachment is no longer as it was made";

    fn run(self, context: &Context) -> Outcome {
        with_tool(context, |tool| {
            tool.check(&self.target.network, &self.target.netns)?;
            Ok(0)
        })
    }
}

const DEL_EXAMPLES: &str = "\
Examples:
  ignite cni del ignite-cni-bridge /run/netns/blue     whether or not the namespace is still there";

#[derive(Debug, Args)]
#[command(after_help = DEL_EXAMPLES)]
struct Del {
    #[command(flatten)]
    target: Target,
}

impl Verb for Del {
    const ABOUT: &'static str = "Detach a namespace";

    fn run(self, context: &Context) -> Outcome {
        with_tool(context, |tool| {
            tool.del(&self.target.network, &self.target.netns)?;
            Ok(0)
        })
    }
}

const GC_EXAMPLES: &str = "\
Examples:
  ignite cni gc my-network
  ignite cni gc my-network --keep cnitool-77383ca0a0715733ca6f/eth0

As CNI's own tool has it, every attachment to the network that is cached and not kept is released,
whoever made it; those of VMs stay. For what VMs have left, there is: ignite network gc";

#[derive(Debug, Args)]
#[command(after_help = GC_EXAMPLES)]
struct Gc {
    /// Name of the network
    network: String,

    /// Not looked at; CNI's own tool wants one
    #[arg(value_name = "NETNS")]
    _netns: Option<PathBuf>,

    /// An attachment that is valid; repeatable
    #[arg(long, value_name = "CONTAINER/IFNAME", value_parser = attachment)]
    keep: Vec<AttachmentId>,
}

/// Parses `CONTAINER/IFNAME`.
fn attachment(text: &str) -> Result<AttachmentId, String> {
    let parts = text
        .split_once('/')
        .filter(|(container, ifname)| !container.is_empty() && !ifname.is_empty());
    let (container, ifname) = parts.ok_or_else(|| {
        format!("{text:?} is no attachment\nhint: write CONTAINER/IFNAME, such as cnitool-77383ca0a0715733ca6f/eth0")
    })?;
    Ok(AttachmentId {
        container_id: container.to_owned(),
        ifname: ifname.to_owned(),
    })
}

impl Verb for Gc {
    const ABOUT: &'static str = "Release every attachment to a network that is not kept";

    fn run(self, context: &Context) -> Outcome {
        with_tool(context, |tool| {
            let (released, all) = tool.gc(&self.network, &self.keep)?;
            for id in &released {
                context
                    .terminal
                    .line(&format!("{}/{}", id.container_id, id.ifname))?;
            }
            all?;
            Ok(0)
        })
    }
}

const STATUS_EXAMPLES: &str = "\
Examples:
  ignite cni status my-network && echo ready";

#[derive(Debug, Args)]
#[command(after_help = STATUS_EXAMPLES)]
struct Status {
    /// Name of the network
    network: String,

    /// Not looked at; CNI's own tool wants one
    #[arg(value_name = "NETNS")]
    _netns: Option<PathBuf>,
}

impl Verb for Status {
    const ABOUT: &'static str = "Fail if a network takes nobody now";

    fn run(self, context: &Context) -> Outcome {
        with_tool(context, |tool| {
            match tool.status(&self.network)? {
                ToolStatus::Ready => {}
                ToolStatus::CannotBeAsked { version } => context.terminal.info(&format!(
                    "network {} has CNI version {version}; STATUS came with 1.1.0",
                    self.network
                )),
            }
            Ok(0)
        })
    }
}

const VERSION_EXAMPLES: &str = "\
Examples:
  ignite cni version ignite-cni-bridge
  ignite cni version ignite-cni-bridge -o json";

#[derive(Debug, Args)]
#[command(after_help = VERSION_EXAMPLES)]
struct Version {
    /// Name of the network
    network: String,

    /// Not looked at, as with gc and status
    #[arg(value_name = "NETNS")]
    _netns: Option<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,
}

impl Verb for Version {
    const ABOUT: &'static str = "Show which versions of CNI a network's plugins speak";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.reader()?;
        let plugins = tool(&engine, context)?.versions(&self.network)?;
        match self.output.output {
            Some(format) => {
                context.encode(format, &plugins)?;
            }
            None => context.terminal.result(&versions(&plugins))?,
        }
        let failed = plugins.iter().filter_map(|plugin| plugin.error.as_deref());
        let mut code = 0;
        for error in failed {
            context.terminal.error(error);
            code = FAILED;
        }
        Ok(code)
    }
}

fn versions(plugins: &[PluginVersions]) -> String {
    let mut table = Table::new(["PLUGIN", "PROGRAM", "CNI VERSIONS"]);
    for plugin in plugins {
        let program = plugin.program.as_deref().unwrap_or(Path::new("-"));
        let versions = match plugin.versions.join(", ") {
            none if none.is_empty() => "-".to_owned(),
            some => some,
        };
        table.push([&plugin.plugin, &program.display(), &versions]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attachments_have_two_names() {
        let id = attachment("cnitool-1/eth0").expect("both");
        assert_eq!(
            (id.container_id.as_str(), id.ifname.as_str()),
            ("cnitool-1", "eth0")
        );
        for bad in ["", "a", "a/", "/eth0"] {
            assert!(attachment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn plugins_are_a_line_each() {
        let plugin = |name: &str, versions: &[&str]| PluginVersions {
            plugin: name.into(),
            program: (!versions.is_empty()).then(|| format!("/opt/cni/bin/{name}").into()),
            versions: versions
                .iter()
                .map(|version| (*version).to_owned())
                .collect(),
            error: None,
        };
        let plugins = [plugin("bridge", &["0.4.0", "1.0.0"]), plugin("gone", &[])];
        insta::assert_snapshot!(versions(&plugins), @"
        PLUGIN   PROGRAM               CNI VERSIONS
        bridge   /opt/cni/bin/bridge   0.4.0, 1.0.0
        gone     -                     -
        ");
    }
}
