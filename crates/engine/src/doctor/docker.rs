//! The Docker Engine, where VMs are put on its bridge.

use std::time::{Duration, Instant};

use ignite_api::NetworkPlugin;
use ignite_docker::Docker;

use super::ask::ask;
use super::host::Host;
use super::{Line, Section};
use crate::Config;

const SECTION: Section = Section::Docker;

/// An engine that runs answers at once.
const LIMIT: Duration = Duration::from_secs(4);

/// What came of asking it.
enum Answer {
    /// Its version, and where.
    Version(String),
    /// An error, and what to do.
    Failed(String, Option<String>),
    /// Nothing.
    Silent,
}

pub(super) fn look(config: &Config, host: &Host) -> Vec<Line> {
    let used = config.network_plugin == NetworkPlugin::DockerBridge;
    vec![judge(used.then(greet), host)]
}

fn greet() -> Answer {
    let asked = ask(|| match Docker::connect() {
        Ok(engine) => {
            let socket = engine.socket().display();
            Answer::Version(format!("API {}, {socket}", engine.version()))
        }
        Err(error) => Answer::Failed(ignite_host::error::chain(&error), error.hint()),
    });
    asked
        .until(Instant::now() + LIMIT)
        .unwrap_or(Answer::Silent)
}

fn judge(answer: Option<Answer>, host: &Host) -> Line {
    const NAME: &str = "docker engine";
    const COSTS: &str =
        "VMs do not start with the network plugin docker-bridge, which is configured";
    let bad =
        |text: String, remedy: String| Line::degraded(SECTION, NAME, text, COSTS).remedy(remedy);
    match answer {
        None => Line::good(SECTION, NAME, "not used: the network plugin is cni"),
        Some(Answer::Version(text)) => Line::good(SECTION, NAME, text),
        Some(Answer::Failed(why, hint)) => bad(
            why,
            hint.unwrap_or_else(|| host.install("docker.io", "moby-engine")),
        ),
        Some(Answer::Silent) => bad(
            format!("no answer within {} s", LIMIT.as_secs()),
            "systemctl restart docker".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::tests::GOOD;
    use super::super::{Verdict, can_run};
    use super::*;

    #[test]
    fn an_engine_nobody_uses_is_not_missed() {
        assert_eq!(judge(None, &GOOD).verdict(), Verdict::Good);
        let silent = judge(Some(Answer::Silent), &GOOD);
        assert_eq!(silent.verdict(), Verdict::Degraded);
        assert_eq!(silent.remedy_text(), Some("systemctl restart docker"));
        let failed = judge(Some(Answer::Failed("no socket".into(), None)), &GOOD);
        assert_eq!(failed.remedy_text(), Some("apt install docker.io"));
        assert!(can_run(&[silent, failed]));
        let there = judge(Some(Answer::Version("API 1.44".into())), &GOOD);
        assert_eq!(there.verdict(), Verdict::Good);
    }
}
