//! Command line of the supervisor, with the numbers of the descriptors it inherits.

use std::ffi::OsString;
use std::path::PathBuf;

/// What the engine says at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The plan.
    pub plan: PathBuf,
    /// Number of the descriptor that holds the VM's liveness lock.
    pub live: Option<i32>,
    /// Number of the pipe the engine reads events from.
    pub notify: Option<i32>,
    /// Number of a descriptor of the host's network namespace.
    pub host_netns: Option<i32>,
}

/// Usage, for people who start it by hand.
pub const USAGE: &str =
    "usage: ignite-spawn PLAN [--live-fd N] [--notify-fd N] [--host-netns-fd N]";

impl Options {
    /// Reads the arguments (without the program's name).
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let (mut plan, mut live, mut notify, mut host_netns) = (None, None, None, None);
        while let Some(argument) = arguments.next() {
            let slot = match argument.to_str() {
                Some("--live-fd") => &mut live,
                Some("--notify-fd") => &mut notify,
                Some("--host-netns-fd") => &mut host_netns,
                Some(flag) if flag.starts_with('-') => {
                    return Err(format!("unknown option {flag}"));
                }
                _ if plan.is_none() => {
                    plan = Some(PathBuf::from(argument));
                    continue;
                }
                _ => return Err("more than one plan".to_owned()),
            };
            let value = arguments
                .next()
                .and_then(|value| value.to_str()?.parse().ok());
            *slot = Some(value.ok_or("an option wants the number of a descriptor")?);
        }
        Ok(Self {
            plan: plan.ok_or("no plan")?,
            live,
            notify,
            host_netns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_come_in_any_order() {
        let expected = Options {
            plan: PathBuf::from("p.json"),
            live: Some(3),
            notify: Some(4),
            host_netns: None,
        };
        assert_eq!(
            parse("p.json --live-fd 3 --notify-fd 4"),
            Ok(expected.clone())
        );
        assert_eq!(parse("--notify-fd 4 p.json --live-fd 3"), Ok(expected));
    }

    #[test]
    fn wrong_use_is_refused() {
        for text in [
            "",
            "--live-fd 3",
            "p --live-fd",
            "p --live-fd x",
            "p q",
            "p --what 3",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
