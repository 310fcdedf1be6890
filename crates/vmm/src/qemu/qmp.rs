//! QMP, the QEMU Machine Protocol: a codec and a client, no more than a supervisor needs.
//!
//! One JSON object a line. QEMU greets; `qmp_capabilities` ends the negotiation; then commands get
//! `return` or `error`, and events come when they like.
//!
//! QEMU relays what a guest does, so a line is bounded and unknown events are passed over.

use ignite_wire::agent::DiskCounters;
use ignite_wire::supervisor::Rate;
use serde::Deserialize;
use thiserror::Error as ThisError;

use super::command::AGENT_ID;
use crate::words::one_line;
use crate::{Reason, Report, Request};

/// Longest line taken, in bytes; the longest known tells of all disks, with some thousand of each.
pub const MAX_LINE: usize = 256 * 1024;

/// The most QEMU takes for a rate (`THROTTLE_VALUE_MAX`).
const MOST_BYTES: u64 = 1_000_000_000_000_000;

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

/// One line of a command without arguments, whose success nobody waits for.
pub fn command(name: &str) -> String {
    format!("{{\"execute\":\"{name}\"}}\n")
}

/// One line of a command that is answered as this request.
pub fn request(request: Request, name: &str) -> String {
    let id = id(request);
    format!("{{\"execute\":\"{name}\",\"id\":\"{id}\"}}\n")
}

/// One line that bounds a disk; `answered` as [`Request::LimitDisk`], if anybody waits for that.
///
/// The largest burst is what may be read and written in one second beyond which the rate holds; QEMU
/// takes none below the rate, and has a tenth of it where none is given.
pub fn throttle(device: &str, rate: Option<Rate>, answered: bool) -> String {
    let limit = |bytes: u64| bytes.min(MOST_BYTES);
    let bytes = rate.map_or(0, |rate| limit(rate.bytes_per_second));
    let burst = rate.map_or(0, |rate| limit(rate.burst));
    let mut arguments = serde_json::json!({
        "id": device,
        "bps": bytes, "bps_rd": 0, "bps_wr": 0,
        "iops": 0, "iops_rd": 0, "iops_wr": 0,
    });
    if burst >= bytes && bytes > 0 {
        arguments["bps_max"] = burst.into();
    }
    let mut command =
        serde_json::json!({"execute": "block_set_io_throttle", "arguments": arguments});
    if answered {
        command["id"] = id(Request::LimitDisk).into();
    }
    format!("{command}\n")
}

/// One line that leaves the guest that many bytes of its memory; `answered` as [`Request::Inflate`], if
/// anybody waits for that.
pub fn balloon(left: u64, answered: bool) -> String {
    let mut command = serde_json::json!({"execute": "balloon", "arguments": {"value": left}});
    if answered {
        command["id"] = id(Request::Inflate).into();
    }
    format!("{command}\n")
}

/// One line that asks what passed to and from the disks.
pub fn disks() -> String {
    format!("{{\"execute\":\"query-blockstats\",\"id\":\"{DISKS}\"}}\n")
}

const DISKS: &str = "disks";

const REQUESTS: [Request; 4] = [
    Request::Pause,
    Request::Resume,
    Request::LimitDisk,
    Request::Inflate,
];

fn id(request: Request) -> &'static str {
    match request {
        Request::Pause => "pause",
        Request::Resume => "resume",
        Request::LimitDisk => "limit-disk",
        Request::Inflate => "inflate",
    }
}

/// Takes bytes as they come and gives reports.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
    /// Bytes of the guest's memory: QEMU tells what a balloon leaves of them.
    memory: u64,
    told: Told,
}

/// What was told of the disks.
#[derive(Debug, Default)]
struct Told {
    disks: Option<DiskCounters>,
    answers: u64,
}

impl Decoder {
    /// Of a guest with that many bytes of memory.
    pub fn new(memory: u64) -> Self {
        Self {
            memory,
            ..Self::default()
        }
    }

    /// What passed to and from the disks, as last told, and how often [`disks`] was answered.
    pub fn disks(&self) -> (Option<DiskCounters>, u64) {
        (self.told.disks, self.told.answers)
    }

