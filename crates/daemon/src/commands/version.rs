//! `ignited version`: what this is.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use serde::Serialize;

use ignite_program::Failure;

/// The version of all of Ignite's programs.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

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
    ignited_version: IgnitedVersion,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct IgnitedVersion {
    version: &'static str,
    platform: String,
}

impl Version {
    /// Prints it.
    pub fn run(self) -> Result<(), Failure> {
        writeln!(std::io::stdout(), "{}", text(self.output).trim_end())
            .map_err(|error| Failure::new(error, None))
    }
}

fn text(format: Option<Format>) -> String {
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    let versions = |platform| Versions {
        ignited_version: IgnitedVersion {
            version: VERSION,
            platform,
        },
    };
    match format {
        None => format!("ignited {VERSION} {platform}"),
        Some(Format::Short) => VERSION.into(),
        Some(Format::Json) => ignite_api::encode_json(&versions(platform)),
        Some(Format::Yaml) => ignite_api::encode_yaml(&versions(platform)),
    }
}
