//! `ignite events`: what happens to VMs.

use std::io::{Write, stdout};
use std::str::FromStr;

use clap::Args;
use ignite_engine::Happening;
use ignite_program::NO_READER;
use jiff::Timestamp;

use crate::context::{Context, Outcome};
use crate::output::{Format, OutputArgs};
use crate::terminal::Outlet;
use crate::values;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite events
  ignite events --since 1h --until 0s -f vm=web
  ignite events -f event=die -f event=remove -o json

Tells of create, start, attach, ready, stop, kill, die, detach, pause, unpause, update, rename,
remove, start-failed. Of filters with the same key one must match, of different keys each.
The newest events are kept: one to two megabytes of them.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Events {
    /// Begin in the past: at a moment (2026-01-31T12:00:00Z), or so long ago (10m)
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    since: Option<Timestamp>,

    /// End at a moment, or so long ago, instead of going on; 0s is now
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    until: Option<Timestamp>,

    /// Only those that match: vm=NAME, event=WORD, network=NAME, exitCode=NUMBER, ... (repeatable)
    #[arg(short, long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<Filter>,

    #[command(flatten)]
    output: OutputArgs,
}

/// What events are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Filter {
    key: String,
    value: String,
}

/// What there is to filter by.
const KEYS: [&str; 10] = [
    "vm",
    "event",
    "network",
    "interface",
    "addresses",
    "image",
    "end",
    "exitCode",
    "oldName",
    "error",
];

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if KEYS.contains(&key) => Ok(Self {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(format!(
                "{text:?} is no filter of events\nhint: write KEY=VALUE, where KEY is one of {}",
                KEYS.join(", ")
            )),
        }
    }
}

impl Filter {
    fn takes(&self, happening: &Happening) -> bool {
        match self.key.as_str() {
            "vm" => {
                let uid = happening.uid.as_str();
                happening.name.as_str() == self.value
                    || !self.value.is_empty() && uid.starts_with(&self.value)
            }
            "event" => happening.event == self.value,
            key => happening.attributes.get(key) == Some(&self.value),
        }
    }
}

/// Whether each key has a filter that takes it.
fn is_asked(filters: &[Filter], happening: &Happening) -> bool {
    filters.iter().all(|filter| {
        let mut same = filters.iter().filter(|it| it.key == filter.key);
        same.any(|filter| filter.takes(happening))
    })
}

impl Verb for Events {
    const ABOUT: &'static str = "Tell what happens to VMs";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.reader()?;
        let mut stdout = Outlet::new(stdout().lock());
        let told = engine.events(self.since, self.until, context.terminal, &mut |happening| {
            if !is_asked(&self.filters, happening) {
                return Ok(());
            }
            stdout.write_all(text(happening, self.output.output).as_bytes())?;
            stdout.flush()
        });
        if stdout.is_gone() {
            return Ok(NO_READER);
        }
        told?;
        Ok(0)
    }
}

/// One event: a line, or one object.
fn text(happening: &Happening, format: Option<Format>) -> String {
    match format {
        None => line(happening),
        Some(Format::Json) => serde_json::to_string(happening).expect("plain data") + "\n",
        Some(Format::Yaml) => format!("---\n{}", Format::Yaml.encode(happening)),
    }
}

fn line(happening: &Happening) -> String {
    let Happening {
        time,
        uid,
        name,
        event,
        attributes,
    } = happening;
    let attributes: String = attributes
        .iter()
        .map(|(key, value)| format!(", {key}={value}"))
        .collect();
    // A file that somebody else wrote to must not speak to the terminal.
    let plain = |text: String| text.replace(char::is_control, " ");
    plain(format!(
        "{time:.3} vm {event} {uid} (name={name}{attributes})"
    )) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening() -> Happening {
        let (uid, name) = ("0123456789abcdef".parse(), "web".parse());
        let happening = Happening::now("die", uid.expect("a uid"), name.expect("a name"));
        Happening {
            time: Timestamp::UNIX_EPOCH,
            ..happening.with("exitCode", 3).with("error", "a\u{1b}[2Jb\n")
        }
    }

    #[test]
    fn an_event_is_a_line() {
        insta::assert_snapshot!(text(&happening(), None), @"1970-01-01T00:00:00.000Z vm die 0123456789abcdef (name=web, error=a [2Jb , exitCode=3)");
        insta::assert_snapshot!(text(&happening(), Some(Format::Json)), @r#"{"time":"1970-01-01T00:00:00Z","uid":"0123456789abcdef","name":"web","event":"die","attributes":{"error":"a\u001b[2Jb\n","exitCode":"3"}}"#);
    }

    #[test]
    fn one_key_has_alternatives_and_several_must_hold() {
        let asked = |filters: &[&str]| {
            let filters = filters
                .iter()
                .map(|filter| filter.parse().expect("a filter"));
            is_asked(&filters.collect::<Vec<_>>(), &happening())
        };
        assert!(asked(&[]));
        assert!(asked(&["vm=web", "event=start", "event=die"]));
        assert!(asked(&["vm=0123", "exitCode=3"]));
        assert!(!asked(&["vm=we"]));
        assert!(!asked(&["vm="]));
        assert!(!asked(&["event=die", "exitCode=0"]));
        for text in ["", "die", "colour=red", "=x"] {
            assert!(text.parse::<Filter>().is_err(), "{text}");
        }
    }
}
