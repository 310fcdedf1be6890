//! `ignited`: whatever is done to the files and to the daemon, in the end the
//! VMs are as the files say.

mod guests;
mod hostile;
mod kills;
mod manifests;
mod policies;
mod report;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, Running, wait_until};
use rustix::process::Signal;
use serde_json::Value;

/// Where the daemon looks.
pub const DIRECTORY: &str = "/etc/firecracker/manifests";

/// Longer than anything takes that the daemon does with many.
pub const SETTLES: Duration = Duration::from_secs(120);

/// A daemon of a host. It ends with the test.
pub struct Daemon<'h> {
    host: &'h Host,
    options: Vec<String>,
    running: Option<Running>,
}

impl<'h> Daemon<'h> {
    /// Up, after its first look at everything.
    pub fn start(host: &'h Host, options: &[&str]) -> Result<Self> {
        let mut daemon = Self {
            host,
            options: options.iter().map(ToString::to_string).collect(),
            running: None,
        };
        daemon.again()?;
        Ok(daemon)
    }

    /// The same daemon once more, after its end.
    pub fn again(&mut self) -> Result<()> {
        self.again_with(&["-f"])
    }

    /// The same once more, while its directory is away: it is up and not well.
    pub fn again_away(&mut self) -> Result<()> {
        self.again_with(&[])
    }

    /// Up once it answers, with `curl`'s options as the measure of an answer.
    fn again_with(&mut self, options: &[&str]) -> Result<()> {
        let words = ["ignited", "daemon"].map(str::to_owned);
        let words = words.into_iter().chain(self.options.iter().cloned());
        self.running = Some(self.host.command(words).start()?);
        let health = ["curl", "-sS", "--unix-socket", "/run/ignite/daemon.sock"];
        let health = health.iter().chain(options);
        let health = health.chain(&["http://ignited/healthz"]).copied();
        wait_until("the daemon to be up", Duration::from_secs(30), || {
            self.host.command(health.clone()).ok()
        })?;
        Ok(())
    }

    /// Ends it in order; what it has said.
    pub fn stop(&mut self) -> Result<String> {
        let running = self.running.take().context("it runs")?;
        running.signal_alone(Signal::TERM)?;
        let output = running.wait(Duration::from_secs(40))?;
        ensure!(output.code == 0, "{}", output.stderr);
        Ok(output.stderr)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.running
            .as_ref()
            .context("it runs")?
            .signal_alone(signal)
    }
}

/// A manifest.
pub fn manifest(name: &str, uid: &str, running: bool, more: &str) -> String {
    format!(
        "apiVersion: ignite.weave.works/v1alpha4\nkind: VM\nmetadata: {{ name: {name}, uid: \"{uid}\" }}\n\
         spec:\n  image: {{ oci: busy }}\n  memory: 128MB\n{more}status: {{ running: {running} }}\n"
    )
}

/// A uid made of a number.
pub fn uid(number: usize) -> String {
    format!("a{number:015x}")
}

/// Writes a manifest's file.
pub fn write(host: &Host, file: &str, text: &str) -> Result<()> {
    host.write(&format!("{DIRECTORY}/{file}"), text)
}

/// The host's VMs: state by uid.
pub fn states(host: &Host) -> Result<BTreeMap<String, String>> {
    let text = host.ignite(["ps", "-a", "-o", "json"]).ok()?;
    let lines: Vec<Value> = serde_json::from_str(&text)?;
    let word = |line: &Value, field: &str| line[field].as_str().map(str::to_owned);
    lines
        .iter()
        .map(|line| Some((word(line, "uid")?, word(line, "state")?)))
        .collect::<Option<_>>()
        .with_context(|| format!("no uid or state in {text}"))
}

/// Waits until the host's VMs are these.
pub fn becomes(host: &Host, wanted: &BTreeMap<String, String>) -> Result<()> {
    wait_until("the VMs to be as the files say", SETTLES, || {
        let actual = states(host)?;
        let wrong: Vec<String> = wanted
            .keys()
            .chain(actual.keys())
            .filter(|uid| wanted.get(*uid) != actual.get(*uid))
            .map(|uid| format!("{uid}: {:?}, not {:?}", actual.get(uid), wanted.get(uid)))
            .collect();
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    })
    .with_context(|| status_text(host))
}

/// What the daemon says of itself, for the reader of a failed test.
fn status_text(host: &Host) -> String {
    host.read("/var/lib/ignite/ignited/status.json")
        .unwrap_or_else(|error| format!("no status file: {error:#}"))
}

/// The status file.
pub fn status(host: &Host) -> Result<Value> {
    let text = host.read("/var/lib/ignite/ignited/status.json")?;
    serde_json::from_str(&text).with_context(|| text)
}

/// What the status file says of one manifest.
pub fn told(host: &Host, file: &str) -> Result<Value> {
    let status = status(host)?;
    let all = status["manifests"].as_array().context("no manifests")?;
    let found = all.iter().find(|it| it["file"] == file).cloned();
    found.with_context(|| format!("nothing of {file} in {status:#}"))
}

/// Waits until the status file tells of a fault in one manifest that holds these words.
pub fn faulty(host: &Host, file: &str, words: &[&str]) -> Result<String> {
    wait_until(&format!("a fault of {file}"), SETTLES, || {
        let told = told(host, file)?;
        let message = told["fault"]["message"].as_str().unwrap_or_default();
        for word in words {
            ensure!(message.contains(word), "no {word:?} in {told:#}");
        }
        Ok(message.to_owned())
    })
}

/// What `ps` shows of states, for [`becomes`].
pub fn all(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(uid, state)| ((*uid).to_owned(), (*state).to_owned()))
        .collect()
}