    /// Reads `bytes` on; appends what they tell to `reports`.
    pub fn push(&mut self, bytes: &[u8], reports: &mut Vec<Report>) -> Result<(), Error> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.append(&rest[..end])?;
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            if !line.trim_ascii().is_empty() {
                let message: Incoming = serde_json::from_slice(&line).map_err(Error::Malformed)?;
                if message.id.as_deref() == Some(DISKS) {
                    self.told.answers += 1;
                    self.told.disks = message.disks().or(self.told.disks);
                } else {
                    reports.extend(message.report(self.memory));
                }
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
    /// Of the command this answers.
    id: Option<String>,
    #[serde(default)]
    data: Data,
    /// What was asked for.
    #[serde(default, rename = "return")]
    answer: serde_json::Value,
}

/// A disk of [`disks`], with the fields that are looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Disk {
    stats: DiskStats,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DiskStats {
    rd_bytes: u64,
    wr_bytes: u64,
    rd_operations: u64,
    wr_operations: u64,
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
    actual: u64,
}

impl Incoming {
    /// The sums of all disks, where this tells of them.
    fn disks(self) -> Option<DiskCounters> {
        let disks: Vec<Disk> = serde_json::from_value(self.answer).ok()?;
        let sum = |of: fn(&DiskStats) -> u64| {
            let numbers = disks.iter().map(|disk| of(&disk.stats));
            numbers.fold(0, u64::saturating_add)
        };
        Some(DiskCounters {
            read_bytes: sum(|disk| disk.rd_bytes),
            written_bytes: sum(|disk| disk.wr_bytes),
            reads: sum(|disk| disk.rd_operations),
            writes: sum(|disk| disk.wr_operations),
        })
    }

