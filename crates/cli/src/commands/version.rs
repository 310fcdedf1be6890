//! `ignite version`: what this is.

use clap::{Args, ValueEnum};
use ignite_engine::{VmmVersion, vmm_version};
use ignite_program::{Failure, ProgramVersion};
use serde::Serialize;

use crate::context::{Context, Outcome};
use crate::output::Format;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite version
  ignite version -o short";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Version {
    /// Print it as short, json or yaml instead
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    output: Option<VersionFormat>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum VersionFormat {
    /// The number alone
    Short,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// The versions for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    ignite_version: ProgramVersion,
    vmm: Option<VmmVersion>,
}

impl Verb for Version {
    const ABOUT: &'static str = "Show the versions of Ignite and of the VMM it would use";

    fn run(self, context: &Context) -> Outcome {
        match self.output {
            Some(VersionFormat::Short) => context.terminal.line(ProgramVersion::TEXT)?,
            Some(VersionFormat::Json) => return context.encode(Format::Json, &versions(context)?),
            Some(VersionFormat::Yaml) => return context.encode(Format::Yaml, &versions(context)?),
            None => context.terminal.result(&lines(&versions(context)?))?,
        }
        Ok(0)
    }
}

fn versions(context: &Context) -> Result<Versions, Failure> {
    // What this is can be said whatever the configuration file says.
    let config = context.config().or_else(|failure| {
        context.terminal.failure(&failure);
        context.places()
    })?;
    Ok(Versions {
        ignite_version: ProgramVersion::new(),
        vmm: vmm_version(&config),
    })
}

fn lines(versions: &Versions) -> String {
    let ignite = &versions.ignite_version;
    let vmm = match &versions.vmm {
        Some(vmm) => format!("{} ({})", vmm.version, vmm.program.display()),
        None => "none found".into(),
    };
    format!(
        "ignite {} {}\nVMM    {vmm}\n",
        ignite.version, ignite.platform
    )
}
