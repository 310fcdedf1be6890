//! What every command is, and how commands make up a group.
//!
//! A group knows the names and the one-line descriptions of its commands; their flags are put
//! together only for the one that is called. So `ignite --help` and every short command start in the
//! time of a small program, however many flags the others have.

use crate::completing::with_names;
use crate::context::{Context, Outcome};
use crate::overview::with_short_help;

/// One command.
pub trait Verb: clap::Args {
    /// One line that says what it does.
    const ABOUT: &'static str;
    /// Whether it is no business of people.
    const HIDDEN: bool = false;

    /// Does it.
    fn run(self, context: &Context) -> Outcome;
}

/// Adds a command to a group, without its flags.
pub fn declare<V: Verb>(name: &'static str) -> clap::Command {
    clap::Command::new(name)
        .about(V::ABOUT)
        .hide(V::HIDDEN)
        .defer(|command| with_short_help(with_names(V::augment_args(command).about(V::ABOUT))))
}

/// A group of commands: an enum that clap reads and that does what was asked for.
macro_rules! group {
    ($(#[$meta:meta])* $group:ident { $($name:literal $(| $alias:literal)? => $verb:ty,)+ }) => {
        $(#[$meta])*
        pub struct $group(Box<dyn FnOnce(&$crate::context::Context) -> $crate::context::Outcome>);

        impl $group {
            /// Does it.
            pub fn run(self, context: &$crate::context::Context) -> $crate::context::Outcome {
                (self.0)(context)
            }
        }

        impl std::fmt::Debug for $group {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($group))
            }
        }

        impl clap::FromArgMatches for $group {
            fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
                Self::from_arg_matches_mut(&mut matches.clone())
            }

            fn from_arg_matches_mut(matches: &mut clap::ArgMatches) -> Result<Self, clap::Error> {
                let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
                let (name, mut matches) = matches.remove_subcommand().ok_or_else(missing)?;
                match name.as_str() {
                    $($name => {
                        let verb = <$verb as clap::FromArgMatches>::from_arg_matches_mut(&mut matches)?;
                        Ok(Self(Box::new(move |context| $crate::verb::Verb::run(verb, context))))
                    })+
                    _ => Err(missing()),
                }
            }

            fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }

        impl clap::Subcommand for $group {
            fn augment_subcommands(command: clap::Command) -> clap::Command {
                command$(.subcommand($crate::verb::declare::<$verb>($name)$(.visible_alias($alias))?))+
            }

            fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
                Self::augment_subcommands(command)
            }

            fn has_subcommand(name: &str) -> bool {
                matches!(name, $($name)|+)
            }
        }
    };
}

pub(crate) use group;