    fn report(self, memory: u64) -> Option<Report> {
        let is_of = |request: &Request| self.id.as_deref() == Some(id(*request));
        match (self.error, REQUESTS.into_iter().find(is_of)) {
            (None, None) => {}
            (Some(Refusal { desc }), None) => {
                let message = one_line(&desc);
                return Some(Report::Refused { message });
            }
            (error, Some(request)) => {
                let refused = error.map_or(Ok(()), |Refusal { desc }| Err(one_line(&desc)));
                return Some(Report::Answer(request, refused));
            }
        }
        let data = self.data;
        match self.event?.as_str() {
            "SHUTDOWN" => Some(Report::Shutdown(reason(&data.reason))),
            "GUEST_PANICKED" => Some(Report::Panicked),
            "VSERPORT_CHANGE" if data.id == AGENT_ID => Some(Report::AgentPort { open: data.open }),
            // At most once a second, the last one for sure.
            "BALLOON_CHANGE" => Some(Report::Balloon {
                bytes: memory.saturating_sub(data.actual),
            }),
            "BLOCK_IO_ERROR" => Some(Report::DiskError {
                device: one_line(if data.node_name.is_empty() {
                    &data.device
                } else {
                    &data.node_name
                }),
                message: one_line(&data.reason),
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
    use crate::words::LONGEST;
    use proptest::prelude::*;

    /// What QEMU 7.2 sent at the end of a guest that powered itself off.
    const CONVERSATION: &str = concat!(
        "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 19, \"minor\": 2, \"major\": 7}, \"package\": \"x\"}, \"capabilities\": [\"oob\"]}}\r\n",
        "{\"return\": {}}\r\n",
        "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": true, \"id\": \"agent\"}}\r\n",
        "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"POWERDOWN\"}\r\n",
        "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command x has not been found\"}}\r\n",
        "{\"return\": {}, \"id\": \"pause\"}\r\n",
        "{\"id\": \"limit-disk\", \"error\": {\"class\": \"GenericError\", \"desc\": \"no such device\"}}\r\n",
        "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"BALLOON_CHANGE\", \"data\": {\"actual\": 200}}\r\n",
        "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\r\n",
    );

    fn conversation() -> Vec<Report> {
        vec![
            Report::AgentPort { open: true },
            Report::Refused {
                message: "The command x has not been found".to_owned(),
            },
            Report::Answer(Request::Pause, Ok(())),
            Report::Answer(Request::LimitDisk, Err("no such device".to_owned())),
            Report::Balloon { bytes: 56 },
            Report::Shutdown(Reason::GuestPowerOff),
        ]
    }

    #[test]
    fn a_balloon_is_told_by_what_it_leaves() {
        let lines = balloon(256 << 20, true) + &balloon(192 << 20, false);
        insta::assert_snapshot!(lines, @r#"
        {"execute":"balloon","arguments":{"value":268435456},"id":"inflate"}
        {"execute":"balloon","arguments":{"value":201326592}}
        "#);
    }

    #[test]
    fn all_disks_are_summed_up() {
        let mut decoder = Decoder::default();
        let mut reports = Vec::new();
        let line = concat!(
            r#"{"return": [{"device": "", "parent": {"stats": {"rd_bytes": 9}}, "#,
            r#""stats": {"rd_bytes": 512, "wr_bytes": 1024, "rd_operations": 2, "wr_operations": 3}, "#,
            r#""qdev": "/machine/peripheral/drive0/virtio-backend"}, {"stats": {"rd_bytes": 100}}], "#,
            r#""id": "disks"}"#,
            "\r\n"
        );
        decoder.push(line.as_bytes(), &mut reports).expect("QMP");
        let expected = DiskCounters {
            read_bytes: 612,
            written_bytes: 1024,
            reads: 2,
            writes: 3,
        };
        assert_eq!(decoder.disks(), (Some(expected), 1));
        let refused = b"{\"id\": \"disks\", \"error\": {\"desc\": \"no\"}}\n";
        decoder.push(refused, &mut reports).expect("QMP");
        assert_eq!(decoder.disks(), (Some(expected), 2));
        assert_eq!(reports, []);
    }

    #[test]
    fn a_burst_below_the_rate_is_left_to_qemu() {
        let rate = |burst| {
            Some(Rate {
                bytes_per_second: 50 << 20,
                burst,
            })
        };
        let lines = [
            throttle("drive0", rate(100 << 20), true),
            throttle("drive0", rate(5 << 20), false),
            throttle("drive0", None, true),
            request(Request::Pause, "stop"),
        ];
        insta::assert_snapshot!(lines.concat(), @r#"
        {"execute":"block_set_io_throttle","arguments":{"id":"drive0","bps":52428800,"bps_rd":0,"bps_wr":0,"iops":0,"iops_rd":0,"iops_wr":0,"bps_max":104857600},"id":"limit-disk"}
        {"execute":"block_set_io_throttle","arguments":{"id":"drive0","bps":52428800,"bps_rd":0,"bps_wr":0,"iops":0,"iops_rd":0,"iops_wr":0}}
        {"execute":"block_set_io_throttle","arguments":{"id":"drive0","bps":0,"bps_rd":0,"bps_wr":0,"iops":0,"iops_rd":0,"iops_wr":0},"id":"limit-disk"}
        {"execute":"stop","id":"pause"}
        "#);
    }

    #[test]
    fn words_for_people_are_plain_and_bounded() {
        let words = format!("\\u001b]0;owned\\u0007\\r\\n{}", "x".repeat(9000));
        let shown = format!("]0;owned {}", "x".repeat(LONGEST - 9));
        let lines = [
            format!("{{\"error\":{{\"desc\":\"{words}\"}}}}\n"),
            format!("{{\"error\":{{\"desc\":\"{words}\"}},\"id\":\"pause\"}}\n"),
            format!(
                "{{\"event\":\"BLOCK_IO_ERROR\",\"data\":{{\"device\":\"{words}\",\"reason\":\"{words}\"}}}}\n"
            ),
        ];
        let mut reports = Vec::new();
        let mut decoder = Decoder::default();
        for line in lines {
            decoder.push(line.as_bytes(), &mut reports).expect("QMP");
        }
        let expected = [
            Report::Refused {
                message: shown.clone(),
            },
            Report::Answer(Request::Pause, Err(shown.clone())),
            Report::DiskError {
                device: shown.clone(),
                message: shown,
            },
        ];
        assert_eq!(reports, expected);
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
            let (mut decoder, mut reports, mut from) = (Decoder::new(256), Vec::new(), 0);
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
