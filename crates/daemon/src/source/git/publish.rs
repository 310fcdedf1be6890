//! The status in the repository: one hidden file, committed on top of the branch by plumbing alone, so
//! that no other file of it is ever touched, or written to this host.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Error;
use super::config::Access;
use super::object::Id;
use super::options::Options;
use super::program::Call;
use super::repository::{Repository, remote_head};
use super::status_file::{StatusFile, host_name};

/// How often it is tried again when somebody else pushed meanwhile.
const ATTEMPTS: usize = 3;
/// Most bytes of a status that is compared; a larger one is written without.
const MAX_COMPARED: usize = 16 << 20;

/// Writes the status, no more often than the interval, when it says something new.
pub(super) struct Publisher {
    file: StatusFile,
    interval: Duration,
    wanted: Option<String>,
    last: Option<Instant>,
}

impl Publisher {
    /// For the file, at most once in `interval`.
    pub(super) fn new(file: StatusFile, interval: Duration) -> Self {
        Self {
            file,
            interval,
            wanted: None,
            last: None,
        }
    }

    /// The status as it is now.
    pub(super) fn want(&mut self, status: String) {
        self.wanted = Some(status);
    }

    /// Writes what is wanted onto `head`, if it is time and anything changed; the commit, if one was made.
    pub(super) fn publish(
        &mut self,
        repository: &Repository,
        options: &Options,
        head: &Id,
    ) -> Result<Option<Id>, Error> {
        let is_time = self.last.is_none_or(|last| last.elapsed() >= self.interval);
        let Some(wanted) = self.wanted.take_if(|_| is_time) else {
            return Ok(None);
        };
        let published = self.push(repository, options, head, &wanted);
        match &published {
            Ok(Some(_)) => self.last = Some(Instant::now()),
            Ok(None) => {}
            // It is wanted still; a newer one cannot have come meanwhile.
            Err(_) => self.wanted = Some(wanted),
        }
        published
    }

    fn push(
        &self,
        repository: &Repository,
        options: &Options,
        head: &Id,
        wanted: &str,
    ) -> Result<Option<Id>, Error> {
        let mut base = head.clone();
        for _ in 0..ATTEMPTS {
            if self.is_there(repository, &base, wanted)? {
                return Ok(None);
            }
            let commit = self.commit(repository, &base, wanted)?;
            let target = format!("{commit}:{}", options.branch.reference());
            let args = ["push", "--quiet", "--", options.remote.url(), &target];
            let Err(error) =
                repository.run(Call::new("push the status", args).remote(Access::Write))
            else {
                return Ok(Some(commit));
            };
            // Only a branch that moved is worth another attempt.
            if !error.may_be_ours() || remote_head(repository.program(), options)? == base {
                return Err(error);
            }
            base = repository.fetch(options)?;
        }
        Err(Error::Race)
    }

    /// Whether the commit has this status already, whatever times it names.
    fn is_there(&self, repository: &Repository, commit: &Id, wanted: &str) -> Result<bool, Error> {
        let action = "read the status in the repository";
        let args = [
            "ls-tree",
            "-z",
            "--full-tree",
            commit.as_str(),
            "--",
            self.file.path(),
        ];
        let listed = repository.run(Call::new(action, args))?;
        let Some((fields, _)) = std::str::from_utf8(&listed)
            .ok()
            .and_then(|line| line.split_once('\t'))
        else {
            return Ok(false);
        };
        let fields: Vec<&str> = fields.split(' ').collect();
        let ["100644", "blob", id] = fields[..] else {
            return Err(Error::StatusFile {
                path: self.file.path().to_owned(),
                reason: "something else is there in the repository",
            });
        };
        let call = Call::new(action, ["cat-file", "blob", id]).most(MAX_COMPARED);
        match repository.run(call) {
            Ok(there) => Ok(said(&String::from_utf8_lossy(&there)) == said(wanted)),
            Err(Error::Answer { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn commit(&self, repository: &Repository, base: &Id, wanted: &str) -> Result<Id, Error> {
        let action = "commit the status";
        let index = repository.program().place().index();
        super::place::remove(&index)?;
        let ask = |call: Call<'_>| -> Result<Id, Error> {
            let answer = repository.run(call.index(index.clone()))?;
            Id::parse(answer.trim_ascii()).ok_or(Error::Answer { action })
        };
        let tell = |args: &[&str]| {
            repository
                .run(Call::new(action, args).index(index.clone()))
                .map(drop)
        };
        let blob =
            ask(Call::new(action, ["hash-object", "-w", "--stdin"]).stdin(wanted.as_bytes()))?;
        tell(&["read-tree", base.as_str()])?;
        let path = self.file.path();
        tell(&[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("100644,{blob},{path}"),
        ])?;
        let tree = ask(Call::new(action, ["write-tree"]))?;
        let message = format!("Status of {}", host_name());
        ask(Call::new(
            action,
            [
                "commit-tree",
                tree.as_str(),
                "-p",
                base.as_str(),
                "-m",
                &message,
            ],
        ))
    }
}

/// What a status says but for its times: those alone are no news.
fn said(status: &str) -> Value {
    match serde_json::from_str(status) {
        Ok(value) => without_times(value),
        Err(_) => Value::String(status.to_owned()),
    }
}

fn without_times(value: Value) -> Value {
    match value {
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => Value::Null,
        Value::Array(values) => values.into_iter().map(without_times).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, without_times(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_no_news() {
        let status = |state: &str, time: &str| {
            format!(r#"{{"vms":[{{"state":"{state}","since":"{time}","restarts":1}}]}}"#)
        };
        let one = said(&status("running", "2026-11-22T08:00:00Z"));
        assert_eq!(one, said(&status("running", "2026-11-22T09:00:00.123456Z")));
        assert_ne!(one, said(&status("stopped", "2026-11-22T08:00:00Z")));
        assert_ne!(said("not JSON"), said("nor this"));
    }
}
