//! `ignite overlay token`: who may join.

use clap::Args;
use ignite_engine::Report;
use ignite_engine::overlay::TokenLine;
use jiff::Timestamp;

use super::NameArgs;
use crate::context::{Context, Outcome};
use crate::listing::list;
use crate::output::OutputArgs;
use crate::table::Table;
use crate::verb::{Verb, group};

const EXAMPLES: &str = "\
Examples:
  ignite overlay token new
  ignite overlay token ls
  ignite overlay token revoke 3f9a1c0b77e2

A token is good once, for a day. It holds the digest of the overlay's authority, so that who joins
knows whom to trust. All this is done on the first host.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Token {
    #[command(subcommand)]
    command: Option<TokenCommand>,
}

group! {
    TokenCommand {
        "ls" | "list" => Ls,
        "new" => New,
        "revoke" | "rm" => Revoke,
    }
}

impl Verb for Token {
    const ABOUT: &'static str = "Make, list, revoke tokens to join with; alone, list them";

    fn run(self, context: &Context) -> Outcome {
        match self.command {
            Some(command) => command.run(context),
            None => {
                let name = NameArgs {
                    name: Default::default(),
                };
                let output = OutputArgs::default();
                Ls { name, output }.run(context)
            }
        }
    }
}

const LS_EXAMPLES: &str = "\
Examples:
  ignite overlay token ls
  ignite overlay token ls --quiet     names only";

#[derive(Debug, Args)]
#[command(after_help = LS_EXAMPLES)]
struct Ls {
    #[command(flatten)]
    name: NameArgs,

    #[command(flatten)]
    output: OutputArgs,
}

impl Verb for Ls {
    const ABOUT: &'static str = "List tokens";

    fn run(self, context: &Context) -> Outcome {
        let tokens = context.networks()?.overlay_tokens(&self.name.name)?;
        let id = |token: &TokenLine| token.id.clone();
        let now = Timestamp::now();
        let table = |tokens: &[TokenLine]| table(tokens, now);
        list(context, &self.output, (tokens, Vec::new()), id, table)
    }
}

const NEW_EXAMPLES: &str = "\
Examples:
  ignite overlay token new
  ignite overlay token new --quiet > token     the token alone";

#[derive(Debug, Args)]
#[command(after_help = NEW_EXAMPLES)]
struct New {
    #[command(flatten)]
    name: NameArgs,

    #[command(flatten)]
    output: OutputArgs,
}

impl Verb for New {
    const ABOUT: &'static str = "Make a token, good once, for a day";

    fn run(self, context: &Context) -> Outcome {
        let new = context.networks()?.overlay_new_token(&self.name.name)?;
        if let Some(format) = self.output.output {
            return context.encode(format, &new);
        }
        match context.terminal.is_quiet() {
            true => context.terminal.line(&new.token)?,
            false => {
                context.terminal.info("another host joins with:");
                context.terminal.line(&new.command)?;
            }
        }
        Ok(0)
    }
}

const REVOKE_EXAMPLES: &str = "\
Examples:
  ignite overlay token revoke 3f9a1c0b77e2";

#[derive(Debug, Args)]
#[command(after_help = REVOKE_EXAMPLES)]
struct Revoke {
    /// The token, or its name, which is the part before its first dot
    #[arg(required = true)]
    tokens: Vec<String>,

    #[command(flatten)]
    name: NameArgs,
}

impl Verb for Revoke {
    const ABOUT: &'static str = "Make tokens worthless";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.networks()?;
        context.each(&self.tokens, |token| {
            engine.overlay_revoke_token(&self.name.name, token)?;
            let id = token.split('.').next().unwrap_or(token);
            Ok(context.terminal.line(id)?)
        })
    }
}

fn table(tokens: &[TokenLine], now: Timestamp) -> String {
    let mut table = Table::new(["TOKEN", "STATE", "GOOD FOR"]);
    let now = u64::try_from(now.as_second()).unwrap_or_default();
    for token in tokens {
        let left = token.expires.saturating_sub(now);
        let state = match token.used {
            Some(_) => "used",
            None if left == 0 => "expired",
            None => "good",
        };
        let good_for = match state {
            "good" => crate::duration::human(i64::try_from(left).unwrap_or(i64::MAX)),
            _ => "-".to_owned(),
        };
        table.push([&token.id, &state, &good_for]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_a_line_each() {
        let token = |id: &str, expires, used| TokenLine {
            id: id.into(),
            expires,
            used,
        };
        let tokens = [
            token("3f9a1c0b77e2", 90_000, None),
            token("aaaaaaaaaaaa", 90_000, Some(5)),
            token("bbbbbbbbbbbb", 3, None),
        ];
        let now = Timestamp::from_second(3_600).expect("a moment");
        insta::assert_snapshot!(table(&tokens, now), @"
        TOKEN          STATE     GOOD FOR
        3f9a1c0b77e2   good      24h
        aaaaaaaaaaaa   used      -
        bbbbbbbbbbbb   expired   -
        ");
    }
}
