//! Services as systemd's units.

use std::path::PathBuf;
use std::time::Duration;

use super::{Error, Service};
use crate::fs;
use crate::process::{Limits, Spec, run};

/// Time for systemctl: a service that is stopped may take its own.
const LIMIT: Duration = Duration::from_secs(120);

/// systemd, told by unit files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Systemd {
    units: PathBuf,
}

impl Systemd {
    /// With the directory of the units.
    pub fn new(units: impl Into<PathBuf>) -> Self {
        Self {
            units: units.into(),
        }
    }

    pub(super) fn start(&self, service: &Service) -> Result<(), Error> {
        let path = self.path(&service.name);
        let there = fs::read_bounded(&path, 1 << 20).ok();
        match there.as_deref() == Some(text(service).as_bytes()) && !self.mark(service).exists() {
            true => self.ask_to("start", service),
            false => self.restart(service),
        }
    }

    /// The mark is there from before the file is written until the service runs by it: a death in
    /// between is made good by the next call.
    pub(super) fn restart(&self, service: &Service) -> Result<(), Error> {
        let failed = |source| Error::File {
            name: service.name.clone(),
            source,
        };
        let mark = self.mark(service);
        fs::write_atomic(&mark, b"", 0o644).map_err(failed)?;
        let path = self.path(&service.name);
        fs::write_atomic(&path, text(service).as_bytes(), 0o644).map_err(failed)?;
        self.ask_to("restart", service)?;
        // Left there, it costs one more restart.
        let _ = std::fs::remove_file(mark);
        Ok(())
    }

    /// What the service is waited for to do is its starter's affair: this does not wait.
    fn ask_to(&self, verb: &'static str, service: &Service) -> Result<(), Error> {
        let unit = unit(&service.name);
        systemctl("daemon-reload", &[])?;
        systemctl("enable", &[&unit])?;
        systemctl(verb, &["--no-block", &unit])
    }

    fn mark(&self, service: &Service) -> PathBuf {
        self.units.join(format!(".{}.changed", unit(&service.name)))
    }

    pub(super) fn stop(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        if !path.exists() {
            return Ok(());
        }
        systemctl("disable", &["--now", &unit(name)])?;
        // One that fails again and again is no more waited for, either.
        let _ = ask("reset-failed", &[&unit(name)]);
        if let Err(source) = std::fs::remove_file(&path) {
            tracing::warn!("cannot remove {}: {source}", path.display());
        }
        systemctl("daemon-reload", &[])
    }

    pub(super) fn is_running(&self, name: &str) -> Result<bool, Error> {
        let unit = unit(name);
        let output = ask("is-active", &["--quiet", &unit])?;
        Ok(output.status.success())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.units.join(unit(name))
    }
}

/// The unit of a service.
pub(super) fn unit(name: &str) -> String {
    format!("{name}.service")
}

fn systemctl(verb: &'static str, rest: &[&str]) -> Result<(), Error> {
    let output = ask(verb, rest)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::Systemctl {
            verb,
            unit: rest.last().copied().unwrap_or("systemd").to_owned(),
            text: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
    }
}

fn ask(verb: &'static str, rest: &[&str]) -> Result<crate::process::Output, Error> {
    let limits = Limits {
        time: LIMIT,
        ..Limits::default()
    };
    let spec = Spec::new("systemctl").arg(verb).args(rest);
    run(spec, b"", limits).map_err(|source| Error::Start {
        name: rest.last().copied().unwrap_or("systemd").to_owned(),
        source,
    })
}

/// The unit's file.
fn text(service: &Service) -> String {
    let words = std::iter::once(service.program.to_string_lossy().into_owned())
        .chain(service.args.iter().cloned());
    let command: Vec<String> = words.map(|word| quoted(&word)).collect();
    format!(
        "# Written by ignite, which writes it anew; see systemctl edit {unit} for changes of your own.\n\
         [Unit]\n\
         Description={}\n\
         After=network.target\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         Type=exec\n\
         ExecStart={}\n\
         Restart=always\n\
         RestartSec=2\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        service.description,
        command.join(" "),
        unit = unit(&service.name),
    )
}

/// A word as ExecStart= takes it.
fn quoted(word: &str) -> String {
    let mut text = String::from("\"");
    for letter in word.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '%' => text.push_str("%%"),
            '$' => text.push_str("$$"),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_program_as_they_are() {
        let service = Service {
            name: "ignite-etcd".into(),
            description: "etcd of Ignite's overlay".into(),
            program: "/usr/bin/etcd".into(),
            args: vec!["--data-dir=/var/lib/a b".into(), "100%$X\"\\".into()],
        };
        let text = text(&service);
        let line = text.lines().find(|line| line.starts_with("ExecStart="));
        assert_eq!(
            line,
            Some(r#"ExecStart="/usr/bin/etcd" "--data-dir=/var/lib/a b" "100%%$$X\"\\""#)
        );
        assert!(text.contains("WantedBy=multi-user.target\n"));
    }
}
