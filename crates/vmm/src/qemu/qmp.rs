//! QMP, the QEMU Machine Protocol: a codec and a client, no more than a supervisor needs.
//!
//! One JSON object a line. QEMU greets; `qmp_capabilities` ends the negotiation; then commands get
//! `return` or `error`, and events come when they like.
//!
//! QEMU relays what a guest does, so a line is bounded and unknown events are passed over.

use serde::Deserialize;
use thiserror::Error as ThisError;

use super::command::AGENT_ID;
use crate::{Reason, Report};

/// Longest line taken, in bytes; the longest known is the greeting with some hundred.
pub const MAX_LINE: usize = 64 * 1024;

/// Why a line is not QMP.
#[derive(Debug, ThisError)]
pub enum Error {
    /// A line without end.
    #[error("a line of the control stream is longer than {MAX_LINE} bytes")]
    TooLong,
    /// A line that is not what QMP sends.
    #[error("a line of the control stream is not a QMP message")]
    Malformed(#[source] serde_json::Error),
}

/// One line of a command without arguments.
pub fn command(name: &str) -> String {
    format!("{{\"execute\":\"{name}\"}}\n")
}

/// Takes bytes as they come and gives reports.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
}

impl Decoder {
    /// Reads `bytes` on; appends what they tell to `reports`.
    pub fn push(&mut self, bytes: &[u8], reports: &mut Vec<Report>) -> Result<(), Error> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.append(&rest[..end])?;
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            if !line.trim_ascii().is_empty() {
                let message: Incoming = serde_json::from_slice(&line).map_err(Error::Malformed)?;
                reports.extend(message.report());
            }
        }
        self.append(rest)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.line.len() + bytes.len() > MAX_LINE {
            return Err(Error::TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }
}

/// Every message QEMU sends; which it is shows by the field that is there.
#[derive(Debug, Deserialize)]
struct Incoming {
    event: Option<String>,
    error: Option<Refusal>,
    #[serde(default)]
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    #[serde(default)]
    desc: String,
}

/// The fields of all events that are looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data {
    reason: String,
    id: String,
    open: bool,
    device: String,
    #[serde(rename = "node-name")]
    node_name: String,
}

impl Incoming {
    fn report(self) -> Option<Report> {
        if let Some(Refusal { desc }) = self.error {
            return Some(Report::Refused { message: desc });
        }
        let data = self.data;
        match self.event?.as_str() {
            "SHUTDOWN" => Some(Report::Shutdown(reason(&data.reason))),
            "GUEST_PANICKED" => Some(Report::Panicked),
            "VSERPORT_CHANGE" if data.id == AGENT_ID => Some(Report::AgentPort { open: data.open }),
            "BLOCK_IO_ERROR" => Some(Report::DiskError {
                device: if data.node_name.is_empty() {
                    data.device
                } else {
                    data.node_name
                },
                message: data.reason,
            }),
            _ => None,
        }
    }
}

/// `ShutdownCause` of QEMU's `qapi/run-state.json`.
fn reason(text: &str) -> Reason {
    match text {
        "guest-shutdown" => Reason::GuestPowerOff,
        "guest-reset" | "subsystem-reset" => Reason::GuestReset,
        "guest-panic" => Reason::GuestPanic,
        "host-qmp-quit" => Reason::Quit,
        "host-signal" => Reason::Signal,
        _ => Reason::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What QEMU 7.2 sent at the end of a guest that powered itself off.
    const CONVERSATION: &str = concat!(
        "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 19, \"minor\": 2, \"major\": 7}, \"package\": \"x\"}, \"capabilities\": [\"oob\"]}}\r\n",
        "{\"return\": {}}\r\n",
        "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": true, \"id\": \"agent\"}}\r\n",
        "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"POWERDOWN\"}\r\n",
        "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command x has not been found\"}}\r\n",
        "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\r\n",
    );

    fn conversation() -> Vec<Report> {
        vec![
            Report::AgentPort { open: true },
            Report::Refused {
                message: "The command x has not been found".to_owned(),
            },
            Report::Shutdown(Reason::GuestPowerOff),
        ]
    }

    #[test]
    fn long_lines_are_refused() {
        let mut reports = Vec::new();
        let mut decoder = Decoder::default();
        let error = decoder.push(&vec![b' '; MAX_LINE + 1], &mut reports);
        assert!(matches!(error, Err(Error::TooLong)));
    }

    #[test]
    fn foreign_objects_are_refused_or_passed_over() {
        let mut reports = Vec::new();
        let mut decoder = Decoder::default();
        decoder
            .push(b"{\"event\":\"RTC_CHANGE\"}\n{}\n", &mut reports)
            .expect("objects");
        assert_eq!(reports, []);
        assert!(decoder.push(b"hello\n", &mut reports).is_err());
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(cuts in prop::collection::vec(0..CONVERSATION.len(), 0..20)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            cuts.push(CONVERSATION.len());
            let (mut decoder, mut reports, mut from) = (Decoder::default(), Vec::new(), 0);
            for to in cuts {
                decoder.push(&CONVERSATION.as_bytes()[from..to], &mut reports).expect("valid");
                from = to;
            }
            prop_assert_eq!(reports, conversation());
        }

        #[test]
        fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = Decoder::default().push(&bytes, &mut Vec::new());
        }
    }
}
