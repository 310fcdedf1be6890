//! `ignited version`: what this is.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use serde::Serialize;

use ignite_program::{Failure, ProgramVersion};

#[derive(Debug, Args)]
pub struct Version {
    /// Print it as short, json or yaml instead
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    output: Option<Format>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
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
    ignited_version: ProgramVersion,
}

impl Version {
    /// Prints it.
    pub fn run(self) -> Result<(), Failure> {
        writeln!(std::io::stdout(), "{}", text(self.output).trim_end())
            .map_err(|error| Failure::new(error, None))
    }
}

fn text(format: Option<Format>) -> String {
    let ignited_version = ProgramVersion::new();
    match format {
        None => format!(
            "ignited {} {}",
            ignited_version.version, ignited_version.platform
        ),
        Some(Format::Short) => ProgramVersion::TEXT.into(),
        Some(Format::Json) => ignite_api::encode_json(&Versions { ignited_version }),
        Some(Format::Yaml) => ignite_api::encode_yaml(&Versions { ignited_version }),
    }
}
