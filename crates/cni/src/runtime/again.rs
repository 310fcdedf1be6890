//! Failures that are nobody's fault and pass: the plugin says so itself (code 11), or the packet
//! filter's program that it ran lost a race against another one.
//!
//! The reference plugins look whether a chain is there and then create it. Two of them in this moment
//! (another VM, another runtime, on a host where nothing was attached yet) both find it missing; the
//! second one to create it fails. `iptables` reports that with exit status 4, its code for everything
//! the kernel had no room or time for, or with 1 and words.

use std::thread;
use std::time::Duration;

use crate::error::{Error, code};
use crate::exec::ExecError;

/// The pauses between one attempt and the next: as many attempts, and one.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(80),
    Duration::from_millis(250),
    Duration::from_millis(600),
];

/// Does `work` again as long as it fails in a way that passes.
pub(super) fn again<T>(mut work: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for pause in PAUSES {
        match work() {
            Err(error) if passes(&error) => {
                tracing::info!(error = crate::error::chain(&error), "it is tried again");
                thread::sleep(staggered(pause));
            }
            other => return other,
        }
    }
    work()
}

/// Processes that failed together do not try again together.
fn staggered(pause: Duration) -> Duration {
    pause + pause * (std::process::id() % 16) / 16
}

fn passes(error: &Error) -> bool {
    match error {
        Error::Plugin { source, .. } => match &**source {
            ExecError::Reported(error) => error.code == code::TRY_AGAIN || lost_a_race(&error.msg),
            _ => false,
        },
        Error::Attach {
            source,
            rollback: None,
            ..
        } => passes(source),
        _ => false,
    }
}

/// Whether a plugin tells of a packet filter's program that lost a race.
fn lost_a_race(message: &str) -> bool {
    let tables = message.contains("iptables") || message.contains("ip6tables");
    let words = ["exit status 4", "Chain already exists"];
    tables && words.iter().any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PluginError;
    use crate::error::Command;

    fn reported(code: u32, msg: &str) -> Error {
        let error = PluginError {
            code,
            msg: msg.to_owned(),
            details: String::new(),
        };
        Error::Plugin {
            network: "n".to_owned(),
            plugin: "firewall".to_owned(),
            command: Command::Add,
            source: Box::new(error.into()),
        }
    }

    #[test]
    fn races_pass_and_refusals_do_not() {
        let race = "running [/usr/sbin/iptables -t filter -N CNI-FORWARD --wait]: exit status 4: \
                    iptables v1.8.9 (nf_tables):  CHAIN_USER_ADD failed (File exists): chain CNI-FORWARD";
        assert!(passes(&reported(999, race)));
        assert!(passes(&reported(11, "busy")));
        let older =
            "running [/sbin/iptables -t nat -N X]: exit status 1: iptables: Chain already exists.";
        assert!(passes(&reported(0, older)));
        assert!(!passes(&reported(0, "exit status 4")));
        let refusal = "running [/usr/sbin/iptables -t nat -A X]: exit status 2: unknown option";
        assert!(!passes(&reported(0, refusal)));
    }

    #[test]
    fn what_could_not_be_undone_is_not_done_again() {
        let attach = |rollback: Option<Error>| Error::Attach {
            network: "n".to_owned(),
            id: crate::AttachmentId {
                container_id: "c".to_owned(),
                ifname: "eth0".to_owned(),
            },
            source: Box::new(reported(11, "busy")),
            rollback: rollback.map(Box::new),
        };
        assert!(passes(&attach(None)));
        assert!(!passes(&attach(Some(reported(11, "busy")))));
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut times = 0;
        let work = || -> Result<(), Error> {
            times += 1;
            Err(reported(11, "busy"))
        };
        assert!(again(work).is_err());
        assert_eq!(times, PAUSES.len() + 1);
    }
}
