//! `ignite config`: what holds on this host where nothing else is said, and who says so.

use clap::Args;
use ignite_engine::configuration::{Origin, Setting};
use ignite_program::{Failure, LogLevel, Places};
use serde_json::Value;

use crate::context::{Context, Outcome};
use crate::globals::Globals;
use crate::output::OutputArgs;
use crate::table::Table;
use crate::verb::{Verb, group};

const EXAMPLES: &str = "\
Examples:
  ignite config
  ignite config -o yaml
  IGNITE_VMM=qemu ignite config --id-prefix lab

Flags beat variables (IGNITE_...), which beat the file, which beats what is built in. `ignited` has
the same file, the variables of its own environment, and its own flags.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Config {
    #[command(subcommand)]
    command: Option<ConfigCommand>,

    #[command(flatten)]
    output: OutputArgs,
}

group! {
    ConfigCommand {
        "show" => Show,
    }
}

impl Verb for Config {
    const ABOUT: &'static str = "Show the configuration, and where each value came from";

    fn run(self, context: &Context) -> Outcome {
        match self.command {
            Some(command) => command.run(context),
            None => show(context, &self.output),
        }
    }
}

const SHOW_EXAMPLES: &str = "\
Examples:
  ignite config show
  ignite config show -o json";

#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
struct Show {
    #[command(flatten)]
    output: OutputArgs,
}

impl Verb for Show {
    const ABOUT: &'static str = "Show every value";

    fn run(self, context: &Context) -> Outcome {
        show(context, &self.output)
    }
}

fn show(context: &Context, output: &OutputArgs) -> Outcome {
    let mut settings = of_globals(&context.globals)?;
    settings.extend(context.globals.places.settings()?);
    match output.output {
        Some(format) => context.encode(format, &settings),
        None => {
            context.terminal.result(&table(&settings))?;
            Ok(0)
        }
    }
}

/// What is no field of the configuration file: where it is, and what flags and variables alone say.
fn of_globals(globals: &Globals) -> Result<Vec<Setting>, Failure> {
    let paths = globals.places.config()?.paths;
    let of = |flag: &str, variable: &str, typed: bool| {
        let said = std::env::var_os(variable).is_some_and(|text| !text.is_empty());
        match (typed, said) {
            (true, _) => Origin::flag(flag),
            (false, true) => Origin::variable(variable),
            (false, false) => Origin::BuiltIn,
        }
    };
    let places = &globals.places;
    let file = places.configuration_file();
    let file = file.unwrap_or(paths.configuration);
    let level = globals.level()?.to_string().to_lowercase();
    let level_from = match (
        globals.log_level,
        globals.verbose,
        LogLevel::of_environment()?,
    ) {
        (Some(_), ..) => Origin::flag("--log-level"),
        (None, 1.., _) => Origin::flag("--verbose"),
        (None, 0, Some(_)) => Origin::variable(LogLevel::VARIABLE),
        (None, 0, None) => Origin::BuiltIn,
    };
    let setting = |name: &str, value: Value, from| Setting {
        name: name.into(),
        value,
        from,
    };
    let text = |path: &std::path::Path| Value::from(path.to_string_lossy());
    Ok(vec![
        setting(
            "igniteConfig",
            text(&file),
            of(
                "--ignite-config",
                Places::CONFIG,
                places.ignite_config.is_some(),
            ),
        ),
        setting(
            "dataDir",
            text(&paths.data),
            of("--data-dir", Places::DATA_DIR, places.data_dir.is_some()),
        ),
        setting("logLevel", level.into(), level_from),
        setting(
            "quiet",
            globals.quiet.into(),
            of("--quiet", "IGNITE_QUIET", is_quiet_typed()),
        ),
    ])
}

/// Whether the flag was typed: it gets the value of its variable, and only the words tell them apart.
fn is_quiet_typed() -> bool {
    let mut words = std::env::args_os().skip(1);
    words.any(|word| word == "--quiet" || word == "-q")
}

fn table(settings: &[Setting]) -> String {
    let mut table = Table::new(["NAME", "VALUE", "FROM"]);
    for setting in settings {
        let value = match &setting.value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        table.push([&setting.name, &value, &setting.from]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_value() {
        let setting = |name: &str, value: Value, from| Setting {
            name: name.into(),
            value,
            from,
        };
        let file = Origin::File {
            path: "/etc/ignite/config.yaml".into(),
            line: Some(7),
        };
        let settings = [
            setting("idPrefix", "lab".into(), Origin::flag("--id-prefix")),
            setting("vmm", Value::Null, Origin::BuiltIn),
            setting("vmDefaults.cpus", 2.into(), file),
            setting(
                "vmDefaults.env",
                vec!["A=1"].into(),
                Origin::variable("IGNITE_VM_DEFAULTS"),
            ),
        ];
        insta::assert_snapshot!(table(&settings), @r#"
        NAME              VALUE     FROM
        idPrefix          lab       --id-prefix
        vmm               -         built-in
        vmDefaults.cpus   2         /etc/ignite/config.yaml:7
        vmDefaults.env    ["A=1"]   IGNITE_VM_DEFAULTS
        "#);
    }
}
