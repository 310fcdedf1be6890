//! Results in the form asked for.

use clap::{Args, ValueEnum};
use serde::Serialize;

use ignite_api::{encode_json, encode_yaml};

/// Flag of commands whose result a program may want.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct OutputArgs {
    /// Print it as json or yaml instead
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<Format>,
}

/// A form for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON, indented
    Json,
    /// YAML
    Yaml,
}

impl Format {
    /// The text of a value, last line ended.
    pub fn encode<T: Serialize>(self, value: &T) -> String {
        let mut text = match self {
            Self::Json => encode_json(value),
            Self::Yaml => encode_yaml(value),
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Value {
        name: &'static str,
        ports: [u16; 2],
        none: Option<u16>,
        text: &'static str,
    }

    #[test]
    fn both_end_their_last_line() {
        let value = Value {
            name: "web",
            ports: [80, 81],
            none: None,
            text: "no",
        };
        insta::assert_snapshot!(Format::Json.encode(&value), @r#"
        {
          "name": "web",
          "ports": [
            80,
            81
          ],
          "none": null,
          "text": "no"
        }
        "#);
        insta::assert_snapshot!(Format::Yaml.encode(&value), @r#"
        name: web
        ports:
        - 80
        - 81
        none: null
        text: "no"
        "#);
    }
}
