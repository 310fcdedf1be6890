//! Firecracker's metrics: one JSON object a line, of which a few numbers are summed up.
//!
//! Almost all are counted from the line before. Which objects and numbers there are differs between
//! versions: what is unknown is passed over, what is missing is nothing.

use ignite_wire::agent::VmmCounters;
use serde::Deserialize;

use super::lines::Lines;

/// Longest line taken, in bytes; the longest known has some ten thousand.
pub const MAX_LINE: usize = 256 * 1024;

/// Takes bytes as they come and keeps the sums.
#[derive(Debug)]
pub struct Decoder {
    lines: Lines,
    sums: VmmCounters,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            lines: Lines::new(MAX_LINE),
            sums: VmmCounters::default(),
        }
    }
}

impl Decoder {
    /// Reads `bytes` on; a line that is no such object is passed over.
    pub fn push(&mut self, bytes: &[u8]) {
        let sums = &mut self.sums;
        self.lines.push(bytes, |line| {
            if let Ok(line) = serde_json::from_slice::<Line>(line) {
                line.add_to(sums);
            }
        });
    }

    /// All that was counted so far.
    pub fn sums(&self) -> VmmCounters {
        self.sums
    }
}

/// The parts of a line that are looked at: those that sum up all devices of a kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    block: Block,
    net: Net,
    vsock: Vsock,
    vcpu: Vcpu,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Block {
    read_bytes: u64,
    write_bytes: u64,
    read_count: u64,
    write_count: u64,
    rate_limiter_throttled_events: u64,
    execute_fails: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Net {
    rx_bytes_count: u64,
    tx_bytes_count: u64,
    rx_packets_count: u64,
    tx_packets_count: u64,
    rx_rate_limiter_throttled: u64,
    tx_rate_limiter_throttled: u64,
    rx_fails: u64,
    tx_fails: u64,
    tap_read_fails: u64,
    tap_write_fails: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Vsock {
    rx_bytes_count: u64,
    tx_bytes_count: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Vcpu {
    exit_io_in: u64,
    exit_io_out: u64,
    exit_mmio_read: u64,
    exit_mmio_write: u64,
}

impl Line {
    fn add_to(&self, sums: &mut VmmCounters) {
        let Self {
            block,
            net,
            vsock,
            vcpu,
        } = self;
        let add = |sum: &mut u64, numbers: &[u64]| {
            for number in numbers {
                *sum = sum.saturating_add(*number);
            }
        };
        add(&mut sums.disk_read_bytes, &[block.read_bytes]);
        add(&mut sums.disk_written_bytes, &[block.write_bytes]);
        add(&mut sums.disk_reads, &[block.read_count]);
        add(&mut sums.disk_writes, &[block.write_count]);
        add(
            &mut sums.disk_throttled,
            &[block.rate_limiter_throttled_events],
        );
        add(&mut sums.disk_errors, &[block.execute_fails]);
        add(&mut sums.net_received_bytes, &[net.rx_bytes_count]);
        add(&mut sums.net_sent_bytes, &[net.tx_bytes_count]);
        add(&mut sums.net_received_frames, &[net.rx_packets_count]);
        add(&mut sums.net_sent_frames, &[net.tx_packets_count]);
        let throttled = [net.rx_rate_limiter_throttled, net.tx_rate_limiter_throttled];
        add(&mut sums.net_throttled, &throttled);
        let errors = [
            net.rx_fails,
            net.tx_fails,
            net.tap_read_fails,
            net.tap_write_fails,
        ];
        add(&mut sums.net_errors, &errors);
        add(&mut sums.vsock_received_bytes, &[vsock.rx_bytes_count]);
        add(&mut sums.vsock_sent_bytes, &[vsock.tx_bytes_count]);
        let exits = [
            vcpu.exit_io_in,
            vcpu.exit_io_out,
            vcpu.exit_mmio_read,
            vcpu.exit_mmio_write,
        ];
        add(&mut sums.exits, &exits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"utc_timestamp_ms":1,"api_server":{"process_startup_time_us":5},"block":{"read_bytes":4096,"write_count":2,"read_agg":{"min_us":1}},"block_disk0":{"read_bytes":4096},"net":{"rx_fails":1,"tap_read_fails":2,"tx_bytes_count":60},"vcpu":{"exit_io_out":10,"exit_mmio_read":5}}"#;

    #[test]
    fn lines_are_summed_and_unknown_fields_passed_over() {
        let mut decoder = Decoder::default();
        for piece in [
            LINE,
            "\n",
            "no object\n{\"block\":7}\n[]\n",
            LINE,
            "\n",
            LINE,
        ] {
            decoder.push(piece.as_bytes());
        }
        let expected = VmmCounters {
            disk_read_bytes: 8192,
            disk_writes: 4,
            net_errors: 6,
            net_sent_bytes: 120,
            exits: 30,
            ..VmmCounters::default()
        };
        assert_eq!(decoder.sums(), expected);
    }

    #[test]
    fn sums_end_at_the_greatest_number() {
        let mut decoder = Decoder::default();
        for _ in 0..2 {
            decoder.push(b"{\"block\":{\"read_bytes\":18446744073709551615}}\n");
        }
        assert_eq!(decoder.sums().disk_read_bytes, u64::MAX);
    }
}
